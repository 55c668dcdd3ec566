"""Steps run to their end by a resolver, for the commands that explain something."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from auditor.run.scan import open_lookup

if TYPE_CHECKING:
    from auditor.errors import AuditorError
    from auditor.resolve.answer import Steps
    from auditor.resolve.lookup import Lookup
    from auditor.settings import Settings

__all__ = ["driven"]

T = TypeVar("T")


async def driven(settings: Settings, steps: Steps[T]) -> T:
    """Return what the steps come to. Raises AuditorError, also when the last server goes."""
    async with open_lookup(settings) as lookup:
        work = asyncio.ensure_future(_drive(lookup, steps))
        trouble: list[AuditorError] = []

        def fail(error: AuditorError) -> None:
            trouble.append(error)
            work.cancel()

        lookup.engine.on_failure(fail)
        try:
            return await work
        except asyncio.CancelledError:
            if trouble:
                raise trouble[0] from None
            raise


async def _drive(lookup: Lookup, steps: Steps[T]) -> T:
    try:
        questions = next(steps)
        while True:
            questions = steps.send(await lookup.resolve_many(questions))
    except StopIteration as end:
        found: T = end.value
        return found
