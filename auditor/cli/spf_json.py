"""The report of `auditor spf` for machines: one JSON object, every key always present.

The shape, which stays as it is (keys may be added):

    {"domain","status","record","explanation","lookups",
     "voids":{"ipv4","ipv6"},"complete",
     "tree":{"domain","terms":[{"term","target","lookups","voids","reached","trouble","policy"}]},
     "authorised":{"ipv4":{"addresses","undecided","ranges":[{"first","last","addresses"}]},"ipv6"},
     "findings":[{"code","severity","subject","term","start","end","note"}],
     "ranges":[{"first","last","parts":[{"first","last","result","mechanism","path","lookups",
                "voids","explanation"}]}],
     "check_host":[{"address","sender","helo","result","mechanism","lookups","voids",
                    "explanation","policy"}]}

`policy` in `tree` is a tree again, or null. A `path` is a list of {"domain","term"}. `result`
is null where it depends on the sender, on HELO or on the single address. The `policy` of a
`check_host` is {"domain","record","error","steps"}, a step {"term","outcome","lookups","voids",
"asked","policy"}, a lookup in `asked` {"name","type","status","records"}. Numbers of addresses
are exact, up to 2^128.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from auditor.wire.address_set import address_count
from auditor.wire.addresses import format_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from auditor.cli.spf_report import Explained, Partition, SpfReport
    from auditor.findings.entry import Severity
    from auditor.spf.explain import Trace, TraceStep
    from auditor.spf.lint.policy import Problem
    from auditor.spf.policy_tree import TreePolicy, TreeTerm
    from auditor.spf.ranges import RangeResult
    from auditor.wire.address_set import Interval

__all__ = ["as_json"]


def as_json(
    report: SpfReport, problems: Iterable[Problem], severities: Mapping[str, Severity]
) -> str:
    """Return the report, with those problems as its findings."""
    summary = report.lint.summary
    undecided = {4: summary.undecided_v4, 6: summary.undecided_v6}
    shown = {
        "domain": summary.domain,
        "status": summary.status,
        "record": summary.record,
        "explanation": summary.explanation,
        "lookups": summary.lookups,
        "voids": _voids(summary.voids),
        "complete": summary.complete,
        "tree": None if summary.tree is None else _tree(summary.tree),
        "authorised": {
            f"ipv{version}": _authorised(version, ranges, undecided[version])
            for version, ranges in report.authorised.items()
        },
        "findings": [_finding(problem, severities) for problem in problems],
        "ranges": [_partition(partition) for partition in report.partitions],
        "check_host": [_explained(explained) for explained in report.explained],
    }
    return json.dumps(shown, indent=2)


def _voids(voids: tuple[int, int]) -> dict[str, int]:
    v4, v6 = voids
    return {"ipv4": v4, "ipv6": v6}


def _tree(tree: TreePolicy) -> dict[str, Any]:
    return {"domain": tree.domain, "terms": [_term(entry) for entry in tree.terms]}


def _term(entry: TreeTerm) -> dict[str, Any]:
    return {
        "term": entry.term.text,
        "target": entry.target,
        "lookups": entry.lookups,
        "voids": _voids(entry.voids),
        "reached": entry.reached,
        "trouble": entry.trouble,
        "policy": None if entry.policy is None else _tree(entry.policy),
    }


def _authorised(version: int, ranges: list[Interval], undecided: int) -> dict[str, Any]:
    return {
        "addresses": address_count(ranges),
        "undecided": undecided,
        "ranges": [
            {**_span(version, first, last), "addresses": last - first + 1} for first, last in ranges
        ],
    }


def _span(version: int, first: int, last: int) -> dict[str, str]:
    return {"first": format_address(version, first), "last": format_address(version, last)}


def _finding(problem: Problem, severities: Mapping[str, Severity]) -> dict[str, Any]:
    return {
        "code": problem.code,
        "severity": severities[problem.code],
        "subject": problem.domain,
        "term": problem.term,
        "start": problem.start,
        "end": problem.end,
        "note": problem.note,
    }


def _partition(partition: Partition) -> dict[str, Any]:
    return {**_span(*partition.span), "parts": [_part(part) for part in partition.parts]}


def _part(part: RangeResult) -> dict[str, Any]:
    return {
        **_span(part.version, part.first, part.last),
        "result": part.result,
        "mechanism": part.mechanism,
        "path": [{"domain": domain, "term": term} for domain, term in part.path],
        "lookups": part.lookups,
        "voids": part.voids,
        "explanation": part.explanation,
    }


def _explained(explained: Explained) -> dict[str, Any]:
    fact = explained.fact
    return {
        "address": explained.address,
        "sender": explained.sender,
        "helo": explained.helo,
        "result": fact.result,
        "mechanism": fact.mechanism,
        "lookups": fact.lookups,
        "voids": fact.voids,
        "explanation": fact.explanation,
        "policy": None if explained.trace is None else _trace(explained.trace),
    }


def _trace(trace: Trace) -> dict[str, Any]:
    return {
        "domain": trace.domain,
        "record": trace.record,
        "error": trace.error,
        "steps": [_step(step) for step in trace.steps],
    }


def _step(step: TraceStep) -> dict[str, Any]:
    return {
        "term": step.term,
        "outcome": step.outcome,
        "lookups": step.lookups,
        "voids": step.voids,
        "asked": [
            {"name": name, "type": kind, "status": status, "records": list(records)}
            for name, kind, status, records in step.asked
        ],
        "policy": None if step.policy is None else _trace(step.policy),
    }
