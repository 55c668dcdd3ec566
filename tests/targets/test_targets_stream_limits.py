from __future__ import annotations

import io
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import TooManyTargetsError
from auditor.targets.excludes import Excludes
from auditor.targets.stream import MAX_TARGETS, TargetStream

if TYPE_CHECKING:
    from pathlib import Path


def texts(stream: TargetStream, skip: int = 0) -> list[str]:
    return [target.text for block in stream.blocks(skip) for target in block]


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    path = tmp_path / "list.txt"
    path.write_bytes(b"")
    return path


def test_a_typo_such_as_slash_3_is_stopped_before_the_first_target(listing: Path) -> None:
    listing.write_text("# block\n192.0.2.1\n\n# all of it\n\n\n32.0.0.0/3\n")
    stream = TargetStream([], [str(listing)])
    with pytest.raises(TooManyTargetsError) as caught:
        stream.check_inputs()
    assert str(caught.value) == (
        f"targets: 32.0.0.0/3 ({listing} line 7) makes the total 536,870,913 targets, "
        "more than --max-targets 16,777,216"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["32.0.0.0/3"], "targets: 32.0.0.0/3 (argument 1) makes 536,870,912 targets, more than"),
        (
            ["192.0.2.1", "10.0.0.0-20.0.0.0"],
            "targets: 10.0.0.0-20.0.0.0 (argument 2) makes the total 167,772,162 targets, more",
        ),
    ],
)
def test_an_argument_over_the_limit_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(TooManyTargetsError) as caught:
        TargetStream(arguments).check_inputs()
    assert message in str(caught.value)


def test_the_plain_line_that_takes_it_over_the_limit_is_named(listing: Path) -> None:
    listing.write_text("".join(f"192.0.2.{n}\n\n" for n in range(200)))
    stream = TargetStream(["192.0.2.9"], [str(listing)], max_targets=100)
    with pytest.raises(TooManyTargetsError, match=r"targets: 192.0.2.99 \(.*list.txt line 199\)"):
        stream.check_inputs()
    assert len(texts(TargetStream([], [str(listing)], max_targets=200))) == 200


def test_the_limit_itself_is_allowed() -> None:
    stream = TargetStream(["10.0.0.0/8"])
    stream.check_inputs()
    assert stream.total == 16_777_216 == MAX_TARGETS


def test_what_is_excluded_does_not_count_towards_the_limit() -> None:
    stream = TargetStream(
        ["10.0.0.0/7"], excludes=Excludes.parse(["11.0.0.0/8", "10.0.0.1-10.255.255.255"])
    )
    assert texts(stream) == ["10.0.0.0"]
    assert stream.total == 1


@pytest.mark.parametrize("name", ["list.csv", "list.ndjson"])
def test_a_table_over_the_limit_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('ip\n"10.0.0.0/8"\n' if name == "list.csv" else '\n{"ip":"10.0.0.0/8"}\n')
    with pytest.raises(TooManyTargetsError, match=rf"10.0.0.0/8 \(.*{name} line 2\) makes 16,7"):
        TargetStream([], [str(path)], max_targets=1000).check_inputs()


def test_standard_input_over_the_limit_yields_what_came_before_and_stops_at_that_item() -> None:
    stream = TargetStream(["-"], stdin=io.BytesIO(b"192.0.2.1\n2001:db8::/112\n"), max_targets=9)
    stream.check_inputs()
    blocks = stream.blocks()
    assert [target.text for target in next(blocks)] == ["192.0.2.1"]
    with pytest.raises(
        TooManyTargetsError,
        match=r"2001:db8::/112 \(standard input line 2\) makes the total 65,537",
    ):
        next(blocks)


def test_excludes_leave_out_addresses_spans_and_domains() -> None:
    excludes = Excludes.parse(["192.0.2.0/30", "10.0.0.0-10.0.0.253", "example.net", "::1"])
    arguments = [
        "192.0.2.1",
        "192.0.2.4",
        "10.0.0.0/24",
        "a.example.net",
        "example.org",
        "::1",
        "?",
    ]
    stream = TargetStream(arguments, excludes=excludes)
    assert texts(stream) == ["192.0.2.4", "10.0.0.254", "10.0.0.255", "example.org", "?"]
    assert (stream.total, stream.excluded, stream.invalid) == (5, 257, 1)
    assert texts(stream, 2) == ["10.0.0.255", "example.org", "?"]


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 300)), max_size=6), st.integers(0, 1100)
)
def test_excluding_equals_leaving_out_one_by_one(outs: list[tuple[int, int]], skip: int) -> None:
    base = int(IPv4Address("10.0.0.0"))
    excludes = Excludes.parse(
        [f"{IPv4Address(base + first)}-{IPv4Address(base + first + more)}" for first, more in outs]
    )
    kept = [n for n in range(1024) if not any(a <= n <= a + more for a, more in outs)]
    stream = TargetStream(["10.0.0.0/22"], excludes=excludes)
    assert [str(IPv4Address(base + n)) for n in kept][skip:] == texts(stream, skip)
    assert (stream.total, stream.excluded) == (len(kept), 1024 - len(kept))
