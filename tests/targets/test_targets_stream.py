from __future__ import annotations

import io
import os
import tracemalloc
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import InputError
from auditor.targets.excludes import Excludes
from auditor.targets.spans import span_targets
from auditor.targets.stream import TargetStream
from auditor.targets.target import BLOCK_SIZE, Origin, Target

if TYPE_CHECKING:
    from pathlib import Path


def texts(stream: TargetStream, skip: int = 0) -> list[str]:
    return [target.text for block in stream.blocks(skip) for target in block]


def targets(stream: TargetStream) -> list[Target]:
    return [target for block in stream.blocks() for target in block]


def stdin(data: bytes) -> TargetStream:
    return TargetStream(["-"], stdin=io.BytesIO(data))


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    path = tmp_path / "list.txt"
    path.write_bytes(b"")
    return path


def test_arguments_come_first_and_then_files_in_order(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(f"{name}.example\n")
    files = [str(tmp_path / "b"), str(tmp_path / "a")]
    stream = TargetStream(["192.0.2.1", " example.net "], files)
    found = targets(stream)
    assert [target.text for target in found] == [
        "192.0.2.1",
        "example.net",
        "b.example",
        "a.example",
    ]
    assert [target.origin for target in found] == [
        Origin("argument", 1),
        Origin("argument", 2),
        Origin(files[0], 1),
        Origin(files[1], 1),
    ]
    assert (stream.total, stream.invalid, stream.excluded) == (4, 0, 0)


def test_plain_text_has_comments_blank_lines_crlf_and_a_mark(listing: Path) -> None:
    listing.write_bytes(
        b"\xef\xbb\xbf192.0.2.1\r\n\r\n# all\r\n 192.0.2.2 # one\r\n\t\r\n"
        b"192.0.2.8 - 9\r\nexample.net"
    )
    found = targets(TargetStream([], [str(listing)]))
    assert [(target.text, target.origin.line) for target in found] == [
        ("192.0.2.1", 1),
        ("192.0.2.2", 4),
        ("192.0.2.8", 6),
        ("192.0.2.9", 6),
        ("example.net", 7),
    ]


@pytest.mark.parametrize(
    ("line", "error", "text"),
    [
        (b"what is this", "more than one item on the line", "what is this"),
        (b"caf\xe9.example", "not UTF-8 text", "caf\\xe9.example"),
        (b"a\0b.example", "has '\\x00' in it", "a\\x00b.example"),
        (b"\x1b[2J", "", "\\x1b[2J"),
        (b"x" * 100_000, "longer than 65,536 octets", "x" * 197 + "..."),
        (b"192.0.2.1" + b" " * 100_000 + b"x", "longer than 65,536 octets", "192.0.2.1"),
        (b"192.0.2.0/24" + b" " * 100_000, "longer than 65,536 octets", "192.0.2.0/24"),
        (b"2001:db8::/64", "is shorter than /112", "2001:db8::/64"),
    ],
)
def test_a_bad_line_is_an_invalid_target_with_its_place_and_the_run_goes_on(
    listing: Path, line: bytes, error: str, text: str
) -> None:
    listing.write_bytes(b"192.0.2.1\n" + line + b"\n192.0.2.2\n")
    stream = TargetStream([], [str(listing)])
    first, bad, last = targets(stream)
    assert (first.text, last.text, last.origin.line) == ("192.0.2.1", "192.0.2.2", 3)
    assert (bad.text, bad.kind, bad.version) == (text, "invalid", 0)
    assert bad.origin == Origin(str(listing), 2)
    assert error in str(bad.error)
    assert (stream.invalid, stream.total) == (1, 3)


def test_a_long_comment_is_a_comment(listing: Path) -> None:
    listing.write_bytes(b"#" + b"x" * 100_000 + b"\n" + b" " * 100_000 + b"\n192.0.2.1\n")
    assert texts(TargetStream([], [str(listing)])) == ["192.0.2.1"]


def test_an_empty_argument_is_an_invalid_target() -> None:
    (target,) = targets(TargetStream([""]))
    assert (target.kind, target.text) == ("invalid", "")


def test_an_argument_that_is_not_utf8_is_an_invalid_target() -> None:
    (target,) = targets(TargetStream([os.fsdecode(b"caf\xe9.example")]))
    assert (target.kind, target.text) == ("invalid", "caf\\xe9.example")


ODD_LINES = [
    "192.0.2.1",
    "a.example",
    "a-b.example",
    "2001:db8::/122",
    "::1-::f",
    "::1",
    "fe80::1/9",
    "x",
    "1.2.3.4/5",
    "1-2",
    "a/b",
    "-",
    "/",
    "203.0.113.70-80",
    "2001:db8::a-2001:db8::b",
    "a-::b",
]
LINE = st.one_of(
    st.builds(
        lambda number, bits: f"{IPv4Address(number >> bits << bits)}/{32 - bits}",
        st.integers(0, 2**32 - 1),
        st.integers(0, 10),
    ),
    st.builds(lambda n, m: f"192.0.{n}.7 - 192.0.{n + m}.9", st.integers(0, 9), st.integers(0, 3)),
    st.sampled_from(ODD_LINES),
    # White space that bytes and str do not agree about.
    st.sampled_from(["", " ", "\x1c", "\xa010.0.0.0/30", "10.0.0.1\x1c-\xa03", "10.0.0.1-3\x85"]),
    st.sampled_from(["# x", "192.0.2.0/24 # y", "192.0.2.0/24# y"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12),
)


@given(st.lists(LINE, max_size=30), st.integers(0, 3000))
def test_the_count_is_what_comes_and_skipping_leaves_out_just_that(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], skip: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes("\n".join(lines).encode())
    stream = TargetStream([], [str(path)])
    blocks = list(stream.blocks())
    found = [target for block in blocks for target in block]
    assert stream.total == len(found)
    assert stream.invalid == sum(target.kind == "invalid" for target in found)
    assert all(len(block) == BLOCK_SIZE for block in blocks[:-1])
    assert all(blocks)
    later = [target for block in stream.blocks(skip) for target in block]
    assert found[skip:] == later

    # The other ways in give the same: a count that parses, and no count at all.
    other = TargetStream([], [str(path)], excludes=Excludes.parse(["203.0.113.77"]))
    other.check_inputs()
    assert other.total == stream.total - sum(t.text == "203.0.113.77" for t in found)
    piped = TargetStream(["-"], stdin=io.BytesIO(path.read_bytes()))
    if not path.read_bytes().lstrip().startswith(b"{"):
        assert [target.text for target in found] == texts(piped)
    assert piped.total is None


@given(st.binary())
def test_any_bytes_give_blocks_or_an_input_error(data: bytes) -> None:
    try:
        found = list(stdin(data).blocks())
    except InputError as error:
        assert str(error).startswith("standard input: ")  # noqa: PT017 - either is fine
    else:
        assert all(found)


def test_blocks_are_cut_across_items_so_that_all_but_the_last_are_full() -> None:
    stream = TargetStream(["192.0.2.1", "10.0.0.0/22", "example.net", "2001:db8::/119"])
    blocks = list(stream.blocks())
    expected = ["192.0.2.1", *map(str, IPv4Network("10.0.0.0/22")), "example.net"]
    expected += ["2001:db8::", *(f"2001:db8::{n:x}" for n in range(1, 512))]
    assert [len(block) for block in blocks] == [256] * 6 + [2]
    assert expected == [target.text for block in blocks for target in block]


def test_a_full_last_block_is_not_followed_by_an_empty_one() -> None:
    assert [len(block) for block in TargetStream(["10.0.0.0/23"]).blocks()] == [256, 256]
    assert list(TargetStream([]).blocks()) == []


def test_skipping_sixteen_million_looks_at_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(version: int, first: int, count: int, origin: Origin) -> list[Target]:
        made.append(count)
        return span_targets(version, first, count, origin)

    monkeypatch.setattr("auditor.targets.stream.span_targets", counted)
    stream = TargetStream(["10.0.0.0/8", "192.0.2.1"], max_targets=1 << 25)
    assert texts(stream, (1 << 24) - 2) == ["10.255.255.254", "10.255.255.255", "192.0.2.1"]
    assert made == [2]


def test_a_stream_can_be_read_again() -> None:
    stream = TargetStream(["192.0.2.0/29", "what"])
    assert texts(stream) == texts(stream)
    assert stream.invalid == 1


def test_memory_is_flat_whatever_the_size_of_a_prefix() -> None:
    stream = TargetStream(["10.0.0.0/14"])
    tracemalloc.start()
    try:
        count = sum(map(len, stream.blocks()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 1 << 18
    assert peak < 1 << 20
