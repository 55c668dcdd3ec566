"""Collapses the addresses that share a fault into the fewest prefixes (CIDR).

    faults = PrefixFaults()
    faults.add_addresses((V4, 0xC63364), ("PTR_MISSING",), range(256))  # 198.51.100.0/24
    faults.count_record(record)                                    # or a record at a time
    for fault in faults.collapsed(): fault.code, fault.addresses, fault.prefixes

A prefix has a fault if all of its addresses that are in the results have it. Within a /24 (of IPv6
a /48) it reaches no further than from its first to its last address there; wider prefixes are made
of two halves that have the fault as a whole. Each fault is collapsed by itself: an address may have
several. Addresses may come in any order, and memory is bounded: a /24 takes some hundred octets,
and /24s and IPv6 addresses beyond the limits are only counted.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from auditor.wire.addresses import V4, V6, format_address, parse_address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

__all__ = [
    "CELL_BITS",
    "WIDTH",
    "Cell",
    "FaultPrefixes",
    "Network",
    "Prefix",
    "PrefixFaults",
    "faults_of",
    "prefixes_of",
    "split_address",
]

#: IP version, and the first 24 bits (of IPv6 48) of an address as a number.
Network: TypeAlias = tuple[int, int]

#: Bits of an address, and of the prefix that is looked at by itself, by IP version.
WIDTH: Final = {V4: 32, V6: 128}
CELL_BITS: Final = {V4: 24, V6: 48}
#: Bits of an address within its /24 or /48.
_REST_BITS: Final = {version: WIDTH[version] - CELL_BITS[version] for version in (V4, V6)}

_MAX_CELLS: Final = 1 << 16
#: IPv6 addresses that are counted singly; for IPv4 there is a bitmap for each /24.
_MAX_V6_ADDRESSES: Final = 1 << 17
#: Addresses of smaller prefixes are counted as scattered.
_MIN_ADDRESSES: Final = 8
#: Prefixes of a fault that are kept: those with the most addresses.
_MAX_PREFIXES: Final = 1024
_ALL_OCTETS: Final = bytes(range(256))
#: Findings of these severities are faults; the others are remarks.
_FAULTY: Final = frozenset({"error", "warning"})


class Prefix(NamedTuple):
    """A prefix with how many of its addresses are in the results; `first` is its first address."""

    version: int
    first: int
    length: int
    size: int

    def __str__(self) -> str:
        """Return it as text, such as `198.51.100.0/24`; a single address without a length."""
        text = format_address(self.version, self.first)
        return text if self.length == WIDTH[self.version] else f"{text}/{self.length}"


class FaultPrefixes(NamedTuple):
    """Where a finding is: `addresses` in `rows` prefixes, of which `prefixes` are the largest.

    The largest are those with the most addresses, equals in the order of their addresses. In
    prefixes of fewer than eight addresses are `scattered` ones more.
    """

    code: str
    severity: str
    addresses: int
    scattered: int
    rows: int
    prefixes: tuple[Prefix, ...]


class Cell:
    """The addresses of a /24 or /48 in the results, by their faults, as offsets into it.

    Offsets are `bytes`, sorted, for IPv4, and a set of numbers for IPv6.
    """

    __slots__ = ("by_faults",)

    def __init__(self) -> None:
        self.by_faults: dict[tuple[str, ...], Collection[int]] = {}

    @property
    def size(self) -> int:
        """How many addresses it has."""
        return sum(map(len, self.by_faults.values()))


class PrefixFaults:
    """Gathers which addresses have which faults, and collapses them into prefixes.

    `cells` are the /24s and /48s that are looked at; `beyond` counts the addresses that are not,
    because there were too many of them (`limit`).
    """

    def __init__(self, limit: int = _MAX_CELLS, v6_limit: int = _MAX_V6_ADDRESSES) -> None:
        self.cells: dict[Network, Cell] = {}
        self.severities: dict[str, str] = {}
        self.beyond = 0
        self._limit, self._v6_room = limit, v6_limit
        #: Many /24s have the same addresses with the same faults.
        self._interned: dict[bytes, bytes] = {}

    def count_record(self, record: Mapping[str, Any]) -> None:
        """Take the address of a record; other records are passed over."""
        place = split_address(record["target"]) if record["kind"] == "ip" else None
        if place is not None:
            network, offset = place
            self.add_addresses(network, self.faults(record), (offset,))

    def faults(self, record: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the codes that are the faults of a record, and remember how severe they are."""
        for finding in record["findings"]:
            if finding["severity"] in _FAULTY:
                self.severities.setdefault(finding["code"], finding["severity"])
        return faults_of(record)

    def add_addresses(
        self, network: Network, faults: tuple[str, ...], offsets: Iterable[int]
    ) -> None:
        """Take addresses of a network that have the same faults; see `faults_of`."""
        cell = self.cells.get(network)
        if cell is None:
            if len(self.cells) >= self._limit:
                self.beyond += sum(1 for _ in offsets)
                return
            cell = self.cells[network] = Cell()
        if network[0] == V4:
            absent = _ALL_OCTETS.translate(None, bytes(offsets))
            known = cell.by_faults.get(faults)
            if known:
                absent = absent.translate(None, known)  # type: ignore[arg-type]  # bytes, of IPv4
            present = _ALL_OCTETS.translate(None, absent)
            if len(self._interned) > _MAX_CELLS:
                self._interned.clear()
            cell.by_faults[faults] = self._interned.setdefault(present, present)
        else:
            self._add_v6(cell, faults, set(offsets))

    def _add_v6(self, cell: Cell, faults: tuple[str, ...], offsets: set[int]) -> None:
        """Take IPv6 addresses as long as there is room for them."""
        known: set[int] = cell.by_faults.get(faults, set())  # type: ignore[assignment]
        offsets.difference_update(known)
        for offset in sorted(offsets)[self._v6_room :]:
            offsets.remove(offset)
            self.beyond += 1
        self._v6_room -= len(offsets)
        known |= offsets
        if known:
            cell.by_faults[faults] = known

    def collapsed(self) -> list[FaultPrefixes]:
        """Return the faults with their prefixes, those with the most addresses first.

        A prefix may hold addresses beyond the limit, without the fault: see `beyond`.
        """
        merging: dict[str, _Merging] = defaultdict(_Merging)
        totals: Counter[str] = Counter()
        for (version, number), cell in sorted(self.cells.items()):
            for faults, offsets in cell.by_faults.items():
                for code in faults:
                    totals[code] += len(offsets)
            first = number << _REST_BITS[version]
            for code, found in _of_cell(version, first, cell):
                merging[code].add_prefix(found)
        found_faults = []
        for code, total in totals.items():
            addresses, rows, prefixes = merging[code].finish_merging()
            severity = self.severities.get(code, "")
            found_faults.append(
                FaultPrefixes(code, severity, addresses, total - addresses, rows, prefixes)
            )
        return sorted(found_faults, key=lambda fault: (-fault.addresses, fault.code))


