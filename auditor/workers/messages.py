"""Messages between a coordinator and its workers: shard tasks, results, quotas, commands."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from auditor.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.errors import AuditorError
    from auditor.output.tally import Tally
    from auditor.settings import Settings
    from auditor.workers.shards import Shard

__all__ = ["Command", "Quota", "Result", "ShardTask"]


class Quota(NamedTuple):
    """A worker's share of the limits of the whole run; the highest `epoch` applies."""

    epoch: int = 0
    concurrency: int | None = None
    qps: float | None = None
    server_qps: float | None = None


class ShardTask(NamedTuple):
    """A shard to be audited: for which run, under which settings and limits.

    `skip`: how many of its targets, the first ones, have been audited before.
    """

    run: str
    shard: Shard
    settings: Settings
    quota: Quota
    skip: int = 0
    version: str = __version__


class Result(NamedTuple):
    """The result of a shard.

    `frames`: its records in order, packed with zstd, each frame whole lines that stand
    alone. There are fewer records than targets, the first ones, if the shard was cut off: the
    run is stopping, or `error` says why the engine cannot continue. `counters`: the queries of
    `engine` so far, and `server_limits` the limits of servers that it has found; those with the
    highest `serial` apply.
    """

    number: int
    frames: tuple[bytes, ...]
    tally: Tally
    engine: str
    serial: int
    counters: Mapping[str, int | None]
    error: AuditorError | None = None
    server_limits: Mapping[str, Mapping[str, int | str]] = MappingProxyType({})


#: `stop`: start no more targets; `drop`: return at once the records finished in order; `close`:
#: the run has ended.
Command = Literal["stop", "drop", "close"]
