"""The TCP lane, on virtual time: how many connections, what is late, and what limits hold.

Also tests `tcp/session.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.simnet import Query, names, respond, truth
from support.tcpnet import RTT, Closing, Far, Mute, Wire, WorkerRun, right
from support.virtual_time import run_virtual

from auditor.resolve.bulk.pending_query import QueryState
from auditor.wire.codes import NOERROR, TIMEOUT

if TYPE_CHECKING:
    from auditor.resolve.bulk.server.nameserver import NameServer


# --- Connections


def test_questions_share_a_connection_and_go_out_in_one_write() -> None:
    async def main() -> None:
        far = Far()
        lane = WorkerRun(far)
        assert right(await lane.ask(names(10)))
        assert [len(wire.writes) for wire in far.wires] == [1]
        assert right(await lane.ask(names(10, "later.net")))
        assert [len(wire.writes) for wire in far.wires] == [2]
        await lane.rest()
        assert lane.counters.tcp_sent == lane.counters.tcp_received == 20

    run_virtual(main())


def test_many_questions_open_few_connections_and_keep_them_full_within_bounds() -> None:
    async def main() -> None:
        far = Far()
        lane = WorkerRun(far)
        lane.submit(names(5000))
        most = 0
        while len(lane.found) < 5000:
            await asyncio.sleep(RTT / 4)
            most = max(most, lane.streams.in_flight)
        assert 300 < most <= 400
        assert far.most_at_once() == len(far.wires) == 4
        assert all(answer == truth(query.question) for query, answer in lane.found)

    run_virtual(main())


def test_an_idle_connection_is_closed_and_the_next_question_opens_another() -> None:
    async def main() -> None:
        far = Far()
        lane = WorkerRun(far)
        await lane.ask(names(1))
        begin = lane.loop.time()
        await lane.until(lambda: far.wires[0].closed_by_us)
        assert 2.5 < lane.loop.time() - begin < 4.0
        await lane.rest()
        assert right(await lane.ask(names(1, "later.net")))
        assert len(far.wires) == 2

    run_virtual(main())


def test_replies_in_any_order_reach_their_questions() -> None:
    class Shuffling(Far):
        def asked(self, wire: Wire, query: Query) -> None:
            wire.reply(respond(query), after=(query.id * 7919 % 13) / 100)

    async def main() -> None:
        assert right(await WorkerRun(Shuffling()).ask(names(500)))

    run_virtual(main())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_replies_in_pieces_are_put_together(size: int) -> None:
    class Dripping(Far):
        def asked(self, wire: Wire, query: Query) -> None:
            data = respond(query)
            data = len(data).to_bytes(2) + data
            for start in range(0, len(data), size):
                wire.raw(data[start : start + size])

    async def main() -> None:
        assert right(await WorkerRun(Dripping()).ask(names(40)))

    run_virtual(main())


def test_a_server_may_close_after_any_number_of_answers() -> None:
    async def main(after: int) -> None:
        far = Closing(after)
        lane = WorkerRun(far)
        assert right(await lane.ask(names(600)))
        # What was outstanding when it closed is asked again, and what a connection takes is learnt.
        assert len(far.queries) < 2 * 600
        assert far.most_at_once() <= 4
        await lane.rest()

    for after in (1, 2, 10, 100):
        run_virtual(main(after))


def test_a_server_that_takes_more_again_is_asked_more() -> None:
    async def main() -> None:
        far = Closing(2)
        lane = WorkerRun(far)
        await lane.ask(names(50))
        far._after = 1 << 30
        before = len(far.wires)
        await lane.ask(names(5_000, "later.net"))
        assert len(far.wires) - before < 200

    run_virtual(main())


def test_a_server_that_takes_one_connection_only_is_asked_on_that() -> None:
    class Narrow(Far):
        def connected(self, wire: Wire) -> None:
            if wire.beside > 1:
                wire.end()
            else:
                wire.accept()

    async def main() -> None:
        far = Narrow()
        assert right(await WorkerRun(far).ask(names(2000)))
        assert len(far.wires) <= 3

    run_virtual(main())


def test_a_connection_that_is_let_in_and_not_served_does_not_hold_up_its_questions() -> None:
    # NSD beyond its tcp-count: the kernel accepts, and nobody reads.
    class Full(Far):
        def asked(self, wire: Wire, query: Query) -> None:
            if wire is self.wires[0]:
                wire.reply(respond(query), after=0.05)

    async def main() -> None:
        far = Full()
        lane = WorkerRun(far)
        begin = lane.loop.time()
        assert right(await lane.ask(names(1000)))
        assert lane.loop.time() - begin < 3.0
        assert len(far.wires) == 4

    run_virtual(main())


@pytest.mark.parametrize("halfway", [False, True], ids=["between", "within answers"])
def test_what_a_connection_owes_that_stalls_is_asked_on_another(*, halfway: bool) -> None:
    # NSD with many large answers to write.
    class Stalling(Far):
        def asked(self, wire: Wire, query: Query) -> None:
            if wire.replied < 7:
                wire.reply(respond(query))
            elif wire.replied == 7 and halfway:
                wire.replied += 1
                wire.raw(b"\0\x40" + respond(query)[:20])

    async def main() -> None:
        far = Stalling()
        lane = WorkerRun(far)
        assert right(await lane.ask(names(16)))
        # After one timeout; and the next connections are asked no more than that.
        assert lane.loop.time() < 2.5
        assert [wire.replied - halfway for wire in far.wires[:1]] == [7]
        assert len(far.wires) == 3
        await lane.rest()

    run_virtual(main())


def test_closing_ends_everything_at_once() -> None:
    async def main() -> None:
        far = Mute()
        lane = WorkerRun(far)
        lane.submit(names(1000))
        await lane.until(lambda: far.queries)
        lane.streams.close()
        assert all(wire.closed_by_us for wire in far.wires)
        assert lane.streams.backlog() == lane.streams.in_flight == 0
        await asyncio.sleep(100)
        assert lane.found == []

    run_virtual(main())


# --- Time


def test_a_name_that_takes_long_holds_up_no_other() -> None:
    class Thinking(Far):
        def asked(self, wire: Wire, query: Query) -> None:
            wire.reply(respond(query), after=8.0 if query.name.startswith("n1") else 0.0)

    async def main() -> None:
        lane = WorkerRun(Thinking(), timeout=2.0, tries=5)
        lane.submit(names(100))
        await lane.until(lambda: len(lane.found) == 89)
        assert lane.loop.time() < 1.0
        await lane.until(lambda: len(lane.found) == 100)
        assert all(answer == truth(query.question) for query, answer in lane.found)

    run_virtual(main())


def test_a_silent_name_times_out_and_its_connection_goes_on() -> None:
    async def main() -> None:
        far = Mute("n5.")
        lane = WorkerRun(far, timeout=1.0, tries=3)
        lane.submit(names(1, "early.net"))
        for number in range(20):
            lane.submit(names(10, f"z{number}.net"))
            await asyncio.sleep(0.3)
        await lane.until(lambda: len(lane.found) == 201)
        assert sum(answer.status == TIMEOUT for _, answer in lane.found) == 20
        assert len(far.wires) == 1
        await lane.rest()

    run_virtual(main())


def test_a_reply_that_comes_after_another_server_was_asked_is_no_stray() -> None:
    class Slow(Far):
        def asked(self, wire: Wire, query: Query) -> None:
            wire.reply(respond(query), after=1.5 if query.name.startswith("n3") else 0.0)

    async def main() -> None:
        slow, good = Slow(), Far()
        lane = WorkerRun(slow, good, timeout=1.0)
        lane.submit(names(12))
        await asyncio.sleep(0.5)
        lane.submit(names(2, "more.net"))
        await lane.until(lambda: lane.counters.tcp_received == 15)
        assert [query.name for query in good.queries] == ["n3.example.net"]
        assert len(lane.found) == lane.counters.tcp_accepted == 14
        assert not slow.wires[0].is_over

    run_virtual(main())


def test_in_line_behind_a_slow_answer_nobody_is_late() -> None:
    class OneByOne(Far):
        free = 0.0

        def asked(self, wire: Wire, query: Query) -> None:
            self.free = max(self.free, query.now) + 0.3
            wire.reply(respond(query), after=self.free - query.now)

    async def main() -> None:
        lane = WorkerRun(OneByOne(), timeout=0.5, tries=2)
        assert right(await lane.ask(names(15)))
        assert lane.loop.time() > 4.0

    run_virtual(main())


# --- Limits


def test_nothing_is_sent_without_a_grant_and_waiting_for_one_is_no_timeout() -> None:
    async def main() -> None:
        given: list[float] = []

        def grant(_upstream: NameServer, wanted: int, now: float) -> tuple[int, float]:
            if given and now < given[-1] + 0.999:
                return 0, given[-1] + 1.0 - now
            assert wanted >= 1
            given.append(now)
            return 1, 0.0

        far = Far()
        lane = WorkerRun(far, timeout=0.5, tries=1, grant=grant)
        assert right(await lane.ask(names(20)))
        assert len(given) == len(far.queries) == 20
        assert 19.0 <= lane.loop.time() < 20.0

    run_virtual(main())


def test_what_there_is_no_room_for_is_sent_when_somebody_says_so() -> None:
    async def main() -> None:
        room = 0

        def grant(_upstream: NameServer, wanted: int, _now: float) -> tuple[int, float]:
            return min(wanted, room), 0.0

        far = Far()
        lane = WorkerRun(far, grant=grant)
        lane.submit(names(10))
        await lane.until(lambda: lane.loop.time() > 1.0)
        assert (far.queries, lane.streams.backlog()) == ([], 10)
        room = 4
        lane.streams.send_queued(lane.loop.time())
        await lane.until(lambda: len(lane.found) == 10)

    run_virtual(main())


def test_what_a_late_datagram_has_answered_is_not_asked_any_more() -> None:
    async def main() -> None:
        far = Far()
        lane = WorkerRun(far)
        queries = lane.submit(names(10))
        for query in queries[:4]:
            query.state = QueryState.DONE
        await lane.until(lambda: len(lane.found) == 6)
        assert len(far.queries) == 6
        assert {answer.status for _, answer in lane.found} >= {NOERROR}
        await lane.rest()

    run_virtual(main())
