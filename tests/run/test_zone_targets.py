"""Zones as targets: which addresses are in them, and what they expect."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

import pytest
from fix.fleets import head

from auditor.auditor import Auditor, Targets
from auditor.errors import TransferError, UsageError
from auditor.run.zone_targets import ZoneTargets
from auditor.settings import Settings
from auditor.settings_values import Server
from auditor.targets.stream import TargetStream
from auditor.targets.target import Origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from auditor.targets.item import Entry

_NOT_LOADED: Final = (
    "no zone of that name is loaded; load zone files with --zones DIR, "
    "or transfer it with --transfer-from ADDR"
)
REVERSE: Final = "2.0.192.in-addr.arpa"
V6: Final = "8.b.d.0.1.0.0.2.ip6.arpa"


def _targets(origin: str, records: str, folder: Path) -> list[tuple[str, str, dict[str, str]]]:
    (folder / "z").write_text(head(origin) + records)
    stream = TargetStream([f"zone:{origin}"], zones=ZoneTargets(Settings(zones=folder)))
    return [
        (target.text, target.origin.expected, dict(target.origin.labels))
        for block in stream.blocks()
        for target in block
    ]


def test_a_reverse_zone_is_every_address_with_a_ptr_record(tmp_path: Path) -> None:
    records = "10 PTR b.example.net.\n9 PTR a.example.net.\nx TXT y\n* PTR pool.example.net.\n"
    assert _targets(REVERSE, records, tmp_path) == [
        ("192.0.2.9", "a.example.net", {"zone": REVERSE, "expected": "a.example.net"}),
        ("192.0.2.10", "b.example.net", {"zone": REVERSE, "expected": "b.example.net"}),
    ]


def test_of_several_ptr_names_none_is_expected(tmp_path: Path) -> None:
    assert _targets(REVERSE, "9 PTR b.example.net.\n9 PTR a.example.net.\n", tmp_path) == [
        ("192.0.2.9", "", {"zone": REVERSE, "names": "a.example.net b.example.net"})
    ]


def test_ipv6_generated_and_classless_names_are_addresses_too(tmp_path: Path) -> None:
    owner = ".".join("7" + "0" * 23)
    assert _targets(V6, f"{owner} PTR a.example.net.\n", tmp_path)[0][0] == "2001:db8::7"
    generated = _targets(REVERSE, "$GENERATE 1-3 $ PTR host-$.example.net.\n", tmp_path)
    assert [text for text, _, _ in generated] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert _targets(f"0/26.{REVERSE}", "7 PTR a.example.net.\n", tmp_path)[0][0] == "192.0.2.7"


def test_a_forward_zone_is_every_address_with_the_name_that_has_it(tmp_path: Path) -> None:
    records = (
        "a A 192.0.2.9\nb A 192.0.2.9\nc A 192.0.2.1\n  AAAA 2001:db8::1\n* A 192.0.2.66\n"
        "sub NS ns.sub\nns.sub A 192.0.2.53\n"
    )
    assert _targets("example.net", records, tmp_path) == [
        ("192.0.2.1", "c.example.net", {"zone": "example.net", "expected": "c.example.net"}),
        ("192.0.2.9", "", {"zone": "example.net", "names": "a.example.net b.example.net"}),
        ("2001:db8::1", "c.example.net", {"zone": "example.net", "expected": "c.example.net"}),
    ]


@pytest.mark.parametrize("name", ["list.txt", "list.csv", "list.json"])
def test_an_input_file_may_name_zones_in_any_format(name: str, tmp_path: Path) -> None:
    """They are what the file says beside them, in their place, each zone read once."""
    zones = ZoneTargets(Settings(zones=_folder(tmp_path)))
    (tmp_path / name).write_text(
        {
            "list.txt": f"192.0.2.1\nzone:{REVERSE} # all\nexample.org\nzone:{REVERSE}\n",
            "list.csv": f"target,rack\n192.0.2.1,1\nzone:{REVERSE},2\nexample.org,3\n"
            f"zone:{REVERSE},4\n",
            "list.json": f'["192.0.2.1", "zone:{REVERSE}", "example.org", "zone:{REVERSE}"]',
        }[name]
    )
    stream = TargetStream([], [str(tmp_path / name)], zones=zones)
    found = [target for block in stream.blocks() for target in block]
    texts = ["192.0.2.1", "192.0.2.9", "192.0.2.10", "example.org", "192.0.2.9", "192.0.2.10"]
    assert [target.text for target in found] == texts
    assert stream.total == len(texts)
    assert found[1].origin.labels["zone"] == REVERSE
    assert found[1].origin.expected == "a.example.net"
    racks = [target.origin.labels.get("rack") for target in found]
    assert racks == ([*"122344"] if name == "list.csv" else [None] * 6)
    assert zones.sources == [f"{REVERSE} 7 file"]


def test_a_zone_that_begins_in_one_piece_of_a_file_and_ends_in_the_next_is_counted(
    tmp_path: Path,
) -> None:
    zones = ZoneTargets(Settings(zones=_folder(tmp_path)))
    for cut in range(1, 6):
        path = tmp_path / "list"
        start = (1 << 16) - cut
        path.write_text("192.0.2.1\n".ljust(start - 1) + f"\nzone:{REVERSE}\n")
        stream = TargetStream([], [str(path)], zones=zones)
        stream.check_inputs()
        assert stream.total == 3


def test_a_zone_that_cannot_be_read_is_an_invalid_line_among_others(tmp_path: Path) -> None:
    """It neither ends the scan nor vanishes; each time it comes up it is one record."""
    path = tmp_path / "list"
    path.write_text("zone:example.org\n192.0.2.1\nzone:example.org # again\nzone:a..b\n")
    stream = TargetStream([], [str(path)], zones=ZoneTargets(Settings()))
    found = [target for block in stream.blocks() for target in block]
    unknown = ("zone:example.org", f"'example.org': {_NOT_LOADED}")
    assert [(target.text, target.error) for target in found] == [
        unknown,
        ("192.0.2.1", None),
        unknown,
        ("zone:a..b", "'a..b': expected the name of a zone"),
    ]
    assert (stream.total, stream.invalid, found[2].origin.line) == (4, 3, 3)


def test_a_zone_that_cannot_be_transferred_is_an_invalid_line(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("192.0.2.1\nzone:example.org\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = Server("127.0.0.1", server.getsockname()[1])
    zones = ZoneTargets(Settings(transfer_from=(closed,)))
    stream = TargetStream([], [str(path)], zones=zones)
    found = [target for block in stream.blocks() for target in block]
    assert [target.kind for target in found] == ["ip", "invalid"]
    assert found[1].error is not None
    assert f"127.0.0.1:{closed.port}" in found[1].error
    with pytest.raises(TransferError):
        zones.refuse_unread(["zone:example.org"])


def test_the_library_takes_zones_from_lists_and_from_asynchronous_sources(tmp_path: Path) -> None:
    settings = Settings(zones=_folder(tmp_path), spf=False)

    async def source() -> AsyncIterator[str]:
        yield "192.0.2.1"
        yield f"zone:{REVERSE}"

    async def scanned(targets: Targets) -> list[str]:
        async with Auditor(settings) as auditor:
            return [record["target"] async for record in auditor.scan(targets)]

    wanted = ["192.0.2.1", "192.0.2.9", "192.0.2.10"]
    assert asyncio.run(scanned(["192.0.2.1", f"zone:{REVERSE}"])) == wanted
    assert asyncio.run(scanned(source())) == wanted
    assert asyncio.run(scanned(["zone:example.org", "192.0.2.1"])) == [
        "zone:example.org",
        "192.0.2.1",
    ]


def test_a_zone_is_read_where_an_event_loop_runs_already(tmp_path: Path) -> None:
    async def read() -> list[Entry]:
        zones = ZoneTargets(Settings(zones=_folder(tmp_path)))
        return list(zones(f"zone:{REVERSE}", Origin()))

    assert len(asyncio.run(read())) == 2


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "zones"
    folder.mkdir()
    (folder / "z").write_text(head(REVERSE) + "9 PTR a.example.net.\n10 PTR b.example.net.\n")
    return folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "zone:example.org",
            f"'example.org': {_NOT_LOADED}",
        ),
        ("zone:", "'': expected the name of a zone"),
        ("zone:a..b", "'a..b': expected the name of a zone"),
    ],
)
def test_a_zone_that_is_not_there_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "z").write_text(head(REVERSE))
    zones = ZoneTargets(Settings(zones=tmp_path))
    zones.refuse_unread([f"zone:{REVERSE}"])
    with pytest.raises(UsageError) as caught:
        zones.refuse_unread([text])
    assert str(caught.value) == message
