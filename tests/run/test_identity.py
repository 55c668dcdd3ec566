"""What a run is known by, and what is said of one that is another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest

from auditor.run.identity import Identity, identify
from auditor.settings import OPTIONS, Server, Settings
from auditor.settings_values import Route

if TYPE_CHECKING:
    from collections.abc import Sequence


#: Settings that decide what the records say, and those that decide only how they are come by.
IN_RECORDS: Final[tuple[dict[str, Any], ...]] = (
    {"engine": "cares"},
    {"direct": True},
    {"route": (Route("example.net", (Server("192.0.2.53"),)),)},
    {"helo": "mx.example.net"},
    {"mail_from": ("example.net",)},
    {"spf": False},
    {"trace": True},
    {"select": ("PTR",)},
    {"ignore": ("SPF",)},
    {"severities": {"PTR_MISSING": "info"}},
    {"servers": (Server("127.0.0.1"),)},
    {"transfer_from": (Server("127.0.0.1"),)},
    {"tsig_file": Path("key")},
    {"zones": Path("zones")},
    {"receivers": ("gmail",)},
    {"receivers_file": Path("own.toml")},
    {"own": ("example.net",)},
)
NOT_IN_RECORDS: Final[tuple[dict[str, Any], ...]] = (
    {"concurrency": 5},
    {"qps": 10.0},
    {"server_qps": 10.0},
    {"server_check": False},
    {"authority": "every"},
    {"authority_port": 5300},
    {"timeout": 1.0},
    {"tries": 1},
    {"cache_size": 0},
    {"fail_on": "error"},
    {"max_unknown": 5.0},
    {"max_targets": 1000},
    {"deadline": 60.0},
    {"quiet": True},
    {"log_format": "json"},
    {"metrics": Path("x.prom")},
    {"workers": 2},
    {"scheduler": "tcp://127.0.0.1:8786"},
)


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("192.0.2.1\n", "ascii")
    (tmp_path / "b.txt").write_text("192.0.2.2\n", "ascii")
    (tmp_path / "no.txt").write_text("192.0.2.9\n", "ascii")
    return tmp_path


def _print(
    lists: Path,
    *,
    arguments: Sequence[str] = ("198.51.100.0/24",),
    files: Sequence[str] = ("a.txt", "b.txt"),
    excludes: Sequence[str] = ("198.51.100.7", "@no.txt"),
    **settings: Any,
) -> str:
    named = [name if name == "-" else str(lists / name) for name in files]
    out = [f"@{lists / text[1:]}" if text.startswith("@") else text for text in excludes]
    return identify(Settings(**settings), arguments, named, out).fingerprint


def test_the_same_inputs_and_settings_have_one_fingerprint(lists: Path) -> None:
    assert _print(lists) == _print(lists)


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": ["198.51.100.0/25"]},
        {"files": ["b.txt", "a.txt"]},
        {"files": ["a.txt"]},
        {"files": ["a.txt", "b.txt", "-"]},
        {"excludes": []},
        {"excludes": ["198.51.100.8", "@no.txt"]},
        *IN_RECORDS,
    ],
)
def test_what_decides_the_records_changes_it(lists: Path, change: dict[str, Any]) -> None:
    assert _print(lists, **change) != _print(lists)


@pytest.mark.parametrize("change", NOT_IN_RECORDS)
def test_what_decides_only_the_pace_does_not(lists: Path, change: dict[str, Any]) -> None:
    assert _print(lists, **change) == _print(lists)


@pytest.mark.parametrize("name", ["a.txt", "b.txt", "no.txt"])
def test_files_count_by_what_is_in_them(lists: Path, name: str) -> None:
    before = _print(lists)
    (lists / name).write_text("192.0.2.77\n", "ascii")
    assert _print(lists) != before


def test_a_file_of_receivers_counts_by_what_is_in_it(lists: Path) -> None:
    own = lists / "own.toml"
    own.write_text("", "ascii")
    before = _print(lists, receivers_file=own)
    own.write_text("# other", "ascii")
    assert _print(lists, receivers_file=own) != before


def test_a_pipe_is_not_read_for_it(lists: Path) -> None:
    os.mkfifo(lists / "pipe")
    assert _print(lists, files=["pipe"]) == _print(lists, files=["pipe"])


def test_of_every_setting_it_is_known_whether_records_depend_on_it() -> None:
    known = [name for change in (*IN_RECORDS, *NOT_IN_RECORDS) for name in change]
    assert sorted(known) == sorted(option.attribute for option in OPTIONS.values())


# --- What is different


def _before(identity: Identity) -> dict[str, Any]:
    """Return what a manifest keeps of an identity."""
    content = {
        "auditor": identity.version,
        "settings": {**identity.settings, "qps": 5},
        "fingerprint": identity.fingerprint,
        "inputs": {**identity.inputs, "targets": 5},
        "digests": identity.digests,
    }
    return dict(orjson.loads(orjson.dumps(content)))


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        ({}, {}, ""),
        ({}, {"helo": "mx.example.net"}, "helo was not given and is 'mx.example.net'"),
        ({"spf": True}, {"spf": False}, "spf was on and is off"),
        (
            {"mail_from": ("a.net", "b.net")},
            {"mail_from": ("a.net", "c.net")},
            "mail-from was 'b.net' and is 'c.net'",
        ),
        (
            {"severities": {"PTR_MISSING": "info"}},
            {},
            "severities was 'PTR_MISSING=info' and is not given",
        ),
        (
            {"servers": (Server("127.0.0.1"),)},
            {"servers": (Server("::1", 5300),), "engine": "cares", "trace": True, "spf": False},
            (
                "server was '127.0.0.1:53' and is '[::1]:5300', "
                "engine was 'bulk' and is 'cares', spf was on and is off"
            ),
        ),
        ({"zones": Path("a")}, {"zones": Path("b")}, "zones was 'a' and is 'b'"),
    ],
)
def test_a_setting_that_differs_is_named(
    before: dict[str, Any], now: dict[str, Any], message: str
) -> None:
    earlier = _before(identify(Settings(**before), [], [], []))
    assert identify(Settings(**now), [], [], []).differences(earlier) == message


@pytest.mark.parametrize(
    ("arguments", "files", "excludes", "message"),
    [
        (["192.0.2.1", "192.0.2.2"], ["a"], ["x"], ""),
        (["192.0.2.1"], ["a"], ["x"], "target was '192.0.2.2' and is not given"),
        (["192.0.2.1", "192.0.2.3"], ["a"], ["x"], "target was '192.0.2.2' and is '192.0.2.3'"),
        (["192.0.2.1", "192.0.2.2"], ["a", "b"], ["x"], "input was not given and is 'b'"),
        (["192.0.2.1", "192.0.2.2"], ["a"], [], "exclude was 'x' and is not given"),
    ],
)
def test_inputs_that_differ_are_named(
    arguments: list[str], files: list[str], excludes: list[str], message: str
) -> None:
    earlier = _before(identify(Settings(), ["192.0.2.1", "192.0.2.2"], ["a"], ["x"]))
    assert identify(Settings(), arguments, files, excludes).differences(earlier) == message


def test_files_with_another_content_are_named(tmp_path: Path) -> None:
    zones = tmp_path / "zones"
    zones.mkdir()
    (zones / "a.zone").write_text("a\n")
    (zones / "b.zone").write_text("b\n")
    (tmp_path / "list").write_text("192.0.2.1\n")
    name = str(tmp_path / "list")
    given: tuple[Any, ...] = (Settings(zones=zones), [], [name], [f"@{name}"])
    earlier = _before(identify(*given))
    (zones / ".hidden").write_text("no zone\n")
    assert identify(*given).differences(earlier) == ""
    (zones / "b.zone").write_text("c\n")
    assert identify(*given).differences(earlier).endswith("zones/ has changed")
    (tmp_path / "list").write_text("192.0.2.2\n")
    said = identify(*given).differences(earlier).split(", ")
    assert [text.rpartition("/")[2] for text in said] == ["list has changed"] * 2 + [" has changed"]


@pytest.mark.parametrize("damage", [{}, {"settings": []}, {"inputs": 5}, {"digests": None}])
def test_a_manifest_of_nonsense_is_of_another_run(damage: dict[str, Any]) -> None:
    identity = identify(Settings(), [], [], [])
    earlier = {**_before(identity), **damage, "fingerprint": "x", "auditor": identity.version}
    assert identity.differences(earlier)


def test_another_version_is_named_and_what_is_shown_is_short_and_printable() -> None:
    identity = identify(Settings(), [], [], [])
    earlier = {**_before(identity), "fingerprint": "x", "auditor": "\x1b[31m" + "9" * 100}
    said = identity.differences(earlier)
    assert said.startswith("auditor was '\\x1b[31m999")
    assert said.endswith(f"' and is '{identity.version}'")
    assert len(said) < 120
