"""Hostile policies: ranges and summaries come out soon, after few questions, in little memory."""

from __future__ import annotations

import time
import tracemalloc
from functools import cache
from random import Random
from typing import TYPE_CHECKING

import pytest
from support.effort import examples
from support.spf_answers import check
from support.spf_worlds import finish

from auditor.resolve.answer import Answer
from auditor.spf.policy_tree import policy_summary
from auditor.spf.ranges import range_table
from auditor.wire.codes import AAAA, MX, NOERROR, NXDOMAIN, TXT, A

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.resolve.answer import Question

_MAX_TEXT = examples(65_535)
_MAX_QUESTIONS = 700


def _fill(piece: str) -> str:
    return piece * ((_MAX_TEXT - len("v=spf1 ")) // len(piece))


@cache
def _networks(seed: str) -> str:
    rnd = Random(seed)
    return " ".join(
        f"{rnd.choice('+-~?')}ip4:{rnd.randrange(224)}.{rnd.randrange(256)}.{rnd.randrange(256)}.0"
        f"/{rnd.randrange(9, 33)}"
        for _ in range(examples(2800))
    )


def _includes(name: str) -> str:
    """Return a policy below which everyone takes another way."""
    return " ".join(f"-ip4:{i * 16 + len(name) % 16}.0.0.0/8 include:{i}.{name}" for i in range(11))


_POLICIES: dict[str, Callable[[str], str]] = {
    "loop": lambda _: "include:x.example include:x.example",
    "thousand includes": lambda _: " ".join(f"include:{i}.x.net" for i in range(examples(1000))),
    "one include over and over": lambda _: _fill("include:y.example "),
    "networks": _networks,
    "networks at every level": lambda name: f"include:i.{name} {_networks(name)} include:j.{name}",
    "a tree": lambda name: _includes(name[-150:].lstrip(".")),
    "a tree of networks": lambda name: f"{_includes(name[-99:].lstrip('.'))} {_networks(name)}",
    "redirects without end": lambda name: f"redirect=a{name[-200:]}",
    "macros": lambda _: _fill("exists:" + "%{D}." * 50 + "net "),
    "a long macro": lambda _: "a:" + "%{D99R.-+}" * examples(6000) + ".net",
    "addresses": lambda _: _fill("a "),
    "hosts": lambda _: " ".join(f"-mx:{i}.x.net/{24 - i}" for i in range(12)),
    "garbage": lambda _: _fill("x "),
    "percent signs": lambda _: _fill("%"),
    "colons": lambda _: "ip6:" + "1:" * examples(30_000),
}


def _answer(policy: Callable[[str], str], question: Question) -> Answer:
    name, rdtype = question
    if rdtype == TXT:
        return Answer(NOERROR, ((f"v=spf1 {policy(name)}".encode()[:_MAX_TEXT],),))
    if rdtype == MX:
        return Answer(NOERROR, tuple((i, f"{i}.{name}"[-200:]) for i in range(10)))
    if rdtype == A:
        return Answer(NOERROR, tuple(f"198.51.{i % 256}.{i // 256}" for i in range(examples(4000))))
    if rdtype == AAAA:
        return Answer(NOERROR, tuple(f"2001:db8::{i:x}" for i in range(examples(2000))))
    return Answer(NXDOMAIN)


@pytest.mark.parametrize("policy", _POLICIES.values(), ids=_POLICIES)
def test_time_and_questions_are_bounded(policy: Callable[[str], str]) -> None:
    started = time.process_time()
    table = finish(range_table("x.example", 4), lambda q: _answer(policy, q), _MAX_QUESTIONS)
    summary = finish(policy_summary("x.example"), lambda q: _answer(policy, q), _MAX_QUESTIONS)
    assert time.process_time() - started < 20  # what is not bounded takes hours

    decided = [part for part in table.results if part.decided]
    for part in decided[:: len(decided) // 3 + 1]:
        address = ".".join(str(octet) for octet in part.first.to_bytes(4))
        fact = check(lambda q: _answer(policy, q), address, "x.example").fact
        assert (part.result, part.lookups, part.voids) == (fact.result, fact.lookups, fact.voids)
    assert summary.undecided_v4 == sum(
        part.last - part.first + 1 for part in table.results if not part.decided
    )


@pytest.mark.parametrize("policy", ["one include over and over", "addresses", "networks"])
def test_memory_is_bounded(policy: str) -> None:
    tracemalloc.start()
    try:
        finish(range_table("x.example", 4), lambda q: _answer(_POLICIES[policy], q))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 50_000_000


def test_as_many_networks_as_the_dns_can_carry_are_decided() -> None:
    """Ten includes of 64 KiB, each network a part of its own."""
    number = examples(3_500)

    def policy(name: str) -> str:
        if name == "x.example":
            return " ".join(f"?include:{i}.x.net" for i in range(10)) + " -all"
        first = int(name[0]) * 20 + 1
        return " ".join(f"ip4:{first}.{i // 256}.{i % 256}.0" for i in range(number))

    started = time.process_time()
    table = finish(range_table("x.example", 4), lambda q: _answer(policy, q))

    assert time.process_time() - started < 20
    assert all(part.decided for part in table.results)
    assert sum(part.result == "neutral" for part in table.results) == 10 * number
