"""What the engine logs carries its fields: whoever wants them reads no text."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from auditor.resolve.bulk.dead_zones import DeadZones
from auditor.resolve.bulk.retry_policy import RetryPolicy
from auditor.resolve.bulk.server.health_monitor import HealthMonitor
from auditor.resolve.bulk.server.nameserver import NameServer
from auditor.settings import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

ZONE = "2.0.192.in-addr.arpa"


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO, "auditor")
    yield
    assert {record.name for record in caplog.records} <= {"auditor"}


def _events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (record.levelname, record.__dict__["event"], record.__dict__["fields"])
        for record in caplog.records
    ]


def test_a_server_that_is_benched_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    server = Server("192.0.2.53")
    nameserver = NameServer(0, server, concurrency=64, timeout=2.0, qps=None, now=0.0)
    keeper = HealthMonitor(
        [nameserver],
        RetryPolicy(5, 2.0),
        probe=lambda _upstream, _question, _plain: None,
        take_back=lambda _upstream: None,
        fail=lambda error: pytest.fail(str(error)),
    )
    keeper.on_refused(nameserver, 1.0, times=8)
    keeper.on_probe(nameserver, (b"", 1.0, False), bytes(12), 1.5)
    keeper.leave_out(nameserver, "makes up answers for names that do not exist")
    name = "192.0.2.53:53"
    why = "makes up answers for names that do not exist"
    assert _events(caplog) == [
        ("WARNING", "server_benched", {"server": name, "why": "is not reachable"}),
        ("WARNING", "server_back", {"server": name}),
        ("WARNING", "server_left_out", {"server": name, "why": why}),
    ]


def _fail(dead: DeadZones, third: int, now: float) -> None:
    for host in range(16):
        dead.on_failure(f"{host}.{third}.0.192.in-addr.arpa", now)


def test_a_zone_is_told_once_when_it_is_taken_for_dead(caplog: pytest.LogCaptureFixture) -> None:
    dead = DeadZones()
    _fail(dead, 2, 1.0)
    assert not dead.is_dead(f"99.{ZONE}", 1.0)
    assert caplog.records == []
    for _ in range(3):
        assert dead.is_dead(f"99.{ZONE}", 1.1)
    assert _events(caplog) == [("INFO", "zone_dead", {"zone": ZONE})]


def test_its_return_is_told_and_its_next_death(caplog: pytest.LogCaptureFixture) -> None:
    dead = DeadZones()
    for now in (1.0, 2.0):
        _fail(dead, 2, now)
        assert dead.is_dead(f"99.{ZONE}", now + 0.5)
        dead.on_answer(f"1.{ZONE}")
        dead.on_answer(f"2.{ZONE}")
    events = [("INFO", event, {"zone": ZONE}) for event in ("zone_dead", "zone_back")]
    assert _events(caplog) == events * 2


def test_of_what_zones_lie_in_only_the_whole_is_told(caplog: pytest.LogCaptureFixture) -> None:
    dead = DeadZones()
    for third in range(4):
        _fail(dead, third, 1.0)
    for third in range(50):
        assert dead.is_dead(f"1.{third}.0.192.in-addr.arpa", 1.5)
    assert _events(caplog) == [("INFO", "zone_dead", {"zone": "0.192.in-addr.arpa"})]
    dead.on_answer("1.200.0.192.in-addr.arpa")
    assert _events(caplog)[1:] == [("INFO", "zone_back", {"zone": "0.192.in-addr.arpa"})]


def test_what_is_remembered_of_zones_stays_bounded(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditor.resolve.bulk.dead_zones._MAX_ZONES", 3)
    dead = DeadZones()
    _fail(dead, 2, 1.0)
    assert dead.is_dead(f"1.{ZONE}", 2.0)
    for number in range(10):
        dead.on_failure(f"a.example{number}.net", 3.0)
    assert len(dead._logged) == 0
    assert len(caplog.records) == 1
