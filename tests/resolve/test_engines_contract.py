"""Every engine says the same of the fleet's zones; what c-ares hides is what it says it hides.

Also tests `resolve/factory.py` and `cares/replies.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dns.rdatatype
import dns.zone
import pytest
from support import faults, servers
from support.asking import Inbox, ask, opened
from support.faults import answer, truncate
from support.faulty import Asked, FaultyServer, always, mute_port
from support.fleet import FLEET

from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.engine import BulkEngine
from auditor.resolve.cache import Cache
from auditor.resolve.cares.engine import CaresEngine
from auditor.resolve.resolver import CachingResolver
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.settings import Server
from auditor.wire.codes import (
    AAAA,
    FORMERR,
    MALFORMED,
    MX,
    NODATA,
    NOERROR,
    NS,
    NXDOMAIN,
    PTR,
    REFUSED,
    SERVFAIL,
    SOA,
    TIMEOUT,
    TXT,
    A,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from support.faults import Action
    from support.processes import Server as RealServer

    from auditor.resolve.answer import Engine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

TYPES: Final = (A, AAAA, PTR, MX, TXT, NS, SOA)
ZONES: Final = FLEET / "zones"


class Kind(NamedTuple):
    """An engine: its name, and how one is made for a port."""

    name: str
    make: Callable[[int], Engine]


def _bulk(port: int) -> Engine:
    return BulkEngine([Server("127.0.0.1", port)], timeout=2.0, check=False)


def _cares(port: int) -> Engine:
    return CaresEngine([Server("127.0.0.1", port)], timeout=2.0)


def _zones(_port: int) -> Engine:
    return ZoneFileEngine(ZONES)


BULK, CARES, FILES = Kind("bulk", _bulk), Kind("cares", _cares), Kind("zones", _zones)


@pytest.fixture(params=[BULK, CARES, FILES], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture(params=[BULK, CARES], ids=lambda kind: kind.name)
def network(request: pytest.FixtureRequest) -> Kind:
    """Give each engine that asks servers."""
    found: Kind = request.param
    return found


@pytest.fixture(scope="module")
def fleet() -> Iterator[RealServer]:
    # Not NSD: c-ares waits out each answer that a rate limit drops.
    with servers.knot(ZONES) as server:
        yield server


def _questions() -> list[Question]:
    """Return every name of the fleet with every type, and names that are not there."""
    names = {"gone.example.net", "a.b.c.example.net", "250.113.0.203.in-addr.arpa"}
    for path in sorted(ZONES.glob("*.zone")):
        zone = dns.zone.from_file(str(path), origin=path.stem, relativize=False)
        owners = {str(name).rstrip(".").lower() for name in zone if not name.is_wild()}
        names |= set(sorted(owners)[:60])
    return [Question(name, rdtype) for name in sorted(names) for rdtype in TYPES]


def _find(run: Run, kind: Kind, port: int, questions: Sequence[Question]) -> list[Answer]:
    async def main() -> list[Answer]:
        engine = kind.make(port)
        async with opened(engine):
            # Through the lookup, which asks on where a server stops at an alias.
            found = await CachingResolver(engine, Cache(100_000)).resolve_many(questions)
            return [answer._replace(how=None) for answer in found]

    found: list[Answer] = run(main())
    return found


def _agrees(found: Answer, expected: Answer) -> bool:
    """Tell whether c-ares' answer is the right one, but for what it hides (the head of `cares`)."""
    if expected.status == NOERROR:
        return found == _joined(expected)
    return found.status == expected.status and found.chain in {(), expected.chain}


def _joined(found: Answer) -> Answer:
    """Return an answer with the character-strings of each TXT record joined."""
    return found._replace(records=tuple(map(_join, found.records)))


def _join(record: Any) -> Any:
    strings = isinstance(record, tuple) and all(isinstance(part, bytes) for part in record)
    return (b"".join(record),) if strings else record


