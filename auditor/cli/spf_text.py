"""The report of `auditor spf` for a person: the tree, the addresses that pass, the findings."""

from __future__ import annotations

from itertools import groupby, islice
from typing import TYPE_CHECKING, Final, TypeAlias

import click

from auditor.cli.advice_text import advice_lines, place_lines
from auditor.cli.formatting import amount, counted, paragraph, severity_style
from auditor.cli.spf_text_hosts import count_columns, explained_lines, partition_lines, span_text
from auditor.findings.advice import advise_policy
from auditor.findings.catalogue import entry
from auditor.spf.lint.correction import correct, policy_owner
from auditor.spf.lint.problems import shown
from auditor.wire.address_set import address_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from auditor.cli.spf_report import SpfReport
    from auditor.findings.entry import Severity
    from auditor.spf.lint.policy import Problem
    from auditor.spf.parser import Term
    from auditor.spf.policy_tree import PolicySummary, TreePolicy, TreeTerm
    from auditor.wire.address_set import Interval

__all__ = ["as_text"]

#: Lookups, and void lookups of IPv4 and IPv6, so far.
_Spent: TypeAlias = tuple[int, tuple[int, int]]

#: Most lines of each part, with a note about the rest; --json has all.
_MAX_TREE_LINES: Final = 200
_MAX_RANGES: Final = 24
_MAX_RECORD_CHARACTERS: Final = 2048
_MAX_NETWORKS: Final = 4


def as_text(
    report: SpfReport, problems: Sequence[Problem], severities: Mapping[str, Severity]
) -> Iterator[str]:
    """Yield the lines of the report, with those problems as its findings."""
    summary = report.lint.summary
    yield _head(summary, problems, severities)
    yield ""
    yield "  Record"
    record = summary.record or f"{summary.status}: {summary.explanation or 'no SPF record'}"
    cut = "..." if len(record) > _MAX_RECORD_CHARACTERS else ""
    yield paragraph(record[:_MAX_RECORD_CHARACTERS] + cut, 4, hanging=2)
    asked = bool(report.partitions or report.explained)
    if summary.tree is not None and not asked:
        yield ""
        yield from _tree_lines(summary)
        yield ""
        yield from _authorised_lines(report)
    for partition in report.partitions:
        yield ""
        yield from partition_lines(partition)
    for explained in report.explained:
        yield ""
        yield from explained_lines(explained)
    if not problems and any(
        explained.fact.result in {"permerror", "temperror"} for explained in report.explained
    ):
        return
    yield ""
    yield from _finding_lines(report, problems, severities, short=asked)


def _head(
    summary: PolicySummary, problems: Sequence[Problem], severities: Mapping[str, Severity]
) -> str:
    """Return the first line: counts, and the severities of the findings."""
    parts = [click.style(summary.domain, bold=True)]
    if summary.tree is not None:
        voids = "/".join(str(count) for count in dict.fromkeys(summary.voids))
        parts.append(f"{counted(summary.lookups, 'lookup')}, {voids} void")
    for severity in ("error", "warning", "notice", "info"):
        codes = {(p.code, p.domain) for p in problems if severities[p.code] == severity}
        if codes:
            words = f"{len(codes)} {severity}" if severity == "info" else None
            text = words or counted(len(codes), severity)
            parts.append(click.style(text, **severity_style(severity)))
    return "  ".join(parts)


def _tree_lines(summary: PolicySummary) -> Iterator[str]:
    yield paragraph(
        "Terms, with the lookups (10 at most) and void lookups (2 at most) up to each", 2
    )
    if summary.tree is None:
        return
    lines = _policy_lines(summary.tree, 0, (0, (0, 0)))
    yield from islice(lines, _MAX_TREE_LINES)
    if next(lines, None) is not None:
        yield paragraph("... and more: --json lists all", 4)
    elif not summary.complete:
        yield paragraph("... and more, which no receiver would follow", 4)


def _policy_lines(tree: TreePolicy, depth: int, spent: _Spent) -> Iterator[str]:
    """Yield the terms of a policy in order, networks next to each other on one line.

    `spent` are the lookups and void lookups before its first term.
    """
    costly = {costly_term.term.start: costly_term for costly_term in tree.terms}
    if tree.policy.problems:
        wrong = click.style("a syntax error: permerror", **severity_style("error"))
        yield f"{count_columns()}{'  ' * depth}{wrong}"
    terms = [term for term in tree.policy.terms if term.kind not in {"exp", "unknown"}]
    end = next((i for i, term in enumerate(terms) if term.kind == "all"), len(terms) - 1) + 1
    for is_network, group in groupby(terms[:end], lambda term: term.kind in {"ip4", "ip6"}):
        run = list(group)
        if is_network:
            yield _line(depth, count_columns(), _networks(run))
            continue
        for term in run:
            costly_term = costly.get(term.start)
            if costly_term is None:
                yield _line(depth, count_columns(), shown(term.text))
                continue
            yield from _costly_lines(costly_term, depth, spent)
            spent = costly_term.lookups, costly_term.voids
    behind = [term for term in terms[end:] if term.kind != "redirect"]
    if behind:
        text = f"{counted(len(behind), 'term')} after all, never evaluated"
        yield _line(depth, count_columns(), text)


