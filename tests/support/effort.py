"""How much property tests try: little in a quick run, everything in a full one.

The profile is Hypothesis's own, so `--hypothesis-profile full` chooses both. `random` is as full,
with other examples in each run: what it finds is a fault, but no reason for a change to fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

__all__ = ["QUICK", "examples", "is_quick", "register_profiles", "sample"]

#: The profile that is in force unless another one is named.
QUICK: Final = "quick"

#: Examples where a test names no number, in percent of those that it names otherwise.
_FULL: Final = 100
_QUICK: Final = 10

#: Examples at the least, however few a test has in a full run.
_FEWEST: Final = 4


def register_profiles() -> None:
    """Make the profiles known, and the quick one the default."""
    # A busy machine is no finding. What a newcomer or CI sees is the same each time.
    for name, count in (QUICK, _QUICK), ("full", _FULL):
        settings.register_profile(
            name, deadline=None, max_examples=count, derandomize=True, database=None
        )
    settings.register_profile("random", deadline=None, max_examples=_FULL)
    settings.load_profile(QUICK)


def is_quick() -> bool:
    """Tell whether the run tries less than everything."""
    return settings().max_examples < _FULL


def examples(full: int) -> int:
    """Return how many examples to try of as many as there are in a full run."""
    return min(full, max(_FEWEST, full * settings().max_examples // _FULL))


def sample(items: Sequence[T], *, fewest: int = 1) -> Sequence[T]:
    """Return all of them in a full run, else every tenth, or so many of them at least."""
    step = _FULL // settings().max_examples
    if fewest > 1:
        step = min(step, max(1, (len(items) - 1) // (fewest - 1)))
    return items[::step]