@pytest.mark.parametrize("limiting", [False, True])
def test_bulk_says_what_the_zone_files_say(run: Run, fleet: RealServer, *, limiting: bool) -> None:
    questions = _questions()
    assert len(questions) > 1000
    expected = _find(run, FILES, 0, questions)
    if limiting:
        # NSD drops or truncates the more of what it says too often; over TCP it says the same.
        with servers.nsd(ZONES) as nsd:
            found = _find(run, BULK, nsd.port, questions)
    else:
        found = _find(run, BULK, fleet.port, questions)
    for question, one, other in zip(questions, found, expected, strict=True):
        assert one == other, question
    assert {one.status for one in found} >= {NOERROR, NODATA, NXDOMAIN}
    assert any(one.chain for one in found)


def test_cares_says_what_the_zone_files_say_but_for_what_c_ares_hides(
    run: Run, fleet: RealServer
) -> None:
    # A name with an octet that no host name has c-ares does not ask for at all.
    questions = [question for question in _questions() if "\\" not in question.name]
    expected = _find(run, FILES, 0, questions)
    found = _find(run, CARES, fleet.port, questions)
    differ = 0
    for question, one, other in zip(questions, found, expected, strict=True):
        assert _agrees(one, other), question
        differ += one != other
    # What is hidden is there to be hidden: TTLs of negative answers, chains before them.
    assert differ > 0
    assert any(one.status == NODATA and one.ttl is not None for one in expected)
    assert all(one.ttl is None for one in found if one.status == NXDOMAIN and not one.chain)


def test_the_chain_before_a_failure_is_what_cares_cannot_tell(run: Run) -> None:
    with FaultyServer("www.example.net. CNAME gone.example.net.\n") as server:
        question = Question("www.example.net", A)
        bulk, cares = (_find(run, kind, server.port, [question])[0] for kind in (BULK, CARES))
    assert (bulk.status, bulk.chain) == (NXDOMAIN, ("www.example.net",))
    assert cares == Answer(NXDOMAIN)


def test_a_referral_is_servfail_by_bulk_and_no_data_by_cares(run: Run) -> None:
    def plan(asked: Asked, _transport: str, _nth: int) -> Sequence[Action]:
        return [answer] if asked.name.endswith("invalid") else [faults.referral]

    with FaultyServer("", plan) as server:
        question = Question("mail.example.net", A)
        bulk, cares = (_find(run, kind, server.port, [question])[0] for kind in (BULK, CARES))
    assert (bulk.status, cares.status) == (SERVFAIL, NODATA)


def test_extended_errors_are_what_cares_cannot_tell(run: Run) -> None:
    async def main(engine: Engine) -> Answer:
        async with opened(engine):
            return (await ask(engine, [Question("mail.example.net", A)]))[0]

    with FaultyServer("", always(faults.extended_error(22, "lame"))) as server:
        servers = [Server("127.0.0.1", server.port)]
        bulk = run(main(BulkEngine(servers, trace=True, check=False)))
        cares = run(main(CaresEngine(servers)))
    assert bulk.how.ede == ((22, "lame"),)
    assert cares.how.ede == ()
    assert bulk.status == cares.status == SERVFAIL


def test_an_rcode_without_a_name_in_c_ares_is_servfail_there(run: Run) -> None:
    with FaultyServer("", always(faults.rcode("NOTAUTH"))) as server:
        question = Question("mail.example.net", A)
        bulk, cares = (_find(run, kind, server.port, [question])[0] for kind in (BULK, CARES))
    assert (bulk.status, cares.status) == ("NOTAUTH", SERVFAIL)


def test_the_strings_of_a_txt_record_come_joined_from_cares(run: Run) -> None:
    with FaultyServer('two.example.net. TXT "one" "two"\n') as server:
        question = Question("two.example.net", TXT)
        bulk, cares = (_find(run, kind, server.port, [question])[0] for kind in (BULK, CARES))
    assert bulk.records == ((b"one", b"two"),)
    assert cares.records == ((b"onetwo",),)


# --- The protocol


