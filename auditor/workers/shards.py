"""Cuts a run into shards: contiguous, of sizes that depend only on their number.

So two runs over the same input have the same shards, on any number of machines and after any
interruption, and an existing part need not be made again. A shard has prefixes as prefixes and
lists of plain targets as columns: it is small, and cheap to send.
"""

from __future__ import annotations

import hashlib
import pickle
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import zstandard

from auditor.targets.item import SpanEntry
from auditor.targets.spans import Span, span_targets
from auditor.targets.target import BLOCK_SIZE, NO_LABELS, Origin, Target
from auditor.wire.addresses import format_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from auditor.targets.item import Entry
    from auditor.targets.target import Block

__all__ = ["Shard", "cut_shards", "digest", "shard_size", "unpack"]

#: The first shards are small, so that the first record comes soon and a few thousand targets
#: keep several workers busy; four of each size, up to one that takes a worker about a second.
#: Runs of hours are cut into larger ones, to limit their number.
_FIRST_SIZE_TARGETS: Final = 2048
_SHARDS_OF_EACH_SIZE: Final = 4
_USUAL_SIZE_TARGETS: Final = 32_768
_LARGER_FROM: Final = ((128, 131_072), (64, 65_536))

#: Under a rate limit, seconds that a shard may take: it is written only at its end, and a run
#: that is killed loses it. Longer in runs of hours.
_SHARD_DURATION_S: Final = 2.0
_LONGER_FROM: Final = ((1024, 60.0), (256, 10.0))

_NEW: Final = tuple.__new__

#: Shorter lists are sent as they are.
_MAX_PLAIN_OCTETS: Final = 4096

#: A span with its origin; plain targets that differ in text, version and line only, as
#: columns; any other target.
_Packed: TypeAlias = (
    "tuple[Span, tuple[Any, ...]] | tuple[str, list[str], bytes, list[int], Mapping[str, str]] "
    "| tuple[tuple[Any, ...]]"
)


class Shard(NamedTuple):
    """A contiguous slice of a run's targets.

    `number` counts from 0; `size` is the number of targets; `shown` names the first and the
    last of them in messages; `packed` is the form that `unpack` reads.
    """

    number: int
    size: int
    shown: str
    packed: bytes


