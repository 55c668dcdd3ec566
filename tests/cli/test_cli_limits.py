"""What a scan says of the limits of its servers: in the manifest, the log and the progress line.

Also tests `log_text.py`, `cli/progress.py` and `engine_totals.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.faults import answer, rcode
from support.faulty import FaultyServer

from auditor.cli.progress import describe
from auditor.output.tally import Tally
from auditor.workers.engine_totals import EngineTotals
from auditor.workers.messages import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cli.driving import Ended
    from support.faults import Action
    from support.faulty import Asked

_ZONE = "\n".join(f"{n}.2.0.192.in-addr.arpa. PTR h{n}.example.net." for n in range(256))


def _refusing_beyond(limit: int) -> Callable[..., Sequence[Action]]:
    """Return a plan that has so many lookups under way at most, and refuses the rest."""
    under_way = 0

    async def begin(_exchange: Any) -> None:
        import asyncio  # noqa: PLC0415 - in the server's own loop

        nonlocal under_way
        await asyncio.sleep(0.02)
        under_way -= 1

    def plan(asked: Asked, _transport: str, _nth: int) -> Sequence[Action]:
        nonlocal under_way
        if not asked.name.endswith("in-addr.arpa"):
            return [answer]
        if under_way >= limit:
            return [rcode("REFUSED")]
        under_way += 1
        return [begin, answer]

    return plan


def test_a_limit_is_found_kept_to_and_told(call: Callable[..., Ended], tmp_path: Path) -> None:
    output = tmp_path / "out.ndjson"
    with FaultyServer(_ZONE, _refusing_beyond(10)) as server:
        where = f"127.0.0.1:{server.port}"
        ended = call("scan", "--no-spf", "--server", where, "-o", output, "192.0.2.0/24")
    assert ended.code == 0
    records = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert {record["ptr"]["status"] for record in records} == {"NOERROR"}
    manifest = json.loads((tmp_path / "out.ndjson.run.json").read_text("utf-8"))
    limits = manifest["server_limits"][where]
    # On a busy machine some are answered before the next ones come: the simulations are exact.
    assert 1 <= limits["at_a_time"] < 64
    assert limits["setting"] == "dnsmasq: dns-forward-max"
    assert manifest["queries"]["recovered"] > 0
    assert manifest["queries"]["persisted"] == 0
    assert "queries at a time (dnsmasq: dns-forward-max)" in ended.err


def test_the_limits_that_workers_find_are_in_the_manifest_too(
    call: Callable[..., Ended], tmp_path: Path
) -> None:
    output = tmp_path / "out.ndjson"
    with FaultyServer(_ZONE, _refusing_beyond(10)) as server:
        where = f"127.0.0.1:{server.port}"
        options = ["--workers", "2", "--no-spf", "--server", where, "-o", output]
        assert call("scan", *options, "192.0.2.0/24").code == 0
    manifest = json.loads((tmp_path / "out.ndjson.run.json").read_text("utf-8"))
    limits = manifest["server_limits"][where]
    # On a busy machine some are answered before the next ones come: the simulations are exact.
    assert 1 <= limits["at_a_time"] < 64
    assert limits["setting"] == "dnsmasq: dns-forward-max"
    assert manifest["queries"]["recovered"] > 0
    assert manifest["ptr_statuses"] == {"NOERROR": 256}


def test_what_servers_bear_from_several_engines_is_the_sum() -> None:
    totals = EngineTotals()
    said: list[tuple[str, int, dict[str, dict[str, int | str]]]] = [
        ("one", 1, {}),
        ("one", 2, {"ns": {"at_a_time": 70, "setting": "x"}}),
        ("one", 1, {"ns": {"at_a_time": 5}}),
        ("two", 1, {"ns": {"at_a_time": 60, "setting": "x"}, "other": {"a_second": 100}}),
    ]
    for engine, serial, limits in said:
        totals.add_result(Result(0, (), Tally(), engine, serial, {"sent": serial}, None, limits))
    assert totals.counters() == {"sent": 3}
    assert totals.server_limits() == {
        "ns": {"at_a_time": 130, "setting": "x"},
        "other": {"a_second": 100},
    }


def test_the_progress_line_says_the_limits_of_a_server() -> None:
    limits: dict[str, dict[str, int | str]] = {
        "127.0.0.1:53": {"at_a_time": 150, "a_second": 1024, "setting": "x"}
    }
    line = describe(5, 10, 1, {}, 1.0, server_limits=limits)
    assert line.endswith("127.0.0.1:53 limited to 150 at a time, 1,024 a second")
