"""The contract of errors: the exit code and the whole message, on stderr alone.

What is wrong with a command line as such is in `test_cli_messages`; here it is what a command
finds in its inputs, its settings, its servers. The last test sees to it that no message is
raised anywhere that no test knows.

Also tests `console.py` and `errors.py`.
"""

from __future__ import annotations

import ast
import errno
import gzip
import json
import os
import re
import shlex
import sys
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Final

import pycares
import pytest
from cli.driving import ZONES, Ended, records
from support.faulty import dead_port, mute_port

import auditor
from auditor import errors
from auditor.cli.console import unwritable
from auditor.resolve import resolv_conf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_A_SERVER: Final = "expected an address, ADDR:PORT or [V6]:PORT, such as 127.0.0.1:53"
_A_DOMAIN: Final = "expected a domain such as example.net"
_A_TARGET: Final = (
    "address; expected an address, a prefix, a range a-b or a domain such as mail.example.net"
)
_THE_NETWORK: Final = "the network is 192.0.2.0/24, the address alone is 192.0.2.1"
_TOO_MANY: Final = (
    "has 131,073 addresses, too many to look up one by one; "
    "expected an IPv6 range of at most 65,536"
)

#: Files, the command line, and what follows `auditor: ` on standard error.
_WRONG: Final[list[tuple[dict[str, bytes], str, str]]] = [
    # --- what the settings of a scan can be
    (
        {},
        "scan 192.0.2.1 --log-format xml",
        "--log-format: 'xml' is not one of 'text', 'json' (see auditor scan --help)",
    ),
    (
        {},
        "scan 192.0.2.1 --deadline soon",
        "--deadline: 'soon' is not a duration; expected one such as 5h30m, 90s or 2d",
    ),
    ({}, "scan 192.0.2.1 --deadline 0s", "deadline: 0.0 is not within 1 and 10,000,000"),
    ({}, "scan 192.0.2.1 --workers two", "--workers: 'two' is not a whole number"),
    ({}, "scan 192.0.2.1 --workers 0", "workers: 0 is not within 1 and 1,024"),
    (
        {},
        "scan 192.0.2.1 --workers 2 --scheduler tcp://127.0.0.1:1",
        "workers: processes of this machine or a scheduler's, not both",
    ),
    (
        {},
        "scan 192.0.2.1 --severity PTR_GENERIC",
        "--severity: expected CODE=SEVERITY, such as PTR_GENERIC=error",
    ),
    (
        {},
        "check 192.0.2.1 --severity PTR_GENERIC=bad",
        "severities: PTR_GENERIC cannot be 'bad', expected one of info, notice, warning, error",
    ),
    ({}, "config --config no.toml", "no.toml: cannot be read: No such file or directory"),
    (
        {"auditor.toml": b"serverr = []\n"},
        "config",
        "auditor.toml: unknown setting 'serverr'; did you mean 'server'?",
    ),
    (
        {"auditor.toml": b'server = ["ns.example.net"]\n'},
        "check 192.0.2.1",
        f"auditor.toml: server 'ns.example.net': {_A_SERVER}",
    ),
    (
        {"big.toml": b"#" * ((1 << 20) + 1)},
        "config --config big.toml",
        "big.toml: larger than 1 MiB",
    ),
    # --- metrics, before anything is asked
    (
        {"other.prom": b"up 1\n"},
        "scan --zones ZONES 192.0.2.1 --metrics other.prom",
        "other.prom: exists, and holds no metrics of auditor",
    ),
    (
        {},
        "scan --zones ZONES 192.0.2.1 --metrics no/a.prom -o out.ndjson",
        "no/a.prom: cannot be written: No such file or directory",
    ),
    (
        {},
        "scan --zones ZONES 192.0.2.1 --metrics .",
        ".: not a regular file; expected a file for metrics",
    ),
    # --- inputs
    (
        {"a.csv": b"name,note\nx,y\n"},
        "scan --zones ZONES -i a.csv",
        (
            "a.csv line 1: the CSV header has no column target, ip, ip_address, address or prefix; "
            "found 'name,note'; --column NAME takes another"
        ),
    ),
    (
        {"a.csv": b"ip,note,note\n"},
        "scan --zones ZONES -i a.csv",
        "a.csv line 1: the CSV header has the column 'note' twice",
    ),
    (
        {"a.csv": b'ip,"note\n'},
        "scan --zones ZONES -i a.csv",
        "a.csv line 1: the CSV header cannot be read: not a CSV row: unexpected end of data",
    ),
    ({"a.xz": b"x"}, "scan --zones ZONES -i a.xz", "a.xz: no xz data in it, as its name promises"),
    (
        {"list.txt.gz": gzip.compress(b"192.0.2.1\n", mtime=0)[:-4]},
        "scan --zones ZONES -x @list.txt.gz 192.0.2.1",
        "list.txt.gz: the gzip data ends too early",
    ),
    (
        {},
        "scan --zones ZONES -x @no.txt 192.0.2.1",
        "no.txt: cannot be read: No such file or directory",
    ),
    (
        {"no.txt": b"192.0.2.999\n"},
        "scan --zones ZONES -x @no.txt 192.0.2.1",
        f"exclude: no.txt line 1: '192.0.2.999' ends in a number and is no IPv4 {_A_TARGET}",
    ),
    # --- spf
    ({}, "spf", "nothing to show: give a domain"),
    (
        {},
        "spf 192.0.2.1",
        f"'192.0.2.1' is an address; {_A_DOMAIN}",
    ),
    ({}, "spf example.net --helo a.example", "--helo says nothing without --ip or --range"),
    ({}, "spf example.net --sender me", "--sender says nothing without --ip or --range"),
    (
        {},
        "spf example.net --range example.org",
        "--range: 'example.org' is a domain; expected a prefix or a range a-b",
    ),
    (
        {},
        "spf example.net --range 192.0.2.1/24",
        f"--range: '192.0.2.1/24' has host bits set; {_THE_NETWORK}",
    ),
    (
        {},
        "spf example.net --range 192.0.2.1-2001:db8::1",
        "--range: '192.0.2.1-2001:db8::1' mixes IPv4 and IPv6; expected a range within one of them",
    ),
    (
        {},
        "spf example.net --ip 192.0.2.0/24",
        "--ip: '192.0.2.0/24' is not one address; use --range",
    ),
    (
        {},
        "spf example.net --ip 192.0.2.1 --sender me@example.org",
        "--sender: 'me@example.org' is not an address of example.net",
    ),
]


