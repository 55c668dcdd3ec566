"""Parses one item of text: an address, prefix, range or domain.

Independent of files and lines: any text gives an item or a TargetError.
"""

from __future__ import annotations

import re
from socket import AF_INET, AF_INET6, inet_pton
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from auditor.errors import TargetError
from auditor.quoting import printable, quoted
from auditor.targets.domains import Name, parse_domain, plain_domain
from auditor.targets.spans import Span
from auditor.targets.target import Origin, Target
from auditor.wire.addresses import MAPPED_PREFIX, V4, V6, format_address, parse_address
from auditor.wire.reverse import (
    Prefix,
    classless_address,
    classless_block,
    is_reverse,
    reverse_prefix,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "MAX_V6_SPAN",
    "SHORTEST_V6_PREFIX",
    "ZONE_TARGET",
    "Entry",
    "SlashMeaning",
    "SpanEntry",
    "invalid",
    "parse_item",
    "read_item",
    "single",
]

#: An IPv6 prefix shorter than this is refused, and so is a longer range.
SHORTEST_V6_PREFIX: Final = 112
MAX_V6_SPAN: Final = 1 << 128 - SHORTEST_V6_PREFIX

#: Prefix of an item that is a zone: all addresses in it, where zones can be read.
ZONE_TARGET: Final = "zone:"

#: Meaning of an address with a length. `prefix`: a prefix, and `192.0.2.5/24` is refused, since
#: host bits are mostly a mistake. `either`: with host bits the address, without them the prefix.
#: `address`: always the address, as on an interface.
SlashMeaning: TypeAlias = Literal["prefix", "either", "address"]

_BITS: Final = {V4: 32, V6: 128}
_ANYTHING: Final = "an address, a prefix, a range a-b or a domain such as mail.example.net"
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,2}")
_OCTET: Final = 0xFF
_DIGITS: Final = frozenset("0123456789")
_ARPA: Final = ".arpa"
_WILDCARD: Final = ".x"
_MAPPED_NUMBER: Final = int.from_bytes(MAPPED_PREFIX)
_NEW: Final = tuple.__new__


class _VagueError(TargetError):
    """A text without the form of an item: `item_hints` may have a better message."""


class _HostBitsError(TargetError):
    """An address with a length and host bits: scans have an option that reads the address."""


class SpanEntry(NamedTuple):
    """A span of more than one address, and where it came from."""

    span: Span
    origin: Origin


#: The result of one input line.
Entry: TypeAlias = "Target | SpanEntry"


def read_item(text: str, origin: Origin, slash: SlashMeaning = "prefix") -> Entry:
    """Return the target, or the span of targets, that `text` is; never raises.

    `text` has no surrounding white space. A text that is not an item becomes an invalid target.
    """
    target: Target
    if ":" not in text:  # the two most common kinds
        try:
            if text[-1:] in _DIGITS:
                inet_pton(AF_INET, text)  # takes the canonical form only
                target = _NEW(Target, (text, "ip", V4, origin, None))
                return target
        except (OSError, ValueError):
            pass
        name = plain_domain(text)
        if name and name[-5:] != _ARPA and name[-2:] != _WILDCARD:
            target = _NEW(Target, (name, "domain", 0, origin, None))
            return target
    try:
        item = parse_item(text, slash=slash)
    except TargetError as error:
        hint = " (scan --interfaces reads it so)" if isinstance(error, _HostBitsError) else ""
        return invalid(text, origin, f"{error}{hint}")
    if isinstance(item, Name):
        return Target(item.text, "domain", 0, origin)
    if item.first == item.last:
        return single(item, origin)
    return SpanEntry(item, origin)


def single(span: Span, origin: Origin) -> Target:
    """Return the target of a span of one address."""
    return Target(format_address(span.version, span.first), "ip", span.version, origin)


def invalid(text: str, origin: Origin, error: str) -> Target:
    """Return the target that represents an invalid line."""
    return Target(printable(text), "invalid", 0, origin, error)


def parse_item(
    text: str,
    *,
    bounded: bool = True,
    slash: SlashMeaning = "prefix",
    wanted: Callable[[Span | Name], bool] = lambda _: True,
) -> Span | Name:
    """Return the item `text`: an address, a prefix or a range as a span, or a domain.

    The reverse name of an address or a prefix gives that address or prefix. Without `bounded` an
    IPv6 span may have any size. Raises TargetError with one printable line: what is wrong and
    what was expected; a suggestion must be `wanted`.
    """
    text = text.strip()
    try:
        return _parse(text, bounded=bounded, slash=slash)
    except _VagueError as error:
        from auditor.targets.item_hints import named_fault  # noqa: PLC0415 - for wrong lines only

        def accepts(suggestion: str) -> bool:
            try:
                return wanted(_parse(suggestion, bounded=bounded, slash="prefix"))
            except TargetError:
                return False

        fault = named_fault(text, accepts)
        raise TargetError(f"{quoted(text)} {fault}" if fault else str(error)) from None


