"""Makes the engine that the settings select, without routes (see `routing.factory`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auditor.errors import UsageError
from auditor.resolve.resolv_conf import system_servers

if TYPE_CHECKING:
    from auditor.resolve.answer import Engine
    from auditor.settings import Settings

__all__ = ["make_plain_engine"]

#: Seconds without any answer after which a run with the c-ares engine gives up.
_GIVE_UP_AFTER_S: Final = 10.0


def make_plain_engine(settings: Settings) -> Engine:
    """Return the engine that the settings name, not started."""
    # An engine is imported only if selected: each has libraries that are slow to import.
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
        give_up_after_s=_GIVE_UP_AFTER_S,
    )
