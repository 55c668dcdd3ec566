"""The lookup: one question is asked once, aliases are followed, late answers are left behind.

Also tests `answer.py`.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.fake_engine import FakeEngine
from support.virtual_time import run_virtual

from auditor.resolve.answer import MAX_CHAIN, Answer, Provenance, Question, make_answer
from auditor.resolve.cache import Cache, Lifetimes
from auditor.resolve.resolver import CachingResolver, PendingBatch
from auditor.wire.codes import PTR, A

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Any

_HOW = Provenance("192.0.2.53:53", "udp", 2, 1.5)


def _question(number: int) -> Question:
    return Question(f"{number}.example.net", A)


def _zone(question: Question) -> Answer:
    """Answer every question with an address that follows from its name."""
    number = int(question.name.partition(".")[0])
    return make_answer("NOERROR", [f"10.0.{number // 256}.{number % 256}"], ttl=60, how=_HOW)


def _aliases(targets: Mapping[str, str], ttl: int | None = 60) -> Callable[[Question], Answer]:
    """Return a zone of aliases that the server leaves to whoever asks; the rest have an A."""

    def answer(question: Question) -> Answer:
        target = targets.get(question.name)
        if target is None:
            return make_answer("NOERROR", ["192.0.2.1"], ttl=300, how=_HOW)
        return make_answer("NOERROR", (), [(question.name, target)], ttl=ttl, how=_HOW)

    return answer


def _adds_up(lookup: CachingResolver) -> bool:
    engine = lookup.engine.counters()
    return lookup.asked == lookup.from_cache + lookup.joined + engine["asked"]


# --- Questions and answers


def test_answers_come_in_the_order_asked(run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    async def main() -> None:
        engine = FakeEngine(_zone)
        lookup = CachingResolver(engine, Cache(0))
        # 7 and 300 have no common divisor: every number once, in no order worth the name.
        questions = [_question(number * 7 % 300) for number in range(300)]
        work = asyncio.ensure_future(lookup.resolve_many(questions))
        await asyncio.sleep(0)
        shuffled = [questions[number * 11 % 300] for number in range(300)]
        for start in range(0, 300, 7):
            engine.reply(shuffled[start : start + 7])
        assert await work == [_zone(question) for question in questions]
        assert _adds_up(lookup)

    run(main())


def test_no_questions_no_wait() -> None:
    async def main() -> None:
        assert await CachingResolver(FakeEngine(_zone), Cache(0)).resolve_many([]) == []

    run_virtual(main())


def test_a_question_asked_again_meanwhile_is_asked_once() -> None:
    async def main() -> None:
        engine = FakeEngine(_zone)
        lookup = CachingResolver(engine, Cache(0))
        first = lookup.start_batch([_question(1), _question(2), _question(1)])
        second = lookup.start_batch([_question(2), _question(3)])
        assert engine.asked == [_question(1), _question(2), _question(3)]
        engine.reply()
        assert first.answers == [_zone(_question(number)) for number in (1, 2, 1)]
        assert second.answers == [_zone(_question(number)) for number in (2, 3)]
        assert (lookup.asked, lookup.joined, lookup.from_cache) == (5, 2, 0)
        lookup.start_batch([_question(1)])  # nothing is kept: it is asked again
        assert engine.asked[3:] == [_question(1)]
        assert _adds_up(lookup)

    run_virtual(main())


def test_a_failure_is_handed_to_all_who_wait_for_it() -> None:
    async def main() -> None:
        engine = FakeEngine(lambda _question: Answer("TIMEOUT"))
        lookup = CachingResolver(engine, Cache(0))
        batches = [lookup.start_batch([_question(1)]) for _ in range(3)]
        engine.reply()
        assert [batch.answers for batch in batches] == [[Answer("TIMEOUT")]] * 3

    run_virtual(main())


def test_an_answer_that_is_kept_is_not_asked_again_until_its_time_is_over() -> None:
    times = iter([1000.0, 1000.0, 1059.0, 1060.0, 1060.0, 1119.0])

    async def main() -> None:
        engine = FakeEngine(_zone, at_once=True)
        lookup = CachingResolver(engine, Cache(10, Lifetimes(floor=30)), clock=lambda: next(times))
        for asked in (1, 1, 2, 2):  # each that is asked reads the clock once more
            assert await lookup.resolve_many([_question(1)]) == [_zone(_question(1))]
            assert len(engine.asked) == asked
        assert (lookup.asked, lookup.from_cache) == (4, 2)
        assert _adds_up(lookup)

    run_virtual(main())


@pytest.mark.parametrize("trace", [False, True])
def test_a_trace_says_that_an_answer_was_kept(*, trace: bool) -> None:
    async def main() -> None:
        lookup = CachingResolver(FakeEngine(_zone, at_once=True), Cache(10), trace=trace)
        (first,) = await lookup.resolve_many([_question(1)])
        (again,) = await lookup.resolve_many([_question(1)])
        assert first.how == _HOW
        assert again.how == _HOW._replace(cached=trace)
        assert again._replace(how=None) == first._replace(how=None)

    run_virtual(main())


def test_an_answer_within_submit_is_as_good_as_one_later() -> None:
    async def main() -> None:
        lookup = CachingResolver(FakeEngine(_zone, at_once=True), Cache(0))
        batch = lookup.start_batch([_question(number) for number in range(300)])
        assert batch.pending == 0
        assert await lookup.resolve_many([_question(7)]) == [_zone(_question(7))]

    run_virtual(main())


@pytest.mark.parametrize("size", [0, 1, 10, 255])
def test_answers_that_come_all_at_once_do_not_overfill_the_cache(size: int) -> None:
    async def main() -> None:
        cache = Cache(size)
        lookup = CachingResolver(FakeEngine(_zone, at_once=True), cache)
        for _ in range(3):
            await lookup.resolve_many([_question(number) for number in range(256)])
            assert size // 2 <= len(cache) <= size

    run_virtual(main())


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=8),
    st.integers(0, 12),
    st.randoms(use_true_random=False),
)
@settings(max_examples=examples(100))
def test_every_question_ends_exactly_once_and_the_counts_add_up(
    batches: Sequence[Sequence[int]], size: int, chance: random.Random
) -> None:
    async def main() -> None:
        engine = FakeEngine(_zone)
        lookup = CachingResolver(engine, Cache(size))
        started: list[tuple[Sequence[int], PendingBatch]] = []
        for numbers in batches:
            started.append((numbers, lookup.start_batch([_question(number) for number in numbers])))
            if engine.open and chance.random() < 0.5:
                engine.reply(chance.sample(list(engine.open), chance.randint(1, len(engine.open))))
            assert _adds_up(lookup)
        engine.reply()
        for numbers, batch in started:
            assert batch.pending == 0
            assert batch.answers == [_zone(_question(number)) for number in numbers]
        assert lookup.asked == sum(map(len, batches))
        assert len(engine.asked) == engine.counters()["answered"]

    run_virtual(main())


# --- Aliases


def test_an_alias_that_leads_out_of_a_reply_is_followed_and_recorded() -> None:
    async def main() -> None:
        engine = FakeEngine(
            _aliases({"a.example.net": "b.example.org", "b.example.org": "c.example.com"}, ttl=40)
        )
        lookup = CachingResolver(engine, Cache(100))
        work = asyncio.ensure_future(lookup.resolve_many([Question("a.example.net", A)]))
        for name in ("a.example.net", "b.example.org", "c.example.com"):
            await asyncio.sleep(0)
            assert list(engine.open) == [Question(name, A)]
            engine.reply()
        (answer,) = await work
        assert answer == Answer(
            "NOERROR",
            ("192.0.2.1",),
            ("a.example.net", "b.example.org"),
            "c.example.com",
            40,  # the lowest on the way
            _HOW,
        )
        assert _adds_up(lookup)
        # What stands on the way is known now, each by its own name.
        again = [Question(name, A) for name in ("b.example.org", "c.example.com", "a.example.net")]
        assert [found.chain for found in await lookup.resolve_many(again)] == [
            ("b.example.org",),
            (),
            ("a.example.net", "b.example.org"),
        ]
        assert len(engine.asked) == 3

    run_virtual(main())


@pytest.mark.parametrize("status", ["NXDOMAIN", "NODATA", "SERVFAIL", "TIMEOUT"])
def test_what_stands_at_the_end_of_an_alias_is_the_answer(status: str) -> None:
    denied = status[0] == "N"
    ttl, apex = (20, "example.net") if denied else (60, "")

    async def main() -> None:
        def zone(question: Question) -> Answer:
            if question.name == "a.example.net":
                return make_answer("NOERROR", (), [("a.example.net", "b.example.net")], ttl=60)
            return Answer(status, ttl=20, zone="example.net") if denied else Answer(status)

        lookup = CachingResolver(FakeEngine(zone, at_once=True), Cache(0))
        (answer,) = await lookup.resolve_many([Question("a.example.net", A)])
        alias = ("a.example.net",), "b.example.net"
        assert answer == Answer(status, (), *alias, ttl, zone=apex)

    run_virtual(main())


@pytest.mark.parametrize(("links", "status"), [(MAX_CHAIN, "NOERROR"), (MAX_CHAIN + 1, "SERVFAIL")])
def test_eight_aliases_are_followed_and_not_one_more(links: int, status: str) -> None:
    targets = {f"{number}.example.net": f"{number + 1}.example.net" for number in range(links)}

    async def main() -> None:
        lookup = CachingResolver(FakeEngine(_aliases(targets), at_once=True), Cache(0))
        (answer,) = await lookup.resolve_many([Question("0.example.net", A)])
        assert (answer.status, len(answer.chain)) == (status, MAX_CHAIN)
        assert bool(answer.records) == (status == "NOERROR")

    run_virtual(main())


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_name_on_the_way_of_too_many_aliases_has_a_chain_of_its_own(
    order: tuple[int, ...], *, at_once: bool
) -> None:
    links = MAX_CHAIN + 1
    targets = {f"{number}.example.net": f"{number + 1}.example.net" for number in range(links)}

    async def main() -> None:
        lookup = CachingResolver(FakeEngine(_aliases(targets), at_once=True), Cache(100))
        questions = [Question(f"{number}.example.net", A) for number in order]
        if at_once:
            answers = await lookup.resolve_many(questions)
        else:
            answers = [(await lookup.resolve_many([question]))[0] for question in questions]
        found = {number: answer.status for number, answer in zip(order, answers, strict=True)}
        assert found == {0: "SERVFAIL", 1: "NOERROR", 2: "NOERROR"}

    run_virtual(main())


def test_aliases_within_replies_count_as_well() -> None:
    def zone(question: Question) -> Answer:
        start = int(question.name.partition(".")[0])
        names = [f"{number}.example.net" for number in range(start, start + 4)]
        return make_answer("NOERROR", (), list(pairwise(names)))

    async def main() -> None:
        engine = FakeEngine(zone, at_once=True)
        (answer,) = await CachingResolver(engine, Cache(0)).resolve_many(
            [Question("0.example.net", A)]
        )
        assert (answer.status, len(answer.chain)) == ("SERVFAIL", MAX_CHAIN)

    run_virtual(main())


def test_aliases_without_end_come_to_an_end() -> None:
    def zone(question: Question) -> Answer:
        number = int(question.name.partition(".")[0])
        target = f"{number + 1}.example.net"
        return make_answer("NOERROR", (), [(question.name, target)], ttl=60)

    async def main() -> None:
        engine = FakeEngine(zone)
        lookup = CachingResolver(engine, Cache(100))
        batch = lookup.start_batch([Question("0.example.net", A), Question("5.example.net", A)])
        for _ in range(30):
            engine.reply()
        assert batch.pending == 0
        assert [answer.status for answer in batch.answers if answer] == ["SERVFAIL", "SERVFAIL"]
        assert len(engine.asked) <= 4 * MAX_CHAIN

    run_virtual(main())


@pytest.mark.parametrize("length", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_loop_of_aliases_is_noticed_by_whoever_is_in_it(length: int, *, one_by_one: bool) -> None:
    names = [f"{number}.example.net" for number in range(length)]
    targets = dict(zip(names, names[1:] + names[:1], strict=True))

    async def main() -> None:
        engine = FakeEngine(_aliases(targets))
        lookup = CachingResolver(engine, Cache(0))
        # All at once: each waits for the next, and the last for the first.
        batch = lookup.start_batch(
            [Question(name, A) for name in (names[:1] if one_by_one else names)]
        )
        rounds = 0
        while batch.pending and rounds < 30:
            rounds += 1
            engine.reply()
        assert [answer.status for answer in batch.answers if answer] == ["SERVFAIL"] * len(
            batch.answers
        )
        assert batch.pending == 0
        assert not engine.open
        assert _adds_up(lookup)

    run_virtual(main())


def test_two_questions_that_share_an_alias_get_their_own_chains() -> None:
    targets = {
        "a.example.net": "shared.example.net",
        "b.example.net": "shared.example.net",
        "shared.example.net": "end.example.net",
    }

    async def main() -> None:
        engine = FakeEngine(_aliases(targets))
        lookup = CachingResolver(engine, Cache(0))
        names = ("a.example.net", "b.example.net", "shared.example.net")
        batch = lookup.start_batch([Question(name, A) for name in names])
        for _ in range(3):
            engine.reply()
        assert [answer.chain for answer in batch.answers if answer] == [
            ("a.example.net", "shared.example.net"),
            ("b.example.net", "shared.example.net"),
            ("shared.example.net",),
        ]
        assert len(engine.asked) == 4
        assert _adds_up(lookup)

    run_virtual(main())


def test_an_alias_is_followed_by_type() -> None:
    async def main() -> None:
        engine = FakeEngine(_aliases({"a.example.net": "b.example.net"}), at_once=True)
        await CachingResolver(engine, Cache(0)).resolve_many([Question("a.example.net", PTR)])
        assert engine.asked == [Question("a.example.net", PTR), Question("b.example.net", PTR)]

    run_virtual(main())


# --- The end of a wait


def test_a_wait_that_is_cancelled_leaves_the_batch_usable() -> None:
    async def main() -> None:
        engine = FakeEngine(_zone)
        lookup = CachingResolver(engine, Cache(10))
        work = asyncio.ensure_future(lookup.resolve_many([_question(1)]))
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        again = lookup.start_batch([_question(1)])  # joins what is on its way
        engine.reply()
        assert again.answers == [_zone(_question(1))]
        assert len(engine.asked) == 1

    run_virtual(main())
