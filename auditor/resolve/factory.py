"""Makes the engine and the resolver that the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auditor.errors import UsageError
from auditor.resolve.cache import Cache
from auditor.resolve.resolv_conf import system_servers
from auditor.resolve.resolver import CachingResolver

if TYPE_CHECKING:
    from auditor.resolve.answer import Engine
    from auditor.settings import Settings

__all__ = ["make_engine", "make_resolver"]

#: Seconds for which c-ares' engine waits for any server to come back before it gives up.
_HOPE: Final = 10.0


def make_engine(settings: Settings) -> Engine:
    """Return the engine that the settings name, not started."""
    # An engine is imported when it is chosen: each brings libraries that cost time.
    if settings.zones is not None:
        from auditor.resolve.zones.engine import ZoneFileEngine  # noqa: PLC0415 - see above

        return ZoneFileEngine(settings.zones)
    if settings.engine == "bulk":
        from auditor.resolve.bulk.engine import BulkEngine  # noqa: PLC0415 - see above

        return BulkEngine(
            settings.servers or system_servers(tell=True),
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
    from auditor.resolve.cares.engine import CaresEngine  # noqa: PLC0415 - see above

    return CaresEngine(
        settings.servers or system_servers(tell=True),
        concurrency=settings.concurrency,
        qps=settings.qps,
        timeout=settings.timeout,
        tries=settings.tries,
        check=settings.server_check,
        hope=_HOPE,
    )


def make_resolver(settings: Settings) -> CachingResolver:
    """Return a resolver over that engine, not started."""
    return CachingResolver(make_engine(settings), Cache(settings.cache_size), trace=settings.trace)
