"""Whether an input that is read a second time is the one of before."""

from __future__ import annotations

import pytest

from auditor.errors import InputError
from auditor.run.resume_check import TargetDigest, blocks_after
from auditor.targets.stream import TargetStream
from auditor.targets.target import BLOCK_SIZE

TARGETS = [f"192.0.{number // 256}.{number % 256}" for number in range(3 * BLOCK_SIZE + 10)]


def _trail(targets: list[str]) -> TargetDigest:
    trail = TargetDigest()
    for target in targets:
        trail.add_target(target)
    return trail


def _behind(targets: list[str], trail: TargetDigest) -> list[str]:
    blocks = TargetStream.from_items(targets).blocks()
    return [target.text for block in blocks_after(blocks, trail) for target in block]


@pytest.mark.parametrize(
    "done", [0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 700, len(TARGETS)]
)
def test_what_is_done_is_left_out(done: int) -> None:
    trail = _trail(TARGETS[:done])
    assert trail.length == done
    assert _behind(TARGETS, trail) == TARGETS[done:]


@pytest.mark.parametrize("done", [1, BLOCK_SIZE, 700, len(TARGETS)])
def test_another_input_is_refused_before_anything_of_it_is_asked(done: int) -> None:
    trail = _trail(TARGETS[:done])
    other = ["192.0.2.77", *TARGETS[1:]]
    blocks = blocks_after(TargetStream.from_items(other).blocks(), trail)
    with pytest.raises(
        InputError,
        match=rf"^the input differs from before: its first {done:,} targets are not those "
        r"of the existing records; --overwrite starts anew$",
    ):
        next(blocks)


@pytest.mark.parametrize("there", [0, 5, BLOCK_SIZE, 699])
def test_an_input_that_ends_too_early_is_another_one(there: int) -> None:
    with pytest.raises(InputError, match="its first 700 targets are not"):
        _behind(TARGETS[:there], _trail(TARGETS[:700]))


def test_trails_are_the_same_if_their_targets_are() -> None:
    assert _trail(["a", "b"]) == _trail(["a", "b"])
    assert _trail(["a", "b"]) != _trail(["b", "a"])
    assert _trail(["ab"]) != _trail(["a", "b"])
    assert _trail([]) != 5
