"""Decodes resource records: owner, fixed fields, RDATA, and the OPT record.

The only reader of RDATA; `message` reads the header and the sections. RDATA that does not fit its
type invalidates the whole message: `WireError` with the offset.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from auditor.errors import WireError
from auditor.wire.addresses import address_text
from auditor.wire.codes import AAAA, CNAME, DNAME, MX, NS, OPT, PTR, SOA, SPF, TXT, A
from auditor.wire.names import decode_name

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FIXED",
    "IN",
    "SMALLEST_RECORD",
    "Edns",
    "Rdata",
    "Record",
    "Soa",
    "read_name",
    "read_section",
]

IN: Final = 1  #: the class of the Internet

FIXED: Final = struct.Struct("!2HIH")  #: a record after its owner: type, class, TTL, length
SMALLEST_RECORD: Final = 1 + FIXED.size  #: octets: the root as owner, no RDATA

_IPV4: Final = 4  # octets
_IPV6: Final = 16
_MAX_TTL: Final = 0x7FFFFFFF
_DO: Final = 0x8000
_EDE: Final = 15  # the EDNS option of RFC 8914
_POINTER: Final = 0xC0
_POINTER_BITS: Final = 0x3F
_SHORT: Final = struct.Struct("!H")
_OPTION: Final = struct.Struct("!2H")
_SOA: Final = struct.Struct("!5I")


class Soa(NamedTuple):
    """The RDATA of an SOA record (RFC 1035 §3.3.13)."""

    mname: str
    rname: str
    serial: int
    refresh: int
    retry: int
    expire: int
    minimum: int


#: A, AAAA: the address as canonical text. PTR, NS, CNAME, DNAME: a name. MX: (preference,
#: name). TXT, SPF: the character-strings. SOA: `Soa`. Any other type: the raw RDATA.
Rdata: TypeAlias = str | tuple[int, str] | tuple[bytes, ...] | Soa | bytes


class Record(NamedTuple):
    """A resource record. A TTL with the top bit set is 0 (RFC 2181 §8)."""

    name: str
    rdtype: int
    rdclass: int
    ttl: int
    rdata: Rdata


class Edns(NamedTuple):
    """The content of an OPT record (RFC 6891 §6.1.3).

    `size`: the sender's UDP payload size. `upper_rcode`: the upper eight of the twelve bits.
    `ede`: the extended errors (RFC 8914) as (info code, text), the text safe for a terminal.
    """

    upper_rcode: int
    version: int
    size: int
    dnssec_ok: bool
    ede: tuple[tuple[int, str], ...]


def read_section(
    data: bytes,
    position: int,
    count: int,
    names: dict[int, str],
    *,
    records: list[Record],
    opts: list[Edns],
) -> int:
    """Read `count` records from `position` on and return the offset after them.

    They are added to `records` one by one, so that it has those before a fault; OPT records go
    to `opts` instead. Raises WireError.
    """
    for _ in range(count):
        owner, position = read_name(data, position, names)
        try:
            rdtype, rdclass, ttl, length = FIXED.unpack_from(data, position)
        except struct.error:
            raise WireError("a record that runs past the end", len(data)) from None
        position += FIXED.size
        end = position + length
        if end > len(data):
            raise WireError("RDATA that runs past the end", len(data))
        if rdtype == OPT:
            # The first OPT record counts; one that is not at the root (RFC 6891 §6.1.2) is
            # ignored. Neither invalidates the answers of the message.
            if owner == "." and not opts:
                opts.append(_edns(data, position, end, rdclass, ttl))
        else:
            read = _READERS.get(rdtype)
            # A and AAAA records have addresses in class IN only (RFC 1035 §3.4).
            if read is None or (rdclass != IN and read in _IN_ONLY):
                rdata: Rdata = data[position:end]
            else:
                rdata = read(data, position, end, names)
            records.append(Record(owner, rdtype, rdclass, ttl if ttl <= _MAX_TTL else 0, rdata))
        position = end
    return position


def read_name(data: bytes, position: int, names: dict[int, str]) -> tuple[str, int]:
    """Return the name at `position` and the offset after it, as `decode_name` does.

    `names` keeps the names of this message by offset: most owners are a pointer to the
    question, and each name is so read once.
    """
    try:
        first = data[position]
        if not first:
            return ".", position + 1
        if first >= _POINTER:
            known = names.get((first & _POINTER_BITS) << 8 | data[position + 1])
            if known is not None:
                return known, position + 2
    except IndexError:
        raise WireError("a name that runs past the end", len(data)) from None
    name, end = decode_name(data, position)
    names[position] = name
    return name, end


def _address(data: bytes, position: int, end: int, names: dict[int, str]) -> str:
    del names
    if end - position != _IPV4:
        raise WireError("an A record of other than 4 octets", position)
    return address_text(data[position:end])


def _address6(data: bytes, position: int, end: int, names: dict[int, str]) -> str:
    del names
    if end - position != _IPV6:
        raise WireError("an AAAA record of other than 16 octets", position)
    return address_text(data[position:end])


def _target(data: bytes, position: int, end: int, names: dict[int, str]) -> str:
    name, position = read_name(data, position, names)
    if position != end:
        raise WireError("a name that does not fill its RDATA", position)
    return name


def _mx(data: bytes, position: int, end: int, names: dict[int, str]) -> tuple[int, str]:
    if end - position <= _SHORT.size:
        raise WireError("an MX record without a name", position)
    preference = _SHORT.unpack_from(data, position)[0]
    return preference, _target(data, position + _SHORT.size, end, names)


def _strings(data: bytes, position: int, end: int, names: dict[int, str]) -> tuple[bytes, ...]:
    del names
    strings = []
    while position < end:
        start = position + 1
        position = start + data[position]
        strings.append(data[start:position])
    if position != end or not strings:  # "one or more" (RFC 1035 §3.3.14)
        raise WireError("character-strings that do not fill their RDATA", end)
    return tuple(strings)


def _soa(data: bytes, position: int, end: int, names: dict[int, str]) -> Soa:
    mname, position = read_name(data, position, names)
    rname, position = read_name(data, position, names)
    if end - position != _SOA.size:
        raise WireError("an SOA record without its five numbers", position)
    return Soa(mname, rname, *_SOA.unpack_from(data, position))


_READERS: Final[dict[int, Callable[[bytes, int, int, dict[int, str]], Rdata]]] = {
    A: _address,
    AAAA: _address6,
    CNAME: _target,
    DNAME: _target,
    MX: _mx,
    NS: _target,
    PTR: _target,
    SOA: _soa,
    SPF: _strings,
    TXT: _strings,
}
_IN_ONLY: Final = (_address, _address6)


def _edns(data: bytes, position: int, end: int, size: int, ttl: int) -> Edns:
    """Read an OPT record, with its own meaning of the class and TTL fields (RFC 6891 §6.1.2).

    Options only inform: a broken one is skipped; after one that runs past the record's end,
    the others cannot be read.
    """
    ede = []
    while end - position >= _OPTION.size:
        code, length = _OPTION.unpack_from(data, position)
        position += _OPTION.size
        if length > end - position:
            break
        if code == _EDE and length >= _SHORT.size:
            text = data[position + _SHORT.size : position + length]
            ede.append((_SHORT.unpack_from(data, position)[0], _safe(text)))
        position += length
    return Edns(ttl >> 24, ttl >> 16 & 0xFF, size, ttl & _DO != 0, tuple(ede))


def _safe(text: bytes) -> str:
    """Return EXTRA-TEXT (RFC 8914 §2) as printable text: it is untrusted.

    It may end in NUL; bytes that are not UTF-8 and control characters become U+FFFD.
    """
    decoded = text.removesuffix(b"\0").decode("utf-8", "replace")
    if decoded.isprintable():
        return decoded
    return "".join([c if c.isprintable() else "\ufffd" for c in decoded])
