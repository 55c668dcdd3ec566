"""Worker process of `process_pool`: runs calls from a pipe, ignores Ctrl-C and SIGTERM.

It ends when its parent closes the pipe or ends.
"""

from __future__ import annotations

import atexit
import logging
import os
import pickle
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Final

from auditor.workers.worker import end_worker

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BEGUN", "LOGGED", "READY", "serve_calls"]

_log = logging.getLogger("auditor")

#: Messages to the parent other than outcomes of calls, in place of a call's number.
READY: Final = -1
LOGGED: Final = -2
BEGUN: Final = -3


class _LogForwarder(logging.Handler):
    """Passes log records on to the parent, which shows them."""

    def __init__(self, send: Callable[[object], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send level, formatted text, and event."""
        kept = ("event", "fields")
        extra = {name: getattr(record, name) for name in kept if hasattr(record, name)}
        self._send((LOGGED, (record.levelno, record.getMessage(), extra), None))


def serve_calls(handle: int) -> None:
    """Run the calls that arrive on the pipe, each in a thread, until the parent closes it.

    Ctrl-C and SIGTERM are ignored: they reach all processes at once, and the parent handles
    them.
    """
    code = 1  # after an unhandled exception
    # As in `auditor.cli`: the interpreter would free all objects, one by one.
    atexit.register(lambda: os._exit(code))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    pipe = Connection(handle)
    lock = threading.Lock()

    def send(message: object) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with lock, suppress(OSError):
            pipe.send_bytes(data)

    def call(number: int, fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        send((BEGUN, number, None))
        try:
            send((number, fn(*args, **kwargs), None))
        except BaseException as error:  # noqa: BLE001 - raised again in the parent
            send((number, None, _portable(error)))

    _log.addHandler(_LogForwarder(send))
    _log.setLevel(logging.INFO)  # the parent selects the levels to show
    send((READY, None, None))
    with suppress(OSError, EOFError):
        while True:
            task = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our own parent
            threading.Thread(target=call, args=task, daemon=True).start()
    end_worker()
    code = 0


def _portable(error: BaseException) -> BaseException:
    """Return the error, or one with the same message that can be pickled."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made a moment ago
    except Exception:  # noqa: BLE001 - whatever it is that cannot be pickled
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
