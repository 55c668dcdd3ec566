"""Settings to a resolver: the one place that knows all engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auditor.errors import UsageError
from auditor.resolve.cache import Cache
from auditor.resolve.lookup import Lookup

if TYPE_CHECKING:
    from auditor.resolve.answer import Engine
    from auditor.settings import Server, Settings

__all__ = ["make_engine", "make_lookup"]

#: Seconds for which c-ares' engine waits for any server to come back before it gives up.
_HOPE: Final = 10.0


def make_engine(settings: Settings) -> Engine:
    """Return the engine that the settings name, not started."""
    # An engine is imported when it is chosen: each brings libraries that cost time.
    if settings.zones is not None:
        from auditor.resolve.zonefiles import ZoneFiles  # noqa: PLC0415 - see above

        return ZoneFiles(settings.zones)
    if settings.engine == "bulk":
        from auditor.resolve.bulk import Bulk  # noqa: PLC0415 - see above

        return Bulk(
            settings.servers or _system_servers(),
            concurrency=settings.concurrency,
            qps=settings.qps,
            server_qps=settings.server_qps,
            timeout=settings.timeout,
            tries=settings.tries,
            check=settings.server_check,
            trace=settings.trace,
        )
    if settings.server_qps is not None:
        raise UsageError("server-qps: c-ares chooses the servers itself; use --engine bulk")
    from auditor.resolve.cares import Cares  # noqa: PLC0415 - see above

    return Cares(
        settings.servers or _system_servers(),
        concurrency=settings.concurrency,
        qps=settings.qps,
        timeout=settings.timeout,
        tries=settings.tries,
        check=settings.server_check,
        hope=_HOPE,
    )


def _system_servers() -> tuple[Server, ...]:
    from auditor.resolve.cares import system_servers  # noqa: PLC0415 - see above

    return system_servers()


def make_lookup(settings: Settings) -> Lookup:
    """Return a resolver over that engine, not started."""
    return Lookup(make_engine(settings), Cache(settings.cache_size), trace=settings.trace)