def test_every_question_ends_in_one_delivery_of_its_own(
    run: Run, kind: Kind, fleet: RealServer
) -> None:
    async def main() -> None:
        engine = kind.make(fleet.port)
        inboxes = [Inbox(), Inbox()]
        questions = _questions()[:200]
        async with opened(engine):
            engine.submit(questions[:100], inboxes[0].deliver)
            engine.submit(questions[100:], inboxes[1].deliver)
            for inbox in inboxes:
                await inbox.wait(100)
        assert [list(inbox.answers) != [] for inbox in inboxes] == [True, True]
        assert set(inboxes[0].answers) == set(questions[:100])
        assert set(inboxes[1].answers) == set(questions[100:])
        assert engine.counters()["asked"] == 200
        assert engine.backlog() == 0

    run(main())


def test_nothing_asked_is_nothing_answered(run: Run, kind: Kind, fleet: RealServer) -> None:
    async def main() -> None:
        engine = kind.make(fleet.port)
        async with opened(engine):
            answers: list[object] = []
            engine.submit([], answers.extend)
        assert answers == []
        assert engine.counters()["asked"] == 0

    run(main())


def test_what_lies_outside_of_all_zones_is_refused(run: Run, kind: Kind, fleet: RealServer) -> None:
    (found,) = _find(run, kind, fleet.port, [Question("mail.example.edu", A)])
    assert found == Answer(REFUSED)


def test_what_is_no_name_is_formerr(run: Run, network: Kind, fleet: RealServer) -> None:
    (found,) = _find(run, network, fleet.port, [Question("x" * 64 + ".example.net", A)])
    assert found == Answer(FORMERR)


def test_an_engine_may_be_asked_from_within_a_delivery(
    run: Run, kind: Kind, fleet: RealServer
) -> None:
    async def main() -> None:
        engine = kind.make(fleet.port)
        inbox = Inbox()
        waiting = _questions()[:50]

        def deliver(pairs: Sequence[tuple[Question, Answer]]) -> None:
            inbox.deliver(pairs)
            if waiting:
                engine.submit([waiting.pop()], deliver)

        async with opened(engine):
            engine.submit([waiting.pop()], deliver)
            await inbox.wait(50)

    run(main())


@pytest.mark.parametrize(
    ("actions", "status"),
    [
        ([faults.rcode("SERVFAIL")], SERVFAIL),
        ([faults.rcode("REFUSED")], REFUSED),
        ([faults.rcode("NXDOMAIN")], NXDOMAIN),
        ([truncate], NOERROR),
        ([faults.empty], NODATA),
    ],
)
def test_both_network_engines_give_a_fault_one_status(
    run: Run, network: Kind, actions: list[Action], status: str
) -> None:
    with FaultyServer("mail.example.net. A 192.0.2.1\n", always(*actions)) as server:
        (found,) = _find(run, network, server.port, [Question("mail.example.net", A)])
    assert found.status == status


def test_edns_refused_by_a_bare_header_is_malformed_to_cares(run: Run) -> None:
    with FaultyServer("a.example.net. A 192.0.2.1\n", always(faults.formerr_to_edns)) as server:
        question = Question("a.example.net", A)
        bulk, cares = (_find(run, kind, server.port, [question])[0] for kind in (BULK, CARES))
    assert (bulk.status, cares.status) == (NOERROR, MALFORMED)


def test_silence_is_a_timeout(run: Run) -> None:
    async def main(port: int) -> list[str]:
        where = [Server("127.0.0.1", port)]
        found = []
        for engine in (
            BulkEngine(where, timeout=0.1, tries=1, check=False),
            CaresEngine(where, timeout=0.1, tries=1),
        ):
            async with opened(engine):
                (one,) = await ask(engine, [Question("mail.example.net", A)])
            found.append(one.status)
        return found

    with mute_port() as port:
        assert run(main(port)) == [TIMEOUT, TIMEOUT]


def test_closing_delivers_nothing_more(run: Run, network: Kind) -> None:
    async def main(port: int) -> None:
        answers: list[object] = []
        engine: Engine = BulkEngine([Server("127.0.0.1", port)], check=False)
        if network is CARES:
            engine = network.make(port)
        async with opened(engine):
            engine.submit([Question(f"n{n}.example.net", A) for n in range(500)], answers.extend)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert answers == []

    with mute_port() as port:
        run(main(port))
