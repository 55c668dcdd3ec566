"""Steps run to their end by a resolver, for the commands that explain something."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from auditor.run.scan import drive, open_lookup

if TYPE_CHECKING:
    from auditor.resolve.answer import Steps
    from auditor.settings import Settings

__all__ = ["driven"]

T = TypeVar("T")


async def driven(settings: Settings, steps: Steps[T]) -> T:
    """Return what the steps come to. Raises AuditorError, also when the last server goes."""
    async with open_lookup(settings) as lookup:
        return await drive(lookup, steps)
