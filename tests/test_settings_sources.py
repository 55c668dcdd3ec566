"""Where settings come from: which source wins, and one line for whatever is wrong with one.

Also tests `settings_values.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor import settings_sources
from auditor.errors import UsageError
from auditor.settings import OPTIONS, Server, Settings
from auditor.settings_sources import Loaded, Source, load, read_config
from auditor.settings_values import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping


NO_SERVER = "expected an address, ADDR:PORT or [V6]:PORT, such as 127.0.0.1:53"


def _load(
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    return _loaded(config, environ, flags).settings


def _loaded(
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Loaded[Settings]:
    return load(Settings, config, environ or {}, flags or {})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of one's own: an auditor.toml in it counts."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "auditor.toml"


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
        receiver = ["gmail,gmx", "orange"]
        receivers-file = "own.toml"
        max-targets = 1000
        deadline = "5h30m"
        quiet = true
        log-format = "json"
        metrics = "auditor.prom"
        workers = 2
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
        receivers=("gmail", "gmx", "orange"),
        receivers_file=Path("own.toml"),
        max_targets=1000,
        deadline=19_800.0,
        quiet=True,
        log_format="json",
        metrics=Path("auditor.prom"),
        workers=2,
        severities={"PTR_MULTIPLE": "warning"},
    )


def test_every_setting_can_come_from_the_environment() -> None:
    environ = {
        "AUDITOR_SERVER": "192.0.2.53, 192.0.2.54:5300",
        "AUDITOR_SERVER_QPS": "250",
        "AUDITOR_SERVER_CHECK": "no",
        "AUDITOR_CACHE_SIZE": "1000",
        "AUDITOR_TIMEOUT": "0.5",
        "AUDITOR_MAIL_FROM": "example.net,me@example.org",
        "AUDITOR_TRACE": "TRUE",
        "AUDITOR_SEVERITIES": "PTR_MULTIPLE=info, spf_none=Error",
        "AUDITOR_SELECT": "PTR,SPF",
        "AUDITOR_METRICS": "auditor.prom",
        "AUDITOR_DEADLINE": "90",
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
        severities={"PTR_MULTIPLE": "info", "SPF_NONE": "error"},
        select=("PTR", "SPF"),
        metrics=Path("auditor.prom"),
        deadline=90.0,
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
        ("severities", ["PTR_MISSING"]),
        ("deadline", "5x"),
        ("deadline", ""),
        ("deadline", True),
        ("deadline", "9" * 5000),
        ("metrics", ""),
        ("metrics", 5),
        ("workers", "all"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_source(key: str, value: object) -> None:
    flag = "severity" if key == "severities" else key
    with pytest.raises(UsageError, match=rf"^--{flag}: ") as caught:
        _load(flags={key: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"), [("5", 5), (5, 5), (5.0, 5), (" 5 ", 5), ("5_0", 50)]
)
def test_a_whole_number_may_be_written_in_several_ways(value: object, expected: int) -> None:
    assert _load(flags={"concurrency": value}).concurrency == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5h30m", 19_800),
        ("90s", 90),
        ("90", 90),
        ("1.5", 1.5),
        ("2d", 172_800),
        (" 1D2H3M4.5S ", 93_784.5),
    ],
)
def test_a_duration_may_be_written_in_several_ways(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert _load(flags={"deadline": text}).deadline == seconds


@given(st.text())
def test_no_text_makes_a_duration_raise_anything_else(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert seconds >= 0


def test_as_many_workers_as_there_are_cores() -> None:
    assert _load(flags={"workers": "auto"}).workers >= 1


# --- Which file, and what is to blame


def test_the_file_of_the_working_directory_comes_first(config: Path, here: Path) -> None:
    (here / "auditor.toml").write_text("tries = 2\ntimeout = 2.5\nqps = 1\n", "ascii")
    config.write_text("tries = 3\nqps = 2\n", "ascii")
    loaded = _loaded(config, {"AUDITOR_QPS": "3"})
    settings = loaded.settings
    assert (settings.tries, settings.timeout, settings.qps) == (3, 2.5, 3.0)
    assert loaded.files == (Path("auditor.toml"), config)
    assert loaded.origins == {
        "tries": Source("file", str(config)),
        "timeout": Source("file", "auditor.toml"),
        "qps": Source("variable", "AUDITOR_QPS"),
    }


@pytest.mark.parametrize(
    ("modes", "why"),
    [
        ((0o644, 0o755), ""),
        ((0o646, 0o755), "it can be written by everybody"),
        ((0o664, 0o755), "it can be written by a group"),
        ((0o644, 0o757), "its folder can be written by everybody"),
        ((0o644, 0o1777), "its folder can be written by everybody"),
        ((0o644, 0o775), "its folder can be written by a group"),
    ],
)
@pytest.mark.parametrize(
    "key", ["server", "zones", "authority", "authority-port", "metrics", "workers", "scheduler"]
)
def test_what_others_may_have_written_is_taken_only_where_it_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, key: str, modes: tuple[int, int], why: str
) -> None:
    monkeypatch.setattr(settings_sources, "_is_private_group", lambda _: False)
    path = here / "auditor.toml"
    values = {"workers": 2, "authority-port": 53, "server": "192.0.2.53", "authority": "every"}
    value = json.dumps(values.get(key, "tcp://192.0.2.1:8786"))
    path.write_text(f"{key} = {value}\n", "ascii")
    path.chmod(modes[0])
    here.chmod(modes[1])
    if why:
        with pytest.raises(UsageError, match=rf"^auditor\.toml: {key} is not accepted .*: {why}; "):
            _load()
    else:
        assert _loaded().found == Path("auditor.toml")
    for named in (Path("auditor.toml"), Path("../here/auditor.toml"), path):
        loaded = _loaded(named)
        assert (loaded.files, loaded.found) == ((named,), None)
        assert _loaded(environ={"AUDITOR_CONFIG": str(named)}).files == (named,)


def test_harmless_settings_are_taken_from_any_file_that_is_found(here: Path) -> None:
    (here / "auditor.toml").write_text("tries = 2\n", "ascii")
    here.chmod(0o777)
    assert _load().tries == 2


def test_a_file_of_another_user_is_not_the_users(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "auditor.toml").write_text("workers = 2\n", "ascii")
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    status = here.stat()
    if status.st_uid:
        with pytest.raises(UsageError, match="it belongs to another user"):
            _load()
    else:
        os.chown(here / "auditor.toml", 54321, -1)
        with pytest.raises(UsageError, match="it belongs to another user"):
            _load()


def test_what_is_found_is_a_regular_file_of_a_sane_size(here: Path) -> None:
    os.mkfifo(here / "auditor.toml")
    with pytest.raises(
        UsageError, match=r"auditor.toml: not a regular file; expected settings in TOML"
    ):
        _load()
    (here / "auditor.toml").unlink()
    (here / "auditor.toml").symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=r"^auditor\.toml: not a regular file"):
        _load()
    (here / "auditor.toml").unlink()
    (here / "auditor.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        _load()


def test_a_variable_names_the_file_unless_a_flag_does(config: Path, here: Path) -> None:
    config.write_text("tries = 3\n", "ascii")
    (here / "other.toml").write_text("timeout = 3\n", "ascii")
    environ = {"AUDITOR_CONFIG": str(config)}
    assert _loaded(environ=environ).files == (config,)
    assert _loaded(Path("other.toml"), environ).files == (Path("other.toml"),)
    with pytest.raises(UsageError, match=r"^no\.toml: cannot be read: No such file"):
        _load(environ={"AUDITOR_CONFIG": "no.toml"})


def test_a_file_that_is_named_twice_is_read_once(here: Path) -> None:
    (here / "auditor.toml").write_text("tries = 3\n", "ascii")
    assert _loaded(Path("auditor.toml")).files == (Path("auditor.toml"),)


def test_severities_of_several_sources_are_joined_code_by_code(config: Path) -> None:
    config.write_text("[severities]\nPTR_GENERIC = 'error'\nSPF_NONE = 'info'\n", "ascii")
    loaded = _loaded(config, {"AUDITOR_SEVERITIES": "spf_none=error"})
    assert loaded.settings.severities == {"PTR_GENERIC": "error", "SPF_NONE": "error"}
    assert loaded.origins == {
        "severities.PTR_GENERIC": Source("file", str(config)),
        "severities.SPF_NONE": Source("variable", "AUDITOR_SEVERITIES"),
    }


@pytest.mark.parametrize(
    ("flags", "origin"),
    [({"spf": False}, "--no-spf"), ({"spf": True}, "--spf"), ({"severities": ["A=b"]}, None)],
)
def test_a_flag_is_named_as_it_was_given(flags: dict[str, Any], origin: str | None) -> None:
    loaded = _loaded(flags=flags)
    assert {str(each) for each in loaded.origins.values()} == {origin or "--severity"}


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("AUDITOR_SERVR", "no setting has this variable; did you mean AUDITOR_SERVER?"),
        ("AUDITOR_QSP", "no setting has this variable; did you mean AUDITOR_QPS?"),
        ("AUDITOR_CACHESIZE", "no setting has this variable; did you mean AUDITOR_CACHE_SIZE?"),
        ("AUDITOR_TRIES", "'x' is not a whole number"),
        ("AUDITOR_SERVER", f"server 'x': {NO_SERVER}"),
        ("AUDITOR_FAIL_ON", "'x' is not one of error, warning, unknown, never"),
    ],
)
def test_a_variable_that_is_wrong_is_named(variable: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        _load(environ={variable: "x"})
    assert str(caught.value) == f"{variable}: {message}"


def test_a_variable_that_is_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^AUDITOR_ZONES: 'a\\xff': not UTF-8 text$"):
        _load(environ={"AUDITOR_ZONES": "a\udcff"})


def test_the_variables_that_kubernetes_makes_for_a_service_are_left_alone() -> None:
    names = ["SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_53_UDP", "PORT_53_UDP_PROTO"]
    environ = {f"AUDITOR_{name}": "tcp://192.0.2.1:53" for name in names}
    assert _loaded(environ=environ) == Loaded(Settings(), (), {})


def test_a_variable_of_no_setting_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert _loaded(environ={"AUDITOR_RATE": "5", "AUDITOR_HOME": ""}).ignored == ("AUDITOR_RATE",)
    monkeypatch.setenv("AUDITOR_RATE", "5")
    assert Settings.load() == Settings()
    assert caplog.messages == ["AUDITOR_RATE: no setting has this variable; it is ignored"]


def test_a_working_directory_that_may_not_be_read_has_no_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(_self: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "stat", forbidden)
    assert _loaded().files == ()


# --- Files that are no settings


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read: No such file"):
        read_config(tmp_path / "none.toml", OPTIONS)
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_config(tmp_path, OPTIONS)


@pytest.mark.parametrize("content", [b"tries = ", b"tries: 5\n", b"\xff\xfe", b"[[tries]\n"])
def test_a_file_that_is_not_toml_is_named(config: Path, content: bytes) -> None:
    config.write_bytes(content)
    with pytest.raises(UsageError, match=r"auditor\.toml: not TOML: "):
        read_config(config, OPTIONS)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("timeouts", "; did you mean 'timeout'?"),
        ("cache_size", "; did you mean 'cache-size'?"),
        ("qsp", "; did you mean 'qps'?"),
        ("zzz", ""),
    ],
)
def test_a_key_that_nobody_knows_is_named_with_the_nearest(
    config: Path, key: str, hint: str
) -> None:
    config.write_text(f"{key} = 5\n", "ascii")
    with pytest.raises(UsageError) as caught:
        read_config(config, OPTIONS)
    assert str(caught.value) == f"{config}: unknown setting {key!r}{hint}"


def test_a_wrong_value_in_a_file_names_the_file(config: Path) -> None:
    config.write_text('tries = "often"\n', "ascii")
    with pytest.raises(UsageError, match=rf"^{config}: tries: 'often' is not a whole number$"):
        _load(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tries = " + "[" * 5000 + "]" * 5000, "not TOML: nested too deeply"),
        ("tries = " + "9" * 5000, "not TOML: Exceeds the limit"),
        ("#" * (1 << 20) + "\n", "larger than 1 MiB"),
    ],
    ids=["nested", "digits", "large"],
)
def test_a_file_that_no_reader_of_toml_takes_is_named(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "odd\x1b.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=rf"odd\\x1b\.toml: {message}"):
        read_config(path, OPTIONS)


def test_a_name_with_a_nul_is_no_file() -> None:
    with pytest.raises(UsageError, match="embedded null byte"):
        read_config(Path("a\0b"), OPTIONS)