def _costly_lines(costly_term: TreeTerm, depth: int, spent: _Spent) -> Iterator[str]:
    """Yield a term that costs lookups, and what it leads to."""
    text = shown(costly_term.term.text)
    if not costly_term.reached:
        yield _line(depth, count_columns(), f"{text}  not reached")
        return
    if costly_term.policy is None:
        if costly_term.trouble is not None:
            text += f"  {click.style(costly_term.trouble, **severity_style('error'))}"
        yield _line(depth, count_columns(costly_term.lookups, costly_term.voids), text)
        return
    lookups, voids = spent
    if costly_term.lookups > lookups + 1:
        text += f"  ({costly_term.lookups - lookups} lookups in all)"
    entered = lookups + 1, voids
    yield _line(depth, count_columns(*entered), text)
    yield from _policy_lines(costly_term.policy, depth + 1, entered)


def _line(depth: int, counts: str, text: str) -> str:
    return paragraph(f"{counts}{'  ' * depth}{text}", 0, hanging=len(counts) + 2 * depth + 2)


def _networks(run: Sequence[Term]) -> str:
    listed = " ".join(term.text for term in run[:_MAX_NETWORKS])
    more = len(run) - _MAX_NETWORKS
    return f"{listed} and {counted(more, 'network')} more" if more > 0 else listed


def _authorised_lines(report: SpfReport) -> Iterator[str]:
    summary = report.lint.summary
    undecided = {4: summary.undecided_v4, 6: summary.undecided_v6}
    yield "  Authorised"
    for version, ranges in report.authorised.items():
        number = address_count(ranges)
        places = f" in {counted(len(ranges), 'range')}" if ranges else ""
        noun = "address" if number == 1 else "addresses"
        yield f"    IPv{version}  {amount(number)} {noun}{places}"
        yield from _range_lines(version, ranges)
        if undecided[version]:
            text = f"{amount(undecided[version])} more depend on the sender or on each address"
            yield paragraph(text, 10)


def _range_lines(version: int, ranges: Sequence[Interval]) -> Iterator[str]:
    spans = [span_text(version, first, last) for first, last in ranges[:_MAX_RANGES]]
    column = max(map(len, spans), default=0)
    for text, (first, last) in zip(spans, ranges, strict=False):
        yield f"          {text:<{column}}  {amount(last - first + 1):>10}"
    if len(ranges) > _MAX_RANGES:
        more = counted(len(ranges) - _MAX_RANGES, "range")
        yield f"          ... and {more} more: --json lists all"


def _finding_lines(
    report: SpfReport,
    problems: Sequence[Problem],
    severities: Mapping[str, Severity],
    *,
    short: bool,
) -> Iterator[str]:
    """Yield the findings, most severe first, each with all places in the policy."""
    if not problems:
        yield "  No problems found."
        return
    order = {"error": 0, "warning": 1, "notice": 2, "info": 3}
    by_finding: dict[tuple[str, str], list[Problem]] = {}
    for problem in sorted(problems, key=lambda problem: order[severities[problem.code]]):
        by_finding.setdefault((problem.code, problem.domain), []).append(problem)
    explained: set[str] = set()
    published: set[str] = set()
    for number, ((code, domain), places) in enumerate(by_finding.items()):
        if number and not short:
            yield ""
        severity = severities[code]
        head = click.style(severity, **severity_style(severity))
        yield f"  {click.style(code, bold=True)} {head}: {domain}"
        if not short:
            yield paragraph(f"{entry(code).title}.", 4)
        for place in places:
            yield from place_lines(place)
        if not short:
            yield from _advice(code, explained)
            correction = correct(report.lint, domain)
            advice = advise_policy(code, domain, correction, policy_owner(report.lint, domain))
            yield from advice_lines(advice, published)


def _advice(code: str, explained: set[str]) -> Iterator[str]:
    known = entry(code)
    if code in explained:
        yield "    Explained above."
    else:
        explained.add(code)
        yield paragraph(f"Why it matters: {known.why}", 4)
        yield paragraph(f"Remedy: {known.remedy}", 4)