def _parse(text: str, *, bounded: bool, slash: SlashMeaning) -> Span | Name:
    if is_reverse(text.lower().removesuffix(".")):
        return _parse_reverse(text, bounded=bounded)
    name = plain_domain(text)
    if name and not _is_wildcard(name):  # no address, prefix or range has a top-level domain
        return Name(name)
    address = parse_address(text)
    if address is not None:
        version, number = address
        return Span(version, number, number)
    if "/" in text:
        return _parse_prefix(text, bounded=bounded, slash=slash)
    if "-" in text:
        span = _parse_range(text, bounded=bounded)
        if span is not None:
            return span
    if name:
        raise _VagueError(f"{quoted(text)} has a wildcard; expected {_ANYTHING}")
    try:
        return Name(parse_domain(text, _ANYTHING))
    except TargetError as error:
        raise _VagueError(str(error)) from None


def _is_wildcard(name: str) -> bool:
    """Tell whether a text is an address with x as a wildcard, and no domain: 192.0.2.x."""
    labels = name.split(".")
    return (
        name.endswith(_WILDCARD)
        and labels[0].isdigit()
        and all(label == "x" or label.isdigit() for label in labels)
    )


def _parse_reverse(text: str, *, bounded: bool) -> Span:
    """Return the address or the prefix of a name under in-addr.arpa or ip6.arpa."""
    name = text.lower().removesuffix(".")
    prefix = reverse_prefix(name)
    if prefix is not None:
        return _span(text, prefix, bounded=bounded)
    item = classless_address(name) or classless_block(name)
    if item is not None:
        raise TargetError(
            f"{quoted(text)} is a name of a classless delegation (RFC 2317); "
            f"expected what it stands for, {quoted(item)}"
        )
    raise TargetError(
        f"{quoted(text)} is in the reverse tree, but not the name of an address or a prefix; "
        "expected one such as 5.2.0.192.in-addr.arpa, or the address itself"
    )


def _parse_prefix(text: str, *, bounded: bool, slash: SlashMeaning) -> Span:
    address, _, length = text.partition("/")
    try:
        packed = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    except (OSError, ValueError):
        raise _VagueError(
            f"{quoted(text)} has no address before the slash; expected {_ANYTHING}"
        ) from None
    version = V6 if len(packed) > 4 else V4  # noqa: PLR2004 - octets of an IPv4 address
    bits = _BITS[version]
    if not _NUMBER.fullmatch(length) or int(length) > bits:
        raise _VagueError(f"{quoted(text)} has no prefix length from 0 to {bits} after the slash")
    first, hosts = int.from_bytes(packed), (1 << bits - int(length)) - 1
    if slash == "address" or (slash == "either" and first & hosts):
        hosts, length = 0, str(bits)
    if first & hosts:
        # Nearly always a mistake: one address was meant, or another network.
        network = format_address(version, first & ~hosts)
        raise _HostBitsError(
            f"{quoted(text)} has host bits set; the network is {network}/{length}, "
            f"the address alone is {format_address(version, first)}"
        )
    return _span(text, Prefix(version, first, int(length)), bounded=bounded)


def _span(text: str, prefix: Prefix, *, bounded: bool) -> Span:
    """Return the addresses of a prefix; IPv4-mapped ones as IPv4."""
    version, first, length = prefix
    hosts = (1 << _BITS[version] - length) - 1
    if version == V6 and length >= 8 * len(MAPPED_PREFIX) and first >> 32 == _MAPPED_NUMBER:
        return Span(V4, first & 0xFFFFFFFF, (first | hosts) & 0xFFFFFFFF)
    if bounded and version == V6 and hosts >= MAX_V6_SPAN:
        raise TargetError(
            f"{quoted(text)} is shorter than /{SHORTEST_V6_PREFIX}: its {hosts + 1:,} addresses "
            f"are too many to look up one by one; expected /{SHORTEST_V6_PREFIX} to /128"
        )
    return Span(version, first, first | hosts)


def _parse_range(text: str, *, bounded: bool) -> Span | None:
    """Return the range `a-b` or `a.b.c.d-e`; None if `text` may be a name with a hyphen."""
    left, _, right = (part.strip() for part in text.partition("-"))
    low, high = parse_address(left), parse_address(right)
    if low is None:
        if high is None:
            return None
        raise _VagueError(f"{quoted(text)} is not a range: no address before the dash")
    version, first = low
    if high is None and version == V4 and _NUMBER.fullmatch(right) and int(right) <= _OCTET:
        high = (V4, first & ~_OCTET | int(right))  # 198.51.100.7-20
    if high is None:
        if version == V4 and not text.isascii():  # 203.0.113.7-büro.example.net
            return None
        raise TargetError(f"{quoted(text)} is not a range: no address after the dash")
    if high[0] != version:
        raise TargetError(
            f"{quoted(text)} mixes IPv4 and IPv6; expected a range within one of them"
        )
    last = high[1]
    if last < first:
        raise TargetError(f"{quoted(text)} runs backwards; expected the lower address first")
    if bounded and version == V6 and last - first >= MAX_V6_SPAN:
        raise TargetError(
            f"{quoted(text)} has {last - first + 1:,} addresses, too many to look up one by one; "
            f"expected an IPv6 range of at most {MAX_V6_SPAN:,}"
        )
    return Span(version, first, last)
