"""Makes the resolver of the settings, with routes to the zones' own servers if set."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from auditor.resolve.cache import Cache
from auditor.resolve.factory import make_plain_engine
from auditor.resolve.resolver import CachingResolver

if TYPE_CHECKING:
    from auditor.resolve.answer import Engine
    from auditor.resolve.bulk.engine import BulkEngine
    from auditor.settings import Settings

__all__ = ["make_engine", "make_resolver"]


def make_engine(settings: Settings) -> Engine:
    """Return the engine that the settings ask for, not started."""
    engine = make_plain_engine(settings)
    if not settings.route and not settings.direct:
        return engine
    from auditor.routing.engine import RoutedEngine  # noqa: PLC0415 - for few runs

    return RoutedEngine(cast("BulkEngine", engine), settings)


def make_resolver(settings: Settings) -> CachingResolver:
    """Return a resolver over that engine, not started."""
    return CachingResolver(make_engine(settings), Cache(settings.cache_size), trace=settings.trace)
