"""Decodes replies with an RRset of several records at the question's own name.

Supported are addresses, and names uncompressed or compressed with a pointer into the first one
(RFC 1035 §4.1.4).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

from auditor.resolve.answer import make_answer
from auditor.resolve.bulk.codec.reply_runs import (
    ADDRESS_OCTETS,
    ADDRESS_READERS,
    HEADER_OCTETS,
    POINTER,
    WORD_CHARACTERS,
)
from auditor.wire.codes import CNAME, NOERROR, PTR
from auditor.wire.message import IN

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.resolve.answer import Answer

__all__ = ["decode_set"]

_TYPE_CLASS_OCTETS: Final = 4
_TTL_LENGTH: Final = Struct("!IH")
_FIXED_OCTETS: Final = 12  # of a record whose owner is a pointer, before its RDATA
_MAX_TTL_S: Final = 0x7FFFFFFF  # RFC 2181 §8
_MAX_LABEL_OCTETS: Final = 63
_MAX_NAME_OCTETS: Final = 255
_POINTER: Final = 0xC000
_POINTER_OCTETS: Final = 2
_ALIAS: Final = POINTER + CNAME.to_bytes(2) + IN.to_bytes(2)

#: A record's TTL, and where its RDATA begins and ends.
_Span: TypeAlias = tuple[int, int, int]


def decode_set(data: bytes, asked: bytes, suffix: Callable[[bytes], str | None]) -> Answer | None:
    """Return the answer of a NOERROR reply to `asked` with several records, None if unsupported.

    The first may be a CNAME to the owner of all others. `suffix`: from the octets after a first
    label to ".example.net", None if they are not a plain name.
    """
    end, count = HEADER_OCTETS + len(asked), int.from_bytes(data[6:8])
    owner, type_class = POINTER, asked[-_TYPE_CLASS_OCTETS:]
    aliases: list[tuple[str, str]] = []
    alias: list[_Span] = []
    if data.startswith(_ALIAS, end):
        alias = _spans(data, end, 1, _ALIAS)
        question = asked[:-_TYPE_CLASS_OCTETS]
        name = _name(question, b"", 0, suffix)
        for _, start, end in alias:
            target = _name(data[start:end], question, HEADER_OCTETS, suffix)
            if name is None or target is None or name == target:
                return None
            aliases.append((name, target))
            owner = (_POINTER | start).to_bytes(_POINTER_OCTETS)
    spans = _spans(data, end, count - len(alias), owner + type_class)
    if not spans:
        return None
    rdtype = int.from_bytes(type_class[:2])
    texts: list[str | None]
    if rdtype == PTR:
        _, first, first_end = spans[0]
        texts = [_name(data[first:first_end], b"", first, suffix)]
        before = data[first:first_end]
        texts += [_name(data[start:end], before, first, suffix) for _, start, end in spans[1:]]
    elif {end - start for _, start, end in spans} == {ADDRESS_OCTETS.get(rdtype)}:
        texts = [ADDRESS_READERS[rdtype](data[start:end]) for _, start, end in spans]
    else:
        return None
    records = [text for text in texts if text is not None]
    if len(records) < len(spans):
        return None
    return make_answer(NOERROR, records, aliases, min(alias + spans)[0])


def _spans(data: bytes, at: int, count: int, owner: bytes) -> list[_Span]:
    """Return the spans of `count` records; empty if one has another owner, type or class.

    `owner`: the octets that each record begins with: owner, type and class.
    """
    spans = []
    for _ in range(count):
        start = at + _FIXED_OCTETS
        if not data.startswith(owner, at) or start > len(data):
            return []
        ttl, size = _TTL_LENGTH.unpack_from(data, start - _TTL_LENGTH.size)
        at = start + size
        if ttl > _MAX_TTL_S or at > len(data):
            return []
        spans.append((ttl, start, at))
    return spans


def _name(
    rdata: bytes, before: bytes, place: int, suffix: Callable[[bytes], str | None]
) -> str | None:
    """Return a name: uncompressed, or ending with a pointer into `before`, which is at `place`."""
    size = rdata[0] if rdata else 0
    label, tail = rdata[1 : 1 + size], rdata[1 + size :]
    if tail[-1:] != b"\0":
        at, end = 0, len(tail) - _POINTER_OCTETS
        while at < end:
            at += 1 + tail[at]
        target = int.from_bytes(tail[end:]) - _POINTER - place
        tail = tail[:end] + before[target:] if at == end and 0 <= target < len(before) else b""
    rest = suffix(tail)
    if (
        rest is None
        or not 0 < size <= _MAX_LABEL_OCTETS
        or size + len(tail) >= _MAX_NAME_OCTETS
        or label.translate(None, WORD_CHARACTERS)
    ):
        return None
    return label.lower().decode() + rest
