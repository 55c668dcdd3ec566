"""Settings: where they come from, which wins, and one line for whatever is wrong with them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import UsageError
from auditor.settings import Server, Settings, load, parse_server, read_config

if TYPE_CHECKING:
    from collections.abc import Mapping


def _load(
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    return load(config, environ or {}, flags or {})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "auditor.toml"


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


# --- Where they come from


def test_without_a_source_the_defaults_hold() -> None:
    assert _load() == Settings()


def test_every_setting_can_come_from_a_file(config: Path) -> None:
    config.write_text(
        """
        server = ["192.0.2.53", "[2001:db8::53]:5300"]
        engine = "cares"
        concurrency = 100
        qps = 500
        server-qps = 250.5
        server-check = false
        timeout = 1.5
        tries = 2
        cache-size = 1000
        helo = "mx.example.net"
        mail-from = ["example.net", "me@example.org"]
        spf = false
        trace = true
        fail-on = "error"
        select = "PTR"
        ignore = ["PTR_GENERIC"]
        max-targets = 1000
        [severities]
        ptr_multiple = "Warning"
        """,
        "utf-8",
    )
    assert _load(config) == Settings(
        servers=(Server("192.0.2.53"), Server("2001:db8::53", 5300)),
        engine="cares",
        concurrency=100,
        qps=500.0,
        server_qps=250.5,
        server_check=False,
        timeout=1.5,
        tries=2,
        cache_size=1000,
        helo="mx.example.net",
        mail_from=("example.net", "me@example.org"),
        spf=False,
        trace=True,
        fail_on="error",
        select=("PTR",),
        ignore=("PTR_GENERIC",),
        max_targets=1000,
        severities={"PTR_MULTIPLE": "warning"},
    )


def test_every_setting_but_severities_can_come_from_the_environment() -> None:
    environ = {
        "AUDITOR_SERVER": "192.0.2.53, 192.0.2.54:5300",
        "AUDITOR_SERVER_QPS": "250",
        "AUDITOR_SERVER_CHECK": "no",
        "AUDITOR_CACHE_SIZE": "1000",
        "AUDITOR_TIMEOUT": "0.5",
        "AUDITOR_MAIL_FROM": "example.net,me@example.org",
        "AUDITOR_TRACE": "TRUE",
        "AUDITOR_SEVERITIES": "not looked at",
        "AUDITOR_NO_SUCH": "not looked at",
        "PATH": "/bin",
    }
    assert _load(environ=environ) == Settings(
        servers=(Server("192.0.2.53"), Server("192.0.2.54", 5300)),
        server_qps=250.0,
        server_check=False,
        cache_size=1000,
        timeout=0.5,
        mail_from=("example.net", "me@example.org"),
        trace=True,
    )


def test_flags_win_over_the_environment_and_that_over_the_file(config: Path) -> None:
    config.write_text("tries = 1\ntimeout = 1\nqps = 1\n", "ascii")
    environ = {"AUDITOR_TRIES": "2", "AUDITOR_TIMEOUT": "2"}
    settings = _load(config, environ, {"tries": 3})
    assert (settings.tries, settings.timeout, settings.qps) == (3, 2.0, 1.0)


@pytest.mark.parametrize("later", ["environment", "flags"])
@pytest.mark.parametrize("first", ["server", "zones"])
def test_who_names_where_answers_come_from_last_replaces_the_other(
    config: Path, first: str, later: str
) -> None:
    given = {"server": "127.0.0.1:5300", "zones": "zones"}
    second = "zones" if first == "server" else "server"
    config.write_text(f'{first} = "{given[first]}"\n', "ascii")
    flags = {second: given[second]} if later == "flags" else {}
    environ = {} if flags else {f"AUDITOR_{second.upper()}": given[second]}
    settings = _load(config, environ, flags)
    if second == "zones":
        assert (settings.zones, settings.servers) == (Path("zones"), ())
    else:
        assert (settings.zones, settings.servers) == (None, (Server("127.0.0.1", 5300),))


def test_one_source_that_names_both_contradicts_itself() -> None:
    with pytest.raises(UsageError, match="not from both"):
        _load(flags={"server": ["127.0.0.1"], "zones": "zones"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("concurrency", 1.5),
        ("concurrency", True),
        ("concurrency", float("inf")),
        ("concurrency", float("nan")),
        ("concurrency", "many"),
        ("concurrency", [5]),
        ("cache-size", "9" * 5000),
        ("qps", "fast"),
        ("qps", True),
        ("qps", None),
        ("qps", 10**400),
        ("trace", "maybe"),
        ("trace", 2),
        ("helo", 5),
        ("helo", ["mx.example.net"]),
        ("server", 53),
        ("server", [53]),
        ("select", {"PTR": 1}),
        ("severities", "PTR"),
        ("severities", {"PTR_MISSING": 1}),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_source(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"^command line: {key}: ") as caught:
        _load(flags={key: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"), [("5", 5), (5, 5), (5.0, 5), (" 5 ", 5), ("5_0", 50)]
)
def test_a_whole_number_may_be_written_in_several_ways(value: object, expected: int) -> None:
    assert _load(flags={"concurrency": value}).concurrency == expected


# --- Files that are no settings


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read: No such file"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_config(tmp_path)


@pytest.mark.parametrize("content", [b"tries = ", b"tries: 5\n", b"\xff\xfe", b"[[tries]\n"])
def test_a_file_that_is_not_toml_is_named(config: Path, content: bytes) -> None:
    config.write_bytes(content)
    with pytest.raises(UsageError, match=r"auditor\.toml: not TOML: "):
        read_config(config)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("timeouts", "; did you mean 'timeout'?"),
        ("cache_size", "; did you mean 'cache-size'?"),
        ("zzz", ""),
    ],
)
def test_a_key_that_nobody_knows_is_named_with_the_nearest(
    config: Path, key: str, hint: str
) -> None:
    config.write_text(f"{key} = 5\n", "ascii")
    with pytest.raises(UsageError) as caught:
        read_config(config)
    assert str(caught.value) == f"{config}: unknown setting {key!r}{hint}"


def test_a_wrong_value_in_a_file_names_the_file(config: Path) -> None:
    config.write_text('tries = "often"\n', "ascii")
    with pytest.raises(UsageError, match=rf"^{config}: tries: 'often' is not a whole number$"):
        _load(config)
