"""What a run and its workers say to each other: orders, results, and words in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from auditor import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.run.tally import Tally
    from auditor.settings import Settings
    from auditor.workers.shards import Shard

__all__ = ["Order", "Result", "Share", "Word"]


class Share(NamedTuple):
    """A worker's part of the limits that hold for the whole run; the highest `epoch` counts."""

    epoch: int = 0
    concurrency: int | None = None
    qps: float | None = None
    server_qps: float | None = None


class Order(NamedTuple):
    """A shard to be audited: for which run, under which settings and limits."""

    run: str
    shard: Shard
    settings: Settings
    share: Share
    version: str = __version__


class Result(NamedTuple):
    """What came of a shard.

    `frames`: its records in order, packed with zstd, each frame whole lines that stand
    alone. There are fewer records than targets if the run was told to stop. `counters`: all
    that `engine` has asked so far, of which those with the highest `serial` count.
    """

    number: int
    frames: tuple[bytes, ...]
    tally: Tally
    engine: str
    serial: int
    counters: Mapping[str, int | None]


#: What a run tells a worker besides: to take in no more targets; to drop everything.
Word = Literal["stop", "close"]
