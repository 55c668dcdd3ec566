"""The sentences and figures at the head of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.views.report.aggregate import ScanAggregate
    from auditor.views.report.ranking import RankedFinding

__all__ = ["Tile", "counted", "headline", "news", "reason", "share", "tiles", "used"]

#: Verdicts in the order of the page, with what each means for mail.
_MEANINGS: Final = {
    "fail": "receivers refuse or distrust",
    "unknown": "undetermined: a lookup failed",
    "warn": "works, with warnings",
    "pass": "no problems",
}
#: Changes that are news, by their kind in `auditor diff`, and their words on the page.
_NEWS: Final = {
    "worse": "got worse",
    "undetermined": "became unknown",
    "better": "got better",
    "determined": "became known",
    "appeared": "appeared",
    "vanished": "vanished",
}
#: The least and the most that one decimal place can show.
_LEAST, _MOST = 0.1, 99.9
#: Between these, no decimal place is shown.
_MIDDLE: Final = (10, 90)


class Tile(NamedTuple):
    """The number of targets with a verdict, their share, and how many more there are now."""

    verdict: str
    meaning: str
    targets: int
    share: str
    change: int | None


def counted(number: int, noun: str) -> str:
    """Return `1 target`, `2 targets`, `1 address`, `2 addresses`."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def share(part: int, whole: int) -> str:
    """Return a share in per cent; only none of it is 0 %, and only all of it 100 %."""
    if part in {0, whole}:
        return "100 %" if part else "0 %"
    percent = 100 * part / whole
    if percent < _LEAST:
        return f"under {_LEAST} %"
    if _MIDDLE[0] <= percent <= _MIDDLE[1]:
        return f"{percent:.0f} %"
    return f"{min(percent, _MOST):.1f} %"


def tiles(gathered: ScanAggregate, *, compared: bool) -> list[Tile]:
    """Return the totals by verdict, worst first."""
    now, before = gathered.now, gathered.before
    return [
        Tile(
            verdict,
            meaning,
            now.verdicts[verdict],
            share(now.verdicts[verdict], now.records),
            now.verdicts[verdict] - before.verdicts[verdict] if compared else None,
        )
        for verdict, meaning in _MEANINGS.items()
    ]


def headline(gathered: ScanAggregate) -> str:
    """Return the sentence with the result of the scan."""
    now = gathered.now
    total, failing = now.records, now.verdicts["fail"]
    every = counted(total, "address" if now.kinds["ip"] == total else "target")
    if not total:
        return "Nothing was audited."
    if failing:
        return f"{failing:,} of {every} fail{'s' if failing == 1 else ''}."
    if now.verdicts["unknown"]:
        return f"None of {every} fails; {now.verdicts['unknown']:,} could not be looked up."
    if now.verdicts["warn"]:
        return f"None of {every} fails; {now.verdicts['warn']:,} have warnings."
    return f"All {every} pass." if total > 1 else f"The one {every[2:]} passes."


def reason(gathered: ScanAggregate, findings: Sequence[RankedFinding]) -> str:
    """Return the most frequent error of the targets that fail, "" if none does."""
    worst = [finding for finding in findings if finding.severity == "error"]
    if not worst or not gathered.now.verdicts["fail"]:
        return ""
    first = max(worst, key=lambda finding: finding.targets)
    title = first.title
    if title[1:2].islower() or title[1:2] == " ":  # no acronym
        title = title[:1].lower() + title[1:]
    return f"The most frequent reason: {title} ({first.targets:,})."


def used(gathered: ScanAggregate) -> str:
    """Return how many addresses in use fail, "" if all are in use, or none is."""
    facts = gathered.blocks
    if not 0 < facts.in_use < facts.addresses:
        return ""
    return (
        f"Of {counted(facts.in_use, 'address')} in use, with a name, "
        f"{share(facts.failing_in_use, facts.in_use)} fail."
    )


def news(changes: Mapping[str, int] | None) -> str:
    """Return what has changed since the earlier scan, "" without one."""
    if changes is None:
        return ""
    parts = [f"{changes[name]:,} {words}" for name, words in _NEWS.items() if changes[name]]
    if not parts:
        return "Nothing has got better or worse since the last scan."
    return f"Since the last scan {_joined(parts)}."


def _joined(parts: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
