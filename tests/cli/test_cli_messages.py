"""Whatever is wrong with a command line or its input: one line that says so, and the exit code.

Also tests `app.py` and `peer_options.py`.
"""

from __future__ import annotations

import gzip
import os
import shlex
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from cli.driving import PROGRAM, ZONES, Ended, auditor, running
from support.effort import sample

from auditor.cli import console as streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SCAN = ("scan", "--zones", ZONES)


#: Command lines, and below each the message, folded.
WRONG = """
scna
    no command 'scna'; did you mean scan? (see auditor --help)
audit!
    no command 'audit!' (see auditor --help)
"\x1b[31m"
    no command '\\x1b[31m' (see auditor --help)
--verbose
    no option --verbose (see auditor --help)
--vresion
    no option --vresion; did you mean --version? (see auditor --help)
scan --zone x
    no option --zone; did you mean --zones? (see auditor scan --help)
check --qps 5
    no option --qps (see auditor check --help)
scan -l hosts.txt
    no option -l; here it is -i FILE (see auditor scan --help)
scan -rl 100
    no option -rl; here it is --qps N (see auditor scan --help)
scan -r resolvers.txt
    no option -r; here it is --server ADDR, or --server @FILE for a list (see auditor scan --help)
scan -retry 3
    no option -retry; here it is --tries N (see auditor scan --help)
scan --threads=50
    no option --threads; here it is --concurrency N (see auditor scan --help)
scan -t 50
    no option -t; here it is --concurrency N (see auditor scan --help)
scan --qps
    option '--qps' requires an argument (see auditor scan --help)
scan --trace=1
    option '--trace' does not take a value (see auditor scan --help)
explain SPF_NONE SPF_FAIL
    'SPF_NONE SPF_FAIL' is no SMTP reply that auditor knows
explain -i bounce.txt 5.7.25
    give either a text or --input, not both
explain -i no-such-file
    no-such-file: cannot be read: No such file or directory
receivers gmial
    receiver: none is called 'gmial'; expected one of exchange-online, gmail, gmx, haraka, icloud,
    laposte, mailcow, orange, outlook, postfix, proofpoint, rspamd, spamassassin, t-online, yahoo
zones
    no zone to look for: give an address, a prefix or a domain
zones --zones ZONES 2001:db8::/129
    '2001:db8::/129' has no prefix length from 0 to 128 after the slash
spf --zones ZONES 198.51.100.7
    '198.51.100.7' is an address; expected a domain such as example.net
zones --zones ZONES 10.0.0.0/8
    zones of 65,536 addresses at most: use auditor scan --authority
scan --authority --server 127.0.0.1:1 192.0.2.1
    authority: the zone facts are written beside the output file: add -o FILE
scan --authority --zones ZONES 192.0.2.1
    authority: zone files have no servers to ask; use --server
scan --tries many
    --tries: 'many' is not a valid integer (see auditor scan --help)
check --timeout 2s
    --timeout: '2s' is not a valid float (see auditor check --help)
scan --engine fast
    --engine: 'fast' is not one of 'bulk', 'cares' (see auditor scan --help)
spf --fail-on notice
    --fail-on: 'notice' is not one of 'error', 'warning', 'unknown', 'never'
    (see auditor spf --help)
scan
    nothing to scan: give targets, -i FILE, or - for standard input
check
    nothing to check: give an address or a domain
scan - -
    standard input (-) is named twice; it can be read once only
scan - -i -
    standard input (-) is named twice; it can be read once only
scan \udcff
    '\\xff': not UTF-8 text
scan --zones ZONES --server 127.0.0.1 192.0.2.1
    zones: answers come from files or from servers, not from both
scan --server ns.example.net 192.0.2.1
    server 'ns.example.net': expected an address, ADDR:PORT or [V6]:PORT,
    such as 127.0.0.1:53
check --server 127.0.0.1:0 192.0.2.1
    server '127.0.0.1:0': expected an address, ADDR:PORT or [V6]:PORT, such as 127.0.0.1:53
scan --tries 0 192.0.2.1
    tries: 0 is not within 1 and 20
scan --timeout nan 192.0.2.1
    timeout: nan is not within 0.05 and 60
scan --qps -1 192.0.2.1
    qps: -1.0 is not within 0.1 and 10,000,000
scan --zones ZONES 0.0.0.0/3
    targets: 0.0.0.0/3 (argument 1) makes 536,870,912 targets,
    more than --max-targets 16,777,216
scan --zones ZONES --max-targets 2 192.0.2.1 192.0.2.2 192.0.2.3
    targets: 192.0.2.3 (argument 3) makes the total 3 targets, more than --max-targets 2
check --zones ZONES 198.51.100.0/25
    check explains 64 targets at most: use auditor scan for more
check --zones ZONES 0.0.0.0/0
    check explains 64 targets at most: use auditor scan for more
scan --zones ZONES -x 198.51.100.300 192.0.2.1
    exclude: '198.51.100.300' ends in a number and is no IPv4 address;
    expected an address, a prefix, a range a-b or a domain such as mail.example.net
scan --zones ZONES --select PTR_MISING 192.0.2.1
    select: no finding is called 'PTR_MISING', did you mean PTR_MISSING?
check --zones ZONES --ignore SPF,WHATEVER 192.0.2.1
    ignore: no finding is called 'WHATEVER'; `auditor explain` lists them
explain ptr_mising
    no finding is called 'ptr_mising', did you mean PTR_MISSING?
explain ?
    no finding is called '?'; `auditor explain` lists them
scan --engine cares --server 127.0.0.1 --server-qps 1 a.example
    server-qps: c-ares chooses the servers itself; use --engine bulk
"""


