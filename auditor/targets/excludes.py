"""Exclusion set (`--exclude`): addresses and domains, fast at any size."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from auditor.errors import TargetError, UsageError
from auditor.quoting import printable
from auditor.targets.domains import Name
from auditor.targets.item import parse_item
from auditor.targets.reader import MAX_LINE_OCTETS, bare, locate, read_lines
from auditor.targets.spans import Span
from auditor.wire.address_set import union
from auditor.wire.addresses import V4, V6

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Excludes", "parse_items"]


class Excludes:
    """A set of addresses and domains; a domain includes all names below it.

    Make one with `parse`. Addresses are kept as merged intervals, so that a /8 costs as
    much as one address.
    """

    __slots__ = ("_names", "_sets")

    def __init__(self, spans: Iterable[Span] = (), names: Iterable[str] = ()) -> None:
        spans = list(spans)
        self._sets = {version: _Intervals(spans, version) for version in (V4, V6)}
        self._names = frozenset(names)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Excludes:
        """Return the set described by `texts`.

        Each text is an address, a prefix or a range of any size, a domain, or `@FILE` with
        one of these a line. Raises UsageError for anything else, InputError for a file that
        cannot be read.
        """
        items = list(parse_items(texts, "exclude"))
        return cls(
            (item for item in items if isinstance(item, Span)),
            (item.text for item in items if isinstance(item, Name)),
        )

    def __bool__(self) -> bool:
        return bool(self._names) or any(self._sets.values())

    def has_address(self, version: int, number: int) -> bool:
        """Tell whether an address is excluded."""
        return self._sets[version].has(number)

    def has_name(self, name: str) -> bool:
        """Tell whether a domain, or one above it, is excluded."""
        names = self._names
        while names:
            if name in names:
                return True
            _, dot, name = name.partition(".")
            if not dot:
                break
        return False

    def count_excluded(self, span: Span) -> int:
        """Return how many addresses of `span` are excluded, without looking at each."""
        intervals = self._sets[span.version]
        return intervals.up_to(span.last) - intervals.up_to(span.first - 1)

    def remaining(self, span: Span) -> Iterator[Span]:
        """Yield the parts of `span` that are not excluded, in order."""
        return self._sets[span.version].gaps(span)


class _Intervals:
    """Numbers as sorted, merged intervals."""

    __slots__ = ("_before", "_firsts", "_lasts")

    def __init__(self, spans: Iterable[Span], version: int) -> None:
        merged = union((first, last) for ip, first, last in spans if ip == version)
        self._firsts = [first for first, _ in merged]
        self._lasts = [last for _, last in merged]
        self._before = list(accumulate((last - first + 1 for first, last in merged), initial=0))

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def has(self, number: int) -> bool:
        index = bisect_right(self._firsts, number) - 1
        return index >= 0 and number <= self._lasts[index]

    def up_to(self, number: int) -> int:
        """Return how many members there are up to and including `number`."""
        index = bisect_right(self._firsts, number)
        if not index:
            return 0
        return self._before[index] - max(0, self._lasts[index - 1] - number)

    def gaps(self, span: Span) -> Iterator[Span]:
        version, first, last = span
        index = bisect_left(self._lasts, first)
        while index < len(self._firsts) and self._firsts[index] <= last:
            if self._firsts[index] > first:
                yield Span(version, first, self._firsts[index] - 1)
            first = self._lasts[index] + 1
            index += 1
        if first <= last:
            yield Span(version, first, last)


def parse_items(
    texts: Iterable[str], option: str, wanted: Callable[[Span | Name], bool] = lambda _: True
) -> Iterator[Name | Span]:
    """Yield the items in the texts of an option; see `Excludes.parse`.

    `wanted`: whether an item may be suggested for an invalid text.
    """
    for text in texts:
        for where, item in _items(text, option):
            try:
                yield parse_item(item, bounded=False, wanted=wanted)
            except TargetError as error:
                raise UsageError(f"{option}: {where}{error}") from None


def _items(text: str, option: str) -> Iterator[tuple[str, str]]:
    """Yield the items of one text, each with its place for a message."""
    if not text.startswith("@"):
        yield "", text
        return
    name = text[1:]
    number = 0
    for batch in read_lines(locate(name)):
        for line in batch:
            number += 1
            where = f"{printable(name)} line {number}: "
            if len(line) > MAX_LINE_OCTETS:
                raise UsageError(f"{option}: {where}longer than {MAX_LINE_OCTETS:,} octets")
            item = bare(line)
            if item:
                yield where, item.decode(errors="surrogateescape")
