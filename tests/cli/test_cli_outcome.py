"""Nothing is green by mistake: nothing to audit, and nothing that could be looked up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cli.driving import ZONES, Ended, manifest, records
from support.effort import sample
from support.faults import rcode
from support.faulty import FaultyServer, always, per_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SCAN = ("scan", "-q", "--zones", ZONES, "-o", "out.ndjson")
_KEPT = "what was there\n"


@pytest.fixture
def out(here: Path) -> Path:
    """Make an output of the day before."""
    path = here / "out.ndjson"
    path.write_text(_KEPT)
    return path


@pytest.mark.parametrize(
    "more", [("--overwrite",), ("--resume",), ("--overwrite", "--workers", "2")]
)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no target in list.txt"),
        ("# export failed\n\n  # twice\n", "no target in list.txt"),
        (
            "\n1.2.3/\n1.2.3\n",
            (
                "no target in list.txt: 2 lines, none of which is one; line 2: '1.2.3/' has no "
                "address before the slash; expected an address, a prefix, a range a-b or a domain "
                "such as mail.example.net"
            ),
        ),
    ],
)
def test_an_input_without_a_target_is_refused_and_the_output_untouched(
    call: Callable[..., Ended],
    out: Path,
    text: str,
    message: str,
    more: tuple[str, ...],
) -> None:
    (out.parent / "list.txt").write_text(text)
    ended = call(*_SCAN, *more, "-i", "list.txt")
    assert ended == (2, "", f"auditor: {message}\n")
    assert out.read_text() == _KEPT
    assert sorted(path.name for path in out.parent.iterdir()) == ["list.txt", "out.ndjson"]


@pytest.mark.parametrize(
    ("target", "words"), [("198.51.100.4/30", "all 4 are"), ("198.51.100.4", "it is")]
)
def test_targets_that_are_all_excluded_are_none(
    call: Callable[..., Ended], out: Path, target: str, words: str
) -> None:
    ended = call(*_SCAN, "--overwrite", "-x", "198.51.100.0/24", target)
    assert ended == (2, "", f"auditor: no target: {words} excluded\n")
    assert out.read_text() == _KEPT


def test_a_folder_is_not_touched_for_nothing(call: Callable[..., Ended], here: Path) -> None:
    (here / "list.txt").write_text("# nothing\n")
    given = ("scan", "-q", "--zones", ZONES, "-o", "out/")
    assert call(*given, "198.51.100.7").code == 0
    before = {path: path.read_bytes() for path in (here / "out").iterdir()}
    for how in ("--overwrite", "--resume"):
        assert call(*given, how, "-i", "list.txt").code == 2
    assert {path: path.read_bytes() for path in (here / "out").iterdir()} == before


@pytest.mark.parametrize("workers", sample(["2", "1"]))
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no target in standard input"),
        ("# nothing\n", "no target in standard input"),
        ("no/target\n", "no target in standard input: 1 line, none of which is one"),
    ],
)
def test_a_pipe_without_a_target_replaces_nothing(
    call: Callable[..., Ended], out: Path, text: str, message: str, workers: str
) -> None:
    given = (*_SCAN, "--overwrite", "--workers", workers, "-")
    assert call(*given, stdin=text.encode()) == (2, "", f"auditor: {message}\n")
    assert out.read_text() == _KEPT
    assert [path.name for path in out.parent.iterdir()] == ["out.ndjson"]


def test_lines_that_are_no_targets_are_records_beside_one_that_is(
    call: Callable[..., Ended], here: Path
) -> None:
    (here / "list.txt").write_text("no/target\n198.51.100.7\n")
    ended = call("scan", "-q", "--zones", ZONES, "-i", "list.txt")
    assert ended.code == 0
    assert [record["kind"] for record in records(ended.out)] == ["invalid", "ip"]


@pytest.mark.parametrize("command", ["scan", "check"])
def test_an_argument_that_is_no_target_is_a_usage_error(
    call: Callable[..., Ended], out: Path, command: str
) -> None:
    given = ("-o", "out.ndjson", "--overwrite") if command == "scan" else ()
    ended = call(command, *given, "--zones", ZONES, "198.51.100.7", "1.2.3.4.5/33")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("auditor: '1.2.3.4.5/33' has no address before the slash")
    assert out.read_text() == _KEPT


@pytest.mark.parametrize("text", ["", "# nothing\n", "no/target\n"])
def test_check_of_nothing_is_an_error(text: str, call: Callable[..., Ended]) -> None:
    ended = call("check", "--zones", ZONES, "-", stdin=text.encode())
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("auditor: no target in standard input")


# --- What could not be looked up


@pytest.fixture
def refusing() -> Any:
    """Refuse whatever is asked about 192.0.2.0 to .3; know 192.0.2.4 to .7."""
    names = {f"{host}.2.0.192.in-addr.arpa": [rcode("REFUSED")] for host in range(4)}
    zone = "2.0.192.in-addr.arpa. NS ns.example.net."
    with FaultyServer(zone, per_name(names)) as server:
        yield server


def _asking(server: FaultyServer, *more: str) -> tuple[str, ...]:
    return ("scan", "--no-spf", "--server", f"127.0.0.1:{server.port}", *more)


@pytest.mark.parametrize("workers", sample(["2", "1"]))
def test_a_scan_that_could_look_up_nothing_is_no_success(
    here: Path, call: Callable[..., Ended], workers: str
) -> None:
    with FaultyServer("", always(rcode("REFUSED"))) as server:
        given = _asking(server, "--workers", workers, "--metrics", "m.prom", "192.0.2.0/29")
        ended = call(*given, "-o", "out.ndjson")
        why = (
            "auditor: 8 of 8 could not be looked up (REFUSED): "
            f"does 127.0.0.1:{server.port} recurse for you?"
        )
        assert ended.code == 3
        assert ended.err.splitlines()[-1] == why
        # It has finished: there is a record for each.
        assert len(records((here / "out.ndjson").read_text())) == 8
        content = manifest(here / "out.ndjson")
        assert (content["how"], content["undetermined"]) == ("finished", {"REFUSED": 8})
        metrics = (here / "m.prom").read_text()
        assert "auditor_scan_exit_code 3.0" in metrics
        assert "auditor_scan_last_success" not in metrics
        # Whoever asks again is told the same.
        again = call(*given, "-o", "out.ndjson", "--resume")
        assert (again.code, again.err.splitlines()[-1]) == (3, why)
        assert call(*given, "-q").err == f"{why}\n"
        ended = call(*given, "--max-unknown", "100%")
        assert (ended.code, "could not be looked up" in ended.err) == (0, False)
        assert "auditor_scan_last_success" in (here / "m.prom").read_text()


@pytest.mark.parametrize(
    ("most", "code"), [((), 0), (("50",), 0), (("49.9%",), 3), (("0",), 3), (("100%",), 0)]
)
def test_more_that_is_unknown_than_allowed_is_no_success(
    call: Callable[..., Ended], refusing: FaultyServer, most: tuple[str, ...], code: int
) -> None:
    options = [f"--max-unknown={each}" for each in most]
    ended = call(*_asking(refusing, "-q", *options, "192.0.2.0/29"))
    assert ended.code == code
    assert len(records(ended.out)) == 8
    message = (
        f"4 of 8 could not be looked up (REFUSED), more than {most[0].strip('%')}%" if code else ""
    )
    assert ended.err.startswith(f"auditor: {message}" if code else message)


def test_what_failed_most_is_named_first(call: Callable[..., Ended]) -> None:
    names = {f"{host}.2.0.192.in-addr.arpa": [rcode("SERVFAIL")] for host in range(3)}
    names |= {"3.2.0.192.in-addr.arpa": [rcode("REFUSED")]}
    with FaultyServer("2.0.192.in-addr.arpa. NS ns.example.net.", per_name(names)) as server:
        given = ("--fail-on", "error", "--max-unknown", "5%", "192.0.2.0-192.0.2.4")
        ended = call(*_asking(server, "-q", *given))
    assert ended.code == 3
    assert ended.err == (
        "auditor: 4 of 5 could not be looked up (SERVFAIL 3, REFUSED 1), more than 5%: "
        f"does 127.0.0.1:{server.port} resolve them?\n"
    )


def test_why_it_is_no_success_is_an_event_before_the_last(
    call: Callable[..., Ended], refusing: FaultyServer
) -> None:
    given = ("--log-format", "json", "--max-unknown", "0", "-o", "out.ndjson", "192.0.2.0/29")
    ended = call(*_asking(refusing, *given))
    *_, error, end = map(json.loads, ended.err.splitlines())
    assert (error["event"], error["code"]) == ("error", 3)
    assert error["message"].startswith("4 of 8 could not be looked up (REFUSED), more than 0%: ")
    assert (end["event"], end["code"], end["how"]) == ("end", 3, "finished")


@pytest.mark.parametrize("fail_on", ["unknown", "error"])
@pytest.mark.parametrize("command", ["scan", "check"])
def test_fail_on_unknown_counts_what_is_undetermined_and_what_fails(
    call: Callable[..., Ended], command: str, fail_on: str
) -> None:
    zone = "$ORIGIN 2.0.192.in-addr.arpa.\n1 PTR one.example.net.\none.example.net. A 192.0.2.1\n"
    plan = per_name({"2.2.0.192.in-addr.arpa": [rcode("SERVFAIL")]})
    with FaultyServer(zone, plan) as server:
        asking = (command, *_asking(server)[1:], "--fail-on", fail_on)
        assert call(*asking, "192.0.2.1").code == 0
        assert call(*asking, "192.0.2.1-2").code == (1 if fail_on == "unknown" else 0)
        assert call(*asking, "192.0.2.1", "192.0.2.3").code == 1


@pytest.mark.parametrize("value", ["5%", "5", " 5.0 % "])
def test_a_percentage_is_a_number_with_or_without_its_sign(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    def said(*options: str) -> Any:
        return json.loads(call("config", "--json", *options).out)["settings"]["max-unknown"][
            "value"
        ]

    assert said() is None
    assert said("--max-unknown", value) == 5.0
    (here / "given.toml").write_text(f'max-unknown = "{value}"\n')
    assert said("--config", "given.toml") == 5.0
    monkeypatch.setenv("AUDITOR_MAX_UNKNOWN", value)
    assert said() == 5.0
    assert "max-unknown = 5 " in call("config").out


@pytest.mark.parametrize("value", ["101%", "-1", "some", "5%%"])
def test_what_is_no_percentage_is_refused(call: Callable[..., Ended], value: str) -> None:
    ended = call("scan", "--zones", ZONES, f"--max-unknown={value}", "198.51.100.7")
    assert (ended.code, ended.out) == (2, "")
    assert "max-unknown" in ended.err
