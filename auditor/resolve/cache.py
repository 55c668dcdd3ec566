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
    """Answers by question, `size` of them at most; 0 keeps nothing."""

    __slots__ = ("_half", "_lifetimes", "_old", "_young")

    def __init__(self, size: int, lifetimes: Lifetimes | None = None) -> None:
        self._half = (size + 1) // 2
        self._lifetimes = lifetimes or Lifetimes()
        self._young: dict[Question, tuple[float, Answer]] = {}
        self._old: dict[Question, tuple[float, Answer]] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, question: Question, now: float) -> Answer | None:
        """Return the answer kept for a question, or None if there is none that is fresh."""
        entry = self._young.get(question)
        if entry is None:
            entry = self._old.pop(question, None)
            if entry is None:
                return None
            if entry[0] > now:
                self._keep(question, entry)
        return entry[1] if entry[0] > now else None

    def put(self, question: Question, answer: Answer, now: float) -> None:
        """Keep an answer for as long as its status and TTL allow."""
        if self._half:
            self._keep(question, (now + self._lifetimes.of(answer), answer))

    def _keep(self, question: Question, entry: tuple[float, Answer]) -> None:
        if len(self._young) >= self._half:
            self._old = self._young
            self._young = {}
        self._old.pop(question, None)
        self._young[question] = entry