def shard_size(number: int, pace: float | None = None) -> int:
    """Return how many targets shard `number` has, unless it is the last.

    `pace`: the most targets per second of a worker, None without a rate limit.
    """
    size = next(
        (size for start, size in _LARGER_FROM if number >= start),
        min(_FIRST_SIZE_TARGETS << min(number // _SHARDS_OF_EACH_SIZE, 8), _USUAL_SIZE_TARGETS),
    )
    if pace is None:
        return size
    seconds = next(
        (duration for start, duration in _LONGER_FROM if number >= start), _SHARD_DURATION_S
    )
    return max(1, min(size, int(pace * seconds)))


def cut_shards(
    entries: Iterable[Entry | None], *, at_waits: bool = False, pace: float | None = None
) -> Iterator[Shard]:
    """Yield what `TargetStream.entries` does as shards, as it is read.

    With `at_waits`, a shard also ends where the input is slow, so that the targets read so far
    are audited meanwhile. Raises what the entries raise, after yielding those before.
    """
    cutter = _ShardCutter(pace)
    try:
        for entry in entries:
            if entry is None:
                if at_waits and cutter.size:
                    yield cutter.last_shard()
                continue
            yield from cutter.add_entry(entry)
    except Exception:
        if cutter.size:
            yield cutter.last_shard()
        raise
    if cutter.size:
        yield cutter.last_shard()


class _ShardCutter:
    """Gathers entries until they make a shard."""

    def __init__(self, pace: float | None) -> None:
        self.size = 0
        self._pace = pace
        self._number = 0
        self._entries: list[Target | SpanEntry] = []

    def add_entry(self, entry: Target | SpanEntry) -> Iterator[Shard]:
        """Add an entry, yielding every shard that it completes."""
        most = shard_size(self._number, self._pace)
        if isinstance(entry, Target):
            self._entries.append(entry)
            self.size += 1
            if self.size == most:
                yield self.last_shard()
            return
        (version, first, last), origin = entry
        while first <= last:
            most = shard_size(self._number, self._pace)
            take = min(last - first + 1, most - self.size)
            self._entries.append(SpanEntry(Span(version, first, first + take - 1), origin))
            self.size += take
            first += take
            if self.size == most:
                yield self.last_shard()

    def last_shard(self) -> Shard:
        """Return the gathered entries as the next shard."""
        entries, self._entries = self._entries, []
        shown = _first_text(entries[0])
        if self.size > 1:
            shown += f" to {_last_text(entries[-1])}"
        shard = Shard(self._number, self.size, shown, _pack(entries))
        self._number += 1
        self.size = 0
        return shard


def _first_text(entry: Target | SpanEntry) -> str:
    if isinstance(entry, Target):
        return entry.text[:80]
    return format_address(entry.span.version, entry.span.first)


def _last_text(entry: Target | SpanEntry) -> str:
    if isinstance(entry, Target):
        return entry.text[:80]
    return format_address(entry.span.version, entry.span.last)


def _is_plain(target: Target) -> bool:
    _, _, helo, mail_from, _, expected = target.origin
    return target.error is None and helo is None and not mail_from and not expected


def _pack(entries: list[Target | SpanEntry]) -> bytes:
    packed: list[_Packed] = []
    source = None
    labels: Mapping[str, str] = NO_LABELS
    texts: list[str] = []
    versions = bytearray()
    lines: list[int] = []
    for entry in entries:
        before, labels = labels, entry.origin.labels
        # Labels of the run are one object for all; those of a row are its own.
        alike = labels is before or not labels
        if alike and isinstance(entry, Target) and _is_plain(entry):
            if entry.origin.source != source or labels is not before:
                source = entry.origin.source
                texts, versions, lines = [], bytearray(), []
                packed.append((source, texts, versions, lines, dict(labels)))  # type: ignore[arg-type]
            texts.append(entry.text)
            versions.append(entry.version)
            lines.append(entry.origin.line)
            continue
        source = None
        if isinstance(entry, Target):
            packed.append(((*entry[:3], _plain(entry.origin), entry.error),))
        else:
            packed.append((entry.span, _plain(entry.origin)))
    data = pickle.dumps(packed, pickle.HIGHEST_PROTOCOL)
    return (
        data if len(data) < _MAX_PLAIN_OCTETS else zstandard.ZstdCompressor(level=1).compress(data)
    )


def _plain(origin: Origin) -> tuple[Any, ...]:
    return (*origin[:4], dict(origin.labels), origin.expected)


def _origin(values: tuple[Any, ...]) -> Origin:
    source, line, helo, mail_from, labels, expected = values
    return Origin(source, line, helo, mail_from, labels or NO_LABELS, expected)


def unpack(shard: Shard, skip: int = 0) -> Iterator[Block]:
    """Yield the targets of a shard except the first `skip`, in full blocks but for the last."""
    block: Block = []
    for targets in _pieces(_packed(shard)):
        if skip:
            skipped = min(skip, len(targets))
            targets, skip = targets[skipped:], skip - skipped  # noqa: PLW2901 - what is left
        block = block + targets if block else targets
        while len(block) >= BLOCK_SIZE:
            yield block[:BLOCK_SIZE]
            block = block[BLOCK_SIZE:]
    if block:
        yield block


def digest(shard: Shard) -> str:
    """Return a digest of a shard's targets, with all that is known of them."""
    return hashlib.sha256(repr(_packed(shard)).encode()).hexdigest()


def _packed(shard: Shard) -> list[_Packed]:
    data = shard.packed
    if data.startswith(zstandard.FRAME_HEADER):
        data = zstandard.ZstdDecompressor().decompress(data)
    # Written by `_pack`, in this run, by the coordinator of this process.
    packed: list[_Packed] = pickle.loads(data)  # noqa: S301 - see above
    return packed


def _pieces(packed: list[_Packed]) -> Iterator[Block]:
    """Yield targets in order, at most a block at a time."""
    for piece in packed:
        if len(piece) == 1:
            ((text, kind, version, origin, error),) = piece
            yield [Target(text, kind, version, _origin(origin), error)]
        elif len(piece) == 2:  # noqa: PLR2004 - a span and its origin
            (version, first, last), values = piece
            origin = _origin(values)
            while first <= last:
                take = min(last - first + 1, BLOCK_SIZE)
                yield span_targets(version, first, take, origin)
                first += take
        else:
            source, texts, versions, lines, labels = piece
            labels = labels or NO_LABELS
            for start in range(0, len(texts), BLOCK_SIZE):
                place = slice(start, start + BLOCK_SIZE)
                yield [
                    _NEW(
                        Target,
                        (
                            text,
                            "ip" if version else "domain",
                            version,
                            _NEW(Origin, (source, line, None, (), labels, "")),
                            None,
                        ),
                    )
                    for text, version, line in zip(
                        texts[place], versions[place], lines[place], strict=True
                    )
                ]
