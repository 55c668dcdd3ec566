"""Arguments, files and standard input → blocks of targets: counted, limited, in order.

Everything is a generator: memory does not grow with the input or the size of a prefix.
"""

from __future__ import annotations

import string
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final

from auditor.errors import InputError, TargetError, TooManyTargetsError, UsageError
from auditor.targets.parse import Entry, Spread, invalid, parse_item, read_item
from auditor.targets.quoting import printable
from auditor.targets.sources import MAX_LINE, Form, Lines, Source, bare, locate, read_lines
from auditor.targets.spans import V4, Span, address_text, parse_address, span_targets
from auditor.targets.target import BLOCK_SIZE, NO_LABELS, Block, Origin, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from auditor.targets.excludes import Excludes

__all__ = ["MAX_TARGETS", "TargetStream"]

#: Targets in a run at most, unless told otherwise: a /8.
MAX_TARGETS: Final = 1 << 24

_STDIN: Final = "-"
_NEW: Final = tuple.__new__
# Numbers, since looking for one octet by its number is several times faster in bytes.
_SLASH, _DASH, _HASH, _COLON = b"/-#:"
_LETTERS: Final = frozenset(string.ascii_letters.encode())


class TargetStream:
    """The targets of a run, in input order: `arguments` first, then `files`.

    An argument is an address, a prefix, a range or a domain; `-`, among arguments or
    files, is standard input. `excludes` are left out and counted in `excluded`. More than
    `max_targets` raise TooManyTargetsError. `stdin` stands in for the real one.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        files: Sequence[str] = (),
        *,
        excludes: Excludes | None = None,
        max_targets: int = MAX_TARGETS,
        stdin: BinaryIO | None = None,
    ) -> None:
        if [*arguments, *files].count(_STDIN) > 1:
            raise UsageError("standard input (-) is named twice; it can be read once only")
        self._arguments, self._files = arguments, files
        self._items: Iterable[object] = ()
        self._excludes = excludes or None
        self._limit = max_targets
        self._stdin = stdin
        self._sources: list[Source | str] | None = None
        self._total: int | None = None
        self._excluded = self._invalid = 0

    @classmethod
    def of(
        cls,
        targets: Iterable[object],
        *,
        excludes: Excludes | None = None,
        max_targets: int = MAX_TARGETS,
    ) -> TargetStream:
        """Return a stream of the items of an iterable, read once and only as needed.

        An item is a `Target`, or anything whose `str()` is what an argument may be: a
        string, an address or a network of `ipaddress`. A blank string is an invalid target.
        """
        stream = cls((), excludes=excludes, max_targets=max_targets)
        stream._items = [targets] if isinstance(targets, str) else targets
        return stream

    @property
    def total(self) -> int | None:
        """How many targets `blocks` yields, excludes left out; None where nobody can tell.

        That is before `prepare`, and if anything comes from standard input, a pipe or an
        iterable that is no list or tuple. Then `blocks` may also wait for its input, and
        belongs in a thread of its own.
        """
        return self._total

    @property
    def excluded(self) -> int:
        """How many targets were left out up to now."""
        return self._excluded

    @property
    def invalid(self) -> int:
        """How many invalid targets there were up to now."""
        return self._invalid

    def prepare(self) -> None:
        """Read all that can be read twice, to find out that it can, and how much it is.

        Raises InputError for what cannot be read, TooManyTargetsError for too much of it.
        Does nothing when called again.
        """
        if self._sources is not None:
            return
        sources: list[Source | str] = [
            locate(name, dash=True) if name == _STDIN else name for name in self._arguments
        ]
        sources += [locate(name, dash=True) for name in self._files]
        total, known = 0, isinstance(self._items, list | tuple)
        if isinstance(self._items, list | tuple):
            total = self._count(_given(self._items), total)
        for position, source in enumerate(sources, 1):
            if isinstance(source, str):
                total = self._count(_given((source,), position), total)
            elif source.live:
                known = False
            elif source.form == "text" and self._excludes is None:
                total = _count_text(read_lines(source), source, total, self._limit)
            else:
                total = self._count(self._read(source), total)
        self._total = total if known else None
        self._sources = sources

    def blocks(self, skip: int = 0) -> Iterator[Block]:
        """Yield the targets after the first `skip` in blocks, all of them full but the last.

        Where the input keeps us waiting, what is there is yielded before the wait, as it is
        before InputError or TooManyTargetsError. The counters count skipped targets, too.
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
        """Yield the targets after the first `skip`, spans of addresses whole; None for a wait.

        Otherwise as `blocks`.
        """
        self.prepare()
        self._excluded = self._invalid = 0
        return self._admitted(skip)

    def _admitted(self, skip: int) -> Iterator[Entry | None]:
        """Yield the entries without what is excluded or skipped; None for a wait."""
        total = 0
        for entry in self._entries():
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

    def _rest(self, entry: Spread, skip: int) -> Iterator[Spread]:
        """Yield the parts of a span that are not excluded, after the first `skip` addresses."""
        spans = self._excludes.remaining(entry.span) if self._excludes else iter((entry.span,))
        for span in spans:
            if skip >= span.size:
                skip -= span.size
            else:
                version, first, last = span
                yield Spread(Span(version, first + skip, last), entry.origin)
                skip = 0

    def _size(self, entry: Entry) -> int:
        """Return how many targets an entry gives, and count those it does not."""
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
            out = excludes.count(entry.span)
            self._excluded += out
            size -= out
        return size

    def _entries(self) -> Iterator[Entry | None]:
        yield from _given(self._items)
        for position, source in enumerate(self._sources or (), 1):
            if isinstance(source, str):
                yield from _given((source,), position)
            else:
                yield from self._read(source)

    def _read(self, source: Source) -> Iterator[Entry | None]:
        """Return the entries of a file, by its format."""
        batches = read_lines(source, self._stdin)
        form, line = source.form, 0
        if form == "guess":
            form, line, batches = _guess(batches)
        if form == "text":
            return _text_entries(batches, source, line)
        # Imported here since most lists are plain text, and JSON is not free to import.
        from auditor.targets.tables import csv_entries, ndjson_entries  # noqa: PLC0415

        if form == "csv":
            return csv_entries(batches, source)
        return ndjson_entries(batches, source, line)

    def _count(self, entries: Iterable[Entry | None], total: int) -> int:
        """Return `total` and the targets of `entries`. Raises TooManyTargetsError."""
        for entry in entries:
            if entry is not None:
                total = self._add(entry, total)[0]
        return total

    def _add(self, entry: Entry, total: int) -> tuple[int, int]:
        """Return `total` with the targets of an entry, and how many these are."""
        size = self._size(entry)
        total += size
        if total > self._limit:
            raise _too_many(_describe(entry), entry.origin, size, total, self._limit)
        return total, size


