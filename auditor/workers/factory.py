"""Makes the scan that the settings ask for: in this process, in several, or on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.run.scan import Scan

if TYPE_CHECKING:
    from auditor.run.scan import AnyScan
    from auditor.settings import Settings
    from auditor.targets.stream import TargetStream
    from auditor.workers.coordinator import Coordinator
    from auditor.workers.held_shard import PartWriter
    from auditor.workers.pool import WorkerPool

__all__ = ["make_coordinator", "make_scan"]


def make_scan(stream: TargetStream, settings: Settings) -> AnyScan:
    """Return a scan by as many workers as the settings say; by one, it stays in this process."""
    if settings.scheduler is None and settings.workers == 1:
        return Scan(stream, settings)
    return make_coordinator(stream, settings)


def make_coordinator(
    stream: TargetStream, settings: Settings, parts: PartWriter | None = None
) -> Coordinator:
    """Return a scan that is divided into shards, by any kind of workers."""
    # Each pool is imported when it is needed: most runs need none.
    from auditor.workers.coordinator import Coordinator  # noqa: PLC0415 - see above

    pool: WorkerPool
    if settings.scheduler is not None:
        from auditor.workers.dask_pool import DaskPool  # noqa: PLC0415 - see above

        pool = DaskPool(settings.scheduler)
    elif settings.workers > 1:
        from auditor.workers.process_pool import ProcessPool  # noqa: PLC0415 - see above

        pool = ProcessPool(settings.workers)
    else:
        from auditor.workers.pool import InProcessPool  # noqa: PLC0415 - see above

        pool = InProcessPool()
    return Coordinator(stream, settings, pool, parts=parts)
