"""Shards: where a run is cut, and that a shard carries its targets whole and small."""

from __future__ import annotations

import pickle
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.effort import examples
from support.fleet import FLEET

from auditor.errors import TooManyTargetsError
from auditor.targets.excludes import Excludes
from auditor.targets.stream import TargetStream
from auditor.targets.target import BLOCK_SIZE, Origin, Target
from auditor.workers.shards import cut_shards, shard_size, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditor.workers.shards import Shard


def _targets(shards: Iterator[Shard] | list[Shard]) -> list[Target]:
    return [target for shard in shards for block in unpack(shard) for target in block]


def _whole(stream: TargetStream, skip: int = 0) -> list[Target]:
    return [target for block in stream.blocks(skip) for target in block]


def test_shards_grow_to_a_second_of_work_and_a_long_run_has_larger_ones() -> None:
    sizes = [shard_size(number) for number in range(300)]
    assert sizes[:9] == [2048] * 4 + [4096] * 4 + [8192]
    assert sizes == sorted(sizes)
    assert sizes[30] == 32_768
    assert max(sizes) == 131_072
    # All of IPv4 in a number of parts that any tool can list.
    assert 2**32 / max(sizes) < 40_000


@pytest.mark.parametrize("pace", [0.03, 8.0, 300.0, 10_000.0, 1e6])
def test_shards_of_a_slow_run_take_a_worker_two_seconds(pace: float) -> None:
    sizes = [shard_size(number, pace) for number in range(2000)]
    assert sizes == sorted(sizes)
    assert sizes[0] == min(max(1, int(2 * pace)), 2048)
    assert sizes[255] == min(max(1, int(2 * pace)), shard_size(255))
    assert sizes[-1] == min(max(1, int(60 * pace)), shard_size(1999))


def test_a_paced_run_is_cut_into_the_same_targets() -> None:
    stream = TargetStream(["20.30.0.0/23", "example.net", "20.40.0.0/25"])
    shards = list(cut_shards(stream.entries(), pace=8.0))
    assert [shard.size for shard in shards] == [16] * 40 + [1]
    assert _targets(shards) == _whole(stream)


@pytest.mark.parametrize("skip", [0, 1, 255, 256, 257, 600, 641])
def test_the_first_targets_of_a_shard_can_be_left_out(skip: int) -> None:
    stream = TargetStream(["20.30.0.0/23", "example.net", "20.40.0.0/25"])
    (shard,) = cut_shards(stream.entries())
    blocks = list(unpack(shard, skip))
    assert [target for block in blocks for target in block] == _whole(stream)[skip:]
    assert all(len(block) == 256 for block in blocks[:-1])


@pytest.mark.parametrize("file", ["targets.txt", "targets.csv"])
def test_a_shard_gives_back_the_very_targets_that_it_was_cut_from(file: str) -> None:
    stream = TargetStream(["203.0.113.0/28", "nonsense/99"], [str(FLEET / file)])
    assert _targets(cut_shards(stream.entries())) == _whole(stream)


def test_shards_of_a_prefix_are_full_contiguous_and_a_few_hundred_octets_long() -> None:
    stream = TargetStream(["20.30.0.0/16"])
    shards = list(cut_shards(stream.entries()))
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert [shard.size for shard in shards[:-1]] == [
        shard_size(number) for number in range(len(shards) - 1)
    ]
    assert sum(shard.size for shard in shards) == 65_536
    assert max(len(pickle.dumps(shard)) for shard in shards) < 600
    assert _targets(shards) == _whole(stream)
    assert shards[0].shown == "20.30.0.0 to 20.30.7.255"


