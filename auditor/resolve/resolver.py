"""Caching resolver: a cache and an engine, with shared queries in flight, and CNAMEs followed.

It adds what engines leave out: answers are cached, a question asked twice at the same time is
sent once, and an alias whose target is not in the reply is followed (RFC 1034 §3.6.2).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from auditor.resolve.answer import MAX_CHAIN, Answer, Question, alias_of
from auditor.resolve.cache import is_short_text
from auditor.wire.codes import SERVFAIL, TXT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Engine
    from auditor.resolve.cache import Cache

__all__ = ["CachingResolver", "PendingBatch"]

#: Least seconds until the second half of a batch counts as late (more than a retransmission takes
#: on a short path), and seconds of the first wait for the first half.
_MIN_WAIT_S: Final = 0.1
_FIRST_WAIT_S: Final = 0.25


class _AnswerSink(Protocol):
    """Receiver of the answer to a question: a batch, or an alias being followed."""

    def set_answer(self, index: int, answer: Answer) -> None: ...


_Waiter: TypeAlias = tuple[_AnswerSink, int]


class PendingBatch:
    """The answers to a list of questions, filled in as they arrive.

    `answers`: one per question, None while outstanding; `pending`: how many are outstanding. Only
    one task may wait.
    """

    __slots__ = ("_loop", "_started", "_wait_s", "_wake", "answers", "half", "pending")

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self.answers: list[Answer | None] = [None] * size
        self.pending = size
        self.half = 0
        self._loop = loop
        self._started = loop.time()
        self._wait_s = _FIRST_WAIT_S
        self._wake: asyncio.Future[None] | None = None

    def set_answer(self, index: int, answer: Answer) -> None:
        """Set the answer to question `index`."""
        self.answers[index] = answer
        self.note_arrived(1)

    def note_arrived(self, count: int) -> None:
        """Note `count` answers that have been set in `answers`."""
        self.pending = pending = self.pending - count
        if pending <= self.half:
            self.rouse()

    def rouse(self) -> None:
        """Wake the waiting task."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _sleep(self, seconds: float | None) -> None:
        self._wake = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, self.rouse)
        try:
            await self._wake
        finally:
            self._wake = None
            if timer is not None:
                timer.cancel()

    async def wait(self) -> None:
        """Return when every question is answered."""
        self.half = 0
        while self.pending:
            await self._sleep(None)

    async def wait_for_most(self) -> None:
        """Return when all questions are answered, or the rest counts as late.

        After the first half of the answers, the rest may take as long again. Each further call
        waits as long as has passed so far, so a batch is split only a few times, however slow
        its last answer is.
        """
        if not self.pending:
            return
        self.half = self.pending // 2
        await self._sleep(self._wait_s)
        if self.pending:
            passed = self._loop.time() - self._started
            if self.pending <= self.half:
                self.half = 0
                await self._sleep(max(passed, _MIN_WAIT_S))
                passed *= 2
            self._wait_s = max(passed, _MIN_WAIT_S)


