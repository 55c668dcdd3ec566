"""Without pyspf the same comes out: what is evaluated directly equals it, whatever is asked.

Also tests `compile.py` and `spf/result.py`.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Literal, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spf_.test_spf_rfc7208 import _zone
from support.effort import examples, sample
from support.spf_answers import V4, V6, Course, Zone, check
from support.spf_suite import CASES, MISSING
from support.spf_worlds import OWNERS, World, answerer, world

from auditor.resolve.answer import Answer, Question
from auditor.spf import compile as program
from auditor.spf.evaluator import client_of, evaluate_directly
from auditor.spf.records import policies
from auditor.wire.codes import AAAA, MX, NOERROR, TIMEOUT, TXT, A

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from auditor.spf.result import Outcome

_DOMAIN = OWNERS[0]
_SEEDS = st.integers(0, 2**32 - 1)
_ODD_TERMS = (
    *("redirect=a.x.example", "exp=x.example", "EXP=b.example", "foo=%{i}", "foo=%", "ptr"),
    *("a/33", "all/8", "a:_x.example", "a:b:c.example", "mx:b/c.example", "-", "\t", "+ALL"),
    *("ip4:1.2.3.4/0", "ip4:192.0.2.0/028", "ip6:::/0", "ip6:::ffff:192.0.2.1", "mx:x.example"),
    *(f"a:{'l' * 64}.example", f"a:{'abcdefgh.' * 30}example", "include:x.example."),
    *("exists:none.example", "exists:b.example", "?exists:a.x.example", "Redirect=None.Example"),
    *("a:n1.example", "a:n2.example", "mx:n3.example", "include:none.example", "include:B.example"),
)


def _client(rnd: Random) -> str:
    near = rnd.randrange(16)
    return rnd.choice(
        (f"192.0.2.{near}", f"2001:db8::{near:x}", f"::ffff:192.0.2.{near}", "203.0.113.9", "::1")
    )


def _odd(rnd: Random, text: bytes) -> bytes:
    """Return a policy in an odd spelling, or with an odd term."""
    words = text.split(b" ")
    how = rnd.random()
    if how < 0.2:
        words = [word.upper() for word in words]
    elif how < 0.4:
        words = [word + b" " * rnd.randrange(3) for word in words]
    elif how < 0.8:
        words.insert(rnd.randrange(1, len(words) + 1), rnd.choice(_ODD_TERMS).encode())
    return b" ".join(words)


def _world(rnd: Random) -> World:
    """Return a world with oddities; few of its policies depend on the sender."""
    names = world(rnd, macros=rnd.random() < 0.3)
    for types in names.values():
        answer = types[TXT]
        if answer.records and rnd.random() < 0.4:
            texts = cast("tuple[tuple[bytes, ...], ...]", answer.records)
            records = sorted((_odd(rnd, b"".join(strings)),) for strings in texts)
            types[TXT] = answer._replace(records=tuple(records))
    return names


def _by_pyspf(
    answer: Callable[[Question], Answer], address: str, helo: str, sender: str | None = None
) -> Course:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditor.spf.evaluator.evaluate_directly", lambda *_: None)
        return check(answer, address, helo, sender)


def _directly(
    answer: Callable[[Question], Answer], address: str, domain: str
) -> Outcome | Literal["left to pyspf", "no policy"]:
    """Evaluate the policy of a domain with nothing else at hand."""
    question = Question(domain, TXT)
    known = {question: answer(question)}
    found = policies(known[question].records)
    if len(found) != 1:
        return "no policy"
    for _ in range(100):
        outcome = evaluate_directly(client_of(address), found[0], domain, known)
        if not isinstance(outcome, list):
            return outcome or "left to pyspf"
        assert outcome
        assert known.keys().isdisjoint(outcome)
        known.update((question, answer(question)) for question in outcome)
    raise AssertionError("asks for ever")


@given(_SEEDS)
@settings(max_examples=examples(1500))
def test_the_fact_is_that_of_pyspf_and_nothing_more_is_asked(seed: int) -> None:
    rnd = Random(seed)
    answer = answerer(_world(rnd))
    address = _client(rnd)
    helo, sender = rnd.choice(((_DOMAIN, None), ("h.example", f"me@{_DOMAIN}"), (_DOMAIN, "")))

    course = check(answer, address, helo, sender)
    wanted = _by_pyspf(answer, address, helo, sender)

    assert course.fact == wanted.fact
    assert set(course.questions) <= set(wanted.questions)
    assert len(course.rounds) <= len(wanted.rounds)


@given(_SEEDS)
@settings(max_examples=examples(300))
def test_of_many_networks_the_first_that_holds_the_client_decides(seed: int) -> None:
    rnd = Random(seed)
    terms = [
        f"{rnd.choice('+-~?')}ip4:192.0.2.{rnd.randrange(16)}/{rnd.choice((32, 32, 31, 29, 0))}"
        if rnd.random() < 0.7
        else rnd.choice((f"-ip6:2001:db8::{rnd.randrange(16):x}/127", "~a", "IP4:192.0.2.3"))
        for _ in range(rnd.randrange(1, 24))
    ]
    zone = Zone({_DOMAIN: {TXT: [(" ".join(["v=spf1", *terms]).encode(),)], A: ["192.0.2.7"]}})
    address = _client(rnd)

    wanted = _by_pyspf(zone.answer, address, _DOMAIN).fact

    assert _directly(zone.answer, address, _DOMAIN) == (*wanted[2:6], wanted.explanation, None)


@pytest.mark.parametrize(
    "name",
    ["a/24.x", "%{i}.x", "a_b.-x.x", 'q"uote.x', "co:lon.x", "8.8", "*.x", "v=spf1.x", "a..x"],
)
def test_any_name_may_have_a_policy(name: str) -> None:
    texts = [(b"v=spf1 mx/30 include:one.x a ?all",)]
    zone = Zone({name: {TXT: texts, A: [V4]}} if name != "a..x" else {})

    assert check(zone.answer, V4, name).fact == _by_pyspf(zone.answer, V4, name).fact


def test_most_of_what_has_no_macros_is_not_left_to_pyspf() -> None:
    results = Counter[str]()
    for seed in range(600):
        rnd = Random(seed)
        outcome = _directly(answerer(world(rnd, macros=False)), _client(rnd), _DOMAIN)
        results[outcome if isinstance(outcome, str) else outcome[0]] += 1

    evaluated = sum(results.values()) - results["no policy"]
    assert results["left to pyspf"] < 0.3 * evaluated
    for result in ("pass", "fail", "softfail", "neutral", "permerror", "temperror"):
        assert results[result] > 0.02 * evaluated


@pytest.mark.skipif(not CASES, reason=MISSING)
def test_the_suite_comes_out_the_same_and_much_of_it_without_pyspf() -> None:
    direct = 0
    for case in CASES:
        spec = case.spec
        zone = _zone(case.zone)
        asked = zone.answer, spec["host"].lower(), spec["helo"], spec["mailfrom"] or None

        assert check(*asked).fact == _by_pyspf(*asked).fact, case.name
        domain = (spec["mailfrom"] or spec["helo"]).rpartition("@")[2].lower()
        direct += isinstance(_directly(zone.answer, asked[1], domain), tuple)

    assert direct > 0.3 * len(CASES)


_ZONE = Zone(
    {
        "h.x": {A: [V4]},
        "mx.x": {MX: [(10, "h2.x"), (20, "null.x")]},
        "h2.x": {A: ["192.0.2.0"], AAAA: ["2001:db8::ff"]},
        "null.x": {MX: [(0, ".")]},
        "many.x": {MX: [(0, f"h{number}.x") for number in range(11)]},
        "late.x": {A: TIMEOUT, TXT: TIMEOUT},
        "slow.x": {MX: [(0, "late.x"), (1, "h.x")]},
        "both.x": {TXT: [(b"v=spf1 a",), (b"v=spf1 mx",)]},
        "one.x": {TXT: [(b"v=spf1 a:h.x -all",)]},
        "two.x": {TXT: [(b"v=spf1 a:h2.x -all",)]},
    }
)


@pytest.mark.parametrize(
    ("terms", "outcome"),
    [
        ("a -all", ("fail", "-all", 1, 0, None)),
        ("-a:n1.x  ~ALL", ("softfail", "~ALL", 1, 1, None)),
        ("MX:mx.X/31 -all", ("pass", "MX:mx.X/31", 1, 0, None)),
        ("mx:null.x", ("neutral", None, 1, 0, None)),
        ("?include:one.x -all", ("neutral", "?include:one.x", 2, 0, None)),
        ("redirect=one.x", ("pass", "a:h.x", 2, 0, None)),
        ("exp=one.x include:two.x +ip4:192.0.2.0/24", ("pass", "+ip4:192.0.2.0/24", 2, 0, None)),
        ("ip6:2001:db8::/32 exists:h.x", ("pass", "exists:h.x", 1, 0, None)),
        ("include:two.x " * 6, ("permerror", None, 11, 0, "Too many DNS lookups")),
        (
            "a:n1.x a:n2.x mx:n3.x",
            ("permerror", None, 3, 3, "more than 2 void lookups: MX of n3.x"),
        ),
        ("mx:Many.x", ("permerror", None, 1, 0, "more than 10 MX records: MX of Many.x")),
        ("a:late.x", ("temperror", None, 1, 0, "A of late.x: TIMEOUT")),
        ("mx:slow.x all", ("temperror", None, 1, 0, "A of late.x: TIMEOUT")),
        ("redirect=late.x", ("temperror", None, 1, 0, "TXT of late.x: TIMEOUT")),
        ("include:both.x", ("permerror", None, 1, 0, "2 SPF records at both.x, expected one")),
        (
            "~include:H.x. -all",
            (
                "permerror",
                None,
                1,
                1,
                "No valid SPF record for included domain: H.x: ~include:H.x.",
            ),
        ),
        ("REDIRECT=H.x.", ("permerror", None, 1, 1, "no SPF record to redirect to: redirect=H.x.")),
    ],
)
def test_outcomes_are_told_as_pyspf_tells_them(
    terms: str, outcome: tuple[str, str | None, int, int, str | None]
) -> None:
    def answer(question: Question) -> Answer:
        if question == Question("mail.x", TXT):
            return Answer(NOERROR, ((f"v=spf1 {terms}".encode(),),))
        if question == Question("mail.x", A):
            return Answer(NOERROR, ("192.0.2.99",))
        return _ZONE.answer(question)

    assert _directly(answer, V4, "mail.x") == (*outcome, None)
    assert _by_pyspf(answer, V4, "mail.x").fact[2:6] == outcome[:4]
    assert _by_pyspf(answer, V4, "mail.x").fact.explanation == outcome[4]


@pytest.mark.parametrize(
    "terms",
    [
        *("a:%{h} -all", "ptr -all", "exp=why.x -all", "a:x -all", "include:h.x./24"),
        *("a:b:c.x", "a:back\\slash.x", "redirect=one.x redirect=one.x", f"a:{'l' * 64}.x"),
        *("include:ptr.x", "include:latin.x"),
    ],
)
def test_what_is_not_plain_is_left_to_pyspf(terms: str) -> None:
    texts = {
        "mail.x": f"v=spf1 {terms}".encode(),
        "ptr.x": b"v=spf1 ptr:h.x",
        "latin.x": b"v=spf1 a:\xff.x",
    }
    zone = Zone({name: {TXT: [(text,)]} for name, text in texts.items()})

    assert _directly(zone.answer, V4, "mail.x") == "left to pyspf"


@pytest.mark.parametrize(
    "terms",
    ["a ptr -all", "a exp=why.x -all", "ip4:192.0.2.1 include:ptr.x", "include:exp.x a"],
)
def test_what_does_not_matter_is_not_left_to_pyspf(terms: str) -> None:
    zone = Zone(
        {
            "mail.x": {TXT: [(f"v=spf1 {terms}".encode(),)], A: [V4]},
            "exp.x": {TXT: [(b"v=spf1 -all exp=why.x",)]},
        }
    )

    assert _directly(zone.answer, V4, "mail.x")[0] == "pass"


def test_a_plain_policy_is_evaluated_without_loading_pyspf() -> None:
    script = (
        "import sys\n"
        "from auditor.resolve.answer import Answer\n"
        "from auditor.spf.check_host import check_host\n"
        "steps = check_host('192.0.2.1', 'helo', '', 'example.net')\n"
        "next(steps)\n"
        "steps.send([Answer('NOERROR', ((b'v=spf1 a mx -all',),))])\n"
        "try:\n"
        "    steps.send([Answer('NOERROR', ('192.0.2.1',)), Answer('NODATA')])\n"
        "except StopIteration as end:\n"
        "    print(end.value.mechanism, 'spf' in sys.modules, 'dns' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert run.stdout.split() == ["a", "False", "False"]


@pytest.mark.parametrize("warnings", sample(["error", "default"]))
def test_loading_pyspf_says_nothing_even_where_it_is_compiled_anew(
    tmp_path: Path, warnings: str
) -> None:
    # No bytecode is there, and none is kept.
    options = ["-B", "-X", f"pycache_prefix={tmp_path}", "-W", warnings]
    script = "import auditor.spf.pyspf_evaluator"
    run = subprocess.run([sys.executable, *options, "-c", script], capture_output=True, check=False)

    assert (run.returncode, run.stderr) == (0, b"")
    assert not list(tmp_path.iterdir())


def test_policies_are_kept_within_bounds() -> None:
    last = ""
    for number in range(400):
        last = f"v=spf1 {'a ' * 500}{' ' * number} ip6:{V6} all"
        client = client_of(V6)
        evaluate_directly(client, last.encode(), "example.net", {})

    kept = program.compiled_policy
    assert sum(len(policy) for policy, _ in kept._known) <= program._MAX_OCTETS
    assert (last.encode(), 6) in kept._known


def test_terms_are_kept_within_bounds() -> None:
    for number in range(program._MAX_KEPT_TERMS + 10):
        evaluate_directly(client_of(V4), f"v=spf1 a:n{number}.x".encode(), "example.net", {})

    assert 0 < len(program._OPS) <= program._MAX_KEPT_TERMS
