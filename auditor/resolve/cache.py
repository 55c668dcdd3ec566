"""Cache of answers: bounded, in two generations, with the TTLs of RFC 2308.

No clock in here: every call is told the time. The store has two generations. New and
used entries live in the young one; when that holds half of the size, it becomes the old
one and what the old one still held is forgotten. So what is asked again and again (the
policies of large senders) stays, what is asked once (most of a scan) goes, and both
looking up and forgetting cost the same at any size.

Most answers have one short record, or none, and are bounded by their number. Those that take
more than `SMALL_ANSWER_OCTETS` are bounded by their octets as well: one generation has room
for half of `LARGE_ANSWERS_OCTETS`, and more than `LARGEST_ANSWER_OCTETS` is not kept.
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

#: Memory for an answer that is small, for all that are not, and for one of these.
SMALL_ANSWER_OCTETS: Final = 1 << 10
LARGE_ANSWERS_OCTETS: Final = 32 << 20
LARGEST_ANSWER_OCTETS: Final = 64 << 10

#: What an object takes in memory besides its text, and its place in a tuple.
_OBJECT_OCTETS: Final = 64

_MAX_STRING_OCTETS: Final = 255  # RFC 1035 §3.3

#: More records than these are a large answer, even without text.
_MAX_SMALL_RECORDS: Final = 8


class Lifetimes(NamedTuple):
    """For how many seconds an answer may be used again.

    `floor` keeps a TTL of 0 from being asked a million times in one run, `ceiling` bounds
    what a zone can impose. `negative` is the ceiling for NXDOMAIN and NODATA (RFC 2308 §5
    advises one to three hours); one without an SOA is kept for `floor` only, where the RFC
    says not at all, because engines that hide the SOA would never cache a negative answer.
    `failure` is for everything else (RFC 9520 §3.2: at least 1 second, at most 5 minutes).
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
    """Answers by question, `size` of them at most, within the octets above; 0 keeps nothing.

    An entry is the time of the answer and the answer: how long that may be used is worked
    out when it is asked for again, which most never are.
    """

    __slots__ = ("_large", "_lifetimes", "half", "old", "size", "young")

    def __init__(self, size: int, lifetimes: Lifetimes | None = None) -> None:
        self.size = size
        #: How much the young generation takes.
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
        """Return the answer kept for a question, or None if there is none that is fresh."""
        entry = self.young.get(question)
        if entry is not None:
            return entry[1] if self._is_fresh(entry, now) else None
        entry = self.old.get(question)
        if entry is None or not self._is_fresh(entry, now):
            return None
        self._keep(question, entry)
        return entry[1]

    def keep_answer(self, question: Question, answer: Answer, now: float) -> None:
        """Keep an answer for as long as its status and TTL allow."""
        if self.half:
            self._keep(question, (now, answer))

    def _keep(self, question: Question, entry: tuple[float, Answer]) -> None:
        """Put an entry into the young generation, and take it out of the old one."""
        self.old.pop(question, None)
        octets = octets_of(entry[1])
        if octets > LARGEST_ANSWER_OCTETS:
            self.young.pop(question, None)
            return
        young = self.generation()
        if octets > SMALL_ANSWER_OCTETS:
            if self._large + octets > LARGE_ANSWERS_OCTETS // 2:
                self._age()
                young = self.young
            self._large += octets
        young[question] = entry

    def generation(self, room: int = 1) -> dict[Question, tuple[float, Answer]]:
        """Return the young generation, after making room in it for so many entries.

        For answers of one record at most, no text or a short one: none of those is large.
        """
        if len(self.young) + room > self.half:
            self._age()
        return self.young

    def _age(self) -> None:
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
    """Whether a TXT record is one character-string, as most are: then it is small."""
    return len(record) == 1 and len(record[0]) <= _MAX_STRING_OCTETS


def large_octets(answers: Sequence[Answer]) -> int:
    """Return about how many octets the large ones of some answers take in memory."""
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
    """Return about how many octets an answer takes in memory."""
    octets = sum(map(_octets, answer.records))
    if answer.how is not None:
        octets += sum([len(text) + 2 * _OBJECT_OCTETS for _, text in answer.how.ede])
    return octets


def _octets(part: object) -> int:
    if isinstance(part, tuple):
        return _OBJECT_OCTETS + sum(map(_octets, part))
    return _OBJECT_OCTETS + (len(part) if isinstance(part, str | bytes) else 0)
