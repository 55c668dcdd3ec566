"""One item of text → a span of addresses or a domain, or one line that says why not.

Nothing here knows of files or lines: any text gives an item or a TargetError.
"""

from __future__ import annotations

import re
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple, TypeAlias

from auditor.errors import TargetError
from auditor.targets.domains import Name, parse_domain, plain_domain
from auditor.targets.quoting import printable, quoted
from auditor.targets.spans import MAPPED, V4, V6, Span, address_text, parse_address
from auditor.targets.target import Origin, Target

__all__ = [
    "MAX_V6_SPAN",
    "SHORTEST_V6_PREFIX",
    "Entry",
    "Spread",
    "invalid",
    "parse_item",
    "read_item",
    "single",
]

#: An IPv6 prefix shorter than this is refused, and so is a longer range.
SHORTEST_V6_PREFIX: Final = 112
MAX_V6_SPAN: Final = 1 << 128 - SHORTEST_V6_PREFIX

_BITS: Final = {V4: 32, V6: 128}
_ANYTHING: Final = "an address, a prefix, a range a-b or a domain such as mail.example.net"
_EXPECTED: Final = "expected one address, prefix, range a-b or domain"
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,2}")
_OCTET: Final = 0xFF
_PORT: Final = re.compile(r"\[?([^\[\]:]+|\[.*)\]?:[0-9]{1,5}", re.DOTALL)
_ASIDE: Final = re.compile(r"[\s,;]")
_DIGITS: Final = frozenset("0123456789")
_NEW: Final = tuple.__new__


class Spread(NamedTuple):
    """A span of more than one address, and where it came from."""

    span: Span
    origin: Origin


#: What one line gives.
Entry: TypeAlias = "Target | Spread"


def read_item(text: str, origin: Origin) -> Entry:
    """Return the target, or the span of targets, that `text` is; never raises.

    `text` carries no surrounding white space. What is no item becomes an invalid target.
    """
    target: Target
    if ":" not in text:  # the two cases that lists are made of
        try:
            if text[-1:] in _DIGITS:
                inet_pton(AF_INET, text)  # takes the canonical form only
                target = _NEW(Target, (text, "ip", V4, origin, None))
                return target
        except (OSError, ValueError):
            pass
        name = plain_domain(text)
        if name:
            target = _NEW(Target, (name, "domain", 0, origin, None))
            return target
    try:
        item = parse_item(text)
    except TargetError as error:
        return invalid(text, origin, str(error))
    if isinstance(item, Name):
        return Target(item.text, "domain", 0, origin)
    if item.first == item.last:
        return single(item, origin)
    return Spread(item, origin)


def single(span: Span, origin: Origin) -> Target:
    """Return the target of a span of one address."""
    return Target(address_text(span.version, span.first), "ip", span.version, origin)


def invalid(text: str, origin: Origin, error: str) -> Target:
    """Return the target that stands for a line that is none."""
    return Target(printable(text), "invalid", 0, origin, error)


def parse_item(text: str, *, bounded: bool = True) -> Span | Name:
    """Return what `text` says: an address, a prefix, a range (as a span) or a domain.

    Without `bounded` an IPv6 span may have any size. Raises TargetError with one printable
    line that says what is wrong and what was expected.
    """
    text = text.strip()
    name = plain_domain(text)
    if name:  # no address, prefix or range has a top-level domain
        return Name(name)
    address = parse_address(text)
    if address is not None:
        version, number = address
        return Span(version, number, number)
    if "/" in text:
        return _parse_prefix(text, bounded=bounded)
    if "-" in text:
        span = _parse_range(text, bounded=bounded)
        if span is not None:
            return span
    complaint = _unlike_a_name(text)
    if complaint:
        raise TargetError(f"{quoted(text)} {complaint}")
    return Name(parse_domain(text, _ANYTHING))


def _parse_prefix(text: str, *, bounded: bool) -> Span:
    address, _, length = text.partition("/")
    try:
        packed = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    except (OSError, ValueError):
        raise TargetError(f"{quoted(text)} {_not_a_prefix(text)}") from None
    version = V6 if len(packed) > 4 else V4  # noqa: PLR2004 - octets of an IPv4 address
    bits = _BITS[version]
    if not _NUMBER.fullmatch(length) or int(length) > bits:
        raise TargetError(f"{quoted(text)} has no prefix length from 0 to {bits} after the slash")
    first, hosts = int.from_bytes(packed), (1 << bits - int(length)) - 1
    if first & hosts:
        # Nearly always a slip: one address was meant, or another network.
        network = address_text(version, first & ~hosts)
        raise TargetError(
            f"{quoted(text)} has host bits set; the network is {network}/{length}, "
            f"the address alone is {address_text(version, first)}"
        )
    if version == V6 and int(length) >= 8 * len(MAPPED) and packed.startswith(MAPPED):
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
        raise TargetError(f"{quoted(text)} is not a range: no address before the dash")
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


def _not_a_prefix(text: str) -> str:
    """Return what is wrong with a text that has a slash, but no address before it."""
    scheme, found, rest = text.partition("://")
    if found:
        host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
        return f"is a URL ({printable(scheme, 10)}); expected only its host, {quoted(host)}"
    if "%" in text.partition("/")[0]:
        return f"has a scoped address; {_EXPECTED}, without the %zone"
    return f"has no address before the slash; {_EXPECTED}"


def _unlike_a_name(text: str) -> str:
    """Return what is wrong with a text that cannot be a domain, "" if it may be one."""
    port = _PORT.fullmatch(text) and (text.startswith("[") or text.count(":") == 1)
    complaints = (
        (_ASIDE.search(text), f"has more than one item on the line; {_EXPECTED}"),
        (
            "@" in text,
            f"is an e-mail address; expected its domain, {quoted(text.rpartition('@')[2])}",
        ),
        ("%" in text and ":" in text, f"is a scoped address; {_EXPECTED}, without the %zone"),
        (port, f"has a port; {_EXPECTED}, without the port"),
        (text.startswith("["), f"has brackets around it; {_EXPECTED}, without the brackets"),
        (":" in text, f"is not an IPv6 address; {_EXPECTED}"),
    )
    return next((complaint for wrong, complaint in complaints if wrong), "")
