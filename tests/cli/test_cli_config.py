"""Settings from a file, the environment and flags: which wins, and what is wrong with them.

Also tests `cli/options.py`.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from cli.driving import ZONES, Ended, codes, manifest, records

from auditor.cli.app import app
from auditor.settings import OPTIONS, Settings
from auditor.settings_sources import load

if TYPE_CHECKING:
    from collections.abc import Callable

#: A file name that means something to TOML and to a terminal.
HOSTILE = 'a\\"\x7f\x9b b.prom'


@pytest.mark.parametrize("command", ["scan", "check"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        ("tries = 3\ntrys = 4\n", "unknown setting 'trys'; did you mean 'tries'?"),
        ("xyz = 4\n", "unknown setting 'xyz'"),
        (
            "cache_size = 4\n",
            "unknown setting 'cache_size'; did you mean 'cache-size'?",
        ),
        ("tries =\n", "not TOML: Invalid value (at line 1, column 8)"),
        ('tries = "many"\n', "tries: 'many' is not a whole number"),
        ("timeout = true\n", "timeout: True is not a number"),
        ("spf = 2\n", "spf: 2 is neither true nor false"),
        ("helo = 4\n", "helo: 4 is not text"),
        ("server = [53]\n", "server: 53 is not text"),
        (
            "severities = 4\n",
            "severities: expected a table of finding codes and severities",
        ),
        ("tries = 21\n", "tries: 21 is not within 1 and 20"),
        ('fail-on = "info"\n', "fail-on: 'info' is not one of error, warning, unknown, never"),
        (
            '[severities]\nPTR_MISING = "info"\n',
            "severities: no finding is called 'PTR_MISING', did you mean PTR_MISSING?",
        ),
        (
            '[severities]\nPTR_MISSING = "bad"\n',
            "severities: PTR_MISSING cannot be 'bad', expected one of info, notice, warning, error",
        ),
    ],
)
def test_a_file_that_is_wrong(
    here: Path, call: Callable[..., Ended], command: str, text: str | None, message: str
) -> None:
    if text is not None:
        (here / "auditor.toml").write_text(text)
    ended = call(command, "--zones", ZONES, "--config", "auditor.toml", "198.51.100.1")
    assert ended == (2, "", f"auditor: auditor.toml: {message}\n")


def test_an_environment_that_is_wrong(
    call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITOR_TRIES", "many")
    ended = call("check", "--zones", ZONES, "198.51.100.1")
    assert ended == (2, "", "auditor: AUDITOR_TRIES: 'many' is not a whole number\n")


def test_flags_win_over_the_environment_and_that_over_the_file(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "auditor.toml").write_text(
        f'zones = "{ZONES}"\ntries = 2\ntimeout = 3\ncache-size = 4\nignore = ["SPF"]\n'
        '[severities]\nPTR_MULTIPLE = "error"\n'
    )
    monkeypatch.setenv("AUDITOR_TIMEOUT", "4")
    monkeypatch.setenv("AUDITOR_CACHE_SIZE", "5")
    scan = ("scan", "-q", "--config", "auditor.toml", "198.51.100.41", "--cache-size", "6")
    assert call(*scan, "-o", "out.ndjson") == (0, "", "")
    settings = manifest(here / "out.ndjson")["settings"]
    assert [settings[name] for name in ("tries", "timeout", "cache_size")] == [2, 4, 6]
    (record,) = records((here / "out.ndjson").read_text())
    assert (codes(record), record["verdict"]) == (["PTR_MULTIPLE"], "fail")


def test_the_summary_goes_by_the_severities_set(here: Path, call: Callable[..., Ended]) -> None:
    (here / "auditor.toml").write_text('[severities]\nPTR_MULTIPLE = "error"\n')
    ended = call("scan", "--zones", ZONES, "--config", "auditor.toml", "198.51.100.41")
    assert ended.err.splitlines()[1] == (
        "  1  error    PTR_MULTIPLE  The address has several PTR names"
    )


def test_a_flag_names_another_source_than_the_file(here: Path, call: Callable[..., Ended]) -> None:
    (here / "auditor.toml").write_text('server = ["127.0.0.1:9"]\n')
    ended = call("check", "--config", "auditor.toml", "--zones", ZONES, "198.51.100.1")
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("key", ["trace", "spf"])
def test_switches_can_be_set_in_the_environment(
    call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("AUDITOR_TRACE", "yes" if key == "trace" else "no")
    monkeypatch.setenv("AUDITOR_SPF", "false" if key == "spf" else "true")
    monkeypatch.setenv("AUDITOR_ZONES", ZONES)
    (record,) = records(call("scan", "-q", "198.51.100.16").out)
    assert ("trace" in record, bool(record["spf"])) == (key == "trace", key != "spf")


# --- auditor config


def test_without_a_word_from_anybody_all_is_default(call: Callable[..., Ended]) -> None:
    ended = call("config")
    assert (ended.code, ended.err) == (0, "")
    shown = [line for line in ended.out.splitlines() if "#" not in line.partition("  # ")[0]]
    assert all(line.endswith("# default") for line in shown if line and line[0] != "[")
    assert tomllib.loads(ended.out) == {
        "engine": "bulk",
        "server-check": True,
        "timeout": 2,
        "tries": 5,
        "cache-size": 65_536,
        "direct": False,
        "authority-port": 53,
        "spf": True,
        "trace": False,
        "fail-on": "never",
        "max-targets": 16_777_216,
        "quiet": False,
        "log-format": "text",
        "workers": 1,
        "severities": {},
    }


def _everything(here: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Have every source say something; return the options."""
    (here / "auditor.toml").write_text(
        'tries = 2\nqps = 10\n[severities]\nPTR_MULTIPLE = "error"\nSPF_NONE = "info"\n'
    )
    (here / "night.toml").write_text('qps = 20.5\nhelo = "mx.example.net"\ndeadline = 19800\n')
    monkeypatch.setenv("AUDITOR_CONFIG", "night.toml")
    monkeypatch.setenv("AUDITOR_TIMEOUT", "3")
    monkeypatch.setenv("AUDITOR_SEVERITIES", "SPF_NONE=error")
    monkeypatch.setenv("AUDITOR_MAIL_FROM", "example.net,me@example.org")
    return (
        "--timeout", "4", "--server", "192.0.2.53", "--server", "[2001:db8::53]:5300", "--no-spf",
        "--metrics", HOSTILE, "--severity", "PTR_GENERIC=error", "--trace",
        "--select", "PTR,SPF", "--ignore", "PTR_WILDCARD", "--workers", "2",
    )  # fmt: skip


