"""Pairs the lines of two results by target, in any order, in bounded memory.

Both are read at the same pace. Equal lines are not kept; a line waits until its target
is read on the other side. That is enough for the usual case, the same targets in
the same order but for some. If too much waits, the order differs: then what is left of both
is dealt out to temporary files by target, and these are joined one after the other.

The n-th line of a target in one result belongs to the n-th in the other.
"""

from __future__ import annotations

import operator
from collections import deque
from contextlib import closing
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeAlias

from auditor.errors import InputError
from auditor.views.diff.spool import LinePartitions, NumberedLine
from auditor.views.reader.results import parse_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from auditor.views.reader.results import Results

__all__ = ["LinePairs", "ResultLines"]

#: Called with each pair that differs; None for the side without the target.
_Found: TypeAlias = "Callable[[NumberedLine | None, NumberedLine | None], None]"

#: Octets of lines that may wait, or be joined at a time.
_MEMORY_OCTETS: Final = 48 << 20
#: Octets of memory that a line costs beside its own.
_LINE_OVERHEAD_OCTETS: Final = 400
_PARTITIONS: Final = 64
_PARTITION_BITS: Final = 6
#: How often lines are partitioned again; what still does not fit is all of one target.
_MAX_DEPTH: Final = 4

_HEAD: Final = b'{"target":"'
_KIND: Final = b'","kind":"'
_NEXT_HEAD: Final = b"\n" + _HEAD


class ResultLines:
    """The lines of one result, read one after the other."""

    def __init__(self, results: Results) -> None:
        self._chunks = results.chunks()
        # With how many lines were before each.
        self._files: list[tuple[int, str]] = []
        self.lines: list[bytes] = []
        self._targets: list[bytes | None] = []
        self.at = 0
        self._before = 0

    def fill(self) -> bool:
        """Make sure that there is a line at `at`; tell whether there is one."""
        if self.at < len(self.lines):
            return True
        self._before += len(self.lines)
        self.at = 0
        self._targets = []
        chunk = next(self._chunks, None)
        if chunk is None:
            self.lines = []
            return False
        if chunk.first == 1:
            self._files.append((self._before, chunk.name))
        self.lines = chunk
        return True

    def next_line(self) -> NumberedLine:
        """Return the line at `at`."""
        return self.numbered(self.at)

    def numbered(self, at: int) -> NumberedLine:
        """Return one of `lines`."""
        return NumberedLine(self._before + at, self.lines[at])

    def targets(self) -> list[bytes | None]:
        """Return the target of each of `lines`, in UTF-8; None for a line that has none."""
        if not self._targets:
            self._targets = _targets(self.lines)
        return self._targets

    def remaining_lines(self) -> Iterator[NumberedLine]:
        """Yield the lines not taken yet."""
        while self.fill():
            for line in self.lines[self.at :]:
                yield NumberedLine(self._before + self.at, line)
                self.at += 1

    def wrong(self, number: int, why: str) -> InputError:
        """Return the error for a line, by its number from 0 over all files."""
        before, name = next(file for file in reversed(self._files) if file[0] <= number)
        return InputError(f"{name} line {number - before + 1}: {why}")


class _UnpairedLines:
    """Lines by target that have no partner yet."""

    def __init__(self) -> None:
        # Nearly all targets have one line, which needs no queue.
        self.by_target: dict[bytes, NumberedLine | deque[NumberedLine]] = {}
        self.octets = 0

    def hold_line(self, target: bytes, entry: NumberedLine) -> None:
        known = self.by_target.setdefault(target, entry)
        if known is not entry:
            if isinstance(known, NumberedLine):
                known = self.by_target[target] = deque((known,))
            known.append(entry)
        self.octets += len(entry.line) + _LINE_OVERHEAD_OCTETS

    def take_line(self, target: bytes) -> NumberedLine | None:
        known = self.by_target.pop(target, None)
        if known is None:
            return None
        if isinstance(known, NumberedLine):
            entry = known
        else:
            entry = known.popleft()
            if known:
                self.by_target[target] = known
        self.octets -= len(entry.line) + _LINE_OVERHEAD_OCTETS
        return entry

    def drained(self) -> Iterator[NumberedLine]:
        """Yield them in the order of the input, and forget each."""
        entries = list[NumberedLine]()
        for known in self.by_target.values():
            entries += (known,) if isinstance(known, NumberedLine) else known
        self.by_target.clear()
        self.octets = 0
        entries.sort(key=attrgetter("number"), reverse=True)
        while entries:
            yield entries.pop()


