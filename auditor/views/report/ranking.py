"""The findings of a scan, ranked, in the words of the catalogue, with the lines to publish."""

from __future__ import annotations

from collections import defaultdict
from heapq import nlargest
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.findings.catalogue import SEVERITIES, entry, mending, zone_lines
from auditor.views.report.blocks import network
from auditor.views.report.rows import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.views.report.gather import Gathered

__all__ = ["Ranked", "gone", "ranked"]

#: Prefixes that are named as those with the most cases.
_PLACES: Final = 3
_WEIGHT: Final[dict[str, int]] = {severity: weight for weight, severity in enumerate(SEVERITIES)}


class Ranked(NamedTuple):
    """A finding: how many `targets` have it, how many had it, in which prefixes most do.

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


def ranked(gathered: Gathered, *, compared: bool) -> list[Ranked]:
    """Return all findings, the most severe and then the most frequent first."""
    places = _places(gathered)
    counts = gathered.now.codes

    def rank(code: str) -> tuple[int, int, str]:
        return -_WEIGHT[gathered.severities[code]], -counts[code], code

    return [
        _ranked(gathered, code, places[code], compared=compared)
        for code in sorted(counts, key=rank)
    ]


def gone(gathered: Gathered) -> list[tuple[str, int]]:
    """Return the findings of the scan before that this one has not, with their targets then."""
    before = gathered.before.codes.items()
    return sorted((shown(code), count) for code, count in before if not gathered.now.codes[code])


def _ranked(
    gathered: Gathered, code: str, places: tuple[tuple[str, int], ...], *, compared: bool
) -> Ranked:
    count = gathered.now.codes[code]
    before = gathered.before.codes[code] if compared else None
    severity = gathered.severities[code]
    try:
        known = entry(code)
    except KeyError:
        title = "A finding that this version of auditor does not know"
        return Ranked(shown(code), severity, title, count, before, places, "", "", (), (), 0)
    examples = gathered.examples[code]
    lines = [lines for example in examples if (lines := _lines(code, example))]
    return Ranked(
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


def _lines(code: str, example: Mapping[str, str]) -> str:
    try:
        lines = mending(code, **example)
    except ValueError:  # a target of kind `ip` in a foreign record that is none
        lines = zone_lines(code)
    return "\n".join((f"; {example['target']}", *lines)) if lines else ""


def _places(gathered: Gathered) -> dict[str, tuple[tuple[str, int], ...]]:
    """Return the prefixes with the most cases of each finding."""
    found: dict[str, list[tuple[int, tuple[int, int, int]]]] = defaultdict(list)
    for (version, length, number), prefix in gathered.prefixes.items():
        for code, count in prefix.codes.items():
            found[code].append((count, (-version, length, -number)))
    top = {code: nlargest(_PLACES, cases) for code, cases in found.items()}
    every: dict[str, tuple[tuple[str, int], ...]] = defaultdict(tuple)
    for code, cases in top.items():
        every[code] = tuple(
            (network(-version, length, -number), count)
            for count, (version, length, number) in cases
        )
    return every
