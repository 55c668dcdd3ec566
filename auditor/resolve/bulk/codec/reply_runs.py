"""Decodes runs of similar replies: their common octets once, by comparing the whole run.

Replies for neighbours in a zone differ only in the ID, the question, and an address or the first
label of a name. So the octets of a run of one length are predicted from the questions, these
varying octets, and the rest of the first reply: if exactly these octets have arrived, all of the
replies mean what the first one means.
"""

from __future__ import annotations

from itertools import repeat
from socket import inet_ntoa
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

from auditor.resolve.answer import Answer
from auditor.wire.addresses import address_text
from auditor.wire.codes import AAAA, NOERROR, PTR, TXT, A

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.resolve.answer import Rdata

__all__ = [
    "ADDRESS_OCTETS",
    "ADDRESS_READERS",
    "HEADER_OCTETS",
    "MEMO_ENTRIES",
    "MEMO_REPLY_OCTETS",
    "POINTER",
    "WORD_CHARACTERS",
    "RunDecoder",
    "made",
    "remember",
]

T = TypeVar("T")

HEADER_OCTETS: Final = 12
POINTER: Final = b"\xc0\x0c"  #: to the question's name, as the owner of a record
WORD_CHARACTERS: Final = (ascii_lowercase + ascii_uppercase + "0123456789-_").encode()

#: Entries of a memo before it is emptied: a bound, far above what one run's zones need.
MEMO_ENTRIES: Final = 4096

#: Octets of a reply that is remembered, at most: over TCP they come in any size.
MEMO_REPLY_OCTETS: Final = 1232

#: Addresses: octets of RDATA, and how they are read.
ADDRESS_OCTETS: Final = {A: 4, AAAA: 16}
ADDRESS_READERS: Final = {A: inet_ntoa, AAAA: address_text}

_TYPE_CLASS_OCTETS: Final = 4
_NO_RECORDS: Final = b"\0\0"  # records
_TYPE_TO_RDLENGTH_OCTETS: Final = 10  # octets of a record from its type to RDLENGTH
_new_tuple: Final = tuple.__new__

#: Octets of RDATA that may differ in a run, where it is not the label of a name.
_VARYING_OCTETS: Final = {**ADDRESS_OCTETS, TXT: 0}


class _SharedRecord(NamedTuple):
    """What the replies of a run share: type and TTL of the record, a name but for its label.

    `answer` is that of all of them, if nothing but their questions differs.
    """

    rdtype: int
    ttl: int | None
    suffix: str
    answer: Answer


class _Cut(NamedTuple):
    """A reply in parts: `before` the question, `between` it and what varies, `after` that.

    What varies is from `start` to `stop`. `end`: what all questions end with: type and class,
    and all behind the first label if there is no record, since the rest may point into it.
    `in_full`: the owner of the record is written out, its letters in lower case.
    """

    before: bytes
    between: bytes
    after: bytes
    start: int
    stop: int
    end: bytes
    in_full: bool

    @property
    def is_empty(self) -> bool:
        """There is no record."""
        return self.before[4:6] == _NO_RECORDS


#: All of a cut that the replies of a run share.
_Key: TypeAlias = tuple[bytes, bytes, bytes, bytes, bool, int]


