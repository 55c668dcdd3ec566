"""Error messages for text that is not a target: what is wrong, and what to write instead.

Loaded for invalid lines only. A suggestion is made only if it would be accepted.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.quoting import printable, quoted
from auditor.wire.addresses import V4, format_address, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["named_fault"]

_EXPECTED: Final = "expected one address, prefix, range a-b or domain"

#: Characters of a line that are searched for addresses, and addresses that are named.
_MAX_SEARCHED_CHARACTERS: Final = 4096
_MAX_NAMED: Final = 3

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?([^/?#]*)")
_PORT: Final = re.compile(r"\[?([^\[\]]*?)\]?:[0-9]{1,5}")
_AFTER_AT: Final = re.compile(r"@([^@\s<>()\[\],;:?/#\"']+)")
_SPF_TERM: Final = re.compile(
    r"[-+?~]?(?:ip4|ip6|a|mx|ptr|include|exists|redirect|exp)[:=](.*)", re.IGNORECASE
)
#: Beginnings of SPF terms that no address has; `a:` may begin an IPv6 address.
_CLEAR_TERM: Final = re.compile(
    r"[-+?~]?(?:ip4|ip6|ptr|include|exists|redirect|exp)[:=]", re.IGNORECASE
)
_LITERAL: Final = re.compile(r"<?[^@\s]*@\[(?:IPv6:)?([0-9A-Fa-f:.]+)\]>?", re.IGNORECASE)
_PATH: Final = re.compile(r"(?:[A-Za-z]+:)?/+([^/\s]+)(?:/.*)?|([^/\s]+)/.*")
_DASHES: Final = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_NETMASK: Final = re.compile(
    r"([0-9.]+)(?:\s*/\s*|\s+(?:netmask\s+|mask\s+)?)([0-9]+(?:\.[0-9]+){3})"
)
_WILDCARD: Final = re.compile(r"((?:[0-9]{1,3}\.){1,3})[*xX](\.[*xX])*")
_DOTTED_RANGE: Final = re.compile(
    r"([0-9a-fA-F.:]{2,45}?)\.{2,3}([0-9a-fA-F:]?[0-9a-fA-F.:]{0,44})"
)
_SHORT_PREFIX: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3}){0,2})\.?(/[0-9]{1,2})?")
_LEADING_ZEROS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){3}(/[0-9]{1,3})?")
_PADDED: Final = re.compile(r"\b0+(?=[0-9])")
_ADDRESS: Final = re.compile(
    r"(?<![\w.:])(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}"
    r"(?:\.[0-9]{1,3}){0,3})(?![\w.]*\w)"
)
#: Characters around items in texts, including typographic quotes and invisible characters.
_PUNCTUATION: Final = (
    " \t\"'`,;:|<>()[]{}"
    "\u00ab\u00bb\u2018\u2019\u201a\u201c\u201d\u201e"
    "\u200b\u200e\u200f\u202a\u202c\u2060\ufeff"
)
_ASIDE: Final = re.compile(r"[\s,;|]")


class _Fault(NamedTuple):
    """A possible fault, what was expected, and a text to write instead, "" for none.

    Unless `sure`, it is a fault only if that text is accepted.
    """

    complaint: str
    expected: str = _EXPECTED
    suggestion: str = ""
    sure: bool = True


def named_fault(text: str, accepts: Callable[[str], bool]) -> str:
    """Return what is wrong with `text` and what was expected, "" if nothing specific is known.

    `accepts` tells whether a text would be an item.
    """
    for complaint, expected, suggestion, sure in _faults(text):
        shown = quoted(suggestion)
        if suggestion and shown == f"'{suggestion}'" and accepts(suggestion):
            return f"{complaint}; {expected}, {shown}"
        if sure:
            return f"{complaint}; {_EXPECTED if suggestion else expected}"
    return ""


def _faults(text: str) -> Iterator[_Fault]:
    """Yield possible faults, the likeliest first."""
    if text.startswith("zone:"):
        yield _Fault("is a zone, which scans read", f"{_EXPECTED} here")
    match = _SCHEME.match(text)
    if match:
        scheme = printable(match[1], 10)
        yield _Fault(f"is a URL ({scheme})", "expected only its host", _host(match[2]) or "-")
    yield from _address_faults(text)
    yield from _term_faults(text)
    yield from _letter_faults(text)
    inside = text.strip(_PUNCTUATION)
    if inside != text:
        yield _Fault("has punctuation around it", "expected what is inside", inside, sure=False)
    match = _LITERAL.fullmatch(text)
    if match:
        yield _Fault("is an e-mail address", "expected its address", match[1], sure=False)
    several = _ASIDE.search(text) is not None
    if (several or "[" in text[1:]) and (named := _addresses_in(text)):
        yield _Fault(f"has more than one item on the line; found {named} in it")
    if "@" in text:
        domain = _AFTER_AT.search(text)
        yield _Fault("is an e-mail address", "expected its domain", domain[1] if domain else "@")
    if several:
        yield _Fault("has more than one item on the line")
    if "%" in text and ":" in text:
        yield _Fault("is a scoped address", f"{_EXPECTED}, without the %zone")
    if _PORT.fullmatch(text) and (text.startswith("[") or text.count(":") == 1):
        yield _Fault("has a port", "expected only its host", _host(text) or "-")
    if ":" in text and "/" not in text:
        yield _Fault("is not an IPv6 address")


def _term_faults(text: str) -> Iterator[_Fault]:
    """Yield faults of terms of an SPF record, and then of a URL without its scheme."""
    match = _SPF_TERM.fullmatch(text)
    if match:
        complaint, expected = "is a term of an SPF record", "expected what it names"
        yield _Fault(complaint, expected, match[1], sure=False)
        host = match[1].partition("/")[0]
        if parse_address(host) is None:  # cutting the path off a network would give another address
            yield _Fault(complaint, expected, host, sure=False)
        if _CLEAR_TERM.match(text):
            yield _Fault(complaint)
    match = _PATH.fullmatch(text)
    host = (match[1] or match[2]) if match else ""
    if host and parse_address(host) is None:
        yield _Fault("has a path", "expected only its host", host, sure=False)


def _letter_faults(text: str) -> Iterator[_Fault]:
    """Yield faults in the letters of a name, or in a prefix before it."""
    plain = unicodedata.normalize("NFKC", text[:_MAX_SEARCHED_CHARACTERS]).replace("\u3002", ".")
    if plain != text:
        yield _Fault("has letters of another width", "expected plain ones", plain, sure=False)
    if text.endswith(".") and parse_address(text[:-1]) is not None:
        yield _Fault("ends in a dot", "expected the address", text[:-1], sure=False)
    for sign, description in (("*.", "a wildcard"), (".", "a dot")):
        if text.startswith(sign):
            name = text.removeprefix(sign)
            yield _Fault(f"begins with {description}", "expected the domain", name, sure=False)


def _address_faults(text: str) -> Iterator[_Fault]:
    """Yield notations of addresses that are not accepted."""
    plain = _DASHES.sub("-", text)
    if plain != text and len(text) < _MAX_SEARCHED_CHARACTERS:
        dash = next(character for character in text if _DASHES.match(character))
        yield _Fault(
            f"has a dash ({dash}) that is no hyphen", "expected a range", plain, sure=False
        )
    joined = "/".join(part.strip() for part in text.split("/"))
    if joined != text:
        yield _Fault("has a space beside the slash", "expected a prefix", joined, sure=False)
    match = _NETMASK.fullmatch(text)
    if match:
        length = _mask_length(match[2])
        if length is not None:
            yield _Fault("has a netmask", "expected a prefix", _network(match[1], length))
    match = _WILDCARD.fullmatch(text)
    if match:
        octets = match[1].count(".")
        network = match[1] + ".".join("0" * (4 - octets))
        yield _Fault("has a wildcard", "expected a prefix", f"{network}/{8 * octets}", sure=False)
    match = _DOTTED_RANGE.fullmatch(text)
    if match:
        yield _Fault("has dots between", "expected a range", f"{match[1]}-{match[2]}", sure=False)
    yield from _short_prefix_faults(text)
    if _LEADING_ZEROS.fullmatch(text) and _PADDED.search(text):
        # Some programs read these octets as octal numbers, so there is no suggestion.
        decimal = _PADDED.sub("", text)
        yield _Fault("has leading zeros", "expected decimal octets without them", decimal)


def _short_prefix_faults(text: str) -> Iterator[_Fault]:
    """Yield the prefix that a text without some octets, or without a length, may mean."""
    match = _SHORT_PREFIX.fullmatch(text)
    if match is None:
        return
    octets = match[1].count(".") + 1
    if octets > 1 or match[2]:
        network = match[1] + ".0" * (4 - octets) + (match[2] or f"/{8 * octets}")
        yield _Fault("has too few octets", "expected a prefix", network, sure=False)


def _network(address: str, length: int) -> str:
    """Return the prefix that an address with a netmask is in."""
    number = parse_address(address)
    if number is None:
        return f"{address}/{length}"
    hosts = (1 << 32 - length) - 1
    return f"{format_address(V4, number[1] & ~hosts)}/{length}"


def _mask_length(mask: str) -> int | None:
    """Return the prefix length of a netmask, or of the inverse of one; None if it is neither."""
    address = parse_address(mask)
    if address is None:
        return None
    number = address[1]
    for bits in (number, number ^ 0xFFFFFFFF):
        ones = f"{bits:032b}".rstrip("0")
        if "0" not in ones:
            return len(ones)
    return None


def _host(text: str) -> str:
    """Return the host of `host:port`, without the brackets of an IPv6 address."""
    port = _PORT.fullmatch(text)
    return (port[1] if port else text).strip("[]")


def _addresses_in(text: str) -> str:
    """Return the first addresses in a text, for a message; "" without any."""
    hints: dict[str, None] = {}
    for match in _ADDRESS.finditer(text[:_MAX_SEARCHED_CHARACTERS]):
        if match[0] != "::" and parse_address(match[0]) is not None:
            hints[match[0]] = None
        if len(hints) > _MAX_NAMED:
            break
    named = list(hints)[:_MAX_NAMED]
    return ", ".join(named) + (", ..." if len(hints) > _MAX_NAMED else "")
