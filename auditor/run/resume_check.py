"""Input digest on resume: compares an input that is read only once with that of earlier sessions.

Standard input has no digest in the manifest. But each record names its target, so the targets that
are skipped can be compared with the records that exist.
"""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import TYPE_CHECKING

from auditor.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.targets.item import Entry
    from auditor.targets.stream import TargetStream
    from auditor.targets.target import Block

__all__ = ["TargetDigest", "blocks_after", "entries_after"]


class TargetDigest:
    """A digest of targets in their order, as records name them."""

    def __init__(self) -> None:
        self.length = 0
        self._digest = hashlib.sha256()

    def add_target(self, target: str) -> None:
        """Take in the next target."""
        self.length += 1
        self._digest.update(target.encode() + b"\n")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TargetDigest) and self._digest.digest() == other._digest.digest()

    __hash__ = None  # type: ignore[assignment]  # it changes


def blocks_after(blocks: Iterator[Block], done: TargetDigest) -> Iterator[Block]:
    """Yield the targets after those that are done, with which the blocks must begin.

    Raises InputError if they begin with others, or end before.
    """
    skipped = TargetDigest()
    for block in blocks:
        ahead = block[: done.length - skipped.length]
        for target in ahead:
            skipped.add_target(target.text)
        if skipped.length < done.length:
            continue
        if ahead and skipped != done:
            break
        if block[len(ahead) :]:
            yield block[len(ahead) :]
    if skipped != done:
        raise InputError(
            f"the input differs from before: its first {done.length:,} targets are not "
            "those of the existing records; --overwrite starts anew"
        )


def entries_after(stream: TargetStream, done: TargetDigest) -> Iterator[Entry | None]:
    """Return the targets after those that are done, as entries where the input is counted.

    Raises InputError if there are more records than targets.
    """
    if done.length and stream.total is None:
        return chain.from_iterable(blocks_after(stream.blocks(), done))
    if stream.total is not None and done.length > stream.total:
        raise InputError(f"there are {done.length - stream.total:,} more records than targets")
    return stream.entries(done.length)
