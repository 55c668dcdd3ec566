"""Decodes runs of similar replies at once: the octets that all of them share only once.

Replies for neighbours in a zone differ only in the ID, the question, and an address or the first
label of a name in RDATA. So the octets of a run of equally long replies are predicted from the
questions, these varying octets, and the rest of the first reply: if exactly these octets have
arrived, all replies have the same structure as the first one.
"""

from __future__ import annotations

from itertools import repeat
from socket import inet_ntoa
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from auditor.resolve.answer import Answer
from auditor.wire.addresses import address_text
from auditor.wire.codes import AAAA, NOERROR, PTR, TXT, A

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
    "make_answers",
    "memoise",
]

T = TypeVar("T")

HEADER_OCTETS: Final = 12
POINTER: Final = b"\xc0\x0c"  #: compression pointer to the question's name (RFC 1035 §4.1.4)
WORD_CHARACTERS: Final = (ascii_lowercase + ascii_uppercase + "0123456789-_").encode()

#: Entries of a memo before it is emptied: a bound, far above what one run's zones need.
MEMO_ENTRIES: Final = 4096

#: Most octets of a memoised reply: over TCP replies may have any size.
MEMO_REPLY_OCTETS: Final = 1232

#: Address types: octets of RDATA, and the function from RDATA to text.
ADDRESS_OCTETS: Final = {A: 4, AAAA: 16}
ADDRESS_READERS: Final = {A: inet_ntoa, AAAA: address_text}

_TYPE_CLASS_OCTETS: Final = 4
_TYPE_TO_RDLENGTH_OCTETS: Final = 10  # octets of a record from its type to RDLENGTH
_POINTER_BITS: Final = 0xC000
_new_tuple: Final = tuple.__new__

#: Octets of RDATA that may differ in a run; 0 for PTR, whose first label may differ instead.
_VARYING_OCTETS: Final = {**ADDRESS_OCTETS, TXT: 0, PTR: 0}


class _Structure(NamedTuple):
    """The decoded common part of a run: the records' type, and the suffixes of their names.

    `answer` is the answer of each reply if only the questions differ.
    """

    rdtype: int
    suffixes: tuple[str, ...]
    answer: Answer


