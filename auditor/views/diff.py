"""What changed between two results: what `auditor diff` shows. Streamed, in bounded memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from auditor.views.diff_changes import CHANGES, change
from auditor.views.diff_pairs import Pairs
from auditor.views.diff_spool import Entry, Sorter
from auditor.views.results import parse_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from auditor.views.diff_pairs import Side
    from auditor.views.results import Results

__all__ = ["CHANGES", "Diff"]

#: What vanished comes behind all of NEW.
_BEHIND: Final = 1 << 62
_ROOM: Final = 48 << 20


class Diff:
    """The changes from one result to another, whatever the order of their lines.

    Records are paired by target; the n-th of a target with the n-th. `counts` has how many
    changes there were of each of CHANGES, `moves` how many of these between which verdicts
    (None: no record); `unchanged` and `regressions` count targets too. `room` is how
    much may be kept in memory, in octets, before temporary files are used. Use it in a
    `with`, which gives these back; nothing is known before `run`.
    """

    def __init__(self, old: Results, new: Results, room: int = _ROOM) -> None:
        self.counts: Counter[str] = Counter()
        self.moves: dict[str, Counter[tuple[str | None, str | None]]] = {
            what: Counter() for what in CHANGES
        }
        self.regressions = 0
        self._alike = 0
        self._sorter = Sorter(room // 3)
        self._pairs = Pairs(old, new, self._note, room)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sorter.close()

    def run(self) -> None:
        """Read both results.

        Raises InputError for what is no record, OutputError without room for the files.
        """
        self._pairs.run()

    @property
    def unchanged(self) -> int:
        """How many targets are as they were."""
        return self._pairs.same + self._alike

    def lines(self) -> Iterator[bytes]:
        """Yield the changes as JSON (see `change`): in NEW's order, then what vanished in OLD's."""
        return iter(self._sorter)

    def changes(self) -> Iterator[dict[str, Any]]:
        """Yield the changes as objects, in the same order."""
        return map(orjson.loads, self._sorter)

    def _note(self, old: Entry | None, new: Entry | None) -> None:
        found = change(_record(self._pairs.old, old), _record(self._pairs.new, new))
        if found is None:
            self._alike += 1
            return
        self.counts[found["change"]] += 1
        verdict = found["verdict"]
        self.moves[found["change"]][verdict["old"], verdict["new"]] += 1
        self.regressions += found["regression"]
        number = new.number if new else _BEHIND + old.number if old else 0
        # What orjson returns keeps the four kilobytes that it was made in; a copy does not.
        self._sorter.add(Entry(number, bytes(memoryview(orjson.dumps(found)))))


def _record(side: Side, entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    try:
        return parse_record(entry.line)
    except ValueError as error:
        raise side.wrong(entry.number, str(error)) from None