@pytest.mark.parametrize(("files", "line", "message"), _WRONG, ids=[row[1] for row in _WRONG])
def test_what_cannot_work_is_one_line_and_exit_code_2(
    here: Path, call: Callable[..., Ended], files: dict[str, bytes], line: str, message: str
) -> None:
    for name, content in files.items():
        (here / name).write_bytes(content)
    arguments = [ZONES if word == "ZONES" else word for word in shlex.split(line)]
    assert call(*arguments) == (2, "", f"auditor: {message}\n")
    # Nothing was begun, so nothing is left.
    assert {path.name for path in here.iterdir()} == set(files)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"192.0.2.0/8", "has host bits set; the network is 192.0.0.0/8, the address alone is "),
        (b"2001:db8::/64", "is shorter than /112: its 18,446,744,073,709,551,616 addresses "),
        (b"2001:db8::1-2001:db8::2:1", _TOO_MANY),
        (b"192.0.2.1-2001:db8::1", "mixes IPv4 and IPv6; expected a range within one of them"),
        (b"192.0.2.9-192.0.2.1", "runs backwards; expected the lower address first"),
        (b"a..example", "has an empty label; expected an address, a prefix, a range"),
        ("ü".encode() * 300 + b".example", "is longer than a domain can be; expected at most 253"),
        ("\u0660\u0300\u200d.example".encode(), "is not an internationalised domain ("),
        (b"\xff\xfe", "not UTF-8 text"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_target_is_a_record_and_the_scan_goes_on(
    here: Path, call: Callable[..., Ended], line: bytes, error: str
) -> None:
    (here / "list.txt").write_bytes(b"198.51.100.1\n" + line + b"\n")
    ended = call("scan", "-q", "--zones", ZONES, "-i", "list.txt")
    assert (ended.code, ended.err) == (0, "")
    _, record = records(ended.out)
    assert (record["kind"], record["verdict"]) == ("invalid", "fail")
    assert record["error"].startswith("list.txt line 2: ")
    assert error in record["error"]


#: Another line, without which there would be nothing to audit.
_GOOD = '\n{"target":"198.51.100.2"}\n'


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ({"target": 5}, "'target' is not a string"),
    ],
)
def test_an_object_that_is_no_target_is_a_record_too(
    here: Path, call: Callable[..., Ended], line: dict[str, object], error: str
) -> None:
    (here / "list.ndjson").write_text(json.dumps({"target": "198.51.100.1", **line}) + _GOOD)
    record, _ = records(call("scan", "-q", "--zones", ZONES, "-i", "list.ndjson").out)
    assert record["error"] == f"list.ndjson line 1: {error}"


