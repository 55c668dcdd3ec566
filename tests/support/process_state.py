"""What the tests of a process have in common, and each must leave as it found it."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import auditor.api  # noqa: F401 - so that no test is the first to load it, and its log handler

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["end_of_threads", "shared_state", "signals_put_back"]

#: What a command that ends leaves deaf, thinking that its process ends, too.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

#: Seconds that a thread of the program is given to end after the test that started it.
_END_S: Final = 10.0


def shared_state() -> dict[str, Any]:
    """Return everything that one test could spoil for another, as values that compare."""
    log = logging.getLogger("auditor")
    umask = os.umask(0)
    os.umask(umask)
    return {
        "folder": os.getcwd(),  # noqa: PTH109 - text, compared as it is
        "environment": {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        "umask": umask,
        "log": (log.level, log.propagate, tuple(log.handlers)),
        "sys.path": tuple(sys.path),
        "collector": (gc.isenabled(), gc.get_threshold()),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "threads": sorted(thread.name for thread in _threads()),
        "memory files": _memory_files(),
    }


def _memory_files() -> tuple[str, ...]:
    """Return the names of the files that fsspec keeps in this process, if it has been loaded."""
    module = sys.modules.get("fsspec.implementations.memory")
    return () if module is None else tuple(module.MemoryFileSystem.store)


@contextmanager
def signals_put_back() -> Iterator[None]:
    """Put back what happens on signals."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_of_threads() -> None:
    """Wait until the program's threads have ended, but not for ever."""
    for thread in _threads():
        thread.join(_END_S)


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("auditor")]