def test_every_setting_is_shown_with_where_it_comes_from(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = call("config", *_everything(here, monkeypatch))
    assert (ended.code, ended.err) == (0, "")
    lines = dict(line.split("  # ") for line in ended.out.splitlines() if "  # " in line)
    said = {text.partition(" = ")[0]: (text.strip(), where) for text, where in lines.items()}
    assert said["tries"] == ("tries = 2", "auditor.toml")
    assert said["qps"] == ("qps = 20.5", "night.toml")
    assert said["deadline"] == ('deadline = "5h30m"', "night.toml")
    assert said["timeout"] == ("timeout = 4", "--timeout")
    assert said["spf"] == ("spf = false", "--no-spf")
    assert said["trace"] == ("trace = true", "--trace")
    assert said["mail-from"] == (
        'mail-from = ["example.net", "me@example.org"]', "AUDITOR_MAIL_FROM",
    )  # fmt: skip
    assert said["server"] == (
        'server = ["192.0.2.53:53", "[2001:db8::53]:5300"]', "--server",
    )  # fmt: skip
    assert said["metrics"] == ('metrics = "a\\\\\\"\\u007f\\u009b b.prom"', "--metrics")
    assert said["PTR_MULTIPLE"] == ('PTR_MULTIPLE = "error"', "auditor.toml")
    assert said["SPF_NONE"] == ('SPF_NONE = "error"', "AUDITOR_SEVERITIES")
    assert said["PTR_GENERIC"] == ('PTR_GENERIC = "error"', "--severity")
    assert said["fail-on"] == ('fail-on = "never"', "default")


def test_what_is_shown_is_a_file_that_means_the_same(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = _everything(here, monkeypatch)
    first = call("config", *options)
    wanted = load(Settings, Path("night.toml"), os.environ, {}).settings
    for name in list(os.environ):
        if name.startswith("AUDITOR_"):
            monkeypatch.delenv(name)
    (here / "auditor.toml").unlink()
    (here / "shown.toml").write_text(first.out, "utf-8")
    loaded = load(Settings, Path("shown.toml"), {}, {})
    assert {str(origin) for origin in loaded.origins.values()} == {"shown.toml"}
    settings = loaded.settings
    assert (settings.helo, settings.deadline) == (wanted.helo, wanted.deadline)
    assert (settings.metrics, settings.workers) == (Path(HOSTILE), 2)
    second = call("config", "--config", "shown.toml")
    assert tomllib.loads(second.out) == tomllib.loads(first.out)


def test_for_machines_it_is_json(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = json.loads(call("config", "--json", *_everything(here, monkeypatch)).out)
    assert shown["files"] == ["auditor.toml", "night.toml"]
    settings = shown["settings"]
    assert set(settings) == set(OPTIONS)
    assert settings["tries"] == {"value": 2, "source": "file", "where": "auditor.toml"}
    assert settings["timeout"] == {"value": 4.0, "source": "flag", "where": "--timeout"}
    assert settings["fail-on"] == {"value": "never", "source": "default", "where": None}
    assert settings["deadline"] == {"value": 19_800.0, "source": "file", "where": "night.toml"}
    assert settings["server"]["value"] == ["192.0.2.53:53", "[2001:db8::53]:5300"]
    assert settings["severities"]["SPF_NONE"] == {
        "value": "error", "source": "variable", "where": "AUDITOR_SEVERITIES",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [("90", "1m30s"), ("86400", "1d"), ("90061", "1d1h1m1s"), ("1.5", "1.5s"), ("3600", "1h")],
)
def test_a_deadline_is_shown_as_people_write_it(
    call: Callable[..., Ended], seconds: str, shown: str
) -> None:
    assert tomllib.loads(call("config", "--deadline", seconds).out)["deadline"] == shown


def test_what_is_wrong_with_a_scan_is_wrong_here_too(call: Callable[..., Ended]) -> None:
    for given in (("--tries", "0"), ("--select", "PTR_MISING"), ("--deadline", "5x")):
        scan, config = call("scan", "192.0.2.1", *given), call("config", *given)
        assert (scan.code, config.code) == (2, 2)
        assert (config.out, config.err) == ("", scan.err)


def test_it_takes_every_option_of_a_scan_that_is_a_setting() -> None:
    context = click.Context(app)
    scan, config = (app.get_command(context, name) for name in ("scan", "config"))
    assert scan is not None
    assert config is not None
    options = {each.name for each in scan.params} - {each.name for each in config.params}
    inputs = {"target", "files", "exclude", "labels", "column", "interfaces", "unique"}
    assert options == inputs | {"output", "overwrite", "resume", "only", "dry_run"}
    given = {each.name or "" for each in config.params} - {"config", "as_json"}
    assert {name.replace("_", "-") for name in given} == set(OPTIONS)


def test_a_switch_that_a_file_sets_can_be_set_back(here: Path, call: Callable[..., Ended]) -> None:
    names = ("spf", "trace", "quiet", "server-check")
    for value, flag in (("true", "--no-{}"), ("false", "--{}")):
        (here / "auditor.toml").write_text("".join(f"{name} = {value}\n" for name in names))
        shown = tomllib.loads(call("config", *(flag.format(name) for name in names)).out)
        assert {shown[name] for name in names} == {value == "false"}


def test_a_command_says_which_file_it_found(here: Path, call: Callable[..., Ended]) -> None:
    (here / "auditor.toml").write_text("tries = 2\n")
    scan = ("scan", "--zones", ZONES, "198.51.100.1", "-o", "-")
    assert call(*scan).err.startswith("auditor: settings from auditor.toml\n")
    assert "settings from" not in call(*scan, "-q").err
    assert "settings from" not in call(*scan, "--config", "auditor.toml").err
    assert "# Files read: auditor.toml\n" in call("config").out


def test_a_planted_file_neither_writes_nor_connects(here: Path, call: Callable[..., Ended]) -> None:
    (here / "auditor.toml").write_text(f'metrics = "planted.prom"\nzones = "{ZONES}"\n')
    here.chmod(0o777)
    ended = call("scan", "198.51.100.1")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "auditor: auditor.toml: zones is not accepted from a file that was not named: "
        "its folder can be written by everybody; --config auditor.toml takes it\n"
    )
    assert not (here / "planted.prom").exists()
    assert call("scan", "-q", "198.51.100.1", "--config", "auditor.toml").code == 0
    assert (here / "planted.prom").exists()


def test_a_variable_of_no_setting_is_reported_once(
    call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setenv("AUDITOR_RATE", "5")
    message = "AUDITOR_RATE: no setting has this variable; it is ignored"
    scan = ("scan", "--zones", ZONES, "198.51.100.7", "-o", here / "out.ndjson")
    assert call(*scan).err.startswith(f"auditor: {message}\n")
    assert call(*scan, "--overwrite", "-q").err == ""
    logged = call(*scan, "--overwrite", "--log-format", "json").err.splitlines()[0]
    assert json.loads(logged)["message"] == message
    assert call("config").err == f"auditor: {message}\n"
