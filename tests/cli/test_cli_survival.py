"""Scans that are killed, stopped and starved, and gone on with: nothing is lost or different.

Every moment is chosen by how far the output has grown, with a seed, not by the clock.
"""

from __future__ import annotations

import gzip
import random
import signal
import time
from itertools import product
from typing import TYPE_CHECKING, Final

import pytest
import zstandard
from cli.driving import ZONES, auditor, call, manifest, records, running, wait_until
from support.effort import is_quick, sample
from support.fleet import FLEET
from support.servers import knot

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

#: Sixteen thousand targets of all kinds, six frames of a mebibyte; in a quick run half of that.
SCAN: Final = (
    "scan", "--zones", ZONES, "-i", str(FLEET / "targets.txt"), "-i", str(FLEET / "targets.csv"),
    "198.51.96.0/19" if is_quick() else "198.51.64.0/18",
)  # fmt: skip
FORMS: Final = ("ndjson", "ndjson.gz", "ndjson.zst")


def _partial(output: Path) -> Path:
    return output.with_name(output.name + ".partial")


def _size(output: Path) -> int:
    try:
        return _partial(output).stat().st_size
    except FileNotFoundError:
        return 0


def _plain(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    return data


def _adds_up(output: Path) -> dict[str, int]:
    """Check the manifest of a finished output against it; return the kinds of its sessions."""
    content = manifest(output)
    found = records(_plain(output).decode())
    assert (content["how"], content["output"], content["records"]) == (
        "finished",
        output.name,
        len(found),
    )
    for part in ("kinds", "verdicts"):
        assert sum(content[part].values()) == len(found)
    assert sum(content["findings"].values()) == sum(len(record["findings"]) for record in found)
    queries = content["queries"]
    parts = ("cached", "joined", "answered", "failed", "open")
    assert queries["asked"] == sum(queries[part] for part in parts)
    sessions = content["sessions"]
    assert sum(session["records"] for session in sessions) == len(found)
    for name in queries:
        assert queries[name] == sum(session["queries"].get(name, 0) for session in sessions)
    hows = [session["how"] for session in sessions]
    assert content["queries_complete"] == ("killed" not in hows)
    return {how: hows.count(how) for how in set(hows)}


@pytest.mark.parametrize(
    ("number", "form"),
    sample(list(product([signal.SIGKILL, signal.SIGTERM], FORMS)), fewest=2),
)
def test_however_often_it_is_ended_the_result_is_that_of_an_undisturbed_run(
    tmp_path_factory: pytest.TempPathFactory, here: Path, form: str, number: signal.Signals
) -> None:
    expected = tmp_path_factory.mktemp("undisturbed") / f"out.{form}"
    assert call(*SCAN, "-q", "-o", expected).code == 0
    output = here / f"out.{form}"
    chance = random.Random(f"{form} {number}")
    ends = 0
    for share in (0.2, 0.4, 0.6):
        goal = int(chance.uniform(share - 0.2, share) * expected.stat().st_size)
        goal = max(goal, _size(output))
        with running(*SCAN, "--resume", "-o", output) as scan:
            while scan.poll() is None and _size(output) <= goal:
                time.sleep(0.001)
            scan.send_signal(number)
            _, errors = scan.communicate()
        assert b"Traceback" not in errors
        if scan.returncode == 0:
            break  # it was faster
        ends += 1
        assert scan.returncode == (-number if number == signal.SIGKILL else 3)
        assert not output.exists()
        assert len(manifest(output)["fingerprint"]) == 64
    assert ends
    ended = call(*SCAN, "--resume", "-o", output)
    assert ended.code == 0
    assert output.read_bytes() == expected.read_bytes()
    hows = _adds_up(output)
    assert hows.pop("finished") == 1
    how = "killed" if number == signal.SIGKILL else "interrupted"
    # One that was killed before its manifest was there has left no session.
    assert set(hows) <= {how}
    assert hows.get(how, 0) <= ends
    assert sorted(path.name for path in here.iterdir()) == [output.name, f"{output.name}.run.json"]


@pytest.mark.full
def test_servers_that_die_and_come_back_cost_nothing_but_time(here: Path) -> None:
    output = here / "out.ndjson"
    with knot(FLEET / "zones") as server:
        scan = (
            "scan", "--timeout", "0.5", "--server", f"{server.address}:{server.port}", "-i",
            FLEET / "targets.txt", "198.51.100.0/24", "2001:db8:100:25::/117",
        )  # fmt: skip
        assert auditor(*scan, "-q", "-o", here / "whole.ndjson").code == 0
        expected = (here / "whole.ndjson").read_bytes()
        # The last prefix takes many seconds longer than the first lines.
        with running(*scan, "-q", "--qps", "500", "-o", output) as dying:
            wait_until(lambda: _size(output) > 0)
            server.stop()
            _, errors = dying.communicate()
        message = f"auditor: no server answers any more: {server.address}:{server.port} "
        assert (dying.returncode, errors.decode()[: len(message)]) == (3, message)
        left = records(_partial(output).read_text())
        assert (manifest(output)["records"], manifest(output)["how"]) == (
            len(left),
            errors.decode().removeprefix("auditor: ").rstrip(),
        )
        # Nothing that nobody was there to answer counts as asked.
        assert expected.startswith(_partial(output).read_bytes())
        server.start()
        assert auditor(*scan, "-q", "--resume", "-o", output) == (0, "", "")
    assert output.read_bytes() == expected
    assert _adds_up(output) == {
        errors.decode().removeprefix("auditor: ").rstrip(): 1,
        "finished": 1,
    }
