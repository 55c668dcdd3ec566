"""Settings from a file, the environment and flags: which wins, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cli.driving import ZONES, Ended, codes, manifest, records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("command", ["scan", "check"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "auditor.toml: cannot be read: No such file or directory"),
        ("tries = 3\ntrys = 4\n", "auditor.toml: unknown setting 'trys'; did you mean 'tries'?"),
        ("xyz = 4\n", "auditor.toml: unknown setting 'xyz'"),
        (
            "cache_size = 4\n",
            "auditor.toml: unknown setting 'cache_size'; did you mean 'cache-size'?",
        ),
        ("tries =\n", "auditor.toml: not TOML: Invalid value (at line 1, column 8)"),
        ('tries = "many"\n', "auditor.toml: tries: 'many' is not a whole number"),
        ("timeout = true\n", "auditor.toml: timeout: True is not a number"),
        ("spf = 2\n", "auditor.toml: spf: 2 is neither true nor false"),
        ("helo = 4\n", "auditor.toml: helo: 4 is not text"),
        ("server = [53]\n", "auditor.toml: server: 53 is not text"),
        (
            "severities = 4\n",
            "auditor.toml: severities: expected a table of finding codes and severities",
        ),
        ("tries = 21\n", "tries: 21 is not within 1 and 20"),
        ('fail-on = "info"\n', "fail-on: 'info' is not one of error, warning, never"),
        (
            '[severities]\nPTR_MISING = "info"\n',
            "severities: no finding is called 'PTR_MISING', did you mean PTR_MISSING?",
        ),
        (
            '[severities]\nPTR_MISSING = "bad"\n',
            "severities: PTR_MISSING cannot be 'bad', expected one of info, notice, warning, error",
        ),
        (
            'helo = "a_b"\n',
            "helo: 'a_b' is a single label; expected a domain such as mail.example.net",
        ),
    ],
)
def test_a_file_that_is_wrong(
    here: Path, call: Callable[..., Ended], command: str, text: str | None, message: str
) -> None:
    if text is not None:
        (here / "auditor.toml").write_text(text)
    ended = call(command, "--zones", ZONES, "--config", "auditor.toml", "198.51.100.1")
    assert ended == (2, "", f"auditor: {message}\n")


def test_an_environment_that_is_wrong(
    call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITOR_TRIES", "many")
    ended = call("check", "--zones", ZONES, "198.51.100.1")
    assert ended == (2, "", "auditor: environment: tries: 'many' is not a whole number\n")


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
