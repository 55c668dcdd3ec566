"""Whether an input that cannot be read twice is the one that an earlier session had read.

Standard input has no digest to compare. But each record names its target, so what is skipped
can be held against what is there.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from auditor.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.targets.target import Block

__all__ = ["Trail", "behind"]


class Trail:
    """A digest of targets in their order, as records name them."""

    def __init__(self) -> None:
        self.length = 0
        self._digest = hashlib.sha256()

    def add(self, target: str) -> None:
        """Take in the next target."""
        self.length += 1
        self._digest.update(target.encode() + b"\n")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trail) and self._digest.digest() == other._digest.digest()

    __hash__ = None  # type: ignore[assignment]  # it changes


def behind(blocks: Iterator[Block], trail: Trail) -> Iterator[Block]:
    """Yield the targets behind those of the trail, with which the blocks begin.

    Raises InputError if they begin with others, or end before.
    """
    walked = Trail()
    for block in blocks:
        ahead = block[: trail.length - walked.length]
        for target in ahead:
            walked.add(target.text)
        if walked.length < trail.length:
            continue
        if ahead and walked != trail:
            break
        if block[len(ahead) :]:
            yield block[len(ahead) :]
    if walked != trail:
        raise InputError(
            f"the input is another one than before: its first {trail.length:,} targets are not "
            "those of the records that are there; --overwrite starts anew"
        )
