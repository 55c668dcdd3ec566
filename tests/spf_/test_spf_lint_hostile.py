"""Garbage for lint: it ends soon, after few questions, in little memory, with a finding."""

from __future__ import annotations

import time
import tracemalloc
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.spf_worlds import finish

from auditor.findings.catalogue import entry
from auditor.resolve.answer import Answer
from auditor.spf.lint.policy import lint
from auditor.wire.codes import MX, NOERROR, NXDOMAIN, TXT, A

if TYPE_CHECKING:
    from auditor.resolve.answer import Question

_MAX_TEXT = examples(65_535)
_RANDOM = Random("lint")


def _fill(piece: str) -> bytes:
    return b"v=spf1 " + (piece * (_MAX_TEXT // len(piece))).encode()[: _MAX_TEXT - 7]


def _networks() -> bytes:
    nets = (f"ip4:{i >> 8}.{i & 255}.0.0/{16 + i % 9} " for i in range(examples(3500)))
    return b"v=spf1 " + "".join(nets).encode() + b"-all"


def _nested() -> bytes:
    nets = [f"ip4:10.0.0.0/{8 + i % 25}" for i in range(examples(3500))]
    return f"v=spf1 {' '.join(nets)} -all".encode()


GARBAGE: dict[str, bytes] = {
    "random octets": b"v=spf1 " + _RANDOM.randbytes(_MAX_TEXT),
    "random octets at once": b"v=spf1" + _RANDOM.randbytes(_MAX_TEXT),
    "spaces": b"v=spf1" + b" " * _MAX_TEXT,
    "one term of 64 KiB": _fill("x"),
    "syntax errors": _fill("!! "),
    "percent signs": _fill("%"),
    "macro bombs": _fill("exists:" + "%{S99R.-+}" * 60 + ".net "),
    "a macro bomb in exp": b"v=spf1 -all exp=" + b"%{D99R.-+}" * examples(6000) + b".net",
    "includes of itself": _fill("include:x.example.net "),
    "a thousand includes": b"v=spf1 "
    + b" ".join(b"include:i%d.example.net" % i for i in range(examples(1000))),
    "all": _fill("all "),
    "modifiers": _fill("ip4=1 "),
    "addresses": _fill("a "),
    "hosts": _fill("mx/1 "),
    "networks": _networks(),
    "networks in networks": _nested(),
    "networks the other way round": b" ".join(
        [b"v=spf1", *reversed(_nested().split(b" ")[1:-1]), b"-all"]
    ),
    "duplicates": _fill("ip6:2001:db8::/32 "),
    "redirects": _fill("redirect=x.example.net "),
}


class _World:
    """Every name has the same policy, twenty addresses and ten MX hosts."""

    def __init__(self, policy: bytes) -> None:
        self._policy = policy
        self.asked = 0

    def answer(self, question: Question) -> Answer:
        self.asked += 1
        if question.rdtype == TXT:
            strings = tuple(self._policy[i : i + 255] for i in range(0, len(self._policy), 255))
            return Answer(NOERROR, (strings,))
        if question.rdtype == A:
            return Answer(NOERROR, tuple(f"192.0.2.{i}" for i in range(20)))
        if question.rdtype == MX:
            return Answer(NOERROR, tuple((i, f"m{i}.{question.name}"[-200:]) for i in range(10)))
        return Answer(NXDOMAIN)


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_ends_soon_and_with_a_finding(name: str) -> None:
    world = _World(GARBAGE[name])

    started = time.process_time()
    report = finish(lint("example.net"), world.answer)
    seconds = time.process_time() - started

    assert report.findings
    assert len(report.problems) < 500
    assert world.asked < 1000
    assert seconds < 10
    for problem in report.problems:
        text = problem.term + problem.note + problem.domain
        assert text.isprintable()
        assert len(text) < 1000


@pytest.mark.parametrize("name", ["a thousand includes", "networks in networks", "macro bombs"])
def test_garbage_takes_little_memory(name: str) -> None:
    world = _World(GARBAGE[name])
    tracemalloc.start()
    try:
        finish(lint("example.net"), world.answer)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 50_000_000


@given(st.binary(max_size=300))
@settings(max_examples=examples(300))
def test_any_octets_give_a_report_of_known_codes(octets: bytes) -> None:
    report = finish(lint("example.net"), _World(b"v=spf1 " + octets).answer)

    assert all(entry(code).subject == "domain" for code, _ in report.findings)


_TERMS = st.sampled_from(
    [
        *("a", "mx", "+all", "-all", "ptr", "include:b.example.net", "redirect=c.example.net"),
        *("ip4:192.0.2.0/24", "ip6:2001:db8::/32", "exp=e.example.net", "exists:%{l}.x.net"),
        *("a/0", "ip4:1"),
    ]
)


@given(st.lists(_TERMS, max_size=12))
@settings(max_examples=examples(200))
def test_positions_are_those_of_the_term_in_the_record(terms: list[str]) -> None:
    record = " ".join(["v=spf1", *terms])
    report = finish(lint("example.net"), _World(record.encode()).answer)

    for problem in report.problems:
        if problem.term:
            assert record[problem.start : problem.end] == problem.term
        else:
            assert (problem.start, problem.end) == (None, None)