class CachingResolver:
    """Answers questions from a cache or an engine. Implements `Resolver`.

    `trace`: mark answers from the cache in `how`.
    """

    def __init__(
        self,
        engine: Engine,
        cache: Cache,
        *,
        trace: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.engine = engine
        self.asked = 0
        self.from_cache = 0
        self.joined = 0
        self._cache = cache
        self._trace = trace
        self._clock = clock
        self._waiting: dict[Question, _Waiter] = {}
        self._links: dict[Question, Question] = {}

    async def resolve_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question, in order. Failures are statuses."""
        batch = self.start_batch(questions)
        await batch.wait()
        return [answer for answer in batch.answers if answer is not None]

    def start_batch(self, questions: Sequence[Question]) -> PendingBatch:
        """Submit questions, and return at once the batch that will receive the answers."""
        loop = asyncio.get_running_loop()
        batch = PendingBatch(len(questions), loop)
        self._ask(batch, questions, self._clock() if self._clock else loop.time())
        return batch

    def _ask(self, sink: _AnswerSink, questions: Sequence[Question], now: float) -> None:
        self.asked += len(questions)
        young, old = self._cache.young, self._cache.old
        waiting = self._waiting
        fresh = []
        for index, question in enumerate(questions):
            if question in waiting:
                self._join(question, (sink, index))
                continue
            if (question in young or question in old) and self._from_cache(
                sink, index, question, now
            ):
                continue
            waiting[question] = (sink, index)
            fresh.append(question)
        if fresh:
            self.engine.submit(fresh, self._deliver)

    def _join(self, question: Question, waiter: _Waiter) -> None:
        """Wait for the answer to a question that is in flight for another waiter."""
        self.joined += 1
        first = self._waiting[question]
        if isinstance(first[0], _SharedWaiters):
            first[0].waiters.append(waiter)
        else:
            self._waiting[question] = (_SharedWaiters([first, waiter]), 0)

    def _from_cache(self, sink: _AnswerSink, index: int, question: Question, now: float) -> bool:
        answer = self._cache.fresh_answer(question, now)
        if answer is None:
            return False
        self.from_cache += 1
        if self._trace and answer.how is not None:
            answer = answer._replace(how=answer.how._replace(cached=True))
        sink.set_answer(index, answer)
        return True

    def _deliver(self, pairs: Sequence[tuple[Question, Answer]]) -> None:
        now = self._clock() if self._clock else asyncio.get_running_loop().time()
        # Batches too large for the cache, and answers that may be large, are cached one by one.
        keeping = len(pairs) <= self._cache.size // 2 and not self._trace
        young = self._cache.generation(len(pairs)) if keeping else {}
        take = self._waiting.pop
        # Consecutive answers are mostly of one batch: inlined `PendingBatch.set_answer`.
        batch: PendingBatch | None = None
        places: list[Answer | None] = []
        count = 0
        for question, answer in pairs:
            if answer.canonical and not self._is_kept(question, answer, now):
                continue
            records = answer.records
            if keeping and (
                not records
                or (len(records) == 1 and (question.rdtype != TXT or is_short_text(records[0])))
            ):
                young[question] = (now, answer)
            else:
                self._cache.keep_answer(question, answer, now)
                young = self._cache.young
            sink, index = take(question)
            if sink is not batch:
                if batch is not None:
                    batch.note_arrived(count)
                    batch = None
                if sink.__class__ is not PendingBatch:
                    sink.set_answer(index, answer)
                    continue
                batch, places, count = sink, sink.answers, 0
            places[index] = answer
            count += 1
        if batch is not None:
            batch.note_arrived(count)

    def _is_kept(self, question: Question, answer: Answer, now: float) -> bool:
        """Tell whether an answer with aliases is final and may be cached; otherwise handle it."""
        if alias_of(answer):
            self._follow(question, answer, now)
            return False
        if answer.status == SERVFAIL:
            # May be due to the chain that led here, so it is not cached.
            sink, index = self._waiting.pop(question)
            sink.set_answer(index, answer)
            return False
        return True

    def _follow(self, question: Question, answer: Answer, now: float) -> None:
        """Query the target of an alias; its answer will be that of `question`."""
        target = Question(answer.canonical, question.rdtype)
        # Detect a loop: two aliases would wait for each other for ever.
        depth = self._depth(question) + len(answer.chain)
        step: Question | None = question if depth > MAX_CHAIN else target
        for _ in range(MAX_CHAIN + 1):
            if step is None or step == question:
                break
            step = self._links.get(step)
        if step is not None:
            self._deliver([(question, _loop(answer))])
            return
        self._links[question] = target
        self._ask(_CnameChase(self, question, answer), [target], now)

    def _depth(self, question: Question) -> int:
        """Return the number of aliases on the shortest chain to a question."""
        waiter = self._waiting[question]
        waiters = waiter[0].waiters if isinstance(waiter[0], _SharedWaiters) else [waiter]
        return min(
            self._depth(sink.question) + len(sink.answer.chain)
            if isinstance(sink, _CnameChase)
            else 0
            for sink, _ in waiters
        )

    def end_link(self, question: Question, answer: Answer) -> None:
        """Deliver the answer at the end of an alias (called by `_CnameChase`)."""
        self._links.pop(question, None)
        self._deliver([(question, answer)])


def _loop(answer: Answer) -> Answer:
    return Answer(SERVFAIL, (), answer.chain[:MAX_CHAIN], answer.canonical, None, answer.how)


class _SharedWaiters:
    """Passes an answer on to all waiters of the same question."""

    __slots__ = ("waiters",)

    def __init__(self, waiters: list[_Waiter]) -> None:
        self.waiters = waiters

    def set_answer(self, index: int, answer: Answer) -> None:
        """Take the only answer: `index` is 0."""
        del index
        for sink, place in self.waiters:
            sink.set_answer(place, answer)


class _CnameChase:
    """Waits for the answer at the end of an alias, and joins the two answers."""

    __slots__ = ("_resolver", "answer", "question")

    def __init__(self, resolver: CachingResolver, question: Question, answer: Answer) -> None:
        self._resolver = resolver
        self.question = question
        self.answer = answer

    def set_answer(self, index: int, answer: Answer) -> None:
        """Take the only answer: `index` is 0."""
        del index
        first = self.answer
        chain = first.chain + answer.chain
        canonical = answer.canonical or first.canonical
        if len(chain) > MAX_CHAIN or canonical in chain:
            joined = _loop(first._replace(chain=chain))
        else:
            ttls = [ttl for ttl in (first.ttl, answer.ttl) if ttl is not None]
            joined = answer._replace(chain=chain, canonical=canonical, ttl=min(ttls, default=None))
        self._resolver.end_link(self.question, joined)