def _given(items: Iterable[object], position: int = 1) -> Iterator[Entry]:
    """Yield what arguments, or the items that a program gives, are."""
    for number, item in enumerate(items, position):
        if isinstance(item, Target):
            yield item
        else:
            yield read_item(str(item).strip(), Origin(line=number))


def _text_entries(batches: Iterator[Lines], source: Source, line: int) -> Iterator[Entry | None]:
    """Yield what the lines of plain text after line number `line` give; None for a wait."""
    name = source.name
    for batch in batches:
        if not batch:
            yield None
        for raw in batch:
            line += 1
            item = bare(raw)
            if not item:
                continue
            origin = _NEW(Origin, (name, line, None, (), NO_LABELS))
            if len(raw) > MAX_LINE:
                yield _undecoded(item, origin, f"longer than {MAX_LINE:,} octets")
                continue
            try:
                text = item.decode()
            except UnicodeDecodeError:
                yield _undecoded(item, origin, "not UTF-8 text")
            else:
                yield read_item(text, origin)


def _undecoded(item: bytes, origin: Origin, error: str) -> Target:
    return invalid(item.decode(errors="surrogateescape"), origin, error)


def _count_text(batches: Iterator[Lines], source: Source, total: int, limit: int) -> int:
    """Return `total` and the targets of a plain text; a plain line is not even parsed."""
    line = 0
    for batch in batches:
        before = total
        marked = [raw for raw in batch if _SLASH in raw or _DASH in raw or _HASH in raw]
        total += len(batch) - len(marked) - batch.count(b"") - sum(map(bytes.isspace, batch))
        total += sum(map(_weight, marked))
        if total > limit:
            raise _culprit(batch, Origin(source.name, line), before, limit)
        line += len(batch)
    return total


def _weight(raw: bytes) -> int:
    """Return how many targets a line of plain text gives."""
    item = bare(raw)
    if not item:
        return 0
    if item[-1] in _LETTERS and _COLON not in item:  # a prefix and an IPv4 range end in a digit
        return 1
    if (_SLASH not in item and _DASH not in item) or len(raw) > MAX_LINE:
        return 1
    try:
        parsed = parse_item(item.decode())
    except (TargetError, UnicodeDecodeError):
        return 1
    return parsed.size if isinstance(parsed, Span) else 1


def _culprit(batch: Lines, origin: Origin, total: int, limit: int) -> TooManyTargetsError:
    """Return the error for the line of `batch` that takes `total` over `limit`."""
    size = 0
    lines = iter(enumerate(batch, origin.line + 1))
    while total <= limit:
        line, raw = next(lines)
        size = _weight(raw)
        total += size
    shown = bare(raw).decode(errors="surrogateescape")
    return _too_many(shown, origin._replace(line=line), size, total, limit)


def _guess(batches: Iterator[Lines]) -> tuple[Form, int, Iterator[Lines]]:
    """Return the format, the lines left out before the first that counts, and the others."""
    skipped = 0
    for batch in batches:
        for index, raw in enumerate(batch):
            item = bare(raw)
            if item:
                form: Form = "ndjson" if item.startswith(b"{") else "text"
                return form, skipped + index, chain((batch[index:],), batches)
        skipped += len(batch)
    return "text", skipped, iter(())


def _is_excluded(target: Target, excludes: Excludes) -> bool:
    if target.kind == "domain":
        return excludes.has_name(target.text)
    address = parse_address(target.text)
    return address is not None and excludes.has_address(*address)


def _describe(entry: Entry) -> str:
    """Return a short text for what an entry is: a span as a prefix where it is one."""
    if isinstance(entry, Target):
        return entry.text
    version, first, last = entry.span
    size = entry.span.size
    if size & (size - 1) or first % size:
        return f"{address_text(version, first)}-{address_text(version, last)}"
    length = (32 if version == V4 else 128) - size.bit_length() + 1
    return f"{address_text(version, first)}/{length}"


def _too_many(item: str, origin: Origin, size: int, total: int, limit: int) -> TooManyTargetsError:
    source, line = origin.source, origin.line
    where = "standard input" if source == _STDIN else source
    where += f" {line}" if source == Origin().source else f" line {line}"
    makes = "makes" if size == total else "makes the total"
    return TooManyTargetsError(
        f"targets: {printable(item, 80)} ({where}) {makes} {total:,} targets, "
        f"more than --max-targets {limit:,}"
    )
