"""Which format an input is taken for, and the files of the address registries.

Also tests `registry.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.targets.formats import read_input
from auditor.targets.input_columns import InputOptions
from auditor.targets.item import SpanEntry
from auditor.targets.reader import InputSource
from auditor.targets.registry import registry_entries
from auditor.targets.stream import TargetStream

if TYPE_CHECKING:
    from pathlib import Path

    from auditor.targets.item import Entry

DEFAULTS = InputOptions()
SOURCE = InputSource("list", "list", live=False, form="guess", packed="")


def shown(entry: Entry | None) -> tuple[str, int]:
    assert entry is not None
    text = str(entry.span.size) if isinstance(entry, SpanEntry) else entry.text
    return text, entry.origin.line


def read(path: Path, data: bytes, options: InputOptions = DEFAULTS) -> list[tuple[str, int]]:
    path.write_bytes(data)
    source = InputSource(path.name, str(path), live=False, form="guess", packed="")
    return [shown(entry) for entry in read_input(source, options)]


@pytest.mark.parametrize(
    "data",
    [
        b"# list\n192.0.2.5\n",
        b"\nip\n192.0.2.5\n",
        b"note,IP Address\nx,192.0.2.5/24\n",
        b"note;target\nx;192.0.2.5\n",
        b"prefix\tnote\n192.0.2.5/32\tx\n",
        b"sep=;\nip;note\n192.0.2.5;x\n",
        b'\n{"ip":"192.0.2.5"}\n',
        b'[\n{"ip":"192.0.2.5"}]',
        b'[\n"192.0.2.5"]',
        b'{\n"ip":"192.0.2.5"}',
        b"x|DE|asn|1|1|2|y\nx|DE|ipv4|192.0.2.5|1|2|y\n",
        b"% whois\nroute: 192.0.2.5/32\n",
    ],
)
def test_the_first_line_tells_the_format(tmp_path: Path, data: bytes) -> None:
    ((text, line),) = read(tmp_path / "list", data)
    assert text == "192.0.2.5"
    assert 1 <= line <= 3


def test_a_named_column_makes_a_table_of_plain_text(tmp_path: Path) -> None:
    options = InputOptions(column="host")
    assert read(tmp_path / "list", b"host,x\nmail.example.net,y\n", options) == [
        ("mail.example.net", 2)
    ]


def test_an_ndjson_file_may_hold_an_array(tmp_path: Path) -> None:
    path = tmp_path / "api.ndjson"
    path.write_bytes(b'[{"ip":"192.0.2.5"},{"ip":"192.0.2.6"}]')
    stream = TargetStream([], [str(path)])
    (block,) = stream.blocks()
    assert [target.text for target in block] == ["192.0.2.5", "192.0.2.6"]
    assert stream.total == 2


def test_an_array_on_one_line_of_any_length_is_read(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("[" + ",".join(['{"ip":"192.0.2.5"}'] * 9_000) + "]")
    stream = TargetStream([], [str(path)])
    assert sum(len(block) for block in stream.blocks()) == stream.total == 9_000


def test_delegation_statistics_give_their_addresses(tmp_path: Path) -> None:
    data = (
        b"2|ripencc|20240101|3|19830705|20240101|+0100\n"
        b"ripencc|*|ipv4|*|2|summary\n"
        b"ripencc|DE|asn|64496|1|20000101|assigned|x\n"
        b"ripencc|DE|ipv4|192.0.2.0|12|20000101|assigned|x\n"
        b"ripencc||ipv6|2001:db8::|112|20000101|available\n"
        b"ripencc|DE|ipv6|2001:db8::|32|20000101|allocated|x\n"
        b"ripencc|DE|ipv4|255.255.255.255|2|20000101|assigned|x\n"
        b"ripencc|DE|ipv4|192.0.2|2|20000101|assigned|x\n"
    )
    path = tmp_path / "delegated"
    path.write_bytes(data)
    source = InputSource("delegated", str(path), live=False, form="guess", packed="")
    entries = list(read_input(source, InputOptions(labels={"run": "1"})))
    assert [shown(entry) for entry in entries][:3] == [
        ("12", 4),
        ("65536", 5),
        ("2001:db8::/32", 6),
    ]
    assert [entry.origin.labels for entry in entries[:2] if entry] == [
        {"run": "1", "country": "DE"},
        {"run": "1"},
    ]
    errors = [
        str(entry.error) for entry in entries[2:] if entry and not isinstance(entry, SpanEntry)
    ]
    assert ["shorter than /112" in errors[0], "does not fit" in errors[1]] == [True, True]
    assert "expected an IPv4 address and a count" in errors[2]


def test_database_objects_give_their_addresses(tmp_path: Path) -> None:
    data = (
        b"% a remark\n\ninetnum:        192.0.2.0 - 192.0.2.11\nnetname: X\n"
        b"remarks: first\n         second\n+ third\n"
        b"route:          192.0.2.0/29\nroute6: 2001:db8::/120\n"
        b"192.0.2.77\nbad\n"
    )
    assert read(tmp_path / "db", data) == [
        ("12", 3),
        ("8", 8),
        ("256", 9),
        ("192.0.2.77", 10),
        ("bad", 11),
    ]


def test_arin_and_lacnic_write_networks_in_ways_of_their_own(tmp_path: Path) -> None:
    arin = (
        b"#\n# ARIN WHOIS data\n#\n\nNetRange:       192.0.2.0 - 192.0.2.11\nCIDR:  192.0.2.0/29\n"
    )
    assert read(tmp_path / "arin", arin) == [("12", 5)]
    lacnic = b"% Joint Whois\n\ninetnum:     192.0.2/24\ninetnum: 10.1.2.0/24\ninetnum: 400.1/16\n"
    assert read(tmp_path / "lacnic", lacnic) == [("256", 3), ("256", 4), ("400.1.0.0/16", 5)]


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"|"))))
def test_garbage_in_a_registry_file_gives_one_entry_a_line_at_most(lines: list[bytes]) -> None:
    entries = list(registry_entries(iter((lines,)) if lines else iter(()), SOURCE, DEFAULTS))
    numbers = [entry.origin.line for entry in entries if entry]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("interfaces", [False, True])
def test_the_count_of_reverse_names_and_interfaces_is_what_comes(
    tmp_path: Path, *, interfaces: bool
) -> None:
    v6 = "0.0.0.0." + "0." * 16 + "8.b.d.0.1.0.0.2.ip6.arpa"
    lines = ["2.0.192.in-addr.arpa", "2.0.192.IN-ADDR.ARPA.", v6, f"{v6}. # x", "0." + v6]
    lines += ["1." * 32 + "ip6.arpa", "192.0.2.0/30", "192.0.2.5/24", "a.example", "e164.arpa"]
    path = tmp_path / "list"
    path.write_text("\n".join(lines))
    stream = TargetStream([], [str(path)], options=InputOptions(interfaces=interfaces))
    stream.check_inputs()
    assert stream.total == sum(len(block) for block in stream.blocks())
