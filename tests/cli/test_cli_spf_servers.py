"""`auditor spf` against servers: each engine, and none that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.faulty import FaultyServer, dead_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.driving import Ended

ZONE = """
$ORIGIN example.net.
@ TXT "v=spf1 a include:spf.example.net -all"
@ A 192.0.2.1
@ SPF "v=spf1 -all"
spf TXT "v=spf1 ip4:198.51.100.0/24 -all"
"""
ENGINES = ("bulk", "cares")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_is_asked_and_each_engine_says_the_same(
    call: Callable[..., Ended], engine: str
) -> None:
    with FaultyServer(ZONE) as server:
        asking = ("--server", f"127.0.0.1:{server.port}", "--engine", engine)
        ended = call("spf", *asking, "example.net", "--ip", "198.51.100.7")

    assert (ended.code, ended.err) == (0, "")
    assert "198.51.100.7  pass by include:spf.example.net (2 lookups, 0 void)" in ended.out
    # c-ares cannot ask for type 99, and then nothing is said about it.
    assert ("SPF_TYPE_99" in ended.out) == (engine == "bulk")


def test_a_server_that_is_not_there_ends_the_command(call: Callable[..., Ended]) -> None:
    with dead_port() as port:
        ended = call("spf", "--server", f"127.0.0.1:{port}", "--timeout", "0.05", "example.net")

    assert (ended.code, ended.out) == (3, "")
    assert ended.err.splitlines() == [
        f"auditor: server 127.0.0.1:{port} is not reachable: left out",
        f"auditor: no server is left to ask: 127.0.0.1:{port} is not reachable",
    ]
