"""Parses RDATA of master files into plain values (RFC 1035 §5.1, RFC 3597 §5).

Only the types that an audit queries are parsed here. The text of all others is kept, and parsed
with dnspython if they are queried.
"""

from __future__ import annotations

import re
from socket import AF_INET6, inet_pton
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.errors import WireError
from auditor.resolve.zones.entry import EntryError, absolute_name, duration
from auditor.wire import codes
from auditor.wire.addresses import address_text
from auditor.wire.records import FIXED, IN, Record, Soa, read_section

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.zones.entry import Token
    from auditor.wire.records import Rdata

__all__ = ["READ_TYPES", "UnreadRdata", "rdtype_of", "read_rdata", "unread", "wire_rdata"]

_MAX_STRING: Final = 255  #: octets of a character-string (RFC 1035 §3.3)
_MAX_RDATA: Final = 0xFFFF

_IPV4: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d\d|\d)(?:\.(?!$)|$)){4}", re.ASCII)
_ZERO_FIRST: Final = re.compile(r"(?:^|\.)0\d")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_ESCAPE: Final = re.compile(rb"\\(?:([0-9]{3})|(.))", re.DOTALL)
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})*")

#: Types that are not parsed here, by mnemonic (the IANA registry "DNS Parameters").
_OTHERS: Final = """
    MD=3 MF=4 MB=7 MG=8 MR=9 NULL=10 WKS=11 HINFO=13 MINFO=14 RP=17 AFSDB=18 X25=19 ISDN=20
    RT=21 NSAP=22 NSAP-PTR=23 SIG=24 KEY=25 PX=26 GPOS=27 LOC=29 NXT=30 EID=31 NIMLOC=32
    SRV=33 ATMA=34 NAPTR=35 KX=36 CERT=37 A6=38 SINK=40 APL=42 DS=43 SSHFP=44 IPSECKEY=45
    RRSIG=46 NSEC=47 DNSKEY=48 DHCID=49 NSEC3=50 NSEC3PARAM=51 TLSA=52 SMIMEA=53 HIP=55
    NINFO=56 RKEY=57 TALINK=58 CDS=59 CDNSKEY=60 OPENPGPKEY=61 CSYNC=62 ZONEMD=63 SVCB=64
    HTTPS=65 DSYNC=66 HHIT=67 BRID=68 UINFO=100 UID=101 GID=102 UNSPEC=103 NID=104 L32=105
    L64=106 LP=107 EUI48=108 EUI64=109 URI=256 CAA=257 AVC=258 DOA=259 AMTRELAY=260
    RESINFO=261 WALLET=262 TA=32768 DLV=32769
"""
_OTHER_TYPES: Final = {
    mnemonic: int(number)
    for mnemonic, _, number in (pair.partition("=") for pair in _OTHERS.split())
}
_META_TYPES: Final = frozenset({0, codes.OPT, *range(128, 256)})  # never in a zone (RFC 6895 §3.1)


class UnreadRdata(NamedTuple):
    """A record of a type that is not parsed here: its text, and the origin of names in it."""

    text: str
    origin: str


def rdtype_of(mnemonic: str) -> int | None:
    """Return the number of a type in a master file, or None if it is unknown."""
    upper = mnemonic.upper()
    number = _OTHER_TYPES.get(upper)
    if number is None:
        try:
            number = codes.type_number(upper)
        except ValueError:
            return None
    return None if number in _META_TYPES else number


def read_rdata(rdtype: int, tokens: Sequence[Token], origin: str) -> Rdata:
    r"""Parse a record of one of `READ_TYPES`, or of any type in the form `\#` (RFC 3597 §5).

    Raises EntryError.
    """
    if tokens and tokens[0] == (r"\#", False):
        return _parse_generic(rdtype, tokens)
    return _PARSERS[rdtype](tokens, origin)


def _single_token(tokens: Sequence[Token]) -> str:
    if len(tokens) != 1 or tokens[0].is_quoted:
        raise EntryError("")
    return tokens[0].text


def _number(token: Token, most: int) -> int:
    if token.is_quoted or not _NUMBER.fullmatch(token.text) or int(token.text) > most:
        raise EntryError(f"expected a number of at most {most}")
    return int(token.text)


def _name(token: Token, origin: str) -> str:
    if token.is_quoted:
        raise EntryError("a name in quotes")
    return absolute_name(token.text, origin)


def _parse_a(tokens: Sequence[Token], _origin: str) -> str:
    text = _single_token(tokens)
    if not _IPV4.fullmatch(text) or _ZERO_FIRST.search(text):
        raise EntryError("")
    return text


