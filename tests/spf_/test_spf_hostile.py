"""Hostile policies: a fact comes out, soon, and after few questions."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.spf_answers import V4, V6, check

from auditor.resolve.answer import Answer, make_answer
from auditor.wire.codes import AAAA, MX, NODATA, NOERROR, PTR, SERVFAIL, TXT, A

if TYPE_CHECKING:
    from auditor.resolve.answer import Question

_RESULTS = {"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}
_MAX_TEXT = examples(65_535)

# Ten terms; each of them MX and ten hosts, or PTR and ten names; the policy and its exp=.
_MAX_QUESTIONS = 2 + 10 * 11 + 11


def _same_everywhere(policy: bytes, question: Question) -> Answer:
    """Answer every question, and every TXT one with the same policy."""
    name, rdtype = question
    if rdtype == TXT:
        return Answer(NOERROR, ((policy,),))
    if rdtype == MX:
        return Answer(NOERROR, tuple((i, f"{i}.{name}"[-200:].strip(".")) for i in range(10)))
    if rdtype == PTR:
        return Answer(NOERROR, tuple(f"{i}.ptr.example" for i in range(30)))
    return Answer(NOERROR, ("2001:db8::ff",) if rdtype == AAAA else ("198.51.100.255",))


def _fill(piece: str, last: str = "") -> str:
    room = _MAX_TEXT - len("v=spf1 ") - len(last)
    return piece * (room // len(piece)) + last


@pytest.mark.parametrize(
    "terms",
    [
        _fill("a "),
        _fill("ip4:1.2.3.4 ", "-all"),
        _fill("include:x.example.net "),
        _fill("mx:x.example.net "),
        _fill("x=%{p} ", "-all"),
        _fill("%"),
        _fill("ptr "),
        "a:" + _fill("a", "!"),
        "a:." + _fill("a", "!"),
        "a:." + _fill("a-", "!"),
        "a:." + _fill("1", "!"),
        "a:" + _fill("x.", "net"),
        "a:" + _fill("%.", "%{d}"),
        "a:" + _fill("%{d", "}"),
        "a:" + _fill("%{p}"),
        "a:" + _fill("%{S9r-.}", ".net"),
        "a:x.net" + _fill("/1"),
        "a:x.net/" + _fill("1"),
        "a:x.net//" + _fill("1"),
        "ip4:" + _fill("1"),
        "ip6:" + _fill("1:"),
        "exp=" + _fill("%{i}."),
        "redirect=" + _fill("%{l}", ".net"),
        _fill("="),
        _fill("-"),
        "a:%{d" + "9" * 5000 + "}",
        "a:x.net/" + "9" * 5000,
        "exp=%{d} " + _fill("%_ ", "-all"),
        "redirect=%{d}",
        "include:%{l}.%{d}",
        "exists:%{p}.%{p}.net ptr mx a ?all",
    ],
    ids=lambda terms: terms[:24],
)
def test_a_long_or_looping_policy_ends_soon(terms: str) -> None:
    started = time.process_time()

    course = check(partial(_same_everywhere, f"v=spf1 {terms}".encode()), V4, sender="me@x.example")

    assert course.fact.result in _RESULTS
    assert "cannot be evaluated" not in (course.fact.explanation or "")
    assert len(course.questions) <= _MAX_QUESTIONS
    assert len(course.fact.explanation or "") < 8192
    assert time.process_time() - started < 5  # quadratic work takes minutes


def test_what_pyspf_stumbles_over_is_permerror(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setattr("spf.query.validate_mechanism", stumble)
    policy = b"v=spf1 ip4:203.0.113.203 ptr"
    fact = check(partial(_same_everywhere, policy), V4, "x.example").fact

    assert fact.result == "permerror"
    assert fact.explanation == "cannot be evaluated: IndexError('list index out of range')"


def test_a_fail_is_explained_within_bounds_however_much_it_expands_to() -> None:
    def answer(question: Question) -> Answer:
        apex = question.name == "x.example"
        text = b"v=spf1 exp=why.%{o} -all" if apex else _fill("%{s}").encode()
        return Answer(NOERROR, ((text,),))

    fact = check(answer, V4, sender=f"{'x' * 200}@x.example").fact

    assert fact.result == "fail"
    assert fact.explanation is not None
    assert len(fact.explanation) == 1024 + len("...")


_NAMES = st.sampled_from(
    ["x.example", "a.x.example", "b.example", "a.example", "%{d}", "%{p}.b.example"]
)
_TERMS = st.one_of(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", "", "-", "~", "?"]),
        st.sampled_from(
            ["a", "mx", "ptr", "include", "exists", "all", "ip4", "ip6", "A", "Include"]
        ),
        st.one_of(
            st.just(""),
            st.builds(":{}".format, _NAMES),
            st.sampled_from(
                ["/24", "//64", "/0//0", ":192.0.2.0/24", ":2001:db8::/32", ":192.0.2.1"]
            ),
        ),
    ),
    st.builds("{}={}".format, st.sampled_from(["redirect", "exp", "x"]), _NAMES),
)
_POLICIES = st.lists(_TERMS, max_size=8).map(lambda terms: " ".join(["v=spf1", *terms]).encode())
_GARBAGE = st.one_of(
    st.binary(max_size=60).map(lambda tail: b"v=spf1 " + tail),
    st.text(alphabet="a%{}dpis.:/=-+ 123x", max_size=60).map(lambda t: f"v=spf1 {t}".encode()),
    st.binary(max_size=60),
)
_FAILURES = st.sampled_from([SERVFAIL, NODATA, "NXDOMAIN", "TIMEOUT"])


@st.composite
def _worlds(draw: st.DrawFn, policies: st.SearchStrategy[bytes]) -> dict[str, dict[int, Answer]]:
    """Draw what a few names hold; whatever else is asked for does not exist."""

    def rrset(records: st.SearchStrategy[list[object]]) -> Answer:
        if draw(st.integers(0, 5)) == 0:
            return Answer(draw(_FAILURES))
        found = draw(records)
        return make_answer(NOERROR, found) if found else Answer(NODATA)  # type: ignore[arg-type]

    owners = ["x.example", "a.x.example", "b.example", "a.example"]
    hosts = st.sampled_from([*owners, ".", r"a\.b.example"])
    world: dict[str, dict[int, Answer]] = {
        name: {
            TXT: rrset(st.lists(policies.map(lambda p: (p,)), min_size=1, max_size=2)),
            A: rrset(st.lists(st.sampled_from([V4, "192.0.2.77", "198.51.100.1"]), max_size=2)),
            AAAA: rrset(st.lists(st.sampled_from([V6, "2001:db8:1::1"]), max_size=2)),
            MX: rrset(st.lists(st.tuples(st.integers(0, 9), hosts), max_size=12)),
        }
        for name in owners
    }
    reverse = rrset(st.lists(hosts, max_size=4))
    world["1.2.0.192.in-addr.arpa"] = {PTR: reverse}
    return world


def _answer(world: dict[str, dict[int, Answer]], question: Question) -> Answer:
    return world.get(question.name, {}).get(question.rdtype, Answer("NXDOMAIN"))


@given(_worlds(_POLICIES), st.sampled_from([V4, V6]))
@settings(max_examples=examples(120))
def test_asking_ahead_never_changes_a_fact(
    world: dict[str, dict[int, Answer]], address: str
) -> None:
    answer = partial(_answer, world)
    ahead = check(answer, address, sender="me@x.example")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditor.spf.evaluator.lacking_questions", lambda *_: [])
        plain = check(answer, address, sender="me@x.example")

    assert ahead.fact == plain.fact
    assert len(ahead.questions) == len(set(ahead.questions)) <= _MAX_QUESTIONS


@given(
    _worlds(st.one_of(_GARBAGE, _POLICIES)),
    st.sampled_from([V4, V6]),
    st.text(max_size=20),
    st.text(max_size=20),
)
@settings(max_examples=examples(120))
def test_garbage_gives_a_fact_and_nothing_else(
    world: dict[str, dict[int, Answer]], address: str, local: str, helo: str
) -> None:
    fact = check(partial(_answer, world), address, helo, f"{local}@x.example").fact

    assert fact.result in _RESULTS
    assert "cannot be evaluated" not in (fact.explanation or "")
    assert (fact.record or "").isascii()
    assert (fact.explanation or "").isprintable()
    assert fact.lookups <= 11
    assert fact.voids <= 3
    assert (fact.mechanism is None) or fact.result not in {"none", "permerror", "temperror"}
    assert (fact.explanation is not None) >= (fact.result in {"permerror", "temperror"})


@given(st.binary(max_size=80), st.text(max_size=30), st.text(max_size=30))
def test_any_helo_and_sender_give_a_fact(policy: bytes, helo: str, sender: str) -> None:
    answer = partial(_same_everywhere, b"v=spf1 a:%{s}.%{h}.net exp=%{l} " + policy)

    assert check(answer, V4, helo).fact.result in _RESULTS
    assert check(answer, V4, helo, sender).fact.domain.isprintable()
