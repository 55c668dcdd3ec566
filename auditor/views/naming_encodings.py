"""How PTR names spell addresses: octets in decimal, with leading zeros, in hex; nibbles; groups.

`encodings` are the ways to spell the part of an address that varies in a network; `spelled` says
which octets the rest of a name spells, as the text of a template (see `naming_templates`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from string import Formatter
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.wire.addresses import V4, V6, format_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from auditor.views.prefixes import Network

__all__ = ["Encoding", "encodings", "placed", "spelled"]

_OCTETS: Final = 256
_REST_BITS: Final = 80
_GROUP_DIGITS: Final = 4
_SEPARATORS: Final = ("-", ".", "_", "x", "")
#: Orders of the other octets that end in one of them, right before the last; the longest first.
_ENDING_IN: Final = {3: ((1, 2, 3), (2, 3), (3,)), 1: ((3, 2, 1), (1,)), 2: ((1, 2), (2,))}
#: The same of those that begin with one of them, right after the last.
_BEGINNING_WITH: Final = {3: ((3, 2, 1), (3, 2), (3,)), 1: ((1, 2, 3), (1,)), 2: ((2, 1), (2,))}


_OTHER_OCTETS: Final = frozenset("123")


class Encoding(NamedTuple):
    """A way to spell the end of an address: `text` of a network and an offset into it.

    `field` is what stands for it in a template. Of IPv4, `spec` is how an octet is formatted, and
    `table` has the texts of all 256.
    """

    field: str
    text: Callable[[Network, int], bytes]
    spec: str = ""
    table: tuple[bytes, ...] = ()


def _octet_encoding(spec: str) -> Encoding:
    table = tuple(format(octet, spec).encode() for octet in range(_OCTETS))

    def text(_: Network, offset: int) -> bytes:
        return table[offset]

    return Encoding(_field(4, spec), text, spec, table)


def _field(octet: int, spec: str) -> str:
    return f"{{{octet}:{spec}}}" if spec else f"{{{octet}}}"


_V4_ENCODINGS: Final = tuple(map(_octet_encoding, ("", "03", "02x", "x", "02")))


def _v6_encoding(form: str, separator: str, *, backwards: bool = False) -> Encoding:
    def text(network: Network, offset: int) -> bytes:
        number = network[1] << _REST_BITS | offset
        if form == "address":
            return format_address(V6, number).replace(":", separator).encode()
        digits = f"{number:032x}"
        if form == "nibbles":
            return separator.join(digits[::-1] if backwards else digits).encode()
        start = len(digits) // 2 if form == "iid" else 0
        return separator.join(
            digits[at : at + _GROUP_DIGITS] for at in range(start, len(digits), _GROUP_DIGITS)
        ).encode()

    words = [form, *([separator] if separator else []), *(["reversed"] if backwards else [])]
    return Encoding(f"{{{':'.join(words)}}}", text)


_V6_ENCODINGS: Final = (
    *(_v6_encoding("nibbles", separator) for separator in ("", "-", ".")),
    *(_v6_encoding("nibbles", separator, backwards=True) for separator in ("", "-", ".")),
    *(_v6_encoding(form, separator) for form in ("groups", "address") for separator in "-."),
    *(_v6_encoding("iid", separator) for separator in ("", "-", ".")),
)


def encodings(version: int) -> Sequence[Encoding]:
    """Return the ways to spell the end of an address of an IP version."""
    return _V4_ENCODINGS if version == V4 else _V6_ENCODINGS


def spelled(network: Network, before: bytes, after: bytes, encoding: Encoding) -> list[str]:
    """Return the templates that names of a network may follow, the likeliest first.

    `before` and `after` are what stands around its encoded end. More than one, where a number may
    be an octet by chance, or equals two of them. Braces of a name are doubled.
    """
    head, tail = (_literal(text) for text in (before, after))
    if network[0] != V4:
        return [head + encoding.field + tail]
    found: dict[str, None] = {}
    numbers = network[1] >> 16 & 255, network[1] >> 8 & 255, network[1] & 255
    spec = encoding.spec
    heads = list(_ending_in(head, numbers, spec))
    tails = list(_beginning_with(tail, numbers, spec))
    for left in heads:
        found[left + encoding.field + tail] = None
    for right in tails:
        found[head + encoding.field + right] = None
    # Octets on both sides of the last: `{3}.{4}.{2}`.
    for left in heads:
        for right in tails:
            found[left + encoding.field + right] = None
    order = sorted(found, key=_octets_spelled, reverse=True)
    whole = [head + encoding.field + tail]
    apart = [text for text in map(_with_third(numbers[2]), (*order, *whole)) if text not in found]
    return list(dict.fromkeys((*order, *whole, *apart)))


@lru_cache(maxsize=1024)
def _parsed(template: str) -> list[tuple[str, str | None, str]]:
    return [(text, field, spec or "") for text, field, spec, _ in Formatter().parse(template)]


def placed(template: str, network: Network) -> tuple[bytes, bytes]:
    """Return the texts before and after the end of an address in a template of `spelled`."""
    numbers = network[1] >> 16 & 255, network[1] >> 8 & 255, network[1] & 255
    parts, text = [], ""
    for literal, field, spec in _parsed(template):
        text += literal
        if field in _OTHER_OCTETS:
            text += format(numbers[int(field) - 1], spec)
        elif field is not None:
            parts.append(text)
            text = ""
    return "".join(parts).encode(), text.encode()


def _ending_in(text: str, numbers: Sequence[int], spec: str) -> Iterator[str]:
    """Yield a text that ends in other octets, with fields in place of them."""
    for separator in _SEPARATORS:
        if not text.endswith(separator):
            continue
        for last, orders in _ENDING_IN.items():
            if not text.endswith(format(numbers[last - 1], spec) + separator):
                continue
            for order in orders:
                end = _joined(order, numbers, spec, separator) + separator
                rest = text.removesuffix(end)
                if rest != text and not _is_cut(rest[-1:], spec):
                    yield rest + separator.join(_field(octet, spec) for octet in order) + separator


def _beginning_with(text: str, numbers: Sequence[int], spec: str) -> Iterator[str]:
    """Yield a text that begins with other octets, with fields in place of them."""
    for separator in _SEPARATORS:
        if not text.startswith(separator):
            continue
        for first, orders in _BEGINNING_WITH.items():
            if not text.startswith(separator + format(numbers[first - 1], spec)):
                continue
            for order in orders:
                start = separator + _joined(order, numbers, spec, separator)
                rest = text.removeprefix(start)
                if rest != text and not _is_cut(rest[:1], spec):
                    yield separator + separator.join(_field(octet, spec) for octet in order) + rest


def _joined(order: Sequence[int], numbers: Sequence[int], spec: str, separator: str) -> str:
    return separator.join(format(numbers[octet - 1], spec) for octet in order)


def _is_cut(neighbour: str, spec: str) -> bool:
    """Tell whether a number continues beyond the digits that look like an octet."""
    return neighbour.isdigit() or (spec == "x" and neighbour in {*"abcdef"})


def _with_third(number: int) -> Callable[[str], str]:
    """Return what puts a field in place of the third octet if it stands once, by itself."""
    pattern = re.compile(rf"(?<![0-9{{:]){number}(?![0-9}}])")

    def put(text: str) -> str:
        return pattern.sub("{3}", text) if len(pattern.findall(text)) == 1 else text

    return put


def _octets_spelled(template: str) -> int:
    return template.count("{")


def _literal(text: bytes) -> str:
    return text.decode("ascii", "replace").replace("{", "{{").replace("}", "}}")