class LinePairs:
    """Pairs the lines of two results and hands each pair that differs to `found`.

    Counted, not handed on, are pairs of the same octets: `same`. `room` is what may be kept
    in memory, in octets. Pairs come in no particular order.
    """

    def __init__(
        self, old: Results, new: Results, found: _Found, room: int = _MEMORY_OCTETS
    ) -> None:
        self.old, self.new = ResultLines(old), ResultLines(new)
        self.same = 0
        #: Whether temporary files were needed.
        self.spilled = False
        self._found, self._room = found, room

    def pair_lines(self) -> None:
        """Read both to their ends. Raises InputError, and OutputError if the disk is full."""
        old, new = _UnpairedLines(), _UnpairedLines()
        while self.old.fill() and self.new.fill():
            if not self._abreast(old, new):
                self.spilled = True
                self._join(
                    chain(old.drained(), self.old.remaining_lines()),
                    chain(new.drained(), self.new.remaining_lines()),
                    depth=0,
                )
                return
        # One of the two has ended, so nothing needs to wait.
        self._meet(old, self.new.remaining_lines())
        for before in self.old.remaining_lines():
            self._met_or_gone(new, before)
        for before in old.drained():
            self._found(before, None)
        for after in new.drained():
            self._found(None, after)

    def _abreast(self, old: _UnpairedLines, new: _UnpairedLines) -> bool:
        """Pair lines as far as the chunks of both reach; tell whether waiting lines have room."""
        left, right = self.old, self.new
        if not old.by_target and not new.by_target:
            self._skip_same()
            if left.at == len(left.lines) or right.at == len(right.lines):
                return True
        ours, theirs = left.targets(), right.targets()
        while left.at < len(ours) and right.at < len(theirs):
            old_target, new_target = ours[left.at], theirs[right.at]
            if old_target is None or new_target is None:
                old_target = self._target(left, left.next_line())
                new_target = self._target(right, right.next_line())
            if old_target == new_target and self._pair_aligned(old, new):
                continue
            if (met := new.take_line(old_target)) is not None:
                self._pair_with_waiting(left, met)
            elif (met := old.take_line(new_target)) is not None:
                self._pair_with_waiting(right, met)
            else:
                old.hold_line(old_target, left.next_line())
                new.hold_line(new_target, right.next_line())
                left.at += 1
                right.at += 1
                if old.octets + new.octets > self._room:
                    return False
        return True

    def _pair_aligned(self, old: _UnpairedLines, new: _UnpairedLines) -> bool:
        """Pair lines as long as both sides have the same targets; tell whether there were any.

        None of them may be waiting.
        """
        left, right = self.old, self.new
        count = min(len(left.lines) - left.at, len(right.lines) - right.at)
        ours, theirs = (side.targets()[side.at : side.at + count] for side in (left, right))
        if ours != theirs:
            del ours[_first_difference(ours, theirs) :]
        if not (old.by_target.keys().isdisjoint(ours) and new.by_target.keys().isdisjoint(ours)):
            waiting = (target in old.by_target or target in new.by_target for target in ours)
            del ours[next(at for at, waits in enumerate(waiting) if waits) :]
        if None in ours:
            del ours[ours.index(None) :]
        count = len(ours)
        old_lines, new_lines = (side.lines[side.at : side.at + count] for side in (left, right))
        if old_lines == new_lines:
            self.same += count
        else:
            for at, (before, after) in enumerate(zip(old_lines, new_lines, strict=True)):
                if before == after:
                    self.same += 1
                else:
                    self._found(left.numbered(left.at + at), right.numbered(right.at + at))
        left.at += count
        right.at += count
        return count > 0

    def _pair_with_waiting(self, side: ResultLines, met: NumberedLine) -> None:
        """Pair the line that one side is at with one of the other that waited for it."""
        if side.lines[side.at] == met.line:
            self.same += 1
        elif side is self.old:
            self._found(side.next_line(), met)
        else:
            self._found(met, side.next_line())
        side.at += 1

    def _skip_same(self) -> None:
        """Skip lines that are the same on both sides, which nearly all are."""
        left, right = self.old, self.new
        count = min(len(left.lines) - left.at, len(right.lines) - right.at)
        ours, theirs = (side.lines[side.at : side.at + count] for side in (left, right))
        if ours != theirs:
            count = _first_difference(ours, theirs)
        self.same += count
        left.at += count
        right.at += count

    def _pair(self, old: NumberedLine, new: NumberedLine) -> None:
        if old.line == new.line:
            self.same += 1
        else:
            self._found(old, new)

    def _target(self, side: ResultLines, entry: NumberedLine) -> bytes:
        """Return the target of a line, in UTF-8."""
        try:
            return _target(entry.line)
        except ValueError as error:
            raise side.wrong(entry.number, str(error)) from None

    def _meet(self, old: _UnpairedLines, new_lines: Iterable[NumberedLine]) -> None:
        """Pair lines of NEW with waiting ones of OLD; those without a partner have appeared."""
        for after in new_lines:
            before = old.take_line(self._target(self.new, after))
            if before is None:
                self._found(None, after)
            else:
                self._pair(before, after)

    def _met_or_gone(self, new: _UnpairedLines, before: NumberedLine) -> None:
        after = new.take_line(self._target(self.old, before))
        if after is None:
            self._found(before, None)
        else:
            self._pair(before, after)

    def _join(
        self, old_lines: Iterator[NumberedLine], new_lines: Iterator[NumberedLine], *, depth: int
    ) -> None:
        """Pair lines in any order and any number, by way of temporary files."""
        with (
            closing(LinePartitions(_PARTITIONS)) as old,
            closing(LinePartitions(_PARTITIONS)) as new,
        ):
            self._deal(self.old, old_lines, old, depth)
            self._deal(self.new, new_lines, new, depth)
            for heap in range(_PARTITIONS):
                size = old.octets[heap] + _LINE_OVERHEAD_OCTETS * old.entries[heap]
                if size > self._room and old.entries[heap] > 1 and depth < _MAX_DEPTH:
                    self._join(old.read_entries(heap), new.read_entries(heap), depth=depth + 1)
                    continue
                waiting = _UnpairedLines()
                for before in old.read_entries(heap):
                    waiting.hold_line(_target(before.line), before)
                self._meet(waiting, new.read_entries(heap))
                for before in waiting.drained():
                    self._found(before, None)

    def _deal(
        self, side: ResultLines, entries: Iterator[NumberedLine], heaps: LinePartitions, depth: int
    ) -> None:
        for entry in entries:
            number = hash(self._target(side, entry)) >> _PARTITION_BITS * depth
            heaps.add_entry(number % _PARTITIONS, entry)
        heaps.seal()


