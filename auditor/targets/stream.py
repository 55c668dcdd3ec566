"""Arguments, files and standard input → blocks of targets: counted, limited, in order.

Everything is a generator: memory does not grow with the input or the size of a prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

from auditor.errors import InputError, UsageError
from auditor.targets.formats import count_input, read_input, too_many
from auditor.targets.input_columns import InputOptions
from auditor.targets.item import ZONE_TARGET, Entry, SpanEntry, read_item
from auditor.targets.reader import InputSource, locate
from auditor.targets.spans import Span, span_targets
from auditor.targets.target import BLOCK_SIZE, Block, Origin, Target
from auditor.targets.unique import SeenTargets
from auditor.wire.addresses import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from auditor.targets.excludes import Excludes

__all__ = ["MAX_TARGETS", "TargetStream", "ZoneEntries"]

#: Returns the targets in a zone, given `zone:NAME` and the line that it is from.
ZoneEntries: TypeAlias = "Callable[[str, Origin], Iterable[Entry]]"

#: Default limit of targets in a run: a /8.
MAX_TARGETS: Final = 1 << 24

#: Addresses of a span that are checked for repetition together.
_PIECE_ADDRESSES: Final = 1 << 20

_STDIN: Final = "-"
_DEFAULTS: Final = InputOptions()


class TargetStream:
    """The targets of a run, in input order: `arguments` first, then `files`.

    An argument is an address, a prefix, a range or a domain; `-`, among arguments or
    files, is standard input. `excludes` are left out and counted in `excluded`. More than
    `max_targets` raise TooManyTargetsError. `options`: how items are read; `unique`: whether a
    repeated target is left out, and counted in `repeated`. `stdin` replaces standard input.
    `items`, as of `from_items`, come first. `zones` returns the targets in a zone given as
    `zone:NAME`; without it, that is an invalid target.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        files: Sequence[str] = (),
        *,
        excludes: Excludes | None = None,
        max_targets: int = MAX_TARGETS,
        options: InputOptions = _DEFAULTS,
        unique: bool = False,
        stdin: BinaryIO | None = None,
        items: Iterable[object] = (),
        zones: ZoneEntries | None = None,
    ) -> None:
        if [*arguments, *files].count(_STDIN) > 1:
            raise UsageError("standard input (-) is named twice; it can be read once only")
        self._arguments, self._files = arguments, files
        self._items = items
        self._excludes = excludes or None
        self._limit = max_targets
        self._options = options
        self._unique = unique
        self._stdin = stdin
        self._zones = zones
        self._sources: list[InputSource | str] | None = None
        self._total: int | None = None
        self._excluded = self._invalid = self._repeated = 0
        self._seen = SeenTargets()

    @classmethod
    def from_items(
        cls,
        targets: Iterable[object],
        *,
        excludes: Excludes | None = None,
        max_targets: int = MAX_TARGETS,
        zones: ZoneEntries | None = None,
    ) -> TargetStream:
        """Return a stream of the items of an iterable, read once and only as needed.

        An item is a `Target`, or anything whose `str()` is a valid argument: a string, an
        address or a network of `ipaddress`. A blank string is an invalid target.
        """
        items = [targets] if isinstance(targets, str) else targets
        return cls((), excludes=excludes, max_targets=max_targets, items=items, zones=zones)

    @property
    def total(self) -> int | None:
        """How many targets `blocks` yields, without excludes; None if unknown.

        It is unknown before `check_inputs`, and if any input is standard input, a pipe or an
        iterable that is neither list nor tuple. Then `blocks` may also block on its input, and
        should run in a thread of its own.
        """
        return self._total

    @property
    def excluded(self) -> int:
        """How many targets were excluded so far."""
        return self._excluded

    @property
    def repeated(self) -> int:
        """How many repeated targets were left out so far."""
        return self._repeated

    @property
    def invalid(self) -> int:
        """How many invalid targets there were so far."""
        return self._invalid

    def check_inputs(self) -> None:
        """Read all inputs that can be read twice, to check and to count them.

        Raises InputError for an input that cannot be read, TooManyTargetsError.
        Does nothing when called again.
        """
        if self._sources is not None:
            return
        sources: list[InputSource | str] = [
            locate(name, dash=True) if name == _STDIN else name for name in self._arguments
        ]
        sources += [locate(name, dash=True) for name in self._files]
        total, known = 0, isinstance(self._items, list | tuple)
        if isinstance(self._items, list | tuple):
            total = self._count(self._given(self._items), total)
        for position, source in enumerate(sources, 1):
            if isinstance(source, str):
                total = self._count(self._given((source,), position), total)
            elif source.live:
                known = False
            else:
                total = self._count_source(source, total)
        self._total = total if known else None
        self._forget()
        self._sources = sources

    def blocks(self, skip: int = 0) -> Iterator[Block]:
        """Yield the targets after the first `skip` in full blocks, except for the last.

        When no input is ready, the targets read so far are yielded in a shorter block, as they
        are before InputError or TooManyTargetsError. The counters count skipped targets, too.
        """
        block: Block = []
        try:
            for piece in self.entries(skip):
                if isinstance(piece, Target):
                    block.append(piece)
                elif piece is None:
                    if block:
                        yield block
                        block = []
                else:
                    (version, first, last), origin = piece
                    while first <= last:
                        take = min(last - first + 1, BLOCK_SIZE - len(block))
                        block += span_targets(version, first, take, origin)
                        first += take
                        if len(block) == BLOCK_SIZE:
                            yield block
                            block = []
                if len(block) == BLOCK_SIZE:
                    yield block
                    block = []
        except InputError:
            if block:
                yield block
            raise
        if block:
            yield block

    def entries(self, skip: int = 0) -> Iterator[Entry | None]:
        """Yield the targets after the first `skip`, whole spans of addresses as one entry.

        None when no input is ready. Otherwise as `blocks`.
        """
        self.check_inputs()
        self._forget()
        return self._admitted(skip)

    def _admitted(self, skip: int) -> Iterator[Entry | None]:
        """Yield the entries without excluded and skipped targets; None when no input is ready."""
        total = 0
        for entry in self._distinct(self._entries()):
            if entry is None:
                yield None
                continue
            total, size = self._add(entry, total)
            if skip >= size:
                skip -= size
            elif isinstance(entry, Target) or (self._excludes is None and not skip):
                yield entry
            else:
                yield from self._rest(entry, skip)
                skip = 0

    def _rest(self, entry: SpanEntry, skip: int) -> Iterator[SpanEntry]:
        """Yield the parts of a span that are not excluded, after the first `skip` addresses."""
        spans = self._excludes.remaining(entry.span) if self._excludes else iter((entry.span,))
        for span in spans:
            if skip >= span.size:
                skip -= span.size
            else:
                version, first, last = span
                yield SpanEntry(Span(version, first + skip, last), entry.origin)
                skip = 0

    def _size(self, entry: Entry) -> int:
        """Return how many targets an entry gives, and count the excluded and invalid ones."""
        excludes = self._excludes
        if isinstance(entry, Target):
            if entry.kind == "invalid":
                self._invalid += 1
            elif excludes is not None and _is_excluded(entry, excludes):
                self._excluded += 1
                return 0
            return 1
        size = entry.span.size
        if excludes is not None:
            out = excludes.count_excluded(entry.span)
            self._excluded += out
            size -= out
        return size

    def _entries(self) -> Iterator[Entry | None]:
        yield from self._given(self._items)
        for position, source in enumerate(self._sources or (), 1):
            if isinstance(source, str):
                yield from self._given((source,), position)
            else:
                yield from read_input(source, self._options, self._stdin)

    def _distinct(self, entries: Iterable[Entry | None]) -> Iterable[Entry | None]:
        """Return the entries, with zones replaced by their targets, each once if `unique`."""
        if self._zones is not None:
            entries = self._with_zones(entries, self._zones)
        return self._new(entries) if self._unique else entries

    @staticmethod
    def _with_zones(entries: Iterable[Entry | None], zones: ZoneEntries) -> Iterator[Entry | None]:
        """Yield the entries, with zones replaced by their targets."""
        for entry in entries:
            if (
                isinstance(entry, Target)
                and entry.kind == "invalid"
                and entry.text.startswith(ZONE_TARGET)
            ):
                yield from zones(entry.text, entry.origin)
            else:
                yield entry

    def _new(self, entries: Iterable[Entry | None]) -> Iterator[Entry | None]:
        for entry in entries:
            if entry is None or (isinstance(entry, Target) and entry.kind == "invalid"):
                yield entry
            elif isinstance(entry, Target):
                if self._seen.add_target(entry):
                    yield entry
                else:
                    self._repeated += 1
            else:
                for span in _pieces(entry.span):
                    self._repeated += span.size
                    for new in self._seen.add_span(span):
                        self._repeated -= new.size
                        yield SpanEntry(new, entry.origin)

    def _forget(self) -> None:
        """Reset the counters."""
        self._excluded = self._invalid = self._repeated = 0
        self._seen = SeenTargets()

    def _given(self, items: Iterable[object], position: int = 1) -> Iterator[Entry]:
        """Yield the entries of arguments, or of the items of a program."""
        options = self._options
        for number, item in enumerate(items, position):
            if isinstance(item, Target):
                yield item
            else:
                origin = Origin(line=number, labels=options.labels)
                yield read_item(str(item).strip(), origin, options.slash)

    def _count_source(self, source: InputSource, total: int) -> int:
        """Return `total` plus the targets of a file. Raises TooManyTargetsError."""
        if self._excludes is None and not self._unique:
            counted = count_input(source, self._options, total, self._limit)
            if counted is not None:
                return counted
        return self._count(read_input(source, self._options), total)

    def _count(self, entries: Iterable[Entry | None], total: int) -> int:
        """Return `total` plus the targets of `entries`. Raises TooManyTargetsError."""
        for entry in self._distinct(entries):
            if entry is not None:
                total = self._add(entry, total)[0]
        return total

    def _add(self, entry: Entry, total: int) -> tuple[int, int]:
        """Return `total` plus the targets of an entry, and their number."""
        size = self._size(entry)
        total += size
        if total > self._limit:
            raise too_many(entry, entry.origin, size, total, self._limit)
        return total, size


def _pieces(span: Span) -> Iterator[Span]:
    """Yield a span in pieces, so that an excess over the limit is found early."""
    version, first, last = span
    for start in range(first, last + 1, _PIECE_ADDRESSES):
        yield Span(version, start, min(start + _PIECE_ADDRESSES - 1, last))


def _is_excluded(target: Target, excludes: Excludes) -> bool:
    if target.kind == "domain":
        return excludes.has_name(target.text)
    address = parse_address(target.text)
    return address is not None and excludes.has_address(*address)
