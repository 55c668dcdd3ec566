"""`auditor check`: one or a few targets, explained to a person."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.audit import Auditor
from auditor.cli.options import asking, judging, make_settings
from auditor.cli.text import paragraph, severity_style, verdict_style
from auditor.errors import UsageError
from auditor.findings.catalogue import entry, zone_lines
from auditor.findings.judge import Ruling, at_or_above
from auditor.run.loop import run_loop
from auditor.run.scan import open_lookup
from auditor.targets.stream import TargetStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.output.record import Record
    from auditor.resolve.lookup import Lookup
    from auditor.settings import Settings
    from auditor.targets.target import Target

__all__ = ["command"]

_MOST: Final = 64
_INTERRUPTED: Final = 3


@click.command("check", epilog="Example: auditor check --zones examples/fleet/zones 198.51.100.10")
@click.argument("target", nargs=-1, required=True)
@asking
@judging
def command(target: tuple[str, ...], **given: Any) -> int:
    """Audit one or a few targets and explain: the evidence, the findings, the remedies.

    A TARGET is an address, a small prefix or range, or a domain.
    """
    settings = make_settings(given)
    stream = TargetStream(target, max_targets=settings.max_targets)
    stream.prepare()
    if stream.total is not None and stream.total > _MOST:
        raise UsageError(
            f"check explains {_MOST} targets at most, these are {stream.total:,}: use auditor scan"
        )
    records = run_loop(_audit(settings, list(itertools.chain.from_iterable(stream.blocks()))))
    for number, record in enumerate(records):
        if number:
            click.echo()
        for line in describe(record):
            click.echo(line)
    severities = {found["severity"] for record in records for found in record["findings"]}
    return 1 if any(at_or_above(found, settings.fail_on) for found in severities) else 0


async def _audit(settings: Settings, targets: Sequence[Target]) -> list[Record]:
    ruling = Ruling(severities=settings.severities, select=settings.select, ignore=settings.ignore)
    auditor = Auditor(settings, ruling)
    async with open_lookup(settings) as lookup:
        return [await _audit_one(lookup, auditor, target) for target in targets]


async def _audit_one(lookup: Lookup, auditor: Auditor, target: Target) -> Record:
    steps = auditor.audit(target)
    try:
        questions = next(steps)
        while True:
            questions = steps.send(await lookup.resolve_many(questions))
    except StopIteration as end:
        record: Record = end.value
        return record


def describe(record: Record) -> Iterator[str]:
    """Yield the lines that explain a record to a person."""
    verdict = record["verdict"]
    head = click.style(record["target"], bold=True)
    yield f"{head}  {click.style(verdict.upper(), **verdict_style(verdict))}"
    if record["error"]:
        yield paragraph(record["error"])
    if record["ptr"] is not None and record["iprev"] is not None:
        yield from _address("  ", record["ptr"], record["iprev"])
    for spf in record["spf"]:
        yield from _spf(spf)
    if record["domain"] is not None:
        yield from _domain(record["domain"])
    for finding in record["findings"]:
        yield ""
        yield from _finding(finding, record)


def _address(margin: str, ptr: dict[str, Any], iprev: dict[str, Any]) -> Iterator[str]:
    via = f" via {', '.join(ptr['chain'])}" if ptr["chain"] else ""
    names = ", ".join(ptr["names"]) or "no name"
    yield f"{margin}PTR    {ptr['status']}: {names}{via}"
    yield f"{margin}iprev  {iprev['result']}"
    for name in iprev["names"]:
        found = ", ".join(name["addresses"]) or name["status"]
        back = "points back" if name["confirms"] else "does not point back"
        yield f"{margin}         {name['name']} -> {found}: {back}"


def _spf(spf: dict[str, Any]) -> Iterator[str]:
    by = f" by {spf['mechanism']}" if spf["mechanism"] else ""
    cost = f" ({spf['lookups']} lookups, {spf['voids']} void)" if spf["record"] else ""
    yield f"  SPF    {spf['identity']} {spf['domain']}: {spf['result']}{by}{cost}"
    if spf["record"]:
        yield f"         {spf['record']}"
    if spf["explanation"]:
        yield f"         {spf['explanation']}"


def _domain(domain: dict[str, Any]) -> Iterator[str]:
    yield f"  A/AAAA {domain['addresses']['status']}"
    for address in domain["addresses"]["list"]:
        yield f"    {address['address']}"
        yield from _address("      ", address["ptr"], address["iprev"])
    yield f"  MX     {domain['mx']['status']}"
    for host in domain["mx"]["hosts"]:
        yield f"    {host['preference']} {host['name']}: {host['status']}"
        for address in host["addresses"]:
            yield f"      {address['address']}"
            yield from _address("        ", address["ptr"], address["iprev"])
    spf = domain["spf"]
    yield f"  SPF    {spf['record'] or spf['status'] + ', no single SPF record'}"


def _finding(finding: dict[str, str], record: Record) -> Iterator[str]:
    known = entry(finding["code"])
    severity = click.style(finding["severity"], **severity_style(finding["severity"]))
    yield f"  {click.style(finding['code'], bold=True)} {severity} {finding['subject']}"
    yield paragraph(known.title + ".", 4)
    yield paragraph(known.why, 4)
    yield paragraph("Remedy: " + known.remedy, 4)
    for line in zone_lines(finding["code"], **_facts(finding, record)):
        yield f"      {line}"


def _facts(finding: dict[str, str], record: Record) -> dict[str, str]:
    """Return what is known of the zone-file lines that mend a finding."""
    subject = finding["subject"]
    facts = {"subject": subject}
    if record["kind"] == "ip":
        from auditor.wire.reverse import reverse_name  # noqa: PLC0415 - only where needed

        facts["address"] = record["target"]
        facts["reverse"] = reverse_name(record["target"])
        facts["type"] = "AAAA" if ":" in record["target"] else "A"
        if subject != record["target"]:
            facts["name"] = subject
    if record["kind"] == "domain":
        facts["domain"] = record["target"]
    return facts
