"""The set of targets seen so far, so that each is audited once (`--unique`), in little memory.

IPv4 addresses are kept exactly: 65,536 neighbours share a set, of two octets for each address
or, from 4,096 on, of one bit. IPv6 addresses and domains are kept as digests of 80 bits, in
about nine octets each: with 16 million targets, two of them collide in one run out of 8,000
million. So 16 million targets take 50 MB if they are IPv4 addresses, else 170 MB.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from auditor.targets.spans import Span
from auditor.wire.addresses import V4, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.targets.target import Target

__all__ = ["SeenTargets"]

_SLOT_BITS: Final = 16
_SLOT_NUMBERS: Final = 1 << _SLOT_BITS
#: Members above which a bit for each of 65,536 numbers takes less than two octets a member.
_MIN_DENSE_MEMBERS: Final = _SLOT_NUMBERS // 16

_DIGEST_OCTETS: Final = 10
#: Octets of a digest that select its bucket, and octets stored in the bucket.
_KEY_OCTETS: Final = 2
_KEPT_OCTETS: Final = _DIGEST_OCTETS - _KEY_OCTETS


class SeenTargets:
    """The targets seen so far."""

    def __init__(self) -> None:
        self._v4: dict[int, _Numbers] = {}
        self._digests: dict[bytes, bytearray] = {}

    def add_target(self, target: Target) -> bool:
        """Add a target; return whether it is new."""
        address = parse_address(target.text) if target.kind == "ip" else None
        if address is None:
            return self._add(target.text.encode())
        version, number = address
        return any(self._new(Span(version, number, number)))

    def add_span(self, span: Span) -> Iterator[Span]:
        """Add addresses, and yield those that are new, neighbours as one span."""
        pending: Span | None = None
        for start, end in self._new(span):
            if pending is not None and pending.last + 1 == start:
                pending = pending._replace(last=end - 1)
                continue
            if pending is not None:
                yield pending
            pending = Span(span.version, start, end - 1)
        if pending is not None:
            yield pending

    def _new(self, span: Span) -> Iterator[tuple[int, int]]:
        """Yield the new numbers of a span as ranges (start, end), end excluded, in order."""
        version, first, last = span
        if version != V4:
            for number in range(first, last + 1):
                if self._add(number.to_bytes(16)):
                    yield number, number + 1
            return
        for high in range(first >> _SLOT_BITS, (last >> _SLOT_BITS) + 1):
            base = high << _SLOT_BITS
            numbers = self._v4.setdefault(high, _Numbers())
            for start, end in numbers.add_range(
                max(first - base, 0), min(last - base, _SLOT_NUMBERS - 1) + 1
            ):
                yield base + start, base + end

    def _add(self, octets: bytes) -> bool:
        digest = blake2b(octets, digest_size=_DIGEST_OCTETS).digest()
        kept = self._digests.setdefault(digest[:_KEY_OCTETS], bytearray())
        tail = digest[_KEY_OCTETS:]
        place = kept.find(tail)
        while place >= 0 and place % _KEPT_OCTETS:  # a match across two digests
            place = kept.find(tail, place + 1)
        if place >= 0:
            return False
        kept += tail
        return True


class _Numbers:
    """A set of numbers below 65,536: sorted, or as bits once there are many."""

    __slots__ = ("_bits", "_sorted")

    def __init__(self) -> None:
        self._sorted = array("H")
        self._bits: bytearray | None = None

    def add_range(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Add the numbers from `start` up to before `end`; yield the ranges that are new."""
        if self._bits is None and len(self._sorted) + end - start < _MIN_DENSE_MEMBERS:
            for number in range(start, end):
                place = bisect_left(self._sorted, number)
                if place == len(self._sorted) or self._sorted[place] != number:
                    self._sorted.insert(place, number)
                    yield number, number + 1
            return
        bits = self._dense()
        octet_bits = 8
        number = start
        while number < end:
            octet = number >> 3
            if not number & 7 and end - number >= octet_bits and bits[octet] in {0, 0xFF}:
                # A whole octet at a time: a /8 has two million of them.
                if not bits[octet]:
                    bits[octet] = 0xFF
                    yield number, number + octet_bits
                number += octet_bits
                continue
            bit = 1 << (number & 7)
            if not bits[octet] & bit:
                bits[octet] |= bit
                yield number, number + 1
            number += 1

    def _dense(self) -> bytearray:
        if self._bits is None:
            self._bits = bytearray(_SLOT_NUMBERS // 8)
            for number in self._sorted:
                self._bits[number >> 3] |= 1 << (number & 7)
            self._sorted = array("H")
        return self._bits
