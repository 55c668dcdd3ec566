"""The cache: how long an answer may be used, how many are kept, and which."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples, sample

from auditor.resolve.answer import Answer, Provenance, Question
from auditor.resolve.cache import (
    LARGE_ANSWERS_OCTETS,
    LARGEST_ANSWER_OCTETS,
    SMALL_ANSWER_OCTETS,
    Cache,
    Lifetimes,
    is_short_text,
    octets_of,
)
from auditor.wire.codes import PTR

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMES = Lifetimes(floor=30, ceiling=3600, negative=600, failure=5)


def _question(number: int) -> Question:
    return Question(f"{number}.example.net", PTR)


def _answer(number: int = 0, status: str = "NOERROR", ttl: int | None = 300) -> Answer:
    records = (f"host-{number}.example.net",) if status == "NOERROR" else ()
    return Answer(status, records, ttl=ttl)


@pytest.mark.parametrize(
    ("status", "ttl", "seconds"),
    [
        ("NOERROR", 300, 300),
        ("NOERROR", 0, 30),
        ("NOERROR", 29, 30),
        ("NOERROR", 2**31 - 1, 3600),
        ("NODATA", 300, 300),
        ("NXDOMAIN", 0, 30),
        ("NXDOMAIN", 86_400, 600),
        ("NXDOMAIN", None, 30),  # no SOA, so no TTL
        ("NODATA", None, 30),
        ("SERVFAIL", None, 5),
        ("TIMEOUT", None, 5),
        ("REFUSED", 300, 5),  # a TTL says nothing about how long a failure lasts
        ("RCODE4095", None, 5),
    ],
)
def test_an_answer_is_kept_for_as_long_as_its_status_and_ttl_allow(
    status: str, ttl: int | None, seconds: float
) -> None:
    cache = Cache(10, _TIMES)
    answer = _answer(status=status, ttl=ttl)
    cache.keep_answer(_question(1), answer, 1000.0)
    assert cache.fresh_answer(_question(1), 1000.0 + seconds - 0.001) == answer
    assert cache.fresh_answer(_question(1), 1000.0 + seconds) is None


def test_the_defaults_are_within_what_the_rfcs_allow() -> None:
    times = Lifetimes()
    assert 1 <= times.failure <= 300  # RFC 9520 §3.2
    assert times.negative <= 3 * 3600  # RFC 2308 §5
    assert times.floor <= times.negative <= times.ceiling <= 7 * 86_400  # RFC 8767 §4


def test_using_an_answer_does_not_make_it_last_longer() -> None:
    cache = Cache(2, _TIMES)
    cache.keep_answer(_question(1), _answer(1), 0.0)
    cache.keep_answer(_question(2), _answer(2), 299.0)  # the first one is in the old generation now
    assert cache.fresh_answer(_question(1), 299.5) is not None
    assert cache.fresh_answer(_question(1), 300.0) is None


def test_a_newer_answer_replaces_an_older_one() -> None:
    cache = Cache(4, _TIMES)
    for number, now in ((1, 0.0), (2, 1.0)):
        cache.keep_answer(_question(7), _answer(number), now)
    assert cache.fresh_answer(_question(7), 2.0) == _answer(2)
    for number in range(2):  # the newer one is old now, the older one forgotten
        cache.keep_answer(_question(number), _answer(), 2.0)
    assert cache.fresh_answer(_question(7), 300.5) == _answer(2)


def test_questions_of_one_name_and_several_types_are_kept_apart() -> None:
    cache = Cache(10)
    cache.keep_answer(Question("example.net", 1), Answer("NOERROR", ("192.0.2.1",), ttl=60), 0.0)
    cache.keep_answer(Question("example.net", 28), Answer("NODATA"), 0.0)
    assert cache.fresh_answer(Question("example.net", 1), 1.0) == Answer(
        "NOERROR", ("192.0.2.1",), ttl=60
    )
    assert cache.fresh_answer(Question("example.net", 28), 1.0) == Answer("NODATA")
    assert cache.fresh_answer(Question("example.net", 15), 1.0) is None


def test_size_0_keeps_nothing() -> None:
    cache = Cache(0)
    cache.keep_answer(_question(1), _answer(), 0.0)
    assert cache.fresh_answer(_question(1), 0.0) is None
    assert len(cache) == 0


def test_what_is_used_stays_and_what_is_asked_once_goes() -> None:
    cache = Cache(100)
    cache.keep_answer(_question(0), _answer(0), 0.0)
    for number in range(1, 10_000):
        if number % 40 == 0:
            assert cache.fresh_answer(_question(0), 1.0) == _answer(0), number
        cache.keep_answer(_question(number), _answer(number), 1.0)
    assert cache.fresh_answer(_question(9_999), 1.0) == _answer(9_999)
    assert cache.fresh_answer(_question(1), 1.0) is None


def test_what_has_run_out_is_not_carried_on() -> None:
    cache = Cache(4, _TIMES)
    cache.keep_answer(_question(1), _answer(status="SERVFAIL"), 0.0)
    for number in (2, 3, 4):
        cache.keep_answer(_question(number), _answer(number), 0.0)
    assert cache.fresh_answer(_question(1), 10.0) is None
    # A question for it has pushed out nothing that can still be used.
    assert [cache.fresh_answer(_question(number), 10.0) for number in (2, 3, 4)] == [
        _answer(number) for number in (2, 3, 4)
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_it_never_holds_more_than_its_size(size: int) -> None:
    cache = Cache(size)
    most = 0
    for number in range(5 * size):
        cache.keep_answer(_question(number), _answer(number), 0.0)
        most = max(most, len(cache))
        cache.fresh_answer(_question(number // 2), 0.0)
        most = max(most, len(cache))
        assert cache.fresh_answer(_question(number), 0.0) is not None
    assert size // 2 <= most <= size


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "get"]),
        st.integers(0, 12),
        st.sampled_from(["NOERROR", "NXDOMAIN", "NODATA", "TIMEOUT"]),
        st.sampled_from([None, 0, 31, 100, 10_000]),
        st.sampled_from([0.0, 0.5, 4.0, 29.0, 120.0]),
    ),
    max_size=120,
)


@given(st.integers(0, 30), _STEPS)
@settings(max_examples=examples(150))
def test_it_agrees_with_a_list_of_all_there_ever_was(
    size: int, steps: Sequence[tuple[str, int, str, int | None, float]]
) -> None:
    """It may forget, though nothing it has room for; it never says what is wrong or stale."""
    cache = Cache(size, _TIMES)
    model: dict[Question, tuple[float, Answer]] = {}
    now = 0.0
    for serial, (what, number, status, ttl, pause) in enumerate(steps):
        now += pause
        question = _question(number)
        if what == "put":
            answer = _answer(serial, status, ttl)
            cache.keep_answer(question, answer, now)
            model[question] = (now + _TIMES.lifetime_of(answer), answer)
        else:
            expires, kept = model.get(question, (0.0, None))
            expected = kept if now < expires else None
            found = cache.fresh_answer(question, now)
            assert found == expected or (found is None and size < 2 * len(model))
        assert len(cache) <= size


def _held(cache: Cache) -> int:
    """Return the octets of all answers that are kept, as Python counts them."""
    return sum(
        sys.getsizeof(answer.records) + sum(map(sys.getsizeof, answer.records))
        for generation in (cache.young, cache.old)
        for _, answer in generation.values()
    )


@pytest.mark.parametrize(
    ("strings", "is_short"),
    [
        ((b"v=spf1 -all",), True),
        ((b"x" * 255,), True),
        ((b"x" * 256,), False),
        ((b"a",) * 2, False),
    ],
)
def test_a_text_of_one_string_is_small(strings: tuple[bytes, ...], is_short: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_short_text(strings) == is_short
    assert not is_short or octets_of(Answer("NOERROR", (strings,))) <= SMALL_ANSWER_OCTETS


@pytest.mark.parametrize("names", sample([200, 20, 2]))
def test_large_answers_are_bounded_by_their_octets(names: int) -> None:
    cache = Cache(100_000)
    long = "x" * 200
    for number in range(4 * LARGE_ANSWERS_OCTETS // (names * len(long))):
        records = tuple(f"{number}-{name}.{long}" for name in range(names))
        cache.keep_answer(_question(number), Answer("NOERROR", records, ttl=300), 0.0)
        if number % 7 == 0:
            cache.fresh_answer(_question(number // 2), 0.0)
    assert cache.fresh_answer(_question(number), 0.0) is not None
    if names > 2:
        assert LARGE_ANSWERS_OCTETS // 4 < _held(cache) <= LARGE_ANSWERS_OCTETS


@pytest.mark.parametrize(
    "answer",
    [
        Answer("NOERROR", tuple(f"host-{name}.example.net" for name in range(3000)), ttl=300),
        Answer("NOERROR", (tuple(b"x" * 255 for _ in range(400)),), ttl=300),
        Answer("SERVFAIL", how=Provenance(ede=((22, "x" * 70_000),))),
    ],
    ids=["names", "text", "extended error"],
)
def test_a_giant_is_not_kept_and_takes_the_place_of_none(answer: Answer) -> None:
    cache = Cache(100)
    cache.keep_answer(_question(1), _answer(1), 0.0)
    cache.keep_answer(_question(2), _answer(2), 0.0)
    assert octets_of(answer) > LARGEST_ANSWER_OCTETS
    cache.keep_answer(_question(1), answer, 1.0)
    assert cache.fresh_answer(_question(1), 1.0) is None
    assert cache.fresh_answer(_question(2), 1.0) == _answer(2)
