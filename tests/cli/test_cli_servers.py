"""The options that say whom to ask and how fast, against servers that keep count.

Also tests `server_sample.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cli.driving import Ended, records
from support.faults import answer, delay, invent
from support.faulty import FaultyServer, always, dead_port, mute_port, per_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.faults import Action, Exchange
    from support.faulty import Asked

ZONE = """
$ORIGIN 2.0.192.in-addr.arpa.
1 PTR one.example.net.
2 PTR two.example.net.
3 PTR three.example.net.
4 PTR four.example.net.
$ORIGIN example.net.
one A 192.0.2.1
two A 192.0.2.2
three A 192.0.2.3
four A 192.0.2.4
"""
ENGINES = ("bulk", "cares")


def _server(port: int) -> tuple[str, ...]:
    return ("--server", f"127.0.0.1:{port}")


def _asked(server: FaultyServer) -> list[str]:
    return [query.asked.rdtype for query in server.queries if not _is_check(query.asked)]


def _is_check(asked: Asked) -> bool:
    return asked.name.endswith(".invalid") or asked.rdtype == "NS"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_is_asked_and_each_engine_says_the_same(
    call: Callable[..., Ended], engine: str
) -> None:
    with FaultyServer(ZONE) as server:
        ended = call("scan", "-q", *_server(server.port), "--engine", engine, "192.0.2.1")
    (record,) = records(ended.out)
    assert (ended.code, record["verdict"], record["iprev"]["result"]) == (0, "pass", "pass")
    # The second PTR is for the wildcard that the name might come from.
    assert sorted(_asked(server)) == ["A", "PTR", "PTR", "TXT"]


def test_the_default_engine_tries_the_servers_out(call: Callable[..., Ended]) -> None:
    with FaultyServer(ZONE) as server:
        call("check", *_server(server.port), "192.0.2.1")
        first = server.queries[0].asked
        assert (first.name.endswith(".invalid"), first.rdtype) == (True, "A")
        seen = len(server.queries)
        call("check", "--no-server-check", *_server(server.port), "192.0.2.1")
        names = [query.asked.name for query in server.queries[seen:]]
    assert names[0] == "1.2.0.192.in-addr.arpa"
    assert not [name for name in names if name.endswith("invalid")]


def test_no_spf_asks_for_no_policy(call: Callable[..., Ended]) -> None:
    with FaultyServer(ZONE) as server:
        call("scan", "-q", "--no-spf", *_server(server.port), "192.0.2.1")
    assert "TXT" not in _asked(server)
    assert len(_asked(server)) == 3


@pytest.mark.parametrize("tries", [1, 3])
def test_tries_bounds_the_queries_for_one_question(call: Callable[..., Ended], tries: int) -> None:
    silent = per_name({"1.2.0.192.in-addr.arpa": []})
    with FaultyServer(ZONE, silent) as server:
        ended = call(
            "scan", "-q", *_server(server.port), "--timeout", "0.05", "--tries", tries, "192.0.2.1"
        )
    (record,) = records(ended.out)
    assert (record["verdict"], record["ptr"]["status"]) == ("unknown", "TIMEOUT")
    assert _asked(server) == ["PTR"] * tries


def test_timeout_is_the_time_for_one_try(call: Callable[..., Ended]) -> None:
    silent = per_name({"1.2.0.192.in-addr.arpa": []})
    with FaultyServer(ZONE, silent) as server:
        call("scan", "-q", *_server(server.port), "--timeout", "0.3", "--tries", "2", "192.0.2.1")
        first, second = [query.at for query in server.queries if query.asked.rdtype == "PTR"]
    assert second - first < 2  # which is the default


@pytest.mark.parametrize("option", ["--qps", "--server-qps"])
def test_a_rate_is_kept(call: Callable[..., Ended], option: str) -> None:
    with FaultyServer(ZONE) as server:
        call("scan", "-q", "--no-spf", *_server(server.port), option, "20", "192.0.2.1-192.0.2.4")
        times = [query.at for query in server.queries if not _is_check(query.asked)]
    assert len(times) == 9
    # The first may leave at once; so may two that a slow loop has been kept from sending.
    assert times[-1] - times[0] >= 6 / 20


@pytest.mark.parametrize("engine", ENGINES)
def test_concurrency_bounds_what_is_in_flight(call: Callable[..., Ended], engine: str) -> None:
    busy: list[str] = []
    most = 0

    async def begin(exchange: Exchange) -> None:
        nonlocal most
        busy.append(exchange.query.question[0].to_text())
        most = max(most, len(busy))

    async def end(exchange: Exchange) -> None:
        busy.remove(exchange.query.question[0].to_text())
        await answer(exchange)

    with FaultyServer(ZONE, always(begin, delay(0.02), end)) as server:
        call(
            "scan", "-q", *_server(server.port), "--engine", engine, "--concurrency", "2",
            "192.0.2.1-192.0.2.4",
        )  # fmt: skip
    assert most == 2


def test_trace_names_the_server_and_the_tries(call: Callable[..., Ended]) -> None:
    def second_time(asked: Asked, _transport: str, nth: int) -> list[Action]:
        return [] if asked.rdtype == "PTR" and nth == 1 else [answer]

    with FaultyServer(ZONE, second_time) as server:
        where = _server(server.port)
        ended = call("scan", "-q", *where, "--timeout", "0.1", "--trace", "192.0.2.1", "192.0.2.1")
    (record, _) = records(ended.out)
    entry = record["trace"][0]
    assert entry.pop("rtt_ms") >= 0
    assert entry == {
        "name": "1.2.0.192.in-addr.arpa",
        "type": "PTR",
        "status": "NOERROR",
        "server": where[1],
        "transport": "udp",
        "attempts": 2,
        "ttl": 300,
        "ede": [],
        "cached": False,
    }


@pytest.mark.parametrize("command", ["scan", "check"])
def test_a_server_that_is_not_there_ends_the_command(
    here: Path, call: Callable[..., Ended], command: str
) -> None:
    output = ("-o", "out.ndjson") if command == "scan" else ()
    with dead_port() as port:
        ended = call(command, *_server(port), "--timeout", "0.05", "192.0.2.1", *output)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.splitlines() == [
        f"auditor: server 127.0.0.1:{port} is not reachable: left out",
        f"auditor: no server is left to ask: 127.0.0.1:{port} is not reachable",
    ]
    assert list(here.iterdir()) == []


def test_mutes_and_liars_are_named_and_left_out(call: Callable[..., Ended]) -> None:
    with mute_port() as mute, FaultyServer(ZONE, always(invent("192.0.2.99"))) as liar:
        servers = (*_server(mute), *_server(liar.port))
        with FaultyServer(ZONE) as honest:
            ended = call("scan", *servers, *_server(honest.port), "--timeout", "0.05", "192.0.2.1")
        (record,) = records(ended.out)
        assert (ended.code, record["verdict"]) == (0, "pass")
        mute_why = f"127.0.0.1:{mute} does not answer"
        liar_why = f"127.0.0.1:{liar.port} makes up answers for names that do not exist"
        assert sorted(ended.err.splitlines()[:2]) == sorted(
            f"auditor: server {why}: left out" for why in (mute_why, liar_why)
        )
        ended = call("scan", "--quiet", *servers, "--timeout", "0.05", "192.0.2.1")
        message = f"auditor: no server is left to ask: {mute_why}; {liar_why}\n"
        assert ended == (3, "", message)


def test_an_ipv6_server_is_named_in_brackets(call: Callable[..., Ended]) -> None:
    with mute_port() as port:
        ended = call("check", "--server", f"[::1]:{port}", "--timeout", "0.05", "192.0.2.1")
    assert ended.code == 3
    assert ended.err.splitlines()[-1].startswith(
        f"auditor: no server is left to ask: [::1]:{port} "
    )


def test_a_scan_says_when_its_servers_disagree(call: Callable[..., Ended]) -> None:
    stale = ZONE.replace("2 PTR two", "2 PTR old")
    with FaultyServer(ZONE) as first, FaultyServer(stale) as second:
        servers = (*_server(first.port), *_server(second.port))
        ended = call("scan", *servers, "192.0.2.0/29")
        assert len(records(ended.out)) == 8
        (message,) = [line for line in ended.err.splitlines() if "disagree" in line]
        assert "2.2.0.192.in-addr.arpa PTR" in message
        assert f"127.0.0.1:{first.port} answers two.example.net" in message
        assert f"127.0.0.1:{second.port} answers old.example.net" in message
        quiet = call("scan", *servers, "--ignore", "SERVERS_DISAGREE", "192.0.2.0/29")
        assert "disagree" not in quiet.err


def test_servers_that_agree_or_are_alone_are_not_asked_again_about_what_is_known(
    call: Callable[..., Ended],
) -> None:
    with FaultyServer(ZONE) as server:
        call("scan", "-q", *_server(server.port), "192.0.2.1")
        alone = len(_asked(server))
    with FaultyServer(ZONE) as first, FaultyServer(ZONE) as second:
        ended = call("scan", *_server(first.port), *_server(second.port), "192.0.2.1")
        assert "disagree" not in ended.err
        # Both questions of the evidence, PTR and A, once more of each.
        assert len(_asked(first)) + len(_asked(second)) == alone + 4
