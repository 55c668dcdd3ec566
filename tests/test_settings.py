"""Settings: one frozen object, and one line for whatever is wrong with it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import UsageError
from auditor.settings import Server, Settings, parse_server

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
        ({"fail_on": "notice"}, "fail-on: 'notice' is not one of error, warning, never"),
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
            {"helo": "a_b"},
            "helo: 'a_b' is a single label; expected a domain such as mail.example.net",
        ),
        (
            {"mail_from": ("example.net", "me@")},
            "mail-from: '' is empty; expected a domain or user@domain",
        ),
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
