"""Decodes negative answers, NODATA and NXDOMAIN (RFC 2308), for all names with the same parent."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from auditor.errors import WireError
from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.codec.reply_runs import HEADER_OCTETS
from auditor.resolve.response import interpret
from auditor.wire.codes import NODATA, NXDOMAIN, OPT, SOA
from auditor.wire.message import IN, decode_message

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["decode_negative"]

_TYPE_CLASS_OCTETS: Final = 4
_COUNTS: Final = {b"\0\1\0\0": False, b"\0\1\0\1": True}  # only an SOA, or with an OPT record
_FIXED: Final = Struct("!HHHIH")  # the owner, which is a pointer, type, class, TTL, RDLENGTH
_MINIMUM: Final = Struct("!I")
_NUMBERS_OCTETS: Final = 20  # of an SOA record, behind its names
_OPT_HEAD: Final = b"\0" + OPT.to_bytes(2)
_OPT_OCTETS: Final = 11  # without options
_UPPER_RCODE_AT: Final = 5  # in an OPT record (RFC 6891 §6.1.3)
_POINTER: Final = 0xC000
_MAX_LABEL_OCTETS: Final = 63
_MAX_NAME_OCTETS: Final = 255
_MAX_TTL_S: Final = 0x7FFFFFFF  # RFC 2181 §8
_RCODE: Final = 0x0F
_NAME_ERROR: Final = 3


def decode_negative(
    data: bytes, asked: bytes, suffix: Callable[[bytes], str | None]
) -> Answer | None:
    """Return the negative answer of a reply to `asked`, valid for each name with the same parent.

    None if it depends on the first label. The caller has checked the counts of questions and
    answers. `suffix`: from the octets after a first label to ".example.net", None if they are
    not a plain name.
    """
    return _decode_soa_only(data, asked, suffix) or _decode_general(data)


def _decode_soa_only(
    data: bytes, asked: bytes, suffix: Callable[[bytes], str | None]
) -> Answer | None:
    """Decode a reply with only the SOA record of a zone above the name.

    Its owner must be a compression pointer into the question; its RDATA is only validated.
    """
    has_opt = _COUNTS.get(data[8:HEADER_OCTETS])
    at = HEADER_OCTETS + len(asked)
    start = at + _FIXED.size
    if has_opt is None or start > len(data):
        return None
    pointer, rdtype, rdclass, ttl, size = _FIXED.unpack_from(data, at)
    names: set[int] = set()
    root = _end_of_name(data, HEADER_OCTETS, names) - 1
    owner, end = pointer - _POINTER, start + size
    if (
        (rdtype, rdclass) != (SOA, IN)
        or owner not in names - {HEADER_OCTETS}
        or ttl > _MAX_TTL_S
        or end > len(data)
        or len(asked) + size > _MAX_NAME_OCTETS  # so no name in it is longer than that
        or not _is_valid_opt(data, end, has_opt=has_opt)
    ):
        return None
    for _ in range(2):
        start = _end_of_name(data, start, names)
    zone = suffix(data[owner : root + 1])
    if zone is None or start != end - _NUMBERS_OCTETS:
        return None
    (minimum,) = _MINIMUM.unpack_from(data, end - _MINIMUM.size)
    status = NXDOMAIN if data[3] & _RCODE == _NAME_ERROR else NODATA
    return Answer(status, ttl=min(ttl, minimum), zone=zone[1:])


def _end_of_name(data: bytes, at: int, names: set[int]) -> int:
    """Return the end of a name, 0 if it is invalid; add the offsets of its labels to `names`.

    It may end with a compression pointer to one of `names`.
    """
    labels: list[int] = []
    while 0 < at < len(data):
        size = data[at]
        if size > _MAX_LABEL_OCTETS:
            is_known = int.from_bytes(data[at : at + 2]) - _POINTER in names
            names.update(labels)
            return at + 2 if is_known else 0
        if not size:
            names.update(labels)
            return at + 1
        labels.append(at)
        at += 1 + size
    return 0


def _is_valid_opt(data: bytes, at: int, *, has_opt: bool) -> bool:
    """Tell whether the OPT record, if there must be one, is valid and extends no RCODE."""
    if not has_opt:
        return True
    options = int.from_bytes(data[at + _OPT_OCTETS - 2 : at + _OPT_OCTETS])
    return (
        data.startswith(_OPT_HEAD, at)
        and len(data) >= at + _OPT_OCTETS + options
        and data[at + _UPPER_RCODE_AT] == 0
    )


def _decode_general(data: bytes) -> Answer | None:
    """Decode a negative answer with the general decoder."""
    label = data[HEADER_OCTETS]
    start = HEADER_OCTETS + 1
    # Decode with a first label that no name has: if it shows up in the zone, the answer holds
    # for this name only; a compression pointer into the label becomes invalid.
    other = data[:start] + b"\xff" * label + data[start + label :]
    try:
        message = decode_message(other)
    except WireError:
        return None
    ((name, rdtype, _),) = message.question
    answer = interpret(message, Question(name, rdtype))
    zones = [record.name for record in message.authority if record.rdtype == SOA]
    if (
        answer.status not in {NODATA, NXDOMAIN}
        or "".join(zones) != answer.zone
        or "\\255" in answer.zone
    ):
        return None
    return answer