def faults_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the codes of a record's errors and warnings, sorted, each once."""
    return tuple(
        sorted(
            {finding["code"] for finding in record["findings"] if finding["severity"] in _FAULTY}
        )
    )


def split_address(text: str) -> tuple[Network, int] | None:
    """Return the /24 or /48 of an address and its offset into it, None if it is not an address."""
    parsed = parse_address(text)
    if parsed is None:
        return None
    version, number = parsed
    bits = _REST_BITS[version]
    return (version, number >> bits), number & ((1 << bits) - 1)


def prefixes_of(networks: Iterable[Network]) -> tuple[Prefix, ...]:
    """Return the fewest prefixes of some whole /24s and /48s, by their addresses.

    The `size` of each is how many of the networks it holds.
    """
    merging = _Merging(_MAX_CELLS, least=1)
    for version, number in sorted(set(networks)):
        merging.add_prefix(Prefix(version, number << _REST_BITS[version], CELL_BITS[version], 1))
    _, _, prefixes = merging.finish_merging()
    return tuple(sorted(prefixes))


class _Merging:
    """Merges prefixes, by their /24s and /48s in order; keeps the largest `kept`.

    Those of fewer than `least` addresses are dropped.
    """

    def __init__(self, kept: int = _MAX_PREFIXES, least: int = _MIN_ADDRESSES) -> None:
        self._open: list[Prefix] = []
        self._largest: list[tuple[int, int, int, Prefix]] = []
        self._kept, self._least = kept, least
        self._total = self._count = 0

    def add_prefix(self, new: Prefix) -> None:
        """Take the next prefix."""
        if self._open:
            version, first, length, _ = self._open[-1]
            if version != new.version or first + (1 << (WIDTH[version] - length)) != new.first:
                self._close()
        while self._open:
            last = self._open[-1]
            size = 1 << (WIDTH[new.version] - new.length)
            if last.length != new.length or last.first ^ new.first != size or not new.length:
                break
            self._open.pop()
            new = Prefix(new.version, last.first, new.length - 1, last.size + new.size)
        self._open.append(new)

    def finish_merging(self) -> tuple[int, int, tuple[Prefix, ...]]:
        """Return how many addresses and prefixes there were, and the largest of these."""
        self._close()
        largest = [prefix for *_, prefix in sorted(self._largest, reverse=True)]
        return self._total, self._count, tuple(largest)

    def _close(self) -> None:
        """Put away prefixes that nothing can be merged with any more."""
        for prefix in self._open:
            if prefix.size < self._least:
                continue
            self._total += prefix.size
            self._count += 1
            entry = prefix.size, -prefix.version, -prefix.first, prefix
            if len(self._largest) < self._kept:
                heapq.heappush(self._largest, entry)
            else:
                heapq.heappushpop(self._largest, entry)
        self._open.clear()