def test_labels_are_kept_however_deeply_they_are_nested(
    here: Path, call: Callable[..., Ended]
) -> None:
    nested = "[" * 600 + "]" * 600
    (here / "list.ndjson").write_text(f'{{"target":"198.51.100.1","x":{nested}}}\n')
    (record,) = records(call("scan", "-q", "--zones", ZONES, "-i", "list.ndjson").out)
    assert (record["kind"], record["labels"]) == ("ip", {"x": nested})


def test_a_name_that_idna_refuses_is_said_with_an_example(
    here: Path, call: Callable[..., Ended]
) -> None:
    (here / "list.txt").write_text("\u0660\u0300\u200d.example\nexample.net\n", "utf-8")
    record, _ = records(call("scan", "-q", "--zones", ZONES, "-i", "list.txt").out)
    assert record["error"].endswith("; expected a domain such as bücher.example")


def test_a_standard_output_that_is_full_is_exit_code_3() -> None:
    error = unwritable(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    message = "standard output: cannot be written: No space left on device"
    assert (str(error), error.exit_code) == (message, 3)


def test_metrics_without_the_library_end_a_scan_before_it_begins(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    ended = call("scan", "--zones", ZONES, "192.0.2.1", "--metrics", "a.prom", "-o", "out.ndjson")
    message = "metrics: needs prometheus-client: pip install 'auditor[metrics]'"
    assert ended == (2, "", f"auditor: {message}\n")
    assert list(here.iterdir()) == []


# --- Servers: exit code 3


@pytest.mark.parametrize("command", ["scan -q", "check", "spf"])
@pytest.mark.parametrize("engine", ["bulk", "cares"])
def test_no_server_that_answers_is_exit_code_3(
    call: Callable[..., Ended], command: str, engine: str
) -> None:
    target = "example.net" if command == "spf" else "192.0.2.1"
    with dead_port() as dead, mute_port() as mute:
        ended = call(
            *command.split(), "--engine", engine, "--timeout", "0.05", "--tries", "1", target,
            "--server", f"127.0.0.1:{dead}", "--server", f"127.0.0.1:{mute}",
        )  # fmt: skip
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.splitlines()[-1] == (
        f"auditor: no server is left to ask: 127.0.0.1:{dead} is not reachable; "
        f"127.0.0.1:{mute} does not answer"
    )


def test_a_system_that_names_no_server_is_exit_code_3(
    call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise pycares.AresError(pycares.errno.ARES_EFILE)

    monkeypatch.setattr(pycares, "Channel", broken)
    monkeypatch.setattr(resolv_conf, "_PATH", Path("/nonexistent"))
    message = "the system's configuration names no server: give --server"
    assert call("check", "192.0.2.1") == (3, "", f"auditor: {message}\n")


def test_a_server_that_c_ares_refuses_is_a_wrong_setting(call: Callable[..., Ended]) -> None:
    ended = call("check", "--engine", "cares", "--server", "fe80::1%nowhere", "192.0.2.1")
    assert ended == (2, "", "auditor: server: c-ares refuses [fe80::1%nowhere]:53\n")


# --- No message that no test knows

_TREE: Final = Path(auditor.__file__).parent

#: Messages that no user can meet, and why.
_NOT_MET: Final = {
    "the run has ended": "ends a thread of a run that is over",
    "more records than targets": "would be a mistake in the program",
}


def _names() -> set[str]:
    return {name for name in errors.__all__ if name not in {"AuditorError", "WireError"}}


def _plain(text: str) -> str:
    """Return text as it stands in a message: tests fold it, and escape it for `match`."""
    return re.sub(r"\s+", " ", re.sub(r"\\([^\w\s])", r"\1", text)).strip(" :;,./'()")


def _constants(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def _compiled_texts(value: object) -> Iterator[str]:
    """Yield the texts that code has, which is several times as fast as a walk over its tree."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, CodeType):
        yield from _compiled_texts(value.co_consts)
    elif isinstance(value, tuple | frozenset):
        for each in value:
            yield from _compiled_texts(each)


def test_every_message_of_an_error_is_known_to_a_test() -> None:
    folder = Path(__file__).resolve().parents[1]
    said = [compile(path.read_bytes(), path, "exec") for path in folder.rglob("*.py")]
    known = _plain("\n".join(text for code in said for text in _compiled_texts(code)))
    names = _names()
    unknown = []
    for path in sorted(_TREE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            parts = [_plain(text) for text in _constants(node.args[0])]
            if node.func.id in names and parts:
                longest = max(parts, key=len)
                if longest not in known and longest not in _NOT_MET:
                    unknown.append(f"{path.relative_to(_TREE)}:{node.lineno}: {longest}")
    assert unknown == []