FORMAT = "the output is NDJSON, plain or as .gz or .zst, not"
CONVERT = "auditor convert makes other formats of it"

NO_ZONES = "expected a folder of zone files, a zone file or a named.conf"
BROKEN_ADDRESS = (
    "zones/example.net.zone:2: expected a resource record or a directive, found 'mail A 192.0.2'"
)


def _wrong() -> list[tuple[str, str]]:
    folded = WRONG.strip("\n").replace("\n    ", " => ").splitlines()
    return [(line.split(" => ")[0], " ".join(line.split(" => ")[1:])) for line in folded]


@pytest.mark.parametrize(("line", "message"), _wrong())
def test_a_command_line_that_cannot_work(
    call: Callable[..., Ended], line: str, message: str
) -> None:
    arguments = [ZONES if word == "ZONES" else word for word in shlex.split(line)]
    assert call(*arguments) == (2, "", f"auditor: {message}\n")


def test_a_number_beyond_all_bounds_is_no_more_than_wrong(call: Callable[..., Ended]) -> None:
    ended = call("scan", "--tries", "1" + "0" * 400, "192.0.2.1")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith("0 is not within 1 and 20\n")


def test_without_a_command_the_help_goes_to_stderr(call: Callable[..., Ended]) -> None:
    ended = call()
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == call("--help").out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, "cannot be read: No such file or directory"),
        (
            "list.txt.gz",
            gzip.compress(b"192.0.2.1\n", mtime=0)[:-4],
            "the gzip data ends too early",
        ),
        ("list.gz", b"192.0.2.1\n", "no gzip data in it, as its name promises"),
        ("list.txt", b"\xff\xfe1", "not UTF-16-LE: truncated data"),
        (
            "list.csv",
            b"",
            "no CSV header; expected one with a column target, ip, ip_address, address or prefix",
        ),
    ],
)
def test_a_file_that_cannot_be_read_ends_a_scan_before_it_begins(
    here: Path, call: Callable[..., Ended], name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (here / name).write_bytes(content)
    before = sorted(here.iterdir())
    ended = call(*SCAN, "192.0.2.1", "-i", name, "-o", "out.ndjson")
    assert ended == (2, "", f"auditor: {name}: {message}\n")
    assert sorted(here.iterdir()) == before


def test_a_damaged_archive_is_refused(here: Path, call: Callable[..., Ended]) -> None:
    packed = bytearray(gzip.compress(bytes(range(256)) * 64))
    packed[40:60] = bytes(20)
    (here / "list.gz").write_bytes(packed)
    ended = call(*SCAN, "-i", "list.gz")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("auditor: list.gz: not gzip data, or damaged (")


def test_what_permissions_forbid_is_said(here: Path, call: Callable[..., Ended]) -> None:
    (here / "list.txt").touch(0o000)
    here.chmod(0o555)
    with _without_privileges():
        message = "auditor: list.txt: cannot be read: Permission denied\n"
        assert call(*SCAN, "-i", "list.txt") == (2, "", message)
        message = "auditor: out.ndjson.partial: cannot be created: Permission denied\n"
        assert call(*SCAN, "192.0.2.1", "-o", "out.ndjson") == (2, "", message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, f"no-such-folder: {NO_ZONES}: No such file or directory"),
        ("", "zones: no zone file in it; expected files with an SOA record"),
        ("@ SOA ns. me. 1 2 3 4 5\nmail A 192.0.2\n", BROKEN_ADDRESS),
    ],
)
def test_zone_files_that_cannot_be_loaded(
    here: Path, call: Callable[..., Ended], text: str | None, message: str
) -> None:
    (here / "zones").mkdir()
    if text:
        (here / "zones" / "example.net.zone").write_text(text)
    folder = "no-such-folder" if text is None else "zones"
    for command in (["scan", "-o", "out.ndjson"], ["check"]):
        ended = call(*command, "--zones", folder, "192.0.2.1")
        assert ended == (2, "", f"auditor: {message}\n")
    # The next try is not in the way of this one's remains.
    assert [path.name for path in here.iterdir()] == ["zones"]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("out.ndjson", "--overwrite replaces it"),
        ("out.ndjson.partial", "--resume continues it, --overwrite starts anew"),
    ],
)
def test_an_existing_output_is_not_touched(
    here: Path, call: Callable[..., Ended], name: str, remedy: str
) -> None:
    (here / name).write_text("precious\n")
    ended = call(*SCAN, "198.51.100.1", "-o", "out.ndjson")
    assert ended == (2, "", f"auditor: {name}: exists already; {remedy}\n")
    assert (here / name).read_text() == "precious\n"
    assert len(list(here.iterdir())) == 1


