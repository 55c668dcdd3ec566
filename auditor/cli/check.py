"""`auditor check`: one or a few targets, explained to a person."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.audit import Auditor
from auditor.checks.steps import together
from auditor.cli.driven import driven
from auditor.cli.evidence import describe
from auditor.cli.options import asking, judging, make_settings
from auditor.cli.servers import ask_each, with_disagreement
from auditor.cli.streams import engine_messages, put
from auditor.errors import UsageError
from auditor.findings.judge import Ruling, at_or_above
from auditor.run.loop import run_loop
from auditor.targets.stream import TargetStream

if TYPE_CHECKING:
    from auditor.checks.agreement import Said

__all__ = ["command"]

_MOST: Final = 64


@click.command("check", epilog="Example: auditor check --zones examples/fleet/zones 198.51.100.53")
@click.argument("target", nargs=-1)
@asking
@judging
def command(target: tuple[str, ...], **given: Any) -> int:
    """Audit one or a few targets and explain: the evidence, the findings, the remedies.

    A TARGET is an address, a small prefix or range, or a domain; `-` reads standard
    input. 64 of them at most: use `auditor scan` for more. With several --server options
    each is also asked by itself; where they disagree, the evidence says which said what.
    """
    settings = make_settings(given)
    if not target:
        raise UsageError("nothing to check: give an address or a domain")
    # A prefix of any size is cut off by the count below, not by --max-targets.
    stream = TargetStream(target, max_targets=1 << 128)
    targets = list(islice(chain.from_iterable(stream.blocks()), _MOST + 1))
    if len(targets) > _MOST:
        raise UsageError(f"check explains {_MOST} targets at most: use auditor scan for more")
    ruling = Ruling(severities=settings.severities, select=settings.select, ignore=settings.ignore)
    audit = Auditor(settings, ruling).audit
    with engine_messages():
        records = run_loop(driven(settings, together([audit(each) for each in targets])))
    said: list[list[Said]] = [[] for _ in records]
    if len(settings.servers) > 1 and "SERVERS_DISAGREE" in ruling.severities:
        with engine_messages(quiet=True):  # what is wrong with a server has been told above
            said = run_loop(ask_each(settings, records))
        records = [
            with_disagreement(record, answers, ruling)
            for record, answers in zip(records, said, strict=True)
        ]
    explained: set[str] = set()
    for number, record in enumerate(records):
        if number:
            put()
        for line in describe(record, explained, said[number]):
            put(line)
    severities = {found["severity"] for record in records for found in record["findings"]}
    return 1 if any(at_or_above(found, settings.fail_on) for found in severities) else 0
