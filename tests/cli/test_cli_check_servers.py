"""`auditor check` with several servers: which of them says what, and whether they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from support.faults import answer, rcode
from support.faulty import FaultyServer, dead_port, per_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cli.driving import Ended
    from support.faults import Action

NEW: Final = """
1.2.0.192.in-addr.arpa. PTR one.example.net.
2.2.0.192.in-addr.arpa. PTR two.example.net.
one.example.net. A 192.0.2.1
two.example.net. A 192.0.2.2
example.net. A 192.0.2.1
example.net. TXT "v=spf1 a -all"
"""
#: As it was before the last change, which never got through to this server.
OLD: Final = """
1.2.0.192.in-addr.arpa. PTR one.example.net.
two.example.net. A 192.0.2.2
one.example.net. A 192.0.2.99
example.net. A 192.0.2.1
example.net. TXT "v=spf1 ?all" "\\027[31m"
"""


def _servers(*servers: FaultyServer | int) -> list[str]:
    ports = [server if isinstance(server, int) else server.port for server in servers]
    return [word for port in ports for word in ("--server", f"127.0.0.1:{port}")]


def test_an_old_copy_of_a_zone_is_told_with_who_has_it(call: Callable[..., Ended]) -> None:
    with FaultyServer(NEW) as new, FaultyServer(OLD) as old:
        ended = call("check", *_servers(new, old), "192.0.2.2")
        where = (f"127.0.0.1:{new.port}", f"127.0.0.1:{old.port}")
    lines = ended.out.splitlines()
    at = lines.index("    Differ 2.2.0.192.in-addr.arpa PTR")
    assert lines[at + 1] == f"           {where[0]} -> NOERROR: two.example.net"
    assert lines[at + 2] == f"           {where[1]} -> NXDOMAIN"
    assert "  SERVERS_DISAGREE error: 2.2.0.192.in-addr.arpa" in lines
    assert (ended.code, ended.err) == (0, "")


def test_forward_names_are_compared_and_the_verdict_follows(call: Callable[..., Ended]) -> None:
    with FaultyServer(NEW) as new, FaultyServer(OLD) as old:
        plain = call("check", *_servers(new), "192.0.2.1").out
        ended = call(
            "check", *_servers(new, old, new), "--fail-on", "warning", "--no-spf", "192.0.2.1"
        )
    assert plain.startswith("192.0.2.1  PASS")
    assert ended.code == 1
    assert not ended.out.startswith("192.0.2.1  PASS")
    assert "    Differ one.example.net A\n" in ended.out
    assert ended.out.count(": 192.0.2.99\n") == 1
    assert "in-addr.arpa PTR" not in ended.out


def test_what_a_domain_publishes_is_compared_and_shown_harmless(call: Callable[..., Ended]) -> None:
    with FaultyServer(NEW) as new, FaultyServer(OLD) as old:
        out = call("check", *_servers(new, old), "example.net").out
    assert "    Differ example.net TXT\n" in out
    assert "    Differ example.net A\n" not in out
    assert "NOERROR: v=spf1 a -all\n" in out
    assert "NOERROR: v=spf1 ?all\\x1b[31m\n" in out
    assert "\x1b" not in out


def test_servers_that_agree_are_no_finding(call: Callable[..., Ended]) -> None:
    with FaultyServer(NEW) as one, FaultyServer(NEW) as two:
        out = call("check", *_servers(one, two), "192.0.2.1", "example.net").out
        asked = [{query.asked for query in server.queries} for server in (one, two)]
    assert "SERVERS_DISAGREE" not in out
    assert ("1.2.0.192.in-addr.arpa", "PTR") in asked[0] & asked[1]
    assert ("one.example.net", "A") in asked[0] & asked[1]


@pytest.mark.parametrize("trouble", ["failing", "gone"])
def test_a_server_that_says_nothing_disagrees_with_nobody(
    call: Callable[..., Ended], trouble: str
) -> None:
    actions: dict[str, Sequence[Action]] = {
        "1.2.0.192.in-addr.arpa": [rcode("SERVFAIL")],
        "one.example.net": [answer],
    }
    with FaultyServer(NEW) as one, FaultyServer(NEW, per_name(actions)) as two, dead_port() as port:
        other = two if trouble == "failing" else port
        ended = call("check", *_servers(one, other), "--timeout", "0.2", "192.0.2.1")
    assert ended.code == 0
    assert ended.out.startswith("192.0.2.1  PASS")
    assert "SERVERS_DISAGREE" not in ended.out
    # That it is not there is told once.
    assert ended.err.count("left out") == (trouble == "gone")


def test_who_does_not_want_to_know_does_not_ask(call: Callable[..., Ended]) -> None:
    with FaultyServer(NEW) as new, FaultyServer(OLD) as old:
        ended = call("check", *_servers(new, old), "--ignore", "SERVERS", "--no-spf", "192.0.2.2")
        asked = [query.asked for server in (new, old) for query in server.queries]
    assert "SERVERS_DISAGREE" not in ended.out
    assert sum(one == ("2.2.0.192.in-addr.arpa", "PTR") for one in asked) == 1


def test_input_that_is_no_target_is_nothing_to_compare(call: Callable[..., Ended]) -> None:
    with FaultyServer(NEW) as new, FaultyServer(OLD) as old:
        given = ("check", *_servers(new, old), "--no-spf", "-")
        ended = call(*given, stdin=b"198.51.100.300\n192.0.2.2\n")
    assert ended.out.startswith("198.51.100.300  FAIL")


def test_the_catalogue_says_which_command_finds_it(call: Callable[..., Ended]) -> None:
    text = " ".join(call("explain", "SERVERS_DISAGREE").out.split())
    assert "`auditor check` with several --server" in text
    assert "--authority=every, which asks each server of a zone" in text
