"""A bounded store of answers that knows how long each may be kept.

No clock in here: every call is told the time. The store has two generations. New and
used entries live in the young one; when that holds half of the size, it becomes the old
one and what the old one still held is forgotten. So what is asked again and again (the
policies of large senders) stays, what is asked once (most of a scan) goes, and both
looking up and forgetting cost the same at any size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.wire.codes import NODATA, NOERROR, NXDOMAIN

if TYPE_CHECKING:
    from auditor.resolve.answer import Answer, Question

__all__ = ["Cache", "Lifetimes"]


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

    def of(self, answer: Answer) -> float:
        """Return the seconds for which `answer` may be used."""
        ttl = answer.ttl or 0
        if answer.status == NOERROR:
            return min(max(ttl, self.floor), self.ceiling)
        if answer.status in _NEGATIVE:
            return min(max(ttl, self.floor), self.negative)
        return self.failure


_NEGATIVE: Final = frozenset({NXDOMAIN, NODATA})


class Cache:
    """Answers by question, `size` of them at most; 0 keeps nothing.

    An entry is the time of the answer and the answer: how long that may be used is worked
    out when it is asked for again, which most never are.
    """

    __slots__ = ("_lifetimes", "half", "old", "size", "young")

    def __init__(self, size: int, lifetimes: Lifetimes | None = None) -> None:
        self.size = size
        #: How much the young generation takes.
        self.half = (size + 1) // 2
        self._lifetimes = lifetimes or Lifetimes()
        #: The two generations, for whoever only wants to know whether to call `get`.
        self.young: dict[Question, tuple[float, Answer]] = {}
        self.old: dict[Question, tuple[float, Answer]] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def get(self, question: Question, now: float) -> Answer | None:
        """Return the answer kept for a question, or None if there is none that is fresh."""
        entry = self.young.get(question)
        if entry is not None:
            return entry[1] if self._is_fresh(entry, now) else None
        entry = self.old.get(question)
        if entry is None or not self._is_fresh(entry, now):
            return None
        del self.old[question]
        self.generation()[question] = entry
        return entry[1]

    def put(self, question: Question, answer: Answer, now: float) -> None:
        """Keep an answer for as long as its status and TTL allow."""
        if self.half:
            self.generation()[question] = (now, answer)
            self.old.pop(question, None)

    def generation(self, room: int = 1) -> dict[Question, tuple[float, Answer]]:
        """Return the young generation, after making room in it for so many entries."""
        if len(self.young) + room > self.half:
            self.old = self.young
            self.young = {}
            # An odd size leaves the old generation one place less.
            while len(self.old) > self.size - self.half:
                del self.old[next(iter(self.old))]
        return self.young

    def _is_fresh(self, entry: tuple[float, Answer], now: float) -> bool:
        kept_at, answer = entry
        return now < kept_at + self._lifetimes.of(answer)
