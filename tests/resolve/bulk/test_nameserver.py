"""One server: its sockets and IDs, what is late, and what is learnt of how it answers.

Also tests `capabilities.py`, `in_flight.py`, `presence.py` and `outstanding.py`.
"""

from __future__ import annotations

import math
import socket
from operator import ne
from typing import TYPE_CHECKING

import pytest

from auditor.resolve.answer import Question
from auditor.resolve.bulk.pending_query import PendingQuery
from auditor.resolve.bulk.server import nameserver as module
from auditor.resolve.bulk.server.nameserver import Health, NameServer
from auditor.resolve.bulk.udp.datagram import LoopDatagrams
from auditor.resolve.bulk.udp.mmsg import open_datagrams
from auditor.resolve.bulk.udp.outstanding import ANSWERED, FirstAttempt, UdpSocket
from auditor.settings import Server
from auditor.wire.codes import A

if TYPE_CHECKING:
    from collections.abc import Iterator


def _upstream(port: int = 9, *, timeout: float = 2.0) -> NameServer:
    server = Server("127.0.0.1", port)
    return NameServer(0, server, concurrency=100, timeout=timeout, qps=None, now=0.0)


@pytest.fixture
def port() -> Iterator[UdpSocket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield UdpSocket(LoopDatagrams(sock))


QUESTION = Question("a.example.net", A)


def _flight(at: float) -> FirstAttempt:
    return (QUESTION, lambda _pairs: None, b"asked", at)


def test_an_id_in_flight_is_not_drawn(port: UdpSocket) -> None:
    free = {7, 4711, 65535}
    taken = [query_id for query_id in range(65536) if query_id not in free]
    port.outstanding.update(dict.fromkeys(taken, _flight(0.0)))
    assert {port.new_id() for _ in range(60)} == free


def test_ids_are_not_drawn_in_order(port: UdpSocket) -> None:
    drawn = [port.new_id() for _ in range(100)]
    assert drawn != sorted(drawn)
    assert len(set(drawn)) > 90
    batch, wire = port.new_ids(512)
    assert batch != sorted(batch)
    assert wire == [query_id.to_bytes(2) for query_id in batch]


def test_a_batch_of_ids_holds_each_once_and_none_that_is_in_flight(port: UdpSocket) -> None:
    free = set(range(0, 65536, 64))
    taken = [query_id for query_id in range(65536) if query_id not in free]
    port.outstanding.update(dict.fromkeys(taken, _flight(0.0)))
    for _ in range(20):
        drawn, wire = port.new_ids(256)
        assert wire == [query_id.to_bytes(2) for query_id in drawn]
        assert len(drawn) == len(set(drawn)) == 256
        assert free.issuperset(drawn)


def test_sockets_are_several_and_random_and_take_turns() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        nameserver = _upstream(server.getsockname()[1])
        nameserver.open_sockets()
        sources = {port.datagrams.sock.getsockname()[1] for port in nameserver.sockets}
        assert len(sources) == len(nameserver.sockets) > 1
        every = {id(port) for port in nameserver.sockets}
        assert {
            id(nameserver.next_socket()) for _ in nameserver.sockets
        } == every  # as long as nothing is in flight
        nameserver.in_flight.count = 1
        in_a_row = [id(nameserver.next_socket()) for _ in range(32 * len(nameserver.sockets))]
        assert set(in_a_row) == every
        assert sum(map(ne, in_a_row, in_a_row[1:])) <= len(every)
        nameserver.window.size = 4096.0
        assert {id(nameserver.next_socket()) for _ in nameserver.sockets} == every
        nameserver.close_sockets()
        assert nameserver.sockets == []


def test_when_a_socket_cannot_be_had_those_before_it_can_be_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, calls = open_datagrams, iter(range(10))

    def scarce(address: str, port: int) -> object:
        if next(calls) == 2:
            raise OSError(24, "Too many open files")
        return real(address, port)

    monkeypatch.setattr(module, "open_datagrams", scarce)
    nameserver = _upstream()
    with pytest.raises(OSError, match="Too many"):
        nameserver.open_sockets()
    assert len(nameserver.sockets) == 2
    nameserver.close_sockets()


def test_only_what_is_unanswered_for_long_is_late_and_only_once(port: UdpSocket) -> None:
    nameserver = _upstream(timeout=1.0)
    outstanding = [_flight(0.0) for _ in range(3)]
    for query_id, entry in enumerate(outstanding):
        port.outstanding[query_id] = entry
    nameserver.on_first_attempts(port, [0, 1, 2], outstanding, 0.0)
    later = _flight(0.5)
    port.outstanding[3] = later
    nameserver.on_first_attempts(port, [3], [later], 0.5)
    port.settle_id(1, ANSWERED)
    # The place was used again, for another question.
    port.outstanding[2] = _flight(0.9)
    assert list(nameserver.late(0.9)) == []
    assert list(nameserver.late(1.0)) == [(port, 0, outstanding[0])]
    assert list(nameserver.late(1.4)) == []
    assert list(nameserver.late(1.5)) == [(port, 3, later)]


def test_there_is_room_up_to_the_window_and_none_on_the_bench() -> None:
    nameserver = _upstream()
    size = int(nameserver.window.size)
    assert nameserver.room() == size
    nameserver.on_sent(size - 3, 0.0)
    assert nameserver.room() == 3
    nameserver.health = Health.SUSPENDED
    assert nameserver.room() == 0


def test_a_full_window_is_stuck_when_nothing_is_heard_for_longer_than_answers_take() -> None:
    nameserver = _upstream()
    size = int(nameserver.window.size)
    assert nameserver.stuck_at() is None
    nameserver.on_sent(size, 5.0)
    assert nameserver.stuck_at() == math.inf  # nobody knows how long answers take
    nameserver.round_trip.add_sample(0.1)
    assert nameserver.stuck_at() == pytest.approx(5.0 + nameserver.round_trip.usual)
    nameserver.on_heard(5.2)
    assert nameserver.stuck_at() == pytest.approx(5.2 + nameserver.round_trip.usual)
    nameserver.on_sent(-1, 5.3)
    assert nameserver.stuck_at() is None  # there is room
    nameserver.on_sent(1, 5.3)
    nameserver.health = Health.SUSPENDED
    assert nameserver.stuck_at() is None


def test_a_stuck_window_gets_half_of_its_size_more_at_most_until_something_is_heard() -> None:
    nameserver = _upstream()
    nameserver.round_trip.add_sample(0.1)
    size = int(nameserver.window.size)
    nameserver.on_sent(size, 1.0)
    while nameserver.stuck_at() is not None:
        nameserver.allow_more()
        assert 0 < nameserver.room() <= size // 4
        nameserver.on_sent(nameserver.room(), 2.0)
    assert nameserver.in_flight.count == size + size // 2
    nameserver.on_heard(3.0)
    assert nameserver.room() == -(size // 2)


def test_a_stuck_window_is_not_exceeded_beyond_concurrency() -> None:
    nameserver = _upstream()  # of 100
    nameserver.round_trip.add_sample(0.1)
    nameserver.window.size = 90.0
    nameserver.on_sent(90, 1.0)
    nameserver.allow_more()
    assert nameserver.room() == 10
    nameserver.on_sent(10, 1.0)
    assert nameserver.stuck_at() is not None
    nameserver.window.size = 100.0
    assert nameserver.stuck_at() is None


def test_later_tries_may_have_a_quarter_of_the_window() -> None:
    nameserver = _upstream()
    quarter = int(nameserver.window.size) // 4
    assert nameserver.room_for_later() == quarter
    nameserver.in_flight.later = quarter - 1
    assert nameserver.room_for_later() == 1
    nameserver.in_flight.later = quarter + 1
    assert nameserver.room_for_later() < 0
    nameserver.window.size = 2.0
    nameserver.in_flight.later = 0
    assert nameserver.room_for_later() == 1


def test_a_server_that_owes_answers_is_quiet_after_a_while_unless_it_says_anything() -> None:
    nameserver = _upstream(timeout=0.5)
    assert not nameserver.is_quiet(100.0)
    nameserver.on_sent(1, 100.0)
    nameserver.on_sent(1, 102.0)
    assert not nameserver.is_quiet(101.0)
    assert nameserver.is_quiet(101.1)
    nameserver.on_heard(101.1)
    assert not nameserver.is_quiet(110.0)


def test_a_server_at_the_end_of_a_long_path_is_given_more_time() -> None:
    nameserver = _upstream(timeout=5.0)
    assert nameserver.patience() == 0.5
    nameserver.round_trip.add_sample(0.4)
    nameserver.on_sent(1, 100.0)
    assert not nameserver.is_quiet(101.0 + 3 * nameserver.round_trip.timeout)
    assert nameserver.is_quiet(101.1 + 3 * nameserver.round_trip.timeout)
    assert nameserver.patience() == nameserver.round_trip.timeout


def test_a_late_answer_is_measured_only_when_nothing_comes_in_time() -> None:
    nameserver = _upstream(timeout=5.0)
    nameserver.round_trip.add_sample(0.01)
    nameserver.on_sent(1, 10.0)
    nameserver.on_answers([10.0], 10.0)
    before = nameserver.round_trip.smoothed
    nameserver.on_late(9.0, 10.01)
    assert nameserver.round_trip.smoothed == before
    nameserver.on_late(10.0, 11.0)
    assert nameserver.round_trip.smoothed != before


def test_edns_is_given_up_after_some_answers_without_and_none_with() -> None:
    nameserver = _upstream()
    for _ in range(10):
        nameserver.can.on_without_edns()
        nameserver.can.on_without_edns()
        nameserver.on_answers([1.0], 1.0)
    assert not nameserver.can.plain
    for _ in range(3):
        nameserver.can.on_without_edns()
    assert nameserver.can.plain


def test_mixed_case_is_given_up_after_some_changed_replies_not_after_one() -> None:
    nameserver = _upstream()
    nameserver.can.mixed_case = True
    nameserver.can.on_case_changed()
    assert nameserver.can.mixed_case
    for _ in range(7):
        nameserver.can.on_case_changed()
    assert not nameserver.can.mixed_case


def test_a_server_slips_while_empty_truncated_replies_come_close_together() -> None:
    nameserver = _upstream()
    assert not nameserver.can.is_slipping(0.0)
    for now in (1.0, 4.0, 7.0, 10.0, 13.0):
        nameserver.can.on_slip(now)
        assert not nameserver.can.is_slipping(now)
    for now in (13.1, 13.2, 13.3):
        nameserver.can.on_slip(now)
    assert nameserver.can.is_slipping(15.2)
    assert not nameserver.can.is_slipping(15.4)


def test_a_try_at_another_server_in_the_same_tick_is_not_overtaken_here(port: UdpSocket) -> None:
    nameserver = _upstream(timeout=1.0)
    nameserver.round_trip.add_sample(0.01)
    nameserver.round_trip.add_sample(0.01)
    query = PendingQuery(QUESTION, lambda _pairs: None)
    query.on_sent(nameserver.number, 0.0)
    nameserver.on_later_attempts([query], 0.0)
    query.on_sent(nameserver.number + 1, 0.0)
    port.outstanding[1] = entry = _flight(0.5)
    nameserver.on_first_attempts(port, [1], [entry], 0.5)
    port.settle_id(1, ANSWERED)
    nameserver.on_answers([0.5], 0.51)
    assert nameserver.overtaken() == []


def test_answers_out_of_order_are_not_counted_twice(port: UdpSocket) -> None:
    nameserver = _upstream(timeout=1.0)
    nameserver.round_trip.add_sample(0.01)
    nameserver.round_trip.add_sample(0.01)
    early, late, last = _flight(0.0), _flight(0.5), _flight(0.5)
    port.outstanding.update({0: early, 1: late, 2: last})
    nameserver.on_first_attempts(port, [0], [early], 0.0)
    nameserver.on_first_attempts(port, [1, 2], [late, last], 0.5)
    port.settle_id(1, ANSWERED)
    nameserver.on_answers([0.5], 0.51)
    nameserver.overtaken()
    assert nameserver.in_flight.count == 1
    # The one that was overtaken comes with the last one, and behind it.
    for query_id in (0, 2):
        port.settle_id(query_id, ANSWERED)
    nameserver.on_answers([0.5, 0.0], 0.52)
    nameserver.overtaken()
    assert nameserver.in_flight.count == 0


def test_what_was_overtaken_makes_room_and_is_not_counted_twice(port: UdpSocket) -> None:
    nameserver = _upstream(timeout=1.0)
    nameserver.round_trip.add_sample(0.01)
    nameserver.round_trip.add_sample(0.01)
    outstanding = [_flight(0.0) for _ in range(4)]
    port.outstanding.update(enumerate(outstanding))
    nameserver.on_first_attempts(port, [0, 1, 2, 3], outstanding, 0.0)
    query = PendingQuery(QUESTION, lambda _pairs: None)
    query.on_sent(0, 0.0)
    nameserver.on_later_attempts([query], 0.0)
    assert nameserver.in_flight.count == 5
    # Two are answered in time; nothing sent later has been, so the others may be on their way.
    for query_id in (0, 1):
        port.settle_id(query_id, ANSWERED)
    nameserver.on_answers([0.0, 0.0], 0.01)
    assert (nameserver.overtaken(), nameserver.in_flight.count) == ([], 3)
    # What was sent a second later is answered: those two are slow, or will never come.
    later = [_flight(1.0)]
    port.outstanding[9] = later[0]
    nameserver.on_first_attempts(port, [9], later, 1.0)
    port.settle_id(9, ANSWERED)
    nameserver.on_answers([1.0], 1.01)
    assert nameserver.overtaken() == [query]
    assert nameserver.in_flight.count == 1  # the query, which whoever keeps it takes out
    # An answer after all, and one taken for late: neither counted any more.
    nameserver.on_answers([0.0], 1.02)
    nameserver.in_flight.remove_first_attempt(0.0)
    assert nameserver.in_flight.count == 1


def test_a_server_that_answers_nothing_is_not_asked_more_for_it(port: UdpSocket) -> None:
    nameserver = _upstream(timeout=1.0)
    outstanding = [_flight(0.0)]
    port.outstanding[0] = outstanding[0]
    nameserver.on_first_attempts(port, [0], outstanding, 0.0)
    assert (nameserver.overtaken(), nameserver.in_flight.count) == ([], 1)


def test_what_leaves_and_is_answered_within_a_tick_of_the_clock_is_counted_once(
    port: UdpSocket,
) -> None:
    # A loop's clock may stand still while many batches come and go.
    nameserver = _upstream(timeout=1.0)
    nameserver.round_trip.add_sample(0.0)
    for _ in range(3):
        outstanding = [_flight(7.0)]
        port.outstanding[0] = outstanding[0]
        nameserver.on_first_attempts(port, [0], outstanding, 7.0)
        port.settle_id(0, ANSWERED)
        nameserver.on_answers([7.0], 7.0)
        assert (nameserver.overtaken(), nameserver.in_flight.count) == ([], 0)
