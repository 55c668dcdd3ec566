from __future__ import annotations

import gzip
import io
import itertools
import os
import threading
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, NoReturn

import pytest

from auditor.errors import InputError, TooManyTargetsError, UsageError
from auditor.targets.excludes import Excludes
from auditor.targets.stream import TargetStream
from auditor.targets.target import BLOCK_SIZE, Origin, Target

if TYPE_CHECKING:
    from collections.abc import Iterator
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


def test_standard_input_is_plain_text_of_unknown_length() -> None:
    stream = TargetStream(["192.0.2.1"], ["-"], stdin=io.BytesIO(b"\n# x\n192.0.2.2\n{\n"))
    found = targets(stream)
    assert [(target.text, target.origin) for target in found] == [
        ("192.0.2.1", Origin("argument", 1)),
        ("192.0.2.2", Origin("-", 3)),
        ("{", Origin("-", 4)),
    ]
    assert stream.total is None


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_ndjson_if_its_first_line_is_an_object(pack: type[bytes]) -> None:
    data = pack(b'\n# x\n {"ip":"192.0.2.1","site":"ams"}\n192.0.2.2\n')
    first, second = targets(stdin(data))
    assert (first.text, first.origin) == ("192.0.2.1", Origin("-", 3, labels={"site": "ams"}))
    assert (second.kind, second.origin.line) == ("invalid", 4)


def test_empty_standard_input_gives_nothing() -> None:
    assert texts(stdin(b"")) == []
    assert texts(stdin(b"# x\n\n")) == []


def test_standard_input_is_named_once_only() -> None:
    with pytest.raises(UsageError, match=r"standard input \(-\) is named twice"):
        TargetStream(["-"], ["-"])


def test_damaged_standard_input_yields_what_was_read_and_then_an_input_error() -> None:
    whole = gzip.compress(b"".join(b"192.0.2.%d\n" % n for n in range(200)))
    blocks = stdin(whole[:-4]).blocks()
    assert next(blocks)[0].text == "192.0.2.0"
    with pytest.raises(InputError, match=r"^standard input: the gzip data ends too early"):
        next(blocks)


def test_a_slow_pipe_gives_what_it_has_before_it_makes_us_wait() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe:
        blocks = TargetStream(["-"], stdin=pipe).blocks()
        os.write(writer, b"192.0.2.1\n192.0.2.2\nexam")
        assert [target.text for target in next(blocks)] == ["192.0.2.1", "192.0.2.2"]
        os.write(writer, b"ple.net\n192.0.2.0/23\n")
        assert [len(next(blocks)), len(next(blocks)), len(next(blocks))] == [256, 256, 1]
        os.write(writer, b"192.0.2.9")
        os.close(writer)
        assert [target.text for target in next(blocks)] == ["192.0.2.9"]
        assert next(blocks, None) is None


@pytest.mark.parametrize(
    ("name", "first", "rest"),
    [
        ("pipe", b"192.0.2.1\n", b"192.0.2.2\n"),
        ("pipe", b'{"ip":"192.0.2.1"}\n', b'{"ip":"192.0.2.2"}\n'),
        ("pipe.csv", b"ip\n192.0.2.1\n", b"192.0.2.2\n"),
    ],
)
def test_a_named_pipe_is_read_once_as_it_streams(
    tmp_path: Path, name: str, first: bytes, rest: bytes
) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    seen = threading.Event()

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            pipe.write(first)
            assert seen.wait(60)
            pipe.write(rest)

    stream = TargetStream([], [str(path)])
    stream.check_inputs()  # does not wait for the writer
    assert stream.total is None
    writer = threading.Thread(target=write)
    writer.start()
    blocks = stream.blocks()
    assert [target.text for target in next(blocks)] == ["192.0.2.1"]
    seen.set()
    assert [target.text for block in blocks for target in block] == ["192.0.2.2"]
    writer.join()


def test_all_files_are_tried_before_anything_is_yielded(tmp_path: Path, listing: Path) -> None:
    listing.write_text("192.0.2.1\n")
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(b"192.0.2.1\n")[:-1])
    for bad in (broken, tmp_path / "none", tmp_path):
        with pytest.raises(InputError):
            next(TargetStream(["192.0.2.1"], [str(listing), str(bad)]).blocks())


def test_broken_utf16_is_found_out_beforehand(listing: Path) -> None:
    listing.write_bytes("192.0.2.1\n".encode("utf-16")[:-1])
    with pytest.raises(InputError, match="not UTF-16"):
        TargetStream([], [str(listing)]).check_inputs()


def test_a_wrong_csv_header_is_found_out_beforehand(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("name\nx\n")
    with pytest.raises(InputError, match="no column target, ip, "):
        TargetStream([], [str(path)]).check_inputs()


def test_a_program_gives_strings_targets_or_ipaddress_objects() -> None:
    own = Target("192.0.2.9", "ip", 4, Origin("database", 5, labels={"a": "b"}))
    stream = TargetStream.from_items([" 192.0.2.1\n", own, IPv4Network("10.0.0.0/31"), "", None])
    found = targets(stream)
    assert [(target.text, target.kind) for target in found] == [
        ("192.0.2.1", "ip"),
        ("192.0.2.9", "ip"),
        ("10.0.0.0", "ip"),
        ("10.0.0.1", "ip"),
        ("", "invalid"),
        ("None", "invalid"),
    ]
    assert found[1] is own
    assert stream.total == 6


def test_one_string_is_one_target() -> None:
    assert texts(TargetStream.from_items("192.0.2.1")) == ["192.0.2.1"]


def test_an_endless_iterable_is_read_only_as_needed() -> None:
    taken = itertools.count()

    def endless() -> Iterator[str]:
        for number in taken:
            yield str(IPv4Address(number))

    stream = TargetStream.from_items(endless())
    assert len(next(stream.blocks())) == BLOCK_SIZE
    assert next(taken) <= BLOCK_SIZE + 1
    assert stream.total is None


def test_an_iterable_has_limits_and_excludes_too() -> None:
    excludes = Excludes.parse(["192.0.2.1"])
    stream = TargetStream.from_items(iter(["192.0.2.1", "192.0.2.2"]), excludes=excludes)
    assert texts(stream) == ["192.0.2.2"]
    with pytest.raises(TooManyTargetsError, match=r"10.0.0.0/8 \(argument 2\)"):
        TargetStream.from_items(["192.0.2.1", "10.0.0.0/8"], max_targets=9).check_inputs()


def test_an_error_of_the_iterable_itself_goes_through() -> None:
    def failing() -> Iterator[str]:
        yield "192.0.2.1"
        fail()

    def fail() -> NoReturn:
        raise RuntimeError("database gone")

    with pytest.raises(RuntimeError, match="database gone"):
        texts(TargetStream.from_items(failing()))