def test_what_is_no_file_is_not_taken_for_what_an_earlier_run_left(
    here: Path, call: Callable[..., Ended]
) -> None:
    (here / "out.ndjson.partial").mkdir()
    ended = call(*SCAN, "198.51.100.1", "-o", "out.ndjson")
    why = "not a regular file; without -o, lines go to standard output"
    assert ended == (2, "", f"auditor: out.ndjson.partial: {why}\n")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("no/out.ndjson", "no/out.ndjson.partial: cannot be created: No such file or directory"),
        (".", ".: is a directory; expected a file, or ./ for parts"),
        ("out.parquet", f"out.parquet: {FORMAT} .parquet; {CONVERT}"),
        ("out.CSV", f"out.CSV: {FORMAT} .CSV; {CONVERT}"),
        ("out.ndjson.xz", f"out.ndjson.xz: {FORMAT} .xz; {CONVERT}"),
        ("out.html", f"out.html: {FORMAT} .html; {CONVERT}"),
        ("out.csv.gz", f"out.csv.gz: {FORMAT} .csv; {CONVERT}"),
        ("out.ndjson.bz2", f"out.ndjson.bz2: {FORMAT} .bz2; {CONVERT}"),
        ("file/out", "file/out.partial: cannot be created: Not a directory"),
    ],
)
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_an_output_that_cannot_be(
    here: Path, call: Callable[..., Ended], output: str, message: str, overwrite: tuple[str, ...]
) -> None:
    (here / "file").touch()
    ended = call(*SCAN, "198.51.100.1", "-o", output, *overwrite)
    assert ended == (2, "", f"auditor: {message}\n")
    assert [path.name for path in here.iterdir()] == ["file"]


