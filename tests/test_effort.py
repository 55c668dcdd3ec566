"""How much the suite tries: a quick run a tenth, a full run everything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from support.effort import examples, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def profile() -> Iterator[Callable[[str], None]]:
    before = settings()
    yield settings.load_profile
    settings.register_profile("before", before)
    settings.load_profile("before")


@pytest.mark.parametrize(("full", "quick"), [(400, 40), (100, 10), (20, 4), (3, 3)])
def test_a_quick_run_tries_a_tenth_and_not_fewer_than_four(
    profile: Callable[[str], None], full: int, quick: int
) -> None:
    profile("quick")
    assert examples(full) == quick
    profile("full")
    assert examples(full) == full


@pytest.mark.parametrize(
    ("count", "fewest", "quick"),
    [(100, 1, 10), (2, 1, 1), (6, 2, 2), (6, 3, 3), (1, 2, 1), (0, 1, 0)],
)
def test_a_quick_run_takes_every_tenth_of_a_list_and_not_fewer_than_it_is_told(
    profile: Callable[[str], None], count: int, fewest: int, quick: int
) -> None:
    profile("quick")
    assert len(sample(range(count), fewest=fewest)) == quick
    profile("full")
    assert len(sample(range(count), fewest=fewest)) == count


def test_every_property_test_leaves_its_effort_to_the_profile() -> None:
    tests = Path(__file__).parent
    fixed = re.compile(r"max_examples=\d")
    found = [
        str(path.relative_to(tests))
        for path in tests.rglob("test_*.py")
        if fixed.search(path.read_text(encoding="utf-8")) and path != Path(__file__)
    ]
    assert not found
