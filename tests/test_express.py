"""The short way writes what the long way writes, to the octet, and counts the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.audit import Auditor
from auditor.checks.spf import Policies
from auditor.findings.ruling import Ruling
from auditor.pipeline import Pipeline
from auditor.resolve.answer import Answer, Question
from auditor.resolve.cache import Cache
from auditor.resolve.lookup import Lookup
from auditor.run.scan import drive
from auditor.run.tally import Tally
from auditor.settings import Settings
from auditor.targets.stream import TargetStream
from auditor.wire.codes import AAAA, NODATA, NOERROR, NXDOMAIN, PTR, SERVFAIL, TXT, A

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auditor.resolve.answer import Deliver


class World:
    """An engine that answers from a table, each batch in a wake-up of its own."""

    def __init__(self, answers: Mapping[Question, Answer]) -> None:
        self.answers = answers

    async def start(self) -> None:
        """Nothing to open."""

    def submit(self, questions: Sequence[Question], deliver: Deliver) -> None:
        pairs = [(one, self.answers.get(one, Answer(NXDOMAIN))) for one in questions]
        asyncio.get_running_loop().call_soon(deliver, pairs)

    def backlog(self) -> int:
        return 0

    def on_room(self, wake: Callable[[], None]) -> None:
        """There always is."""

    def on_failure(self, fail: Callable[[Any], None]) -> None:
        """There is none."""

    def counters(self) -> Mapping[str, int]:
        return {}

    async def close(self) -> None:
        """Nothing to close."""


async def scanned(
    world: Mapping[Question, Answer], targets: list[str], options: Settings, *, short: bool
) -> tuple[list[bytes], dict[str, object]]:
    tally = Tally()
    auditor = Auditor(options, Ruling())
    lines: list[bytes] = []

    async def write(chunk: bytes) -> None:
        lines.extend(chunk.splitlines())

    lookup = Lookup(World(world), Cache(1024))
    if short:
        await drive(lookup, auditor.prepare())
    pipeline = Pipeline(
        lookup,
        auditor.audit,
        write,
        tally=tally,
        express=auditor.express() if short else None,
    )
    stream = TargetStream(targets)
    stream.prepare()
    await pipeline.run(stream.blocks())
    counts = {name: getattr(tally, name) for name in Tally.__slots__}
    return lines, counts


NAMES = ("mx.isp.net", "host-7.dyn.isp.net", "a_b.isp.net", 'q"uote.isp.net', "srv.lan", "isp.net")
POLICIES = (b"v=spf1 -all", b"v=spf1 ip4:20.30.0.0/30 ~all", b"v=spf1 a exists:%{i}.x.isp.net -all")


@st.composite
def worlds(draw: st.DrawFn) -> dict[Question, Answer]:
    world: dict[Question, Answer] = {}
    for last in range(8):
        reverse = Question(f"{last}.0.30.20.in-addr.arpa", PTR)
        names = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
        status = draw(st.sampled_from([NODATA, NXDOMAIN, SERVFAIL]))
        chain = draw(st.sampled_from([(), (), (reverse.name,)]))
        canonical = f"{last}.sub.0.30.20.in-addr.arpa" if chain else ""
        shown = tuple(sorted(names))
        world[reverse] = Answer(NOERROR if names else status, shown, chain, canonical, 60)
    for name in NAMES:
        addresses = draw(st.lists(st.integers(0, 7), max_size=2, unique=True))
        shown = tuple(sorted(f"20.30.0.{last}" for last in addresses))
        world[Question(name, A)] = Answer(NOERROR if shown else NODATA, shown)
        policy = draw(st.sampled_from([None, None, *POLICIES]))
        failing = draw(st.sampled_from([NODATA, NXDOMAIN, SERVFAIL]))
        world[Question(name, TXT)] = Answer(NOERROR, ((policy,),)) if policy else Answer(failing)
    if draw(st.booleans()):
        wildcard = (draw(st.sampled_from(NAMES)),)
        world[Question("*.0.30.20.in-addr.arpa", PTR)] = Answer(NOERROR, wildcard)
    return world


OPTIONS = (
    Settings(),
    Settings(spf=False),
    Settings(mail_from=("isp.net",)),
    Settings(helo="mx.isp.net", mail_from=("someone@mx.isp.net", "srv.lan")),
)


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "no-spf", "mail-from", "both"])
@given(world=worlds())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_short_way_equals_long_way(options: Settings, world: dict[Question, Answer]) -> None:
    targets = ["20.30.0.0/29", "10.0.0.0/31", "nonsense!", "isp.net"]
    short = asyncio.run(scanned(world, targets, options, short=True))
    assert short == asyncio.run(scanned(world, targets, options, short=False))


def test_ipv6_goes_the_short_way_too() -> None:
    reverse = "1" + ".0" * 23 + ".8.b.d.0.1.0.0.2.ip6.arpa"
    world = {
        Question(reverse, PTR): Answer(NOERROR, ("mx.isp.net",)),
        Question("mx.isp.net", AAAA): Answer(NOERROR, ("2001:db8::1",)),
        Question("mx.isp.net", TXT): Answer(NODATA),
    }
    short, _ = asyncio.run(scanned(world, ["2001:db8::1"], Settings(), short=True))
    long, _ = asyncio.run(scanned(world, ["2001:db8::1"], Settings(), short=False))
    assert short == long
    assert b'"verdict":"pass"' in short[0]


def test_ranges_give_the_facts_that_check_host_gives() -> None:
    """With the ranges known, with those learnt on the way, and with none at all."""
    world = {
        Question("isp.net", TXT): Answer(
            NOERROR, ((b"v=spf1 ip4:20.30.0.0/28 include:a.isp.net ?all",),)
        ),
        Question("a.isp.net", TXT): Answer(NOERROR, ((b"v=spf1 ip4:20.30.0.64/26 -all",),)),
    }
    options = Settings(mail_from=("isp.net",), helo="isp.net")
    targets = ["20.30.0.0/24"]
    known, _ = asyncio.run(scanned(world, targets, options, short=True))
    learnt, _ = asyncio.run(scanned(world, targets, options, short=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditor.checks.spf._ENOUGH", 1_000_000)
        one_by_one, _ = asyncio.run(scanned(world, targets, options, short=False))
    assert known == learnt == one_by_one
    results = [b'"result":"pass","mechanism":"include:a.isp.net"' in line for line in known]
    assert results.count(True) == 64


def test_policies_forget_a_table_whose_lookups_failed() -> None:
    world: dict[Question, Answer] = {
        Question("isp.net", TXT): Answer(NOERROR, ((b"v=spf1 include:a.isp.net -all",),)),
        Question("a.isp.net", TXT): Answer(SERVFAIL),
    }
    policies = Policies()
    auditor = Auditor(Settings(mail_from=("isp.net",)), Ruling())

    async def prepared() -> bool:
        await drive(Lookup(World(world), Cache(16)), auditor.prepare())
        return auditor.express() is None

    assert asyncio.run(prepared())
    assert policies.known("20.30.0.1", 4, auditor._given[0]) is None