def test_a_full_device_ends_a_scan_unfinished(call: Callable[..., Ended]) -> None:
    full = "cannot be written: No space left on device\n"
    ended = call(*SCAN, "198.51.100.0/24", "-o", "/dev/full")
    assert ended == (3, "", f"auditor: /dev/full: {full}")
    for command in (["explain"], ["schema"], ["--help"], [*SCAN, "198.51.100.1"]):
        line = " ".join([*PROGRAM, *command])
        assert _shell(f"{line} > /dev/full") == (3, "", f"auditor: standard output: {full}")


def test_a_device_is_written_to_and_not_replaced(here: Path, call: Callable[..., Ended]) -> None:
    os.mkfifo(here / "pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert call(*SCAN, "-q", "--overwrite", "198.51.100.1", "-o", "pipe") == (0, "", "")
        assert os.read(reader, 100).startswith(b'{"target":"198.51.100.1",')
    finally:
        os.close(reader)
    assert [path.name for path in here.iterdir()] == ["pipe"]


@pytest.mark.parametrize(
    ("command", "ended"),
    [
        (f"scan --zones {ZONES} - <&-", (2, "", "auditor: standard input is closed\n")),
        (
            f"scan --zones {ZONES} 198.51.100.1 >&-",
            (2, "", "auditor: standard output is closed; -o FILE writes to a file\n"),
        ),
        ("explain >&-", (3, "", "auditor: standard output is closed\n")),
        (f"scan --zones {ZONES} 198.51.100.1 -o out <&- >&- 2>&-", (0, "", "")),
        (f"scan --zones {ZONES} -i no -o out 2>/dev/full", (2, "", "")),
    ],
)
def test_streams_that_the_caller_closed(command: str, ended: tuple[int, str, str]) -> None:
    assert _shell(f"{' '.join(PROGRAM)} {command}") == ended


def test_a_reader_that_has_seen_enough_ends_a_scan(here: Path) -> None:
    scan = f"{' '.join(PROGRAM)} scan -q --zones {ZONES} 198.51.0.0/16"
    ended = _shell(f"({scan}; echo $? > code) | head -1")
    assert ended.out.startswith('{"target":"198.51.0.0",')
    assert ended.out.count("\n") == 1
    assert ended.err == "auditor: standard output: closed by its reader\n"
    assert (here / "code").read_text() == "3\n"


@pytest.mark.parametrize(
    "command",
    sample(
        [
            "explain",
            "schema",
            f"check --zones {ZONES} 198.51.100.53",
            "scan --help",
            "config",
            "--help",
        ],
        fewest=3,
    ),
)
def test_a_reader_that_has_seen_enough_ends_what_only_prints_quietly(command: str) -> None:
    read, written = os.pipe()
    os.close(read)
    with running(*command.split(), stdout=written) as process:
        os.close(written)
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"")


def test_text_that_the_character_set_lacks_is_escaped() -> None:
    environment = {"PYTHONIOENCODING": "latin-1"}
    ended = auditor("check", "--zones", ZONES, "-", stdin="x€y\nx.org".encode(), env=environment)
    assert ended.code == 0
    assert ended.out.splitlines()[0] == r"x\u20acy  FAIL"


def test_messages_for_nobody_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    streams.print_message("hello")


@contextmanager
def _without_privileges() -> Iterator[None]:
    """Be somebody for whom permissions count, in case the tests run as root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def _shell(line: str) -> Ended:
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=False, timeout=30)
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_run_can_be_profiled_although_it_ends_at_once(here: Path) -> None:
    profiled = [PROGRAM[0], "-m", "cProfile", "-o", "run.prof", *PROGRAM[1:], "scan"]
    assert subprocess.run(profiled, capture_output=True, check=False).returncode == 2
    assert (here / "run.prof").stat().st_size > 10_000