def _of_cell(version: int, first: int, cell: Cell) -> Iterator[tuple[str, Prefix]]:
    """Yield each fault of a cell with each of its prefixes."""
    codes = {code for faults in cell.by_faults for code in faults}
    for code in codes:
        faulty, faultless = _parted(cell, code)
        prefixes: Iterable[Prefix]
        if not faultless:
            low, high = min(map(min, faulty)), max(map(max, faulty))
            prefixes = (_covering(version, first, low, high, cell.size),)
        elif sum(map(len, faulty)) < _MIN_ADDRESSES:
            continue
        elif version == V4:
            prefixes = _of_octets(first, b"".join(faulty), b"".join(faultless))  # type: ignore[arg-type]
        else:
            prefixes = chain.from_iterable(
                _of_run(version, first, *run)
                for run in _runs({*chain(*faulty)}, {*chain(*faultless)})
            )
        for prefix in prefixes:
            yield code, prefix


def _parted(cell: Cell, code: str) -> tuple[list[Collection[int]], list[Collection[int]]]:
    """Return the offsets with a fault, and those without; an offset in both does not have it."""
    faulty: list[Collection[int]] = []
    faultless: list[Collection[int]] = []
    for faults, offsets in cell.by_faults.items():
        (faulty if code in faults else faultless).append(offsets)
    return faulty, faultless


#: The last bit of each block of 2 to the power of the index, of 256 bits.
_BLOCKS: Final = tuple(
    sum(1 << at for at in range(0, 256, 1 << level)) for level in range(_REST_BITS[V4] + 1)
)
#: Of the smallest prefix.
_MIN_LEVEL: Final = _MIN_ADDRESSES.bit_length() - 1


def _of_octets(first: int, faulty: bytes, faultless: bytes) -> Iterator[Prefix]:
    """Yield the prefixes of a /24 in which octets have a fault and none has it not.

    The /24 is a number of 256 bits, the first address first.
    """
    absent = _ALL_OCTETS.translate(None, faulty + faultless)
    order = absent + faulty + faultless
    # An octet that is in both does not have the fault.
    zeros, ones = b"0" * len(faultless), b"1" * len(faultless)
    dirty = int(bytes.maketrans(order, b"0" * (len(order) - len(ones)) + ones), 2)
    states = b"0" * len(absent) + b"1" * len(faulty) + zeros
    bits = int(bytes.maketrans(order, states), 2)
    # Level by level, blocks twice as large: those with a faultless address in them.
    for level in range(_REST_BITS[V4]):
        width = 1 << level
        parents = (dirty | dirty >> width) & _BLOCKS[level + 1]
        if level >= _MIN_LEVEL:
            clean = (parents | parents << width) & ~dirty
            while clean:
                at = (clean & -clean).bit_length() - 1
                clean &= clean - 1
                block = bits >> at & ((1 << width) - 1)
                if (addresses := block.bit_count()) >= _MIN_ADDRESSES:
                    low = 255 - at - (block.bit_length() - 1)
                    high = 255 - at - ((block & -block).bit_length() - 1)
                    yield _covering(V4, first, low, high, addresses)
        dirty = parents


def _runs(
    faulty: set[int], faultless: set[int]
) -> Iterator[tuple[list[int], int | None, int | None]]:
    """Yield the runs of offsets with a fault, each with its neighbours that do not have it."""
    run: list[int] = []
    before: int | None = None
    for offset in sorted(faulty | faultless):
        if offset not in faultless:
            run.append(offset)
            continue
        if run:
            yield run, before, offset
        before, run = offset, []
    if run:
        yield run, before, None


def _of_run(
    version: int, first: int, run: Sequence[int], before: int | None, after: int | None
) -> Iterator[Prefix]:
    """Yield the prefixes of neighbours that have a fault, between two that do not have it."""
    at = 0
    while at < len(run):
        offset = run[at]
        # The widest prefix around it without the two.
        bits = _REST_BITS[version]
        for other in (before, after):
            if other is not None:
                bits = min(bits, (offset ^ other).bit_length() - 1)
        end = at
        while end < len(run) and (run[end] ^ offset) >> bits == 0:
            end += 1
        yield _covering(version, first, offset, run[end - 1], end - at)
        at = end


def _covering(version: int, first: int, low: int, high: int, addresses: int) -> Prefix:
    """Return the longest prefix from one offset to another."""
    bits = (low ^ high).bit_length()
    return Prefix(version, first + (low >> bits << bits), WIDTH[version] - bits, addresses)
