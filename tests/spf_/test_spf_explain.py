"""The explanation of one `check_host()`: it says what happened, and never disagrees with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples, sample
from support.spf_answers import Given, Zone, check
from support.spf_worlds import answerer, finish, world

from auditor.spf.explain import trace_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from auditor.resolve.answer import Answer, Question
    from auditor.resolve.zones.engine import ZoneFileEngine
    from auditor.spf.explain import Trace, TraceStep
    from auditor.spf.result import SpfFact

SENDER = "postmaster@example.net"


def _trace(
    policy: str, address: str = "192.0.2.1", **names: dict[str, Given]
) -> tuple[SpfFact, Trace | None]:
    apex: dict[str, Given] = {"TXT": policy, **names.pop("apex", {})}
    steps = trace_host(address, "mailfrom", SENDER, "mail.example.net")
    return finish(steps, Zone.of(apex=apex, **names).answer)


def _drawn(trace: Trace | None, depth: int = 0) -> list[str]:
    """Return the lines of a trace: lookups, voids, term, outcome."""
    lines = []
    for step in trace.steps if trace else ():
        lines.append(f"{'  ' * depth}{step.lookups} {step.voids} {step.term}: {step.outcome}")
        lines += _drawn(step.policy, depth + 1)
    return lines


def _reached(trace: Trace) -> Iterator[TraceStep]:
    for step in trace.steps:
        if step.outcome != "not reached":
            yield step
            if step.policy is not None:
                yield from _reached(step.policy)


def _deciding(trace: Trace) -> Trace:
    """Return the policy that decides: the one that redirects lead to."""
    while trace.steps and trace.steps[-1].outcome == "match" and trace.steps[-1].policy:
        if "=" not in trace.steps[-1].term:
            break
        trace = trace.steps[-1].policy
    return trace


def _agrees(fact: SpfFact, trace: Trace) -> bool:
    """Tell whether a trace comes to the result, the mechanism and the counts of the fact."""
    deciding = _deciding(trace)
    matched = [step.term for step in deciding.steps if step.outcome == "match"]
    failed = bool(deciding.error) or any(step.outcome == "error" for step in deciding.steps)
    steps = list(_reached(trace))
    spent = (steps[-1].lookups, steps[-1].voids) if steps else (0, 0)
    counts = max([spent, *((s.lookups, s.voids) for s in steps)])
    return (
        failed == (fact.result in {"permerror", "temperror"})
        and matched == ([fact.mechanism] if fact.mechanism else [])
        and counts == (fact.lookups, fact.voids)
    )


def test_each_term_has_its_outcome_and_the_counts_up_to_it() -> None:
    fact, trace = _trace(
        "v=spf1 ip4:192.0.2.9 a include:i.example.net mx ip4:192.0.2.1 -all",
        apex={"MX": [(1, "gone.example.net")]},
        i={"TXT": "v=spf1 a:h.example.net ip6:2001:db8::/32 ?all"},
        h={"A": "192.0.2.7"},
    )

    assert (fact.result, fact.mechanism) == ("pass", "ip4:192.0.2.1")
    assert _drawn(trace) == [
        "0 0 ip4:192.0.2.9: no match",
        "1 1 a: no match",
        "3 1 include:i.example.net: no match",
        "  3 1 a:h.example.net: no match",
        "  3 1 ip6:2001:db8::/32: no match",
        "  3 1 ?all: match",
        "4 2 mx: no match",
        "4 2 ip4:192.0.2.1: match",
        "4 2 -all: not reached",
    ]


def test_a_step_shows_what_was_looked_up() -> None:
    _, trace = _trace("v=spf1 mx -all", apex={"MX": [(1, "h.example.net")]}, h={"A": "192.0.2.7"})

    assert trace is not None
    assert [tuple(asked) for asked in trace.steps[0].asked] == [
        ("example.net", "MX", "NOERROR", ("1 h.example.net",)),
        ("h.example.net", "A", "NOERROR", ("192.0.2.7",)),
    ]


def test_a_redirect_leads_to_the_policy_that_decides() -> None:
    fact, trace = _trace("v=spf1 a redirect=r.example.net", r={"TXT": "v=spf1 ip4:192.0.2.1 -all"})

    assert fact.result == "pass"
    assert _drawn(trace) == [
        "1 1 a: no match",
        "2 1 redirect=r.example.net: match",
        "  2 1 ip4:192.0.2.1: match",
        "  2 1 -all: not reached",
    ]


@pytest.mark.parametrize(
    ("policy", "lines"),
    [
        (
            "v=spf1 a:b.example.net include:gone.example.net mx -all",
            [
                "1 1 a:b.example.net: no match",
                "2 2 include:gone.example.net: error",
                "2 2 mx: not reached",
                "2 2 -all: not reached",
            ],
        ),
        (
            "v=spf1 a:b.example.net a:c.example.net a:d.example.net -all",
            [
                "1 1 a:b.example.net: no match",
                "2 2 a:c.example.net: no match",
                "3 3 a:d.example.net: error",
                "3 3 -all: not reached",
            ],
        ),
        ("v=spf1 redirect=gone.example.net", ["1 1 redirect=gone.example.net: error"]),
    ],
)
def test_the_term_that_ends_in_an_error_is_named(policy: str, lines: list[str]) -> None:
    fact, trace = _trace(policy)

    assert fact.result == "permerror"
    assert _drawn(trace) == lines


def test_a_term_behind_the_match_may_depend_on_names_that_nobody_has_asked_for() -> None:
    fact, trace = _trace("v=spf1 ip4:192.0.2.1 ?mx:%{p}.example.net -all")

    assert trace is not None
    assert (fact.result, trace.error) == ("pass", "")
    assert [step.outcome for step in trace.steps] == ["match", "not reached", "not reached"]


def test_a_syntax_error_ends_it_before_the_first_term() -> None:
    fact, trace = _trace("v=spf1 ip4:192.0.2.1 moo -all")

    assert fact.result == "permerror"
    assert trace is not None
    assert trace.error == fact.explanation
    assert {step.outcome for step in trace.steps} == {"not reached"}


@pytest.mark.parametrize(
    "texts", ["any text", ["v=spf1 -all", "v=spf1 +all"], "SERVFAIL", "v=spf1 \xff -all"]
)
def test_without_a_policy_to_evaluate_there_is_no_trace(texts: Given) -> None:
    steps = trace_host("192.0.2.1", "mailfrom", SENDER, "mail.example.net")
    zone = Zone.of(apex={"TXT": texts})

    fact, trace = finish(steps, zone.answer)

    assert trace is None
    assert fact == check(zone.answer, "192.0.2.1", sender=SENDER).fact


@given(st.randoms(use_true_random=False), st.sampled_from(["192.0.2.1", "2001:db8::1"]))
@settings(max_examples=examples(300))
def test_a_trace_agrees_with_check_host(rnd: Random, address: str) -> None:
    names = world(rnd)
    answer: Callable[[Question], Answer] = answerer(names)
    for domain in names:
        fact, trace = finish(
            trace_host(address, "mailfrom", f"me@{domain}", "mail.example.net"), answer
        )

        assert fact == check(answer, address, sender=f"me@{domain}").fact
        assert trace is None or _agrees(fact, trace)


def test_traces_of_real_policies_agree_with_the_results(
    zones: ZoneFileEngine, every_row: list[dict[str, Any]]
) -> None:
    some = sample(every_row[::5])
    traced = 0
    for row in some:
        sender = f"postmaster@{row['domain']}"
        fact, trace = finish(trace_host(row["ip"], "mailfrom", sender, row["domain"]), zones.answer)
        assert row["result"] == fact.result
        if trace is not None:
            assert _agrees(fact, trace), row
            traced += 1

    assert traced > 0.95 * len(some)
