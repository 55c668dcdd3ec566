r"""Records as lines of a master file (RFC 1035 §5.1): names and texts escaped, owners absolute.

Names and texts may hold any octets, and some have a meaning in a master file: `;` begins a
comment, `(` a group, `"` a text, `$` a directive, `@` is the origin. So all octets but the usual
characters of names are escaped, as `\X` or `\DDD`, and no line depends on its place in the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from auditor.wire.codes import AAAA, MX, SOA, A
from auditor.wire.names import labels_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.wire.records import Rdata, Soa

__all__ = ["MAX_STRING", "absolute_name", "quoted_text", "rdata_text"]

#: Octets of one string of a TXT record (RFC 1035 §3.3).
MAX_STRING: Final = 255

_PLAIN_IN_NAMES: Final = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*/+="
)
_PRINTABLE: Final = range(0x21, 0x7F)
_PLAIN_IN_TEXTS: Final = frozenset((0x20, *_PRINTABLE)) - frozenset(b'"\\')


def absolute_name(name: str) -> str:
    """Return a name (any presentation form) with its final dot, as any zone may hold it.

    Raises WireError if it is not a name.
    """
    labels = ["".join(_escaped(label, _PLAIN_IN_NAMES)) for label in labels_of(name)]
    return ".".join((*labels, "")) if labels else "."


def quoted_text(text: bytes) -> str:
    """Return the text of a TXT record as one or several strings in quotes.

    No string is longer than 255 octets; SPF verifiers concatenate them without spaces (RFC 7208
    §3.3), so a cut may be anywhere.
    """
    strings = [text[at : at + MAX_STRING] for at in range(0, len(text), MAX_STRING)] or [b""]
    return " ".join(map(_quoted, strings))


def rdata_text(rdtype: int, rdata: Rdata) -> str:
    """Return the RDATA of a record in master file format, all names absolute.

    Raw octets are written as the RDATA of an unknown type (RFC 3597 §5). Raises WireError.
    """
    if isinstance(rdata, bytes):
        return f"\\# {len(rdata)} {rdata.hex()}".rstrip()
    if isinstance(rdata, str):
        return rdata if rdtype in {A, AAAA} else absolute_name(rdata)
    if rdtype == SOA:
        mname, rname, *numbers = cast("Soa", rdata)
        return " ".join((absolute_name(mname), absolute_name(rname), *map(str, numbers)))
    if rdtype == MX:
        preference, host = cast("tuple[int, str]", rdata)
        return f"{preference} {absolute_name(host)}"
    return " ".join(map(_quoted, cast("tuple[bytes, ...]", rdata)))


def _quoted(string: bytes) -> str:
    return f'"{"".join(_escaped(string, _PLAIN_IN_TEXTS))}"'


def _escaped(octets: bytes, plain: frozenset[int]) -> Iterator[str]:
    for octet in octets:
        if octet in plain:
            yield chr(octet)
        elif octet in _PRINTABLE:
            yield f"\\{chr(octet)}"
        else:
            yield f"\\{octet:03d}"
