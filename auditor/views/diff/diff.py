"""Compares two results (`auditor diff`), streamed, in bounded memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from auditor.views.diff.changes import CHANGES, change
from auditor.views.diff.pairing import LinePairs
from auditor.views.diff.places import FindingPlaces
from auditor.views.diff.spool import ExternalSort, NumberedLine
from auditor.views.reader.results import parse_record, parse_records
from auditor.views.zone_facts import zone_changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from auditor.views.diff.pairing import ResultLines
    from auditor.views.reader.results import Results

__all__ = ["CHANGES", "Diff"]

#: Targets that vanished come after all of NEW.
_AFTER_NEW: Final = 1 << 62
_MEMORY_OCTETS: Final = 48 << 20
#: LinePairs that are parsed at a time, and the octets of their lines at most.
_PAIRS: Final = 64
_PAIRS_OCTETS: Final = 1 << 20


class Diff:
    """The changes from one result to another, whatever the order of their lines.

    Records are paired by target; the n-th of a target with the n-th. `counts` has how many
    changes there were of each of CHANGES, `moves` how many of these between which verdicts
    (None: no record); `places` where findings are new or fixed; `unchanged` and `regressions` count
    targets too. `zones` are the zones whose findings changed (see `zone_changes`); a regression
    among them counts as well. `room` is how much may be kept in memory, in octets, before
    temporary files are used. Use it in a `with`, which removes these; call `read_both`
    before anything else.
    """

    def __init__(self, old: Results, new: Results, room: int = _MEMORY_OCTETS) -> None:
        self.counts: Counter[str] = Counter()
        self.moves: dict[str, Counter[tuple[str | None, str | None]]] = {
            kind: Counter() for kind in CHANGES
        }
        self.regressions = 0
        self.places = FindingPlaces()
        self.zones: list[dict[str, Any]] = []
        self._names = old.names, new.names
        self._alike = 0
        self._unparsed: list[tuple[NumberedLine | None, NumberedLine | None]] = []
        self._unparsed_octets = 0
        self._sorter = ExternalSort(room // 3)
        self._pairs = LinePairs(old, new, self._note, room)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sorter.close()

    def read_both(self) -> None:
        """Read both results.

        Raises InputError for an invalid record, OutputError without room for the files.
        """
        self._pairs.pair_lines()
        self._parse()
        self.zones = list(zone_changes(*self._names))
        self.regressions += sum(zone["regression"] for zone in self.zones)

    @property
    def unchanged(self) -> int:
        """How many targets are as they were."""
        return self._pairs.same + self._alike

    def lines(self) -> Iterator[bytes]:
        """Yield the changes as JSON (see `change`).

        In the order of NEW, then vanished targets in that of OLD, then zones by name.
        """
        yield from self._sorter
        yield from map(orjson.dumps, self.zones)

    def changes(self) -> Iterator[dict[str, Any]]:
        """Yield the changes of targets as objects, in the same order."""
        return map(orjson.loads, self._sorter)

    def _note(self, old: NumberedLine | None, new: NumberedLine | None) -> None:
        self._unparsed.append((old, new))
        self._unparsed_octets += sum(len(entry.line) for entry in (old, new) if entry)
        if len(self._unparsed) >= _PAIRS or self._unparsed_octets >= _PAIRS_OCTETS:
            self._parse()

    def _parse(self) -> None:
        """Parse the pairs noted so far: many lines at a time cost a fraction."""
        pairs, self._unparsed, self._unparsed_octets = self._unparsed, [], 0
        lines = [entry.line for pair in pairs for entry in pair if entry]
        records = parse_records(lines)
        parsed = iter(self._one_by_one(pairs) if records is None else records)
        for old, new in pairs:
            self._count(old, new, change(old and next(parsed), new and next(parsed)))

    def _one_by_one(
        self, pairs: Sequence[tuple[NumberedLine | None, NumberedLine | None]]
    ) -> Iterator[dict[str, Any]]:
        for pair in pairs:
            for side, entry in zip((self._pairs.old, self._pairs.new), pair, strict=True):
                if entry:
                    yield _record(side, entry)

    def _count(
        self, old: NumberedLine | None, new: NumberedLine | None, found: dict[str, Any] | None
    ) -> None:
        if found is None:
            self._alike += 1
            return
        self.counts[found["change"]] += 1
        verdict = found["verdict"]
        self.moves[found["change"]][verdict["old"], verdict["new"]] += 1
        self.regressions += found["regression"]
        self.places.count_change(found)
        number = new.number if new else _AFTER_NEW + old.number if old else 0
        # What orjson returns keeps the four kilobytes that it was made in; a copy does not.
        self._sorter.add_entry(NumberedLine(number, bytes(memoryview(orjson.dumps(found)))))


def _record(side: ResultLines, entry: NumberedLine) -> dict[str, Any]:
    try:
        return parse_record(entry.line)
    except ValueError as error:
        raise side.wrong(entry.number, str(error)) from None