def test_a_long_list_travels_as_columns_in_a_few_octets_a_target(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    count = examples(60_000)
    path.write_text("".join(f"20.{n >> 8 & 255}.{n & 255}.7\n" for n in range(count)))
    stream = TargetStream([], [str(path)])
    shards = list(cut_shards(stream.entries()))
    assert _targets(shards) == _whole(stream)
    assert sum(len(shard.packed) for shard in shards) < 8 * count


def test_blocks_of_a_shard_are_full_but_the_last_whatever_it_was_made_of() -> None:
    items = [f"198.51.100.{n}" for n in range(100)] + ["198.51.100.0/23", "a.example", "b.example"]
    stream = TargetStream.from_items([*items, *(f"203.0.113.{n}/31" for n in range(0, 250, 2))])
    (shard,) = cut_shards(stream.entries())
    blocks = list(unpack(shard))
    assert [len(block) for block in blocks[:-1]] == [BLOCK_SIZE] * (len(blocks) - 1)
    assert 0 < len(blocks[-1]) <= BLOCK_SIZE
    assert sum(map(len, blocks)) == shard.size


def test_labels_identities_and_errors_travel_with_their_targets() -> None:
    origins = [
        Origin("a.csv", 2, "mx.example", ("a@b.example",), {"customer": "Ä\x00"}),
        Origin("a.csv", 3, None, (), {}),
        Origin("b.csv", 3, None, ("c.example",), {}),
    ]
    targets = [Target(f"192.0.2.{n}", "ip", 4, origin) for n, origin in enumerate(origins)]
    targets.append(Target("what?", "invalid", 0, origins[1], "not a target"))
    targets.append(Target("example.net", "domain", 0, Origin("list", 9)))
    assert _targets(cut_shards(TargetStream.from_items(targets).entries())) == targets


def test_where_a_run_is_cut_does_not_depend_on_excludes_being_in_the_way() -> None:
    excludes = Excludes.parse(["20.30.0.0/22", "20.30.9.9"])
    stream = TargetStream(["20.30.0.0/18"], excludes=excludes)
    shards = list(cut_shards(stream.entries()))
    assert shards[0].size == 2048
    assert _targets(shards) == _whole(stream)


@given(skip=st.integers(0, 70_000))
def test_what_is_skipped_is_not_in_any_shard(skip: int) -> None:
    stream = TargetStream(["example.net", "20.30.0.0/16"])
    shards = list(cut_shards(stream.entries(skip)))
    assert sum(shard.size for shard in shards) == max(65_537 - skip, 0)
    if skip < 65_537:
        expected = "example.net" if not skip else f"20.30.{skip - 1 >> 8}.{skip - 1 & 255}"
        assert next(unpack(shards[0]))[0].text == expected


def test_an_endless_source_is_read_no_further_than_the_shards_that_are_taken() -> None:
    given = 0

    def source() -> Iterator[str]:
        nonlocal given
        for number in range(1 << 40):
            given = number + 1
            yield f"198.51.{number >> 8 & 255}.{number & 255}"

    assert [
        shard.size for shard in islice(cut_shards(TargetStream.from_items(source()).entries()), 3)
    ] == [2048] * 3
    assert given == 3 * 2048


class _Waiting(TargetStream):
    """A stream that keeps its reader waiting behind every second target."""

    def entries(self, skip: int = 0) -> Iterator[Any]:
        for number, entry in enumerate(super().entries(skip)):
            if number % 2 == 0:
                yield None
            yield entry


def test_a_wait_ends_a_shard_only_where_that_is_wanted() -> None:
    stream = _Waiting([f"192.0.2.{n}" for n in range(6)])
    assert [shard.size for shard in cut_shards(stream.entries(), at_waits=True)] == [2, 2, 2]
    assert [shard.size for shard in cut_shards(stream.entries())] == [6]
    assert _targets(cut_shards(stream.entries(), at_waits=True)) == _targets(
        cut_shards(stream.entries())
    )


def test_what_was_read_before_an_error_is_a_shard_before_it_is_raised() -> None:
    shards = cut_shards(
        TargetStream.from_items(iter(["192.0.2.1", "192.0.2.0/24"]), max_targets=100).entries()
    )
    assert next(shards).size == 1
    with pytest.raises(TooManyTargetsError):
        next(shards)


def test_cutting_twice_gives_the_same_octets() -> None:
    stream = TargetStream(["20.30.0.0/17"], [str(FLEET / "targets.csv")])
    assert list(cut_shards(stream.entries())) == list(cut_shards(stream.entries()))
