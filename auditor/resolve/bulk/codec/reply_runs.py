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
_TYPE_TO_RDLENGTH_OCTETS: Final = 10  # octets of a record from its type to RDLENGTH
_POINTER_BITS: Final = 0xC000
_new_tuple: Final = tuple.__new__

#: Octets of RDATA that may differ in a run, where it is not the label of a name.
_VARYING_OCTETS: Final = {**ADDRESS_OCTETS, TXT: 0, PTR: 0}


class _Shared(NamedTuple):
    """What the replies of a run share: the records' type, and their names but for the labels.

    `answer` is that of all of them, if nothing but their questions differs.
    """

    rdtype: int
    suffixes: tuple[str, ...]
    answer: Answer


class _Cut(NamedTuple):
    """A reply in parts: `before` the question; `fixed`, around and between what varies behind it.

    `spans`: where what varies begins and ends, of each record. `end`: what all questions end with:
    type and class, and all behind the first label if there is no record, since the rest may point
    into it. `in_full`: the owner of the record is written out, its letters in lower case.
    `places`: what pointers may be counted from, as far as there are any.
    """

    before: bytes
    fixed: tuple[bytes, ...]
    spans: tuple[tuple[int, int], ...]
    end: bytes
    in_full: bool
    places: tuple[object, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """All that the replies of a run share."""
        return self.before, self.fixed, self.end, self.in_full, self.places


class RunDecoder:
    """Runs of replies to answers: those with records of one kind, and those with none."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], _Shared] = {}

    def decode_run(self, packets: Sequence[bytes], asked: Sequence[bytes]) -> list[Answer] | None:
        """Return the answers of replies of one length; None if they are no run that is known.

        `asked` are the question sections as sent; that each reply repeats its own is seen here.
        """
        cut = _cut(packets[0], asked[0])
        known = self._known.get(cut.key) if cut is not None else None
        if cut is None or known is None:
            return None
        varied = [[data[start:stop] for data in packets] for start, stop in cut.spans]
        if not _are_alike(packets, asked, cut, varied):
            return None
        return _answers(known, varied) if varied else [known.answer] * len(packets)

    def learn_reply(self, data: bytes, asked: bytes, answer: Answer) -> None:
        """Remember what a reply came to that was read in another way, by what others share.

        If it has no record, that is known not to depend on its question's first label.
        """
        cut = _cut(data, asked) if len(data) <= MEMO_REPLY_OCTETS else None
        records = answer.records
        if cut is None or answer.canonical or len(records) != int.from_bytes(cut.before[4:6]):
            return
        rdtype = int.from_bytes(asked[-_TYPE_CLASS_OCTETS:-2])
        names = {str(name).partition(".")[0]: str(name) for name in records if rdtype == PTR}
        suffixes = _suffixes(data, cut.spans, names) if names else ()
        if suffixes is not None:
            remember(self._known, cut.key, _Shared(rdtype, suffixes, answer))


def _cut(data: bytes, asked: bytes) -> _Cut | None:
    """Return a reply's parts; None if it is too short for records of the type asked for."""
    end = HEADER_OCTETS + len(asked)
    before = data[2:HEADER_OCTETS]
    count = int.from_bytes(before[4:6])
    if not count:
        ending = asked[asked[0] + 1 :]
        return _Cut(before, (data[end:],), (), ending, in_full=False, places=(end,))
    type_class = asked[-_TYPE_CLASS_OCTETS:]
    rdtype = int.from_bytes(type_class[:2])
    in_full = not data.startswith(POINTER, end)
    if (in_full and count > 1) or rdtype not in _VARYING_OCTETS:
        return None
    at = begin = end + len(asked) if in_full else end
    owner_octets = -_TYPE_CLASS_OCTETS if in_full else len(POINTER)
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
    return _Cut(before, tuple(fixed), tuple(spans), type_class, in_full, places)


def _suffixes(
    data: bytes, spans: Sequence[tuple[int, int]], names: Mapping[str, str]
) -> tuple[str, ...] | None:
    """Return what follows the labels in these places; None if that depends on what varies.

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
        # Written out it takes an octet more: the root.
        is_whole = len(tail) == len(suffix) + 1
        if not is_whole and not shared <= int.from_bytes(tail[-2:]) - _POINTER_BITS < shared_end:
            return None
        suffixes.append(suffix)
    return tuple(suffixes)


def _rdata_end(data: bytes, label: int) -> int:
    """Return where the RDATA ends whose first label's characters are there."""
    start = label - 1
    return start + int.from_bytes(data[start - 2 : start])


def _answers(shared: _Shared, varied: Sequence[Sequence[bytes]]) -> list[Answer] | None:
    """Return the answers of replies that differ in these octets; None if they hold no words."""
    columns: list[Iterable[str]] = []
    if shared.rdtype != PTR:
        columns = [map(ADDRESS_READERS[shared.rdtype], column) for column in varied]
    for column, suffix in zip(varied, shared.suffixes, strict=False):
        text = b"\n".join(column)
        # Nothing but what separates them may be left.
        if len(text.translate(None, WORD_CHARACTERS)) != len(column) - 1:
            return None
        names = text.lower().decode().replace("\n", suffix + "\n") + suffix
        columns.append(names.split("\n"))
    records: Iterable[tuple[str, ...]] = zip(*columns, strict=True)
    if len(columns) > 1:
        records = [tuple(sorted({*each})) for each in records]
    return made(records, repeat(shared.answer.ttl))


def _are_alike(
    packets: Sequence[bytes],
    asked: Sequence[bytes],
    cut: _Cut,
    varied: Sequence[Sequence[bytes]],
) -> bool:
    """Tell whether all replies are the first one but for ID, question and what varies."""
    size, length = len(packets[0]), len(asked[0])
    if set(map(len, asked)) != {length}:
        return False
    columns: list[Any] = [asked]
    if cut.in_full:
        columns.append(map(bytes.lower, asked))
    for fixed, column in zip(cut.fixed, varied, strict=False):
        columns += [repeat(fixed, len(packets)), column]
    # The last one is what stands behind one reply and before the question of the next, but
    # for its ID.
    columns.append(repeat(cut.fixed[-1] + b"\0\0" + cut.before, len(packets)))
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
    if cut.places and not cut.spans:
        return all(map(bytes.endswith, asked, repeat(cut.end)))
    # All ask for the type that the records are of.
    place = HEADER_OCTETS + length - _TYPE_CLASS_OCTETS
    return all(
        arrived[at::size].count(arrived[at]) == len(packets) for at in range(place, place + 2)
    )


def made(records: Iterable[tuple[Rdata, ...]], ttls: Iterable[int | None]) -> list[Any]:
    """Return an answer for the records of each, a list of `Answer`."""
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


def remember(memo: dict[Any, T], key: object, value: T) -> None:
    """Keep an entry, or it alone if there are too many."""
    if len(memo) >= MEMO_ENTRIES:
        memo.clear()
    memo[key] = value
