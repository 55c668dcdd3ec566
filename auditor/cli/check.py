"""`auditor check`: one or a few targets, explained to a person."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.checks.follow_up import follow_up
from auditor.checks.reverse_zone import look_up_zone
from auditor.cli.check_json import check_data
from auditor.cli.check_text import describe
from auditor.cli.check_zones import noting
from auditor.cli.checked import Checked
from auditor.cli.console import engine_messages, print_data, print_json
from auditor.cli.formatting import after_demo, terminal_width
from auditor.cli.options import make_settings, settings_options
from auditor.cli.waiting import WaitNotice
from auditor.errors import FINDINGS_FOUND, UsageError
from auditor.findings.judge import Finding, fails, judge_servers, verdict
from auditor.findings.receivers import select_receivers
from auditor.findings.rules import RuleSet
from auditor.output.record import with_findings
from auditor.pipeline.target import TargetAuditor
from auditor.resolve.steps import together
from auditor.run.event_loop import run_loop
from auditor.run.scan import run_steps
from auditor.run.server_sample import ask_each
from auditor.settings_option import Group
from auditor.targets.given_targets import first_targets, refuse_invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.server_agreement import ServerAnswers
    from auditor.findings.receivers import Receiver
    from auditor.output.record_types import Record
    from auditor.resolve.answer import Steps
    from auditor.settings import Settings
    from auditor.targets.target import Origin, Target

__all__ = ["command"]

_MAX_TARGETS: Final = 64
_STDERR: Final = 2


@click.command("check", epilog=after_demo("check --zones d/zones 198.51.100.53"))
@click.argument("target", nargs=-1)
@settings_options(Group.SERVERS, Group.IDENTITIES, Group.FINDINGS, Group.RECEIVERS)
@click.option("--json", "as_json", is_flag=True, help="Print NDJSON, one object a target.")
def command(target: tuple[str, ...], *, as_json: bool, **given: Any) -> int:
    """Audit one or a few targets and explain: the evidence, the findings, the remedies.

    First comes a sentence: what receivers do with mail from it, and why. Last come the receiver
    rules that apply. A TARGET is an address, a small prefix or range, or a domain; `-` reads
    standard input. 64 of them at most: use `auditor scan` for more. With several --server
    options each server is also asked by itself; the evidence shows where their answers differ.
    """
    settings = make_settings(given)
    if not target:
        raise UsageError("nothing to check: give an address or a domain")
    refuse_invalid(target)
    targets = first_targets(target, _MAX_TARGETS + 1)
    if len(targets) > _MAX_TARGETS:
        raise UsageError(
            f"check explains {_MAX_TARGETS} targets at most: use auditor scan for more"
        )
    rule_set = RuleSet.from_settings(settings)
    checked = _check(settings, targets, rule_set)
    chosen = select_receivers(settings.receivers, settings.receivers_file)
    if as_json:
        for result in checked:
            print_json(check_data(result, chosen))
    else:
        _explain(checked, chosen)
    severities = {
        finding["severity"] for result in checked for finding in result.record["findings"]
    }
    verdicts = {result.record["verdict"] for result in checked}
    return FINDINGS_FOUND if fails(settings.fail_on, severities, verdicts) else 0


def _check(settings: Settings, targets: Sequence[Target], rule_set: RuleSet) -> Sequence[Checked]:
    """Audit the targets, and look up what explains their records. Raises AuditorError."""
    audit = TargetAuditor(settings, rule_set).audit
    patience = WaitNotice(settings.servers, at_terminal=terminal_width(_STDERR) is not None)
    steps = patience.noting(
        together(
            [_examined(audit(target), target.origin, settings.helo or "") for target in targets]
        )
    )
    with engine_messages():
        # Only traced answers have the extended errors of failures.
        traced = replace(settings, trace=True)
        checked = run_loop(patience.until_done(run_steps(traced, steps)))
    if len(settings.servers) > 1 and "SERVERS_DISAGREE" in rule_set.severities:
        with engine_messages(quiet=True):  # the faults of servers have been reported above
            server_answers = run_loop(ask_each(settings, [result.record for result in checked]))
        checked = [
            result._replace(
                record=_with_disagreement(result.record, answers, rule_set), server_answers=answers
            )
            for result, answers in zip(checked, server_answers, strict=True)
        ]
    return checked


def _examined(audit: Steps[Record], origin: Origin, helo: str) -> Steps[Checked]:
    """Audit a target, and look up what explains its record; `helo` is for lines without one."""
    outside: dict[str, str] = {}
    errors: dict[str, str] = {}
    record = yield from noting(audit, outside, errors)
    known = yield from follow_up(record, origin.helo or helo, origin.expected)
    zone = None
    if record["kind"] == "ip" and record["findings"]:
        zone = yield from look_up_zone(record)
    return Checked(record, known, zone, outside, errors)


def _with_disagreement(
    record: Record, server_answers: Sequence[ServerAnswers], rule_set: RuleSet
) -> Record:
    """Return a record with the findings about its servers, and the verdict of all."""
    findings = [
        Finding(noted["code"], noted["severity"], noted["subject"]) for noted in record["findings"]
    ]
    findings = sorted(
        {*findings, *judge_servers(server_answers, rule_set)},
        key=lambda finding: (finding.code, finding.subject),
    )
    return with_findings(record, verdict(findings), findings)


def _explain(checked: Sequence[Checked], chosen: Sequence[Receiver]) -> None:
    explained: set[str] = set()
    for number, result in enumerate(checked):
        if number:
            print_data()
        for line in describe(result, explained, chosen):
            print_data(line)
