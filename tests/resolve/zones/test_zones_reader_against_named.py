"""Zone files that BIND loads are loaded, and those that it refuses are refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from auditor.errors import ZoneFileError
from auditor.resolve.zones.engine import ZoneFileEngine

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = "$TTL 300\n@ SOA ns host 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n"


@pytest.fixture(scope="module")
def checkzone() -> str:
    """Return the path of named-checkzone."""
    program = shutil.which("named-checkzone", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        if os.environ.get("REQUIRE_SERVERS") == "1":
            pytest.fail("named-checkzone is not installed, and REQUIRE_SERVERS is 1")
        pytest.skip("named-checkzone is not installed")
    return program


@pytest.mark.parametrize(
    "text",
    [
        'a\t1h IN TXT "one" two ; comment\n  TXT ( "three"\n "four" )\n',
        "a IN 60 A 192.0.2.1\nA 60 IN A 192.0.2.1\n",
        "$ORIGIN sub\na CNAME b\n$ORIGIN example.\nb PTR \\065\\.b\n",
        "$TTL 1d12h\na A 192.0.2.1\nb TYPE65280 \\# 3 0a0b0c\n",
        "$GENERATE 1-254 $ PTR host-${0,3,d}.example.net.\n$GENERATE 0-9/3 x$ CNAME y$\n",
        "a RRSIG A 8 2 60 20300101000000 20200101000000 1 example. AAAA\na CNAME b\n",
        "sub NS ns.sub\nns.sub A 192.0.2.2\n",
        "a A 192.0.2\n",
        "a A 192.0.2.1 192.0.2.2\n",
        "a CNAME b\na A 192.0.2.1\n",
        "a CNAME b\na CNAME c\n",
        "a WHAT x\n$NO\n",
        "a CH TXT x\n",
        "a A ( 192.0.2.1\n",
        'a TXT "unfinished\n',
        f"a PTR {'x' * 64}.\n",
        f"a PTR {'.'.join(['x' * 63] * 4)}.\n",
        f"a TXT {'x' * 256}\n",
        "$GENERATE 5-1 $ A 192.0.2.$\n",
        "@ SOA ns host 2 3600 600 86400 60\n",
        "a AAAA 2001:db8::g\n",
        "a MX 65536 b\n",
        "a..b A 192.0.2.1\n",
        "www.test. A 192.0.2.1\na A 192.0.2.1\n",
        "$GENERATE 1-3 $.test. A 192.0.2.$\n",
    ],
)
def test_a_zone_file_is_loaded_if_bind_loads_it(tmp_path: Path, checkzone: str, text: str) -> None:
    file = tmp_path / "example.zone"
    file.write_text(_HEAD + text)

    ended = subprocess.run(
        [
            checkzone,
            "-q",
            "-i",
            "none",
            "-k",
            "ignore",
            "-n",
            "ignore",
            "-m",
            "ignore",
            "-M",
            "ignore",
            "-S",
            "ignore",
            "example",
            file,
        ],
        check=False,
    )
    try:
        ZoneFileEngine.from_texts({"example": _HEAD + text})
        loads = True
    except ZoneFileError:
        loads = False

    assert (ended.returncode == 0) == loads
