"""`auditor spf`: what a policy authorises, what it costs, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from auditor.cli.console import engine_messages, print_data
from auditor.cli.formatting import after_demo
from auditor.cli.options import make_settings, settings_options
from auditor.cli.spf_report import Wanted, spf_report
from auditor.errors import FINDINGS_FOUND, TargetError, UsageError
from auditor.findings.judge import Finding, fails, verdict
from auditor.findings.rules import RuleSet
from auditor.quoting import quoted
from auditor.run.event_loop import run_loop
from auditor.run.scan import run_steps
from auditor.settings_option import Group
from auditor.targets.domains import Name, helo_identity, mail_from_identity, parse_domain
from auditor.targets.item import parse_item
from auditor.wire.addresses import format_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.targets.spans import Span

__all__ = ["command"]


@click.command("spf", epilog=after_demo("spf --zones d/zones example.com"))
@click.argument("domain", required=False)
@click.option(
    "--range",
    "ranges",
    metavar="CIDR",
    multiple=True,
    help="Show the results for a prefix or a range a-b; repeatable.",
)
@click.option(
    "--ip",
    "addresses",
    metavar="ADDR",
    multiple=True,
    help="Explain check_host() of an address, term by term; repeatable.",
)
@click.option(
    "--sender", metavar="ADDRESS", help="MAIL FROM for macros.  [default: postmaster@DOMAIN]"
)
@click.option("--helo", metavar="NAME", help="HELO name for macros.  [default: DOMAIN]")
@click.option("--json", "as_data", is_flag=True, help="One JSON object instead of text.")
@settings_options(Group.SERVERS, Group.FINDINGS)
def command(
    domain: str | None,
    ranges: tuple[str, ...],
    addresses: tuple[str, ...],
    *,
    sender: str | None,
    helo: str | None,
    as_data: bool,
    **given: Any,
) -> int:
    """Show the SPF policy of a DOMAIN: what it authorises, costs and gets wrong.

    The tree of includes with the DNS lookups up to each term, the addresses that pass, and
    the findings with their remedies. With --range or --ip, only the results for
    these, and the findings in short. --json always has all of it.
    """
    settings = make_settings(given)
    name = _domain(domain)
    wanted = _wanted(name, ranges, addresses, sender, helo)
    rule_set = RuleSet.from_settings(settings)
    with engine_messages():
        report = run_loop(run_steps(settings, spf_report(name, wanted)))
    problems = [problem for problem in report.lint.problems if problem.code in rule_set.severities]
    if as_data:
        from auditor.cli.spf_json import as_json  # noqa: PLC0415 - not needed for text

        print_data(as_json(report, problems, rule_set.severities))
    else:
        from auditor.cli.spf_text import as_text  # noqa: PLC0415 - not needed for JSON

        for line in as_text(report, problems, rule_set.severities):
            print_data(line)
    severities = {rule_set.severities[problem.code] for problem in problems}
    reached = verdict(
        Finding(problem.code, rule_set.severities[problem.code], name) for problem in problems
    )
    return FINDINGS_FOUND if fails(settings.fail_on, severities, {reached}) else 0


def _domain(text: str | None) -> str:
    if text is None:
        raise UsageError("nothing to show: give a domain")
    try:
        return parse_domain(text.strip(), "a domain such as example.net")
    except TargetError as error:
        raise UsageError(str(error)) from None


def _wanted(
    domain: str,
    ranges: Sequence[str],
    addresses: Sequence[str],
    sender: str | None,
    helo: str | None,
) -> Wanted:
    """Return what to find out beside the policy itself. Raises UsageError."""
    if (sender is not None or helo is not None) and not (ranges or addresses):
        option = "--sender" if sender is not None else "--helo"
        raise UsageError(f"{option} says nothing without --ip or --range")
    return Wanted(
        tuple(_span("--range", text) for text in ranges),
        tuple(_address(text) for text in addresses),
        None if sender is None else _sender(sender, domain),
        None if helo is None else helo_identity(helo),
    )


def _span(option: str, text: str, *, single: bool = False) -> Span:
    expected = "expected a prefix or a range a-b"

    def is_wanted(item: Span | Name) -> bool:
        return not isinstance(item, Name) and (not single or item.first == item.last)

    try:
        item = parse_item(text, bounded=False, wanted=is_wanted)
    except TargetError as error:
        raise UsageError(f"{option}: {error}") from None
    if isinstance(item, Name):
        raise UsageError(f"{option}: {quoted(text)} is a domain; {expected}")
    return item


def _address(text: str) -> str:
    span = _span("--ip", text, single=True)
    if span.first != span.last:
        raise UsageError(f"--ip: {quoted(text)} is not one address; use --range")
    return format_address(span.version, span.first)


def _sender(text: str, domain: str) -> str:
    """Return the sender: a local part alone is one of the domain's."""
    sender = mail_from_identity(text if "@" in text else f"{text}@{domain}")
    if not sender.endswith(f"@{domain}"):
        raise UsageError(f"--sender: {quoted(text)} is not an address of {domain}")
    return sender
