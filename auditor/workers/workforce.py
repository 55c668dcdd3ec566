"""Settings to whoever does the work of a scan: this process, several, or a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.run.scan import Scan

if TYPE_CHECKING:
    from auditor.run.scan import AnyScan
    from auditor.settings import Settings
    from auditor.targets.stream import TargetStream
    from auditor.workers.crew import Crew
    from auditor.workers.fleet import Fleet, Parts

__all__ = ["make_fleet", "make_scan"]


def make_scan(stream: TargetStream, settings: Settings) -> AnyScan:
    """Return a scan by as many workers as the settings say; by one, it stays in this process."""
    if settings.scheduler is None and settings.workers == 1:
        return Scan(stream, settings)
    return make_fleet(stream, settings)


def make_fleet(stream: TargetStream, settings: Settings, parts: Parts | None = None) -> Fleet:
    """Return a scan that is done shard by shard, whoever does it."""
    # Each crew is imported when it is called for: most runs need none.
    from auditor.workers.fleet import Fleet  # noqa: PLC0415 - see above

    crew: Crew
    if settings.scheduler is not None:
        from auditor.workers.cluster import Cluster  # noqa: PLC0415 - see above

        crew = Cluster(settings.scheduler)
    elif settings.workers > 1:
        from auditor.workers.processes import Processes  # noqa: PLC0415 - see above

        crew = Processes(settings.workers)
    else:
        from auditor.workers.crew import ThisProcess  # noqa: PLC0415 - see above

        crew = ThisProcess()
    return Fleet(stream, settings, crew, parts=parts)