def _first_difference(ours: Sequence[object], theirs: Sequence[object]) -> int:
    """Return the index from which on two lists, which are as long, differ."""
    pairs = zip(ours, theirs, strict=True)
    return next(index for index, (old, new) in enumerate(pairs) if old != new)


def _targets(lines: Sequence[bytes]) -> list[bytes | None]:
    """Return the target of each line, in UTF-8; None for one that has none."""
    heads = [line.partition(_KIND)[0] for line in lines]
    joined = b"\n".join(heads)
    targets: list[bytes | None] = [*joined[len(_HEAD) :].split(_NEXT_HEAD)]
    is_plain = joined.startswith(_HEAD) and len(targets) == len(lines) and b"\\" not in joined
    if is_plain and not any(map(operator.is_, heads, lines)):
        return targets
    targets = []
    for line in lines:
        try:
            targets.append(_target(line))
        except ValueError:
            targets.append(None)
    return targets


def _target(line: bytes) -> bytes:
    """Return the target of a line, in UTF-8. Raises ValueError if it has none."""
    if line.startswith(_HEAD):
        target, kind, _ = line[len(_HEAD) :].partition(_KIND)
        # Escaped text can be written in more than one way.
        if kind and b"\\" not in target:
            return target
    text: str = parse_record(line)["target"]
    return text.encode()