class _SplitReply(NamedTuple):
    """A reply split into parts: `before` the question; after it the `fixed` octets around `spans`.

    `spans`: start and end of the varying octets of each record. `end`: the common end of all
    questions: type and class; without records all after the first label, since the rest may point
    into it. `is_uncompressed`: the record's owner is not compressed, its letters are in lower case.
    `places`: offsets that compression pointers may depend on.
    """

    before: bytes
    fixed: tuple[bytes, ...]
    spans: tuple[tuple[int, int], ...]
    end: bytes
    is_uncompressed: bool
    places: tuple[object, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """All octets and offsets that the replies of a run share."""
        return self.before, self.fixed, self.end, self.is_uncompressed, self.places


class RunDecoder:
    """Decodes runs of replies: with records of one type, or without records."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], _Structure] = {}

    def decode_run(self, packets: Sequence[bytes], asked: Sequence[bytes]) -> list[Answer] | None:
        """Return the answers of equally long replies; None if they are not a known run.

        `asked`: the question sections as sent; this checks that each reply repeats its own.
        """
        split = _split_reply(packets[0], asked[0])
        known = self._known.get(split.key) if split is not None else None
        if split is None or known is None:
            return None
        varied = [[data[start:stop] for data in packets] for start, stop in split.spans]
        if not _have_same_structure(packets, asked, split, varied):
            return None
        return _answers_of_run(known, varied) if varied else [known.answer] * len(packets)

    def learn_reply(self, data: bytes, asked: bytes, answer: Answer) -> None:
        """Memoise the structure of a reply that was decoded otherwise, for runs like it.

        The answer of a reply without records must not depend on the question's first label.
        """
        split = _split_reply(data, asked) if len(data) <= MEMO_REPLY_OCTETS else None
        records = answer.records
        if split is None or answer.canonical or len(records) != int.from_bytes(split.before[4:6]):
            return
        rdtype = int.from_bytes(asked[-_TYPE_CLASS_OCTETS:-2])
        names = {str(name).partition(".")[0]: str(name) for name in records if rdtype == PTR}
        suffixes = _suffixes(data, split.spans, names) if names else ()
        if suffixes is not None:
            memoise(self._known, split.key, _Structure(rdtype, suffixes, answer))


def _split_reply(data: bytes, asked: bytes) -> _SplitReply | None:
    """Split a reply; None if it is cut off, or of a type or form that is not decoded in runs."""
    end = HEADER_OCTETS + len(asked)
    before = data[2:HEADER_OCTETS]
    count = int.from_bytes(before[4:6])
    if not count:
        ending = asked[asked[0] + 1 :]
        return _SplitReply(before, (data[end:],), (), ending, is_uncompressed=False, places=(end,))
    type_class = asked[-_TYPE_CLASS_OCTETS:]
    rdtype = int.from_bytes(type_class[:2])
    is_uncompressed = not data.startswith(POINTER, end)
    if (is_uncompressed and count > 1) or rdtype not in _VARYING_OCTETS:
        return None
    at = begin = end + len(asked) if is_uncompressed else end
    owner_octets = -_TYPE_CLASS_OCTETS if is_uncompressed else len(POINTER)
    fixed: list[bytes] = []
    spans: list[tuple[int, int]] = []
    for _ in range(count):
        start = at + owner_octets + _TYPE_TO_RDLENGTH_OCTETS
        if start >= len(data):
            return None
        at = start + int.from_bytes(data[start - 2 : start])
        size = _VARYING_OCTETS[rdtype]
        if rdtype == PTR:
            size, start = data[start], start + 1
        if start + size > at:
            return None
        if size:
            fixed.append(data[begin:start])
            begin = start + size
            spans.append((start, begin))
    if at > len(data):
        return None
    fixed.append(data[begin:])
    places = tuple(spans) if count > 1 else ()
    return _SplitReply(before, tuple(fixed), tuple(spans), type_class, is_uncompressed, places)


def _suffixes(
    data: bytes, spans: Sequence[tuple[int, int]], names: Mapping[str, str]
) -> tuple[str, ...] | None:
    """Return the suffixes after the varying labels; None if one depends on varying octets.

    `names`: the names of the records by their first labels.
    """
    suffixes = []
    _, shared = spans[0]
    shared_end = _rdata_end(data, spans[0][0])
    for start, stop in spans:
        label = data[start:stop].lower().decode("latin-1")
        name = names.get(label)
        if name is None or "\\" in name:
            return None
        suffix = name[len(label) :]
        tail = data[stop : _rdata_end(data, start)]
        # Uncompressed it is one octet longer: the root label.
        is_whole = len(tail) == len(suffix) + 1
        if not is_whole and not shared <= int.from_bytes(tail[-2:]) - _POINTER_BITS < shared_end:
            return None
        suffixes.append(suffix)
    return tuple(suffixes)


def _rdata_end(data: bytes, label: int) -> int:
    """Return the end of the RDATA whose first label's characters begin at `label`."""
    start = label - 1
    return start + int.from_bytes(data[start - 2 : start])


def _answers_of_run(shared: _Structure, varied: Sequence[Sequence[bytes]]) -> list[Answer] | None:
    """Return the answers of a run; None if a label has characters other than WORD_CHARACTERS."""
    columns: list[Iterable[str]] = []
    if shared.rdtype != PTR:
        columns = [map(ADDRESS_READERS[shared.rdtype], column) for column in varied]
    for column, suffix in zip(varied, shared.suffixes, strict=False):
        text = b"\n".join(column)
        # Only the separators may be left.
        if len(text.translate(None, WORD_CHARACTERS)) != len(column) - 1:
            return None
        names = text.lower().decode().replace("\n", suffix + "\n") + suffix
        columns.append(names.split("\n"))
    records: Iterable[tuple[str, ...]] = zip(*columns, strict=True)
    if len(columns) > 1:
        records = [tuple(sorted({*each})) for each in records]
    return make_answers(records, repeat(shared.answer.ttl))


def _have_same_structure(
    packets: Sequence[bytes],
    asked: Sequence[bytes],
    split: _SplitReply,
    varied: Sequence[Sequence[bytes]],
) -> bool:
    """Tell whether all replies equal the first but for ID, question and varying octets."""
    size, length = len(packets[0]), len(asked[0])
    if set(map(len, asked)) != {length}:
        return False
    columns: list[Any] = [asked]
    if split.is_uncompressed:
        columns.append(map(bytes.lower, asked))
    for fixed, column in zip(split.fixed, varied, strict=False):
        columns += [repeat(fixed, len(packets)), column]
    # The end of one reply, and the header of the next with an empty ID.
    columns.append(repeat(split.fixed[-1] + b"\0\0" + split.before, len(packets)))
    parts = [b""] * (len(columns) * len(packets))
    for number, column in enumerate(columns):
        parts[number :: len(columns)] = column
    expected = bytearray(b"\0\0" + split.before + b"".join(parts))
    del expected[-HEADER_OCTETS:]
    arrived = b"".join(packets)
    if len(expected) != len(arrived):
        return False
    expected[::size], expected[1::size] = arrived[::size], arrived[1::size]
    if expected != arrived:
        return False
    if split.places and not split.spans:
        return all(map(bytes.endswith, asked, repeat(split.end)))
    # All questions have the type of the records.
    place = HEADER_OCTETS + length - _TYPE_CLASS_OCTETS
    return all(
        arrived[at::size].count(arrived[at]) == len(packets) for at in range(place, place + 2)
    )


def make_answers(records: Iterable[tuple[Rdata, ...]], ttls: Iterable[int | None]) -> list[Any]:
    """Return a list of `Answer`, one for the records of each reply."""
    parts = zip(
        repeat(NOERROR),
        records,
        repeat(()),
        repeat(""),
        ttls,
        repeat(None),
        repeat(""),
        strict=False,
    )
    return list(map(_new_tuple, repeat(Answer), parts))


def memoise(memo: dict[Any, T], key: object, value: T) -> None:
    """Add an entry to a memo, which is emptied first if it is full."""
    if len(memo) >= MEMO_ENTRIES:
        memo.clear()
    memo[key] = value
