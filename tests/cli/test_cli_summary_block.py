"""`auditor summary` of a whole /16: the shape of its faults, on one screen.

Also tests `summary_blocks.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cli.driving import ZONES
from support.isp_block import SEEDED, isp_block
from views.making import address, finding, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.driving import Ended

_ROWS, _COLUMNS = 50, 100


def test_a_large_block_fits_one_screen_and_every_fault_is_named(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditor.cli.summary_text._UNBOUNDED_COLUMNS", _COLUMNS)
    (here / "block.ndjson").write_bytes(b"".join(line + b"\n" for line in isp_block()))
    code, out, err = call("summary", "block.ndjson")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) <= _ROWS
    assert max(map(len, lines)) <= _COLUMNS
    whole = out[out.index("fault of whole") :]
    for fault, prefix in SEEDED.items():
        assert any(line.startswith(fault) and prefix in line for line in whole.splitlines())
    assert "in use (a PTR name, or a HELO name was given): 41,984 of 65,536, 4,352 of" in out
    assert "srv-{3}-{4}.pool.isp.example     22,528 of 22,528" in out
    assert "generic by their neighbours, beside PTR_GENERIC: 22,528" in out
    assert "16 /24s without any PTR record, in zones that answer: 185.12.144.0/20\n" in out
    assert "$GENERATE 0-255 $ PTR srv-144-$.pool.isp.example.\n" in out


def test_a_scan_ends_with_the_faults_of_whole_prefixes(call: Callable[..., Ended]) -> None:
    code, _, err = call("scan", "--zones", ZONES, "198.51.100.0/24", "-o", "x.ndjson")
    assert code == 0
    lines = err.splitlines()
    at = lines.index("  whole prefixes:  PTR_GENERIC      198.51.100.128/26")
    assert lines[at + 1].split(None, 1) == [
        "PTR_MISSING",
        "198.51.100.224/27, 198.51.100.112/28, 198.51.100.8/29",
    ]
    assert lines[at + 3].startswith("`auditor explain CODE`")
    assert "prefixes" not in call("scan", "--zones", ZONES, "198.51.100.0/25", "-o", "y").err


def _empty(third: int, zone: str = "0.192.in-addr.arpa") -> list[dict[str, object]]:
    records = []
    for n in range(256):
        record = address(f"192.0.{third}.{n}", "fail", findings=[finding("PTR_MISSING")])
        record["ptr"] |= {"owner": f"{n}.{third}.0.192.in-addr.arpa", "zone": zone}
        records.append(record)
    return records


def test_generated_lines_load_and_name_every_address(
    here: Path, call: Callable[..., Ended], checkzone: Callable[[str, Path], str]
) -> None:
    write(here / "x.ndjson", [*_empty(2), *_empty(3)])
    out = call("summary", "--generate", "x.ndjson").out
    assert "example.net is a placeholder: put a domain of yours in its place" in out
    reverse, forward = out.split("; zone of the names\n")
    head = "$TTL 3600\n@ IN SOA ns.example.org. h.example.org. 1 7200 900 864000 300\n"
    head += "@ IN NS ns.example.org.\n"
    (here / "reverse").write_text(head + reverse)
    (here / "forward").write_text(head + forward)
    assert checkzone("0.192.in-addr.arpa", here / "reverse").count(" PTR host-") == 512
    loaded = checkzone("example.net", here / "forward")
    assert "host-2-0.example.net." in loaded
    assert loaded.count(" IN A ") == 512


@pytest.mark.parametrize(
    "case",
    ["a name", "an alias", "not all of it", "no delegation", "own zone denied", "no zone known"],
)
def test_nothing_is_generated_where_it_would_be_wrong(
    here: Path, call: Callable[..., Ended], case: str
) -> None:
    records = _empty(2, {"no delegation": "192.in-addr.arpa"}.get(case, "0.192.in-addr.arpa"))
    if case == "a name":
        records[7] = address("192.0.2.7", "pass", "mail.example.org")
    elif case == "an alias":
        records[7]["ptr"] |= {"owner": "7.0-127.2.0.192.in-addr.arpa"}  # type: ignore[operator]
    elif case == "not all of it":
        del records[255]
    elif case == "own zone denied":
        found = [finding("PTR_MISSING"), finding("DELEGATION_MISSING", subject="2.0.192.in-addr")]
        records = [{**record, "findings": found} for record in records]
    elif case == "no zone known":
        for record in records:
            record["ptr"] |= {"zone": None}  # type: ignore[operator]
    write(here / "x.ndjson", records)
    out = call("summary", "--generate", "x.ndjson").out
    assert out == "; no /24 is without any PTR record in a zone that answers: nothing to generate\n"
    assert json.loads(call("summary", "--json", "x.ndjson").out)["empty"]["networks"] == 0


@pytest.fixture
def checkzone() -> Callable[[str, Path], str]:
    """Return what loads a zone with named-checkzone, and returns it with a record on each line."""
    program = shutil.which("named-checkzone", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        if os.environ.get("AUDITOR_REQUIRE_SERVERS") == "1":
            pytest.fail("named-checkzone is not installed, and REQUIRE_SERVERS is 1")
        pytest.skip("named-checkzone is not installed")

    def load(zone: str, path: Path) -> str:
        return subprocess.run(
            [program, "-D", "-o", "-", zone, str(path)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.replace("\t", " ")

    return load
