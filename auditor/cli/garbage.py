"""Garbage collection of commands that read results."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cycles_uncollected"]


@contextmanager
def cycles_uncollected() -> Iterator[None]:
    """Switch off the cyclic garbage collector: a context, or a decorator of a command.

    Records are trees of many small objects without cycles, which reference counting frees. The
    collector would still walk over them again and again, for a fifth of the CPU time. Not for a
    library, which must not change the collector of its program.
    """
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
