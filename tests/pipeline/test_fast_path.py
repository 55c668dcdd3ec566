"""The short way writes what the long way writes, to the octet, and counts the same.

Also tests `given.py`, `helo_spf.py`, `fastpath/json_lines.py`, `run_facts.py` and `verdicts.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.effort import examples

from auditor.checks.spf import SpfChecker
from auditor.findings.rules import RuleSet
from auditor.output.tally import Tally
from auditor.pipeline.fastpath import helo_spf as helos
from auditor.pipeline.pipeline import Pipeline
from auditor.pipeline.target import TargetAuditor
from auditor.resolve.answer import Answer, Question
from auditor.resolve.cache import Cache
from auditor.resolve.resolver import CachingResolver
from auditor.run.scan import drive
from auditor.settings import Settings
from auditor.targets.stream import TargetStream
from auditor.targets.target import Origin, Target
from auditor.wire.codes import (
    AAAA,
    BOGUS,
    MX,
    NODATA,
    NOERROR,
    NXDOMAIN,
    PTR,
    REFUSED,
    SERVFAIL,
    TIMEOUT,
    TXT,
    A,
)
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auditor.resolve.answer import AnswerCallback, Rdata
    from auditor.spf.result import SpfFact


class World:
    """An engine that answers from a table, each batch in a wake-up of its own."""

    def __init__(self, answers: Mapping[Question, Answer]) -> None:
        self.answers = answers

    async def start(self) -> None:
        """Nothing to open."""

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        pairs = [(question, self.answers.get(question, Answer(NXDOMAIN))) for question in questions]
        asyncio.get_running_loop().call_soon(deliver, pairs)

    def backlog(self) -> int:
        return 0

    def on_room(self, wake: Callable[[], None]) -> None:
        """There always is."""

    def on_failure(self, fail: Callable[[Any], None]) -> None:
        """There is none."""

    def counters(self) -> Mapping[str, int]:
        return {}

    async def close_engine(self) -> None:
        """Nothing to close."""


async def scanned(
    world: Mapping[Question, Answer], targets: Sequence[object], options: Settings, *, short: bool
) -> tuple[list[bytes], dict[str, object]]:
    tally = Tally()
    auditor = TargetAuditor(options, RuleSet())
    lines: list[bytes] = []

    async def write(chunk: bytes) -> None:
        lines.extend(chunk.splitlines())

    lookup = CachingResolver(World(world), Cache(1024))
    if short:
        await drive(lookup, auditor.look_up_shared())
    pipeline = Pipeline(
        lookup,
        auditor.audit,
        write,
        tally=tally,
        fast_path=auditor.fast_path() if short else None,
    )
    stream = TargetStream.from_items(targets)
    stream.check_inputs()
    await pipeline.audit_blocks(stream.blocks())
    counts = {name: getattr(tally, name) for name in Tally.__slots__}
    return lines, counts


NAMES = (
    *("mx.isp.net", "host-7.dyn.isp.net", "a_b.isp.net", 'q"uote.isp.net', "srv.lan", "isp.net"),
    *("mail-2.isp.net", "20-30-0-1.isp.net", "-x.isp.net", "cable.mx.isp.net"),
    *("mx.isp.net.0.30.20.in-addr.arpa", "a.isp.arpa"),
)
V6 = ("2001:db8::1", "2001:db8::2", "::ffff:20.30.0.1")
POLICIES = (
    b"v=spf1 -all",
    b"v=spf1 ip4:20.30.0.0/30 ~all",
    b"v=spf1 a exists:%{i}.x.isp.net -all",
    b"v=spf1 a -all",
    b"v=spf1 mx include:shared.isp.net ?all",
    b"v=spf1 include:shared.isp.net include:isp.net a:mx.isp.net/30 -all",
    b"v=spf1 a:none.isp.net mx:none.isp.net include:none.isp.net",
    b"v=spf1 redirect=shared.isp.net",
    b"v=spf1 a/31 ptr -all",
    b"v=spf1 -a exp=isp.net",
    b"v=spf1 a ip4:20.30.0.300",
    b'v=spf1 a "quoted"="text" x="y" -all',
    b"v=spf1 a x=\\y mx:isp.net/29//64 ~all",
    b"V=SPF1  ip6:2001:db8::/32 A",
    b"v=spf1 a \xff",
)
OTHERS = ((), ((b"v=spf1 a",), (b"v=spf1 mx",)), ((b"other",),), ((b"v=spf1", b" a"),))


@st.composite
def worlds(draw: st.DrawFn) -> dict[Question, Answer]:
    world: dict[Question, Answer] = {}
    for last in range(8):
        reverse = Question(f"{last}.0.30.20.in-addr.arpa", PTR)
        few_or_many = st.sampled_from([0, 1, 1, 2, 2, 4, len(NAMES)])
        names = draw(st.permutations(NAMES))[: draw(few_or_many)]
        status = draw(st.sampled_from([NODATA, NXDOMAIN, SERVFAIL, BOGUS, REFUSED]))
        chain = draw(st.sampled_from([(), (), (reverse.name,)]))
        leads_to = st.sampled_from(["0/7.0.30.20.in-addr.arpa", 'q"uote.in-addr.arpa', "isp.net"])
        canonical = f"{last}.{draw(leads_to)}" if chain else ""
        shown = tuple(sorted(names))
        world[reverse] = Answer(NOERROR if names else status, shown, chain, canonical, 60)
    for address in V6:
        name = draw(st.sampled_from(NAMES))
        world[Question(reverse_name(address), PTR)] = Answer(NOERROR, (name,))
    for name in NAMES:
        sixes = draw(st.lists(st.sampled_from(V6), max_size=2, unique=True))
        world[Question(name, AAAA)] = Answer(NOERROR if sixes else NODATA, tuple(sorted(sixes)))
        addresses = draw(st.lists(st.integers(0, 7), max_size=8, unique=True))
        shown = tuple(sorted(f"20.30.0.{last}" for last in addresses))
        nothing = draw(st.sampled_from([NODATA, NXDOMAIN, SERVFAIL, REFUSED, BOGUS]))
        alias = draw(st.sampled_from(["", "", "", "real.isp.net"]))
        chain = (name,) if alias else ()
        world[Question(name, A)] = Answer(NOERROR if shown else nothing, shown, chain, alias)
        texts = draw(st.sampled_from([*OTHERS, *[((policy,),) for policy in POLICIES]]))
        failing = draw(st.sampled_from([NODATA, NXDOMAIN, SERVFAIL, BOGUS, TIMEOUT]))
        world[Question(name, TXT)] = Answer(NOERROR, texts) if texts else Answer(failing)
        hosts = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
        exchanges = tuple((10, host) for host in sorted(hosts))
        world[Question(name, MX)] = Answer(NOERROR if hosts else failing, exchanges)
    shared = draw(st.sampled_from([None, b"v=spf1 mx:isp.net -all", *POLICIES]))
    if shared:
        world[Question("shared.isp.net", TXT)] = Answer(NOERROR, ((shared,),))
    if draw(st.booleans()):
        wildcard = (draw(st.sampled_from(NAMES)),)
        world[Question("*.0.30.20.in-addr.arpa", PTR)] = Answer(NOERROR, wildcard)
    return world


_LABELLED = Origin("list.csv", 2, None, (), {"site": 'a"b', "rack": "7"})
_OWN_HELO = Origin("list.csv", 3, "mx.isp.net", (), {})
_HELOS: Final = (*NAMES[:9], "MX.isp.net", "[192.0.2.5]", "localhost", "mx.isp.net", "srv.lan")
_OWN_HELOS = [Origin("list.csv", line, helo) for line, helo in enumerate(_HELOS)]
_EXPECTING = [
    Origin("list.csv", line, expected=name)
    for line, name in enumerate(("mx.isp.net", "", "host-7.dyn.isp.net", 'q"uote.isp.net', "x"))
]

#: Blocks of one network, and of several; of both IP versions; of lines that say more.
TARGETS: Final[tuple[list[object], ...]] = (
    ["20.30.0.0/29"],
    ["20.30.0.0/29", "10.0.0.0/31", "nonsense!", "isp.net"],
    ["20.29.255.254-20.30.0.6", "20.30.0.7"],
    ["2001:db8::/126"],
    ["20.30.0.0/30", "2001:db8::1", "::ffff:20.30.0.1"],
    [
        *(Target(f"20.30.0.{last}", "ip", 4, _LABELLED) for last in range(6)),
        Target("20.30.0.6", "ip", 4, _OWN_HELO),
        "20.30.0.7",
    ],
    [
        Target(f"20.30.0.{last}", "ip", 4, origin)
        for last, origin in enumerate((*_EXPECTING, _EXPECTING[0], _OWN_HELO))
    ],
    [
        *(Target(f"20.30.0.{last % 8}", "ip", 4, line) for last, line in enumerate(_OWN_HELOS)),
        Target("2001:db8::1", "ip", 6, _OWN_HELO),
        Target("20.30.0.1", "ip", 4, _OWN_HELO._replace(mail_from=("isp.net",))),
        Target("20.30.0.2", "ip", 4, _OWN_HELO._replace(expected="host-7.dyn.isp.net")),
        "20.30.0.3",
    ],
)

OPTIONS = (
    Settings(),
    Settings(spf=False),
    Settings(mail_from=("isp.net",)),
    Settings(helo="mx.isp.net", mail_from=("someone@mx.isp.net", "srv.lan")),
    Settings(helo="[192.0.2.5]", mail_from=("<>", "@isp.net", "me@localhost")),
    Settings(mail_from=("<>",)),
    Settings(receivers=("gmail", "exchange-online", "gmx")),
    Settings(receivers=("exchange-online", "laposte"), mail_from=("isp.net", "me@localhost")),
    Settings(receivers=("gmx", "orange"), helo="mx.isp.net", mail_from=("isp.net",)),
    Settings(receivers=("haraka", "orange"), helo="mail", spf=False),
)


@pytest.mark.parametrize(
    "options",
    OPTIONS,
    ids=[
        *("plain", "no-spf", "mail-from", "both", "odd", "null-sender"),
        *("receivers", "receivers-mail-from", "receivers-both", "receivers-helo"),
    ],
)
@given(world=worlds(), targets=st.sampled_from(TARGETS))
@settings(max_examples=examples(80), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_short_way_equals_long_way(
    options: Settings, world: dict[Question, Answer], targets: list[object]
) -> None:
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


def test_expected_names_go_the_short_way_too() -> None:
    world = _policy_world(mx=b"v=spf1 a -all", **{"host-7": b"v=spf1 a -all"})
    targets = [
        Target(f"20.30.0.{last}", "ip", 4, Origin("list.csv", last, expected="mx.isp.net"))
        for last in range(3)
    ]
    lines, _ = asyncio.run(scanned(world, targets, Settings(), short=True))
    found = [
        [(finding["code"], finding["subject"]) for finding in orjson.loads(line)["findings"]]
        for line in lines
    ]
    assert found == [[], [("PTR_UNEXPECTED", "mx.isp.net")], [("PTR_MISSING", "20.30.0.2")]]


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
        patch.setattr("auditor.checks.spf._MIN_EVALUATIONS_FOR_TABLE", 1_000_000)
        one_by_one, _ = asyncio.run(scanned(world, targets, options, short=False))
    assert known == learnt == one_by_one
    results = [b'"result":"pass","mechanism":"include:a.isp.net"' in line for line in known]
    assert results.count(True) == 64


def test_policies_forget_a_table_whose_lookups_failed() -> None:
    world: dict[Question, Answer] = {
        Question("isp.net", TXT): Answer(NOERROR, ((b"v=spf1 include:a.isp.net -all",),)),
        Question("a.isp.net", TXT): Answer(SERVFAIL),
    }
    policies = SpfChecker()
    auditor = TargetAuditor(Settings(mail_from=("isp.net",)), RuleSet())

    async def prepared() -> bool:
        await drive(CachingResolver(World(world), Cache(16)), auditor.look_up_shared())
        return auditor.fast_path() is None

    assert asyncio.run(prepared())
    assert policies.known("20.30.0.1", 4, auditor._given[0]) is None


def _policy_world(**policies: bytes) -> dict[Question, Answer]:
    """Return a world of confirmed names, a label each, from 20.30.0.0 on, with their policies."""
    world = {}
    for last, (label, policy) in enumerate(policies.items()):
        name = f"{label}.isp.net"
        world[Question(f"{last}.0.30.20.in-addr.arpa", PTR)] = Answer(NOERROR, (name,))
        world[Question(name, A)] = Answer(NOERROR, (f"20.30.0.{last}",))
        world[Question(name, TXT)] = Answer(NOERROR, ((policy,),))
    return world


class Course(NamedTuple):
    """How a block went the short way: what each round asked, who was finished, who was left."""

    asked: list[list[Question]]
    finished: list[str]
    fallbacks: dict[str, list[Question]]


def _course(world: Mapping[Question, Answer], late: frozenset[str] = frozenset()) -> Course:
    """Take 20.30.0.0/29 through its rounds; the answers about `late` names never come."""
    fast_path = TargetAuditor(Settings(), RuleSet()).fast_path()
    assert fast_path is not None
    stream = TargetStream(["20.30.0.0/29"])
    stream.check_inputs()
    (block,) = stream.blocks()
    (rounds,) = fast_path.start_block(block)
    course = Course([], [], {})
    while rounds.questions:
        course.asked.append(list(rounds.questions))
        rounds.take_answers(
            [
                None if one.name in late else world.get(one, Answer(NXDOMAIN))
                for one in rounds.questions
            ]
        )
        course.finished.extend(orjson.loads(line)["target"] for _, line in rounds.results.lines)
        course.fallbacks.update(
            (fallback.target.text, [question for question, _ in fallback.known])
            for fallback in rounds.results.fallbacks
        )
    return course


def _odd_world() -> dict[Question, Answer]:
    """Return a world of addresses with several names, or with one that is odd."""
    world = _policy_world(two=b"v=spf1 a -all")
    names = (
        *(("other.isp.net", "two.isp.net"), ("missing.isp.net",), ("elsewhere.isp.net",)),
        *(("failing.isp.net",), (), ("alias.isp.net",), ("wild.isp.net",), ("shared.isp.net",)),
    )
    for last, ptr_names in enumerate(names):
        answer = Answer(NOERROR, ptr_names) if ptr_names else Answer(REFUSED)
        world[Question(f"{last}.0.30.20.in-addr.arpa", PTR)] = answer
    world[Question("*.0.30.20.in-addr.arpa", PTR)] = Answer(NOERROR, ("wild.isp.net",))
    forwards = {
        "other": Answer(NOERROR, ("20.30.0.0",)),
        "elsewhere": Answer(NOERROR, ("20.30.0.1",)),
        "failing": Answer(SERVFAIL),
        "alias": Answer(NOERROR, ("20.30.0.5",), ("alias.isp.net",), "real.isp.net"),
        "wild": Answer(NOERROR, ("20.30.0.6",)),
        "shared": Answer(NOERROR, ("20.30.0.7", "20.30.0.70")),
    }
    return world | {Question(f"{label}.isp.net", A): answer for label, answer in forwards.items()}


def test_several_names_and_odd_ones_go_the_short_way_too() -> None:
    world = _odd_world()

    course = _course(world)

    assert course.fallbacks == {}
    assert sorted(course.finished) == [f"20.30.0.{last}" for last in range(8)]
    lines, counts = asyncio.run(scanned(world, ["20.30.0.0/29"], Settings(), short=True))
    assert (lines, counts) == asyncio.run(scanned(world, ["20.30.0.0/29"], Settings(), short=False))
    assert [[finding["code"] for finding in orjson.loads(line)["findings"]] for line in lines] == [
        ["PTR_MULTIPLE"],
        ["FORWARD_MISSING"],
        ["FORWARD_MISMATCH"],
        ["FORWARD_UNDETERMINED"],
        ["PTR_UNDETERMINED", "SERVER_LAME"],
        ["FORWARD_CNAME"],
        ["PTR_WILDCARD"],
        [],
    ]
    assert counts["undetermined"] == {SERVFAIL: 1, REFUSED: 1}


def test_what_is_late_or_large_or_needs_escapes_is_left() -> None:
    world = _odd_world() | {
        Question("1.0.30.20.in-addr.arpa", PTR): Answer(NOERROR, ('q"uote.isp.net', "x.isp.net")),
        Question("2.0.30.20.in-addr.arpa", PTR): Answer(
            NOERROR, tuple(f"{last}.isp.net" for last in range(11))
        ),
        Question("shared.isp.net", A): Answer(
            NOERROR, tuple(sorted(f"20.30.0.{last}" for last in range(7, 40)))
        ),
    }

    course = _course(world, frozenset({"other.isp.net", "failing.isp.net"}))

    left = {address: [one.name for one in asked] for address, asked in course.fallbacks.items()}
    assert left == {
        "20.30.0.0": ["0.0.30.20.in-addr.arpa"],
        "20.30.0.1": ["1.0.30.20.in-addr.arpa"],
        "20.30.0.2": ["2.0.30.20.in-addr.arpa"],
        "20.30.0.3": ["3.0.30.20.in-addr.arpa"],
        "20.30.0.7": ["7.0.30.20.in-addr.arpa"],
    }


def test_names_wait_for_the_answer_about_their_wildcard() -> None:
    world = _odd_world()

    course = _course(world, frozenset({"*.0.30.20.in-addr.arpa"}))

    assert course.finished == ["20.30.0.4"]
    assert len(course.fallbacks) == 7


def test_an_address_is_left_if_the_policy_of_one_of_its_names_is_for_pyspf() -> None:
    world = _odd_world() | {
        Question("other.isp.net", TXT): Answer(NOERROR, ((b"v=spf1 ptr -all",),)),
        Question("shared.isp.net", TXT): Answer(NOERROR, ((b"v=spf1 a:late.net -all",),)),
    }

    course = _course(world, frozenset({"late.net"}))

    assert set(course.fallbacks) == {"20.30.0.0", "20.30.0.7"}


_SHARED: dict[Question, Answer] = {
    Question("shared.net", TXT): Answer(NOERROR, ((b"v=spf1 a:deep.shared.net ~all",),)),
    Question("deep.shared.net", A): Answer(NOERROR, ("20.30.0.3",)),
}


def test_plain_policies_go_the_short_way_and_ask_for_what_they_share_once() -> None:
    world = _SHARED | _policy_world(
        own=b"v=spf1 a -all",
        net=b"v=spf1 ip4:20.30.0.0/24 -all",
        one=b"v=spf1 include:shared.net -all",
        two=b"v=spf1 mx ?include:shared.net ~all",
        broken=b"v=spf1 a:h.isp.net a:h.isp.net a:h.isp.net a:h.isp.net",
        other=b"google-site-verification=x",
    )

    course = _course(world)

    assert course.fallbacks == {}
    assert sorted(course.finished) == [f"20.30.0.{last}" for last in range(8)]
    assert [sorted(question.name for question in batch) for batch in course.asked[3:]] == [
        ["h.isp.net", "shared.net", "two.isp.net"],
        ["deep.shared.net"],
    ]


@pytest.mark.parametrize(
    ("policy", "result"),
    [(b"v=spf1 a -all", "pass"), (b"v=spf1 ?a/24 mx -all", "neutral"), (b"v=spf1 -all", "fail")],
)
def test_what_a_policy_says_of_all_alike_is_found_out_once(
    monkeypatch: pytest.MonkeyPatch, policy: bytes, result: str
) -> None:
    looked_at = []
    original = helos.shared_fact

    def shared_fact(records: Sequence[Rdata], version: int) -> SpfFact | None:
        looked_at.append((records, version))
        return original(records, version)

    world = _policy_world(**dict.fromkeys(("one", "two", "three"), policy))
    expected, _ = asyncio.run(scanned(world, ["20.30.0.0/30"], Settings(), short=False))
    with monkeypatch.context() as patch:
        patch.setattr("auditor.pipeline.fastpath.helo_spf.shared_fact", shared_fact)
        lines, _ = asyncio.run(scanned(world, ["20.30.0.0/30"], Settings(), short=True))

    assert lines == expected
    assert [fact["result"] for line in lines for fact in orjson.loads(line)["spf"]] == [result] * 3
    assert looked_at == [(((policy,),), 4)]


def test_what_is_for_pyspf_is_left_with_all_that_was_asked_for_it_alone() -> None:
    world = _policy_world(
        own=b"v=spf1 a -all",
        macro=b"v=spf1 a:%{i}.isp.net -all",
        ptr=b"v=spf1 ip4:10.0.0.1 ptr -all",
        exp=b"v=spf1 exp=why.isp.net -all",
        typo=b"v=spf1 ipv4:20.30.0.3 -all",
    )

    course = _course(world)

    assert course.fallbacks == {
        f"20.30.0.{last}": [
            Question(f"{last}.0.30.20.in-addr.arpa", PTR),
            Question(f"{label}.isp.net", A),
            Question(f"{label}.isp.net", TXT),
        ]
        for last, label in enumerate(("own", "macro", "ptr", "exp", "typo"))
        if last
    }
    assert len(course.asked) == 3


def test_an_answer_that_is_late_holds_up_only_those_whose_policies_need_it() -> None:
    world = _SHARED | _policy_world(
        own=b"v=spf1 a -all",
        one=b"v=spf1 include:shared.net -all",
        two=b"v=spf1 a:elsewhere.net ?all",
        late=b"v=spf1 a -all",
    )

    course = _course(world, frozenset({"shared.net", "late.isp.net"}))

    assert set(course.fallbacks) == {"20.30.0.1", "20.30.0.3"}
    assert sorted(course.finished) == [f"20.30.0.{last}" for last in (0, 2, 4, 5, 6, 7)]
