"""Settings: one frozen object, and one line for whatever is wrong with it."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import UsageError
from auditor.settings import Server, Settings
from auditor.settings_values import (
    Route,
    parse_routes,
    parse_server,
    parse_servers,
    parse_zone_names,
)

# --- Servers


@pytest.mark.parametrize(
    ("text", "server", "shown"),
    [
        ("192.0.2.53", Server("192.0.2.53", 53), "192.0.2.53:53"),
        ("192.0.2.53:5300", Server("192.0.2.53", 5300), "192.0.2.53:5300"),
        (" 192.0.2.53 ", Server("192.0.2.53", 53), "192.0.2.53:53"),
        ("2001:db8::53", Server("2001:db8::53", 53), "[2001:db8::53]:53"),
        ("[2001:db8::53]", Server("2001:db8::53", 53), "[2001:db8::53]:53"),
        ("[2001:DB8:0::53]:5300", Server("2001:db8::53", 5300), "[2001:db8::53]:5300"),
        ("::1", Server("::1", 53), "[::1]:53"),
        ("127.0.0.1:65535", Server("127.0.0.1", 65535), "127.0.0.1:65535"),
    ],
)
def test_a_server_is_an_address_and_a_port(text: str, server: Server, shown: str) -> None:
    assert parse_server(text) == server
    assert str(server) == shown
    assert parse_server(shown) == server


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ns.example.net",
        "localhost:53",
        "192.0.2.53:",
        "192.0.2.53:0",
        "192.0.2.53:65536",
        "192.0.2.53:-1",
        "192.0.2.53:5e2",
        "192.0.2.53:\u0665\u0663",  # digits, though not ours
        "192.0.2.53:" + "5" * 5000,
        "192.0.2.256",
        "192.0.2",
        "[2001:db8::53",
        "[2001:db8::53]53",
        "[2001:db8::53]:",
        "[]:53",
        "2001:db8::53:65536:x",
    ],
)
def test_what_is_no_server_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(UsageError, match="expected an address, ADDR:PORT or"):
        parse_server(text)


@given(st.text())
def test_no_text_makes_another_error(text: str) -> None:
    try:
        server = parse_server(text)
    except UsageError:
        return
    assert parse_server(str(server)) == server


# --- The object


def test_settings_are_frozen_and_compare_by_value() -> None:
    assert Settings() == Settings()
    with pytest.raises(FrozenInstanceError):
        Settings().qps = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"engine": "dig"}, "engine: 'dig' is not one of bulk, cares"),
        ({"fail_on": "notice"}, "fail-on: 'notice' is not one of error, warning, unknown, never"),
        ({"concurrency": 0}, "concurrency: 0 is not within 1 and 1,000,000"),
        ({"qps": 0}, "qps: 0 is not within"),
        ({"qps": float("nan")}, "qps: nan is not within"),
        ({"server_qps": -1}, "server-qps: -1 is not within"),
        ({"timeout": 0}, "timeout: 0 is not within 0.05 and 60"),
        ({"timeout": float("inf")}, "timeout: inf is not within"),
        ({"tries": 21}, "tries: 21 is not within 1 and 20"),
        ({"cache_size": -1}, "cache-size: -1 is not within"),
        ({"max_targets": 0}, "max-targets: 0 is not within"),
        ({"deadline": 0.5}, "deadline: 0.5 is not within 1 and 10,000,000"),
        ({"workers": 0}, "workers: 0 is not within 1 and 1,024"),
        (
            {"workers": 2, "scheduler": "tcp://192.0.2.1:8786"},
            "workers: processes of this machine or a scheduler's, not both",
        ),
        ({"log_format": "xml"}, "log-format: 'xml' is not one of text, json"),
        (
            {"zones": Path("zones"), "servers": (Server("127.0.0.1"),)},
            "zones: answers come from files or from servers, not from both",
        ),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Settings(**values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_identities_are_kept_as_they_are_compared() -> None:
    settings = Settings(helo="MX.Bücher.example.", mail_from=("Example.NET", "Me@Example.org"))
    assert settings.helo == "mx.xn--bcher-kva.example"
    assert settings.mail_from == ("example.net", "Me@example.org")


def test_several_servers_are_named_at_once_or_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "servers"
    path.write_text("# ours\n192.0.2.53  # first\n\n[2001:db8::53]:5353\r\n")
    expected = (Server("192.0.2.53"), Server("2001:db8::53", 5353))
    assert parse_servers(f"@{path}") == expected
    assert parse_servers("192.0.2.53, [2001:db8::53]:5353,") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"192.0.2.53\nx\n", "server 'x': expected an address, ADDR:PORT or [V6]:PORT"),
        (b"# none\n", "has no server in it; expected one a line"),
        (b"#" * ((1 << 20) + 1), "more than 1 MiB; expected one server a line"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_of_servers_that_cannot_work_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "servers"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        parse_servers(f"@{path}")
    assert message in str(caught.value)
    with pytest.raises(UsageError, match="cannot be read"):
        parse_servers("@a\0b")


def test_as_json_they_are_plain_values() -> None:
    settings = Settings(
        zones=Path("zones"), mail_from=("a.net",), severities={"PTR_MISSING": "info"}
    )
    values = settings.as_json()
    assert json.loads(json.dumps(values)) == values
    assert (values["zones"], values["mail_from"]) == ("zones", ["a.net"])
    assert values["severities"] == {"PTR_MISSING": "info"}
    assert Settings(servers=(Server("192.0.2.53"),)).as_json()["servers"] == ["192.0.2.53:53"]
    assert set(values) == set(Settings.__dataclass_fields__)


# --- Routes

_ONE, _TWO = Server("192.0.2.53"), Server("2001:db8::53", 5300)


@pytest.mark.parametrize(
    ("given", "routes"),
    [
        ((), ()),
        ("example.net=192.0.2.53", (Route("example.net", (_ONE,)),)),
        ("Example.NET.=192.0.2.53,[2001:db8::53]:5300", (Route("example.net", (_ONE, _TWO)),)),
        (
            ["0/26.2.0.192.in-addr.arpa=192.0.2.53", ".=[2001:db8::53]:5300"],
            (Route("0/26.2.0.192.in-addr.arpa", (_ONE,)), Route(".", (_TWO,))),
        ),
        # As a variable has it, and one zone in two places.
        (
            ["a.net=192.0.2.53", "b.net=192.0.2.53", "a.net=[2001:db8::53]:5300"],
            (Route("a.net", (_ONE, _TWO)), Route("b.net", (_ONE,))),
        ),
        (["a.net=192.0.2.53", "[2001:db8::53]:5300"], (Route("a.net", (_ONE, _TWO)),)),
    ],
)
def test_a_route_is_a_zone_with_its_servers(given: Any, routes: tuple[Route, ...]) -> None:
    assert parse_routes(given) == routes
    assert parse_routes([str(route) for route in routes]) == routes


@pytest.mark.parametrize("text", ["192.0.2.53", "=192.0.2.53", "a..net=192.0.2.53"])
def test_what_is_no_route_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected ZONE=|not the name of a zone"):
        parse_routes(text)


def test_a_route_needs_the_address_of_a_server() -> None:
    with pytest.raises(UsageError, match=r"ns\.example\.net"):
        parse_routes("example.net=ns.example.net")


def test_zones_are_named_in_lower_case_without_a_final_dot() -> None:
    assert parse_zone_names(["Example.NET.", "2.0.192.in-addr.arpa"]) == (
        "example.net",
        "2.0.192.in-addr.arpa",
    )


@pytest.mark.parametrize("other", [{"engine": "cares"}, {"zones": Path("zones")}])
@pytest.mark.parametrize("asked", [{"direct": True}, {"route": (Route("a.net", (_ONE,)),)}])
def test_routes_need_the_bulk_engine(other: dict[str, Any], asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=": needs name servers and --engine bulk"):
        Settings(**other, **asked)