def _parse_aaaa(tokens: Sequence[Token], _origin: str) -> str:
    try:
        return address_text(inet_pton(AF_INET6, _single_token(tokens)))
    except (OSError, ValueError):
        raise EntryError("") from None


def _parse_target(tokens: Sequence[Token], origin: str) -> str:
    if len(tokens) != 1:
        raise EntryError("expected one name")
    return _name(tokens[0], origin)


def _parse_mx(tokens: Sequence[Token], origin: str) -> tuple[int, str]:
    if len(tokens) != 2:  # noqa: PLR2004 - RFC 1035 §3.3.9
        raise EntryError("expected a preference and a name")
    return _number(tokens[0], 0xFFFF), _name(tokens[1], origin)


def _parse_txt(tokens: Sequence[Token], _origin: str) -> tuple[bytes, ...]:
    strings = tuple([_character_string(token.text) for token in tokens])
    if not strings:
        raise EntryError("expected a string")
    if sum(map(len, strings)) + len(strings) > _MAX_RDATA:
        raise EntryError("more than 65,535 octets")
    return strings


def _character_string(text: str) -> bytes:
    octets = text.encode("ascii")
    if b"\\" in octets:
        octets = _ESCAPE.sub(_unescape, octets)
    if len(octets) > _MAX_STRING:
        raise EntryError("string too long")
    return octets


def _unescape(match: re.Match[bytes]) -> bytes:
    digits, character = match.groups()
    if digits is None:
        if character.isdigit():
            raise EntryError("an escape that is not \\000 to \\255")
        return bytes(character)
    if int(digits) > 0xFF:  # noqa: PLR2004 - one octet
        raise EntryError("an escape that is not \\000 to \\255")
    return bytes((int(digits),))


def _parse_soa(tokens: Sequence[Token], origin: str) -> Soa:
    if len(tokens) != 7:  # noqa: PLR2004 - RFC 1035 §3.3.13
        raise EntryError("expected two names and five numbers")
    times = [duration(token.text) for token in tokens[3:]]
    refresh, retry, expire, minimum = times
    if refresh is None or retry is None or expire is None or minimum is None:
        raise EntryError("expected two names and five numbers")
    mname, rname = _name(tokens[0], origin), _name(tokens[1], origin)
    serial = _number(tokens[2], 0xFFFF_FFFF)
    return Soa(mname, rname, serial, refresh, retry, expire, minimum)


_PARSERS: Final[dict[int, Callable[[Sequence[Token], str], Rdata]]] = {
    codes.A: _parse_a,
    codes.AAAA: _parse_aaaa,
    codes.PTR: _parse_target,
    codes.NS: _parse_target,
    codes.CNAME: _parse_target,
    codes.DNAME: _parse_target,
    codes.MX: _parse_mx,
    codes.TXT: _parse_txt,
    codes.SPF: _parse_txt,
    codes.SOA: _parse_soa,
}

#: The types whose records are parsed when a zone is loaded.
READ_TYPES: Final = frozenset(_PARSERS)


def _parse_generic(rdtype: int, tokens: Sequence[Token]) -> Rdata:
    r"""Parse `\# LENGTH HEX...` (RFC 3597 §5)."""
    if len(tokens) == 1:
        raise EntryError("expected a length")
    length = _number(tokens[1], _MAX_RDATA)
    digits = "".join([token.text for token in tokens[2:]])
    if not _HEX.fullmatch(digits) or len(digits) != 2 * length:
        raise EntryError(f"expected {length} octets in hexadecimal")
    wire = bytes.fromhex(digits)
    if rdtype not in READ_TYPES:
        return wire
    records: list[Record] = []
    try:
        read_section(
            b"\0" + FIXED.pack(rdtype, IN, 0, length) + wire, 0, 1, {}, records=records, opts=[]
        )
    except WireError as error:
        raise EntryError(str(error)) from error
    return records[0].rdata


def unread(tokens: Sequence[Token], origin: str) -> UnreadRdata:
    """Return a record of another type, unparsed."""
    words = [f'"{text}"' if is_quoted else text for text, is_quoted in tokens]
    return UnreadRdata(" ".join(words), origin)


def wire_rdata(rdtype: int, record: UnreadRdata) -> bytes | None:
    """Return the RDATA of an unparsed record in wire format; None if it is malformed."""
    # No audit queries these types, and dnspython is slow to import.
    import dns.name  # noqa: PLC0415 - see above
    import dns.rdata  # noqa: PLC0415 - see above

    try:
        origin = dns.name.from_text(record.origin, dns.name.root)
        rdata = dns.rdata.from_text("IN", f"TYPE{rdtype}", record.text, origin, relativize=False)
        return rdata.to_wire()
    except Exception:  # noqa: BLE001 - struct.error, IndexError and more escape from dnspython
        return None