class RunDecoder:
    """Runs of replies to answers: those with one record, and those with none."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[_Key, _SharedRecord] = {}

    def decode_run(self, packets: Sequence[bytes], asked: Sequence[bytes]) -> list[Answer] | None:
        """Return the answers of replies of one length; None if they are no run that is known.

        `asked` are the question sections as sent; that each reply repeats its own is seen here.
        """
        cut = _cut(packets[0], asked[0])
        known = self._known.get(_key(cut)) if cut is not None else None
        if cut is None or known is None:
            return None
        start, stop = cut.start, cut.stop
        varied = [data[start:stop] for data in packets] if start < stop else []
        if not _are_alike(packets, asked, cut, varied):
            return None
        return _answers(known, varied) if varied else [known.answer] * len(packets)

    def learn_reply(self, data: bytes, asked: bytes, answer: Answer) -> None:
        """Remember what a reply came to that was read in another way, by what others share.

        If it has no record, that is known not to depend on its question's first label.
        """
        cut = _cut(data, asked) if len(data) <= MEMO_REPLY_OCTETS else None
        if cut is None or len(answer.records) > 1 or bool(answer.records) == cut.is_empty:
            return
        rdtype = int.from_bytes(asked[-_TYPE_CLASS_OCTETS:-2])
        suffix = ""
        if rdtype == PTR and answer.records:
            suffix = str(answer.records[0])[cut.stop - cut.start :]
        remember(self._known, _key(cut), _SharedRecord(rdtype, answer.ttl, suffix, answer))


def _cut(data: bytes, asked: bytes) -> _Cut | None:
    """Return a reply's parts; None if it is too short for a record of the type asked for."""
    end = HEADER_OCTETS + len(asked)
    before = data[2:HEADER_OCTETS]
    if before[4:6] == _NO_RECORDS:
        return _Cut(before, b"", data[end:], end, end, asked[asked[0] + 1 :], in_full=False)
    in_full = not data.startswith(POINTER, end)
    begin = end + len(asked) if in_full else end
    start = _TYPE_TO_RDLENGTH_OCTETS + (
        end + len(asked) - _TYPE_CLASS_OCTETS if in_full else end + len(POINTER)
    )
    rdtype = int.from_bytes(asked[-_TYPE_CLASS_OCTETS:-2])
    if start >= len(data):
        return None
    if rdtype == PTR:
        stop = start + 1 + data[start]
        start += 1
    elif rdtype in _VARYING_OCTETS:
        stop = start + _VARYING_OCTETS[rdtype]
    else:
        return None
    if stop > len(data):
        return None
    return _Cut(
        before, data[begin:start], data[stop:], start, stop, asked[-_TYPE_CLASS_OCTETS:], in_full
    )


def _key(cut: _Cut) -> _Key:
    # Pointers count from the beginning, so the first label's length matters to them.
    length = cut.start if cut.is_empty else 0
    return cut.before, cut.between, cut.after, cut.end, cut.in_full, length


def _answers(shared: _SharedRecord, varied: Sequence[bytes]) -> list[Answer] | None:
    """Return the answers of replies that differ in these octets; None if they hold no words."""
    if shared.rdtype != PTR:
        return made(map(ADDRESS_READERS[shared.rdtype], varied), repeat(shared.ttl))
    text = b"\n".join(varied)
    # Nothing but what separates them may be left.
    if len(text.translate(None, WORD_CHARACTERS)) != len(varied) - 1:
        return None
    names = text.lower().decode().replace("\n", shared.suffix + "\n") + shared.suffix
    return made(names.split("\n"), repeat(shared.ttl))


def _are_alike(
    packets: Sequence[bytes], asked: Sequence[bytes], cut: _Cut, varied: Sequence[bytes]
) -> bool:
    """Tell whether all replies are the first one but for ID, question and what varies."""
    size, length = len(packets[0]), len(asked[0])
    if set(map(len, asked)) != {length}:
        return False
    # The last one is what stands behind one reply and before the question of the next, but
    # for its ID.
    columns: list[Any] = [
        asked,
        repeat(cut.between, len(packets)),
        varied,
        repeat(cut.after + b"\0\0" + cut.before, len(packets)),
    ]
    if cut.in_full:
        columns.insert(1, map(bytes.lower, asked))
    if not varied:
        columns.remove(varied)
    parts = [b""] * (len(columns) * len(packets))
    for number, column in enumerate(columns):
        parts[number :: len(columns)] = column
    expected = bytearray(b"\0\0" + cut.before + b"".join(parts))
    del expected[-HEADER_OCTETS:]
    arrived = b"".join(packets)
    if len(expected) != len(arrived):
        return False
    expected[::size], expected[1::size] = arrived[::size], arrived[1::size]
    if expected != arrived:
        return False
    if cut.is_empty:
        return all(map(bytes.endswith, asked, repeat(cut.end)))
    # All ask for the type that the record is of.
    place = HEADER_OCTETS + length - _TYPE_CLASS_OCTETS
    return all(
        arrived[at::size].count(arrived[at]) == len(packets) for at in range(place, place + 2)
    )


def made(records: Iterable[Rdata], ttls: Iterable[int | None]) -> list[Any]:
    """Return an answer for each record, a list of `Answer`."""
    parts = zip(
        repeat(NOERROR),
        zip(records, strict=False),
        repeat(()),
        repeat(""),
        ttls,
        repeat(None),
        repeat(""),
        strict=False,
    )
    return list(map(_new_tuple, repeat(Answer), parts))


def remember(memo: dict[Any, T], key: object, value: T) -> None:
    """Keep an entry, or it alone if there are too many."""
    if len(memo) >= MEMO_ENTRIES:
        memo.clear()
    memo[key] = value
