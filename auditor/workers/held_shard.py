"""A shard on its way from input to output, and the protocol of writers of a part for each shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from auditor.output.tally import Tally
    from auditor.workers.messages import Result
    from auditor.workers.shards import Shard

__all__ = ["HeldShard", "PartWriter"]


class PartWriter(Protocol):
    """Writes the lines of each shard to a file of their own.

    `pace` is that of `shards.cut_shards`: existing parts were cut by it.
    """

    pace: float | None

    def existing_part(self, shard: Shard) -> Tally | None:
        """Return the counts of the existing records, which need not be made again.

        They are those of its first targets, or of all.
        """
        ...

    async def put_part(
        self, shard: Shard, result: Result, failed: str = "", begun: Tally | None = None
    ) -> None:
        """Write a part; `failed`: why nothing is known of its targets.

        `begun`: the counts of the existing records, to which `result` adds.
        """
        ...


class HeldShard:
    """A shard from when it is taken from the input until its lines are written."""

    __slots__ = ("begun", "deaths", "failed", "result", "shard", "worker")

    def __init__(self, shard: Shard, begun: Tally | None = None) -> None:
        self.shard = shard
        self.deaths = 0
        #: The worker that has it now.
        self.worker: str | None = None
        self.result: Result | None = None
        #: The counts of the records that its part holds from an earlier run.
        self.begun = begun
        self.failed = ""

    @property
    def skip(self) -> int:
        """How many of its targets, the first ones, need not be audited."""
        return 0 if self.begun is None else self.begun.records

    @property
    def is_whole(self) -> bool:
        """Whether there is a record for each of its targets."""
        return self.skip + (self.result.tally.records if self.result else 0) == self.shard.size
