"""Cache of answers: bounded, in two generations, with the TTLs of RFC 2308.

Time is an argument. New and used entries are in the young generation; when that reaches half of
the size, it becomes the old one, and the previous old one is dropped. So entries used again and
again (the policies of large senders) stay, those used once (most of a scan) go, and lookup and
eviction cost the same at any size.

Most answers have at most one short record, and are bounded by their number. Those of more than
`SMALL_ANSWER_OCTETS` are also bounded by their octets: half of `LARGE_ANSWERS_OCTETS` for each
generation, and answers of more than `LARGEST_ANSWER_OCTETS` are not cached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.wire.codes import NODATA, NOERROR, NXDOMAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Answer, Question

__all__ = [
    "LARGEST_ANSWER_OCTETS",
    "LARGE_ANSWERS_OCTETS",
    "SMALL_ANSWER_OCTETS",
    "Cache",
    "Lifetimes",
    "is_short_text",
    "large_octets",
    "octets_of",
]

#: Most octets of memory of a small answer, of all large answers, and of one large answer.
SMALL_ANSWER_OCTETS: Final = 1 << 10
LARGE_ANSWERS_OCTETS: Final = 32 << 20
LARGEST_ANSWER_OCTETS: Final = 64 << 10

#: Octets of memory of an object besides its text, with its reference in a tuple.
_OBJECT_OCTETS: Final = 64

_MAX_STRING_OCTETS: Final = 255  # RFC 1035 §3.3

#: An answer with more records is large, even without text.
_MAX_SMALL_RECORDS: Final = 8


class Lifetimes(NamedTuple):
    """Bounds of the seconds for which an answer is cached.

    `floor`: also for a TTL of 0, which could be queried a million times in one run; `ceiling`:
    for positive answers; `negative`: the ceiling for NXDOMAIN and NODATA (RFC 2308 §5 advises one
    to three hours). A negative answer without an SOA is cached for `floor`, although the RFC
    forbids it, since engines that hide the SOA would never cache one. `failure`: for all other
    answers (RFC 9520 §3.2: at least 1 second, at most 5 minutes).
    """

    floor: float = 30.0
    ceiling: float = 86_400.0
    negative: float = 10_800.0
    failure: float = 5.0

    def lifetime_of(self, answer: Answer) -> float:
        """Return the seconds for which `answer` may be used."""
        ttl = answer.ttl or 0
        if answer.status == NOERROR:
            return min(max(ttl, self.floor), self.ceiling)
        if answer.status in _NEGATIVE:
            return min(max(ttl, self.floor), self.negative)
        return self.failure


_NEGATIVE: Final = frozenset({NXDOMAIN, NODATA})


class Cache:
    """Answers by question, at most `size`, within the octets above; 0 disables the cache.

    An entry is a pair of time and answer: its lifetime is computed only at a hit, which most
    entries never have.
    """

    __slots__ = ("_large", "_lifetimes", "half", "old", "size", "young")

    def __init__(self, size: int, lifetimes: Lifetimes | None = None) -> None:
        self.size = size
        #: Most entries of the young generation.
        self.half = (size + 1) // 2
        self._lifetimes = lifetimes or Lifetimes()
        #: Octets of the answers in the young generation that are not small.
        self._large = 0
        #: The two generations: a question in neither needs no call of `fresh_answer`.
        self.young: dict[Question, tuple[float, Answer]] = {}
        self.old: dict[Question, tuple[float, Answer]] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def fresh_answer(self, question: Question, now: float) -> Answer | None:
        """Return the cached answer to a question; None if there is none or it has expired."""
        entry = self.young.get(question)
        if entry is not None:
            return entry[1] if self._is_fresh(entry, now) else None
        entry = self.old.get(question)
        if entry is None or not self._is_fresh(entry, now):
            return None
        self._keep(question, entry)
        return entry[1]

    def keep_answer(self, question: Question, answer: Answer, now: float) -> None:
        """Cache an answer for as long as its status and TTL allow."""
        if self.half:
            self._keep(question, (now, answer))

    def _keep(self, question: Question, entry: tuple[float, Answer]) -> None:
        """Move or add an entry to the young generation."""
        self.old.pop(question, None)
        octets = octets_of(entry[1])
        if octets > LARGEST_ANSWER_OCTETS:
            self.young.pop(question, None)
            return
        young = self.generation()
        if octets > SMALL_ANSWER_OCTETS:
            if self._large + octets > LARGE_ANSWERS_OCTETS // 2:
                self._start_generation()
                young = self.young
            self._large += octets
        young[question] = entry

    def generation(self, room: int = 1) -> dict[Question, tuple[float, Answer]]:
        """Return the young generation after making room for `room` entries.

        Only for small answers: of at most one record, without text or with a short one.
        """
        if len(self.young) + room > self.half:
            self._start_generation()
        return self.young

    def _start_generation(self) -> None:
        """Let the young generation become the old one."""
        self.old = self.young
        self.young = {}
        self._large = 0
        # An odd size leaves the old generation one place less.
        while len(self.old) > self.size - self.half:
            del self.old[next(iter(self.old))]

    def _is_fresh(self, entry: tuple[float, Answer], now: float) -> bool:
        kept_at, answer = entry
        return now < kept_at + self._lifetimes.lifetime_of(answer)


def is_short_text(record: Any) -> bool:
    """Tell whether a TXT record is one character-string, and so small."""
    return len(record) == 1 and len(record[0]) <= _MAX_STRING_OCTETS


def large_octets(answers: Sequence[Answer]) -> int:
    """Return the approximate octets of memory of the large ones among answers."""
    return sum(
        [
            octets
            for answer in answers
            if answer.records
            and (len(answer.records) > _MAX_SMALL_RECORDS or type(answer.records[0]) is tuple)
            and (octets := octets_of(answer)) > SMALL_ANSWER_OCTETS
        ]
    )


def octets_of(answer: Answer) -> int:
    """Return the approximate octets of memory of an answer."""
    octets = sum(map(_octets, answer.records))
    if answer.how is not None:
        octets += sum([len(text) + 2 * _OBJECT_OCTETS for _, text in answer.how.ede])
    return octets


def _octets(part: object) -> int:
    if isinstance(part, tuple):
        return _OBJECT_OCTETS + sum(map(_octets, part))
    return _OBJECT_OCTETS + (len(part) if isinstance(part, str | bytes) else 0)
