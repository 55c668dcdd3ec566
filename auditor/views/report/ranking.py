"""Ranks the findings of a scan for the page."""

from __future__ import annotations

from collections import defaultdict
from heapq import nlargest
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.findings.catalogue import entry
from auditor.findings.entry import SEVERITIES
from auditor.views.report.maps import network
from auditor.views.report.rows import shown

if TYPE_CHECKING:
    from auditor.views.report.aggregate import ScanAggregate

__all__ = ["RankedFinding", "no_longer_found", "ranked"]

#: Prefixes with the most cases that are listed.
_MAX_NAMED_PREFIXES: Final = 3
#: The least addresses of a prefix that is listed as a whole.
_LEAST_WHOLE: Final = 16
_WEIGHT: Final[dict[str, int]] = {severity: weight for weight, severity in enumerate(SEVERITIES)}


class RankedFinding(NamedTuple):
    """A finding: how many `targets` have it, how many had it, in which prefixes most do.

    `whole`: the largest prefixes all audited addresses of which have it.
    `before` is None without an earlier scan. `lines` are what to publish for some examples, in
    master file form, a text each that begins with a comment on the target; `more` is the
    number of further targets. `why`, `remedy` and `references` are empty for a code that this
    version does not know.
    """

    code: str
    severity: str
    title: str
    targets: int
    before: int | None
    places: tuple[tuple[str, int], ...]
    why: str
    remedy: str
    references: tuple[str, ...]
    lines: tuple[str, ...]
    more: int
    whole: tuple[tuple[str, int], ...] = ()


def ranked(gathered: ScanAggregate, *, compared: bool) -> list[RankedFinding]:
    """Return all findings, the most severe and then the most frequent first."""
    places, whole = _places(gathered), _whole(gathered)
    counts = gathered.now.codes

    def rank(code: str) -> tuple[int, int, str]:
        return -_WEIGHT[gathered.severities[code]], -counts[code], code

    return [
        _ranked(gathered, code, places[code], compared=compared)._replace(whole=whole.get(code, ()))
        for code in sorted(counts, key=rank)
    ]


def no_longer_found(gathered: ScanAggregate) -> list[tuple[str, int]]:
    """Return the findings of the earlier scan that this one does not have, with their targets."""
    before = gathered.before.codes.items()
    return sorted((shown(code), count) for code, count in before if not gathered.now.codes[code])


def _ranked(
    gathered: ScanAggregate, code: str, places: tuple[tuple[str, int], ...], *, compared: bool
) -> RankedFinding:
    count = gathered.now.codes[code]
    before = gathered.before.codes[code] if compared else None
    severity = gathered.severities[code]
    try:
        known = entry(code)
    except KeyError:
        title = "A finding that this version of auditor does not know"
        return RankedFinding(shown(code), severity, title, count, before, places, "", "", (), (), 0)
    examples = gathered.examples[code]
    lines = [
        f"; {example['target']}\n{example['lines']}" for example in examples if example["lines"]
    ]
    return RankedFinding(
        code,
        severity,
        known.title,
        count,
        before,
        places,
        known.why,
        known.remedy,
        known.references,
        tuple(lines),
        count - len(examples),
    )


def _whole(gathered: ScanAggregate) -> dict[str, tuple[tuple[str, int], ...]]:
    """Return the largest prefixes that have each finding as a whole."""
    return {
        fault.code: tuple(
            (str(prefix), prefix.size)
            for prefix in fault.prefixes[:_MAX_NAMED_PREFIXES]
            if prefix.size >= _LEAST_WHOLE
        )
        for fault in gathered.blocks.faults.collapsed()
    }


def _places(gathered: ScanAggregate) -> dict[str, tuple[tuple[str, int], ...]]:
    """Return the prefixes with the most cases of each finding."""
    by_code: dict[str, list[tuple[int, tuple[int, int, int]]]] = defaultdict(list)
    for (version, length, number), prefix in gathered.prefixes.items():
        for code, count in prefix.codes.items():
            by_code[code].append((count, (-version, length, -number)))
    top = {code: nlargest(_MAX_NAMED_PREFIXES, cases) for code, cases in by_code.items()}
    every: dict[str, tuple[tuple[str, int], ...]] = defaultdict(tuple)
    for code, cases in top.items():
        every[code] = tuple(
            (network(-version, length, -number), count)
            for count, (version, length, number) in cases
        )
    return every
