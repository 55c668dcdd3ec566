"""The engine's counts: all of them by name, and the sums that are derived."""

from __future__ import annotations

from auditor.resolve.bulk.counters import Counters


def test_what_was_sent_is_first_tries_retries_and_probes() -> None:
    counters = Counters()
    counters.first, counters.retried, counters.probes, counters.tcp = 10, 3, 2, 7
    assert counters.as_dict()["sent"] == 15


def test_what_no_reply_was_taken_for_is_lost() -> None:
    counters = Counters()
    counters.first, counters.retried = 10, 2
    counters.accepted, counters.late, counters.duplicates, counters.forged = 8, 1, 4, 5
    assert counters.as_dict()["lost"] == 3


def test_what_no_reply_came_to_over_tcp_is_lost_there() -> None:
    counters = Counters()
    counters.tcp_sent, counters.tcp_received, counters.tcp_accepted = 9, 8, 6
    count = counters.as_dict()
    assert (count["tcp_lost"], count["sent"], count["lost"]) == (3, 0, 0)


def test_every_count_starts_at_nothing_and_is_in_the_dictionary() -> None:
    assert set(Counters().as_dict()) == {*Counters.__slots__, "sent", "lost", "tcp_lost"}
    assert set(Counters().as_dict().values()) == {0}
