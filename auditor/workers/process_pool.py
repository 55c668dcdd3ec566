"""A pool of worker processes on this machine.

Each process is an executor of its own: if it dies, only its own shards are lost, and another
process replaces it. When its parent ends, for whatever reason, the pipe between them closes and the
process ends.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Final, TypeVar

from auditor.errors import AuditorError, WorkersError
from auditor.workers.pool import NotBegunError
from auditor.workers.worker import send_command
from auditor.workers.worker_process import BEGUN, LOGGED, READY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from auditor.workers.messages import Command, Quota

__all__ = ["ProcessPool", "WorkerProcess"]

T = TypeVar("T")

_log = logging.getLogger("auditor")

#: Processes in a row that may end before they are ready, for each place in the pool.
_MAX_FAILED_STARTS: Final = 3

#: Seconds that a process may take to end by itself.
_EXIT_TIMEOUT_S: Final = 3.0

#: Seconds during which the same message of other processes is not repeated.
_REPEAT_INTERVAL_S: Final = 5.0


class WorkerProcess(Executor):
    """One process that runs calls, each in a thread of its own.

    `on_end` is called, in some thread, when it has ended; by then all of its calls have failed
    with BrokenExecutor, or with NotBegunError. `on_log` is given its log messages: level, text,
    and the extra attributes of the `LogRecord`.
    """

    def __init__(
        self, on_end: Callable[[WorkerProcess], None], on_log: Callable[..., None]
    ) -> None:
        self.ready = False
        self.exit_reason = ""
        self._on_end = on_end
        self._on_log = on_log
        self._futures: dict[int, Future[Any]] = {}
        self._begun: set[int] = set()
        self._numbers = count()
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            # The child has the import path of this process: with -c alone it would import from
            # the working directory first, which others may be able to write to.
            code = (
                # As in `auditor.cli`: importing modules makes no garbage.
                "import gc; gc.set_threshold(100_000); "
                f"import sys; sys.path[:] = {sys.path!r}; "
                "from auditor.workers.worker_process import serve_calls; "
                f"serve_calls({theirs.fileno()})"
            )
            command = [sys.executable, "-P", "-c", code]
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),)
            )
            self._pipe = Connection(ours.detach())
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, name="auditor-process", daemon=True)
        self._reader.start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Make the process call `fn`, which must be picklable, as must its arguments."""
        future: Future[T] = Future()
        with self._lock:
            if self.exit_reason:
                future.set_exception(NotBegunError(self.exit_reason))
                return future
            number = next(self._numbers)
            self._futures[number] = future
            future.set_running_or_notify_cancel()
            # If the process has ended, `_read` fails the call.
            with suppress(OSError):
                self._pipe.send_bytes(pickle.dumps((number, fn, args, kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as in Executor
        """End the process: it drops what it is doing. `wait` until it is gone."""
        del cancel_futures
        with suppress(OSError):
            self._process.send_signal(signal.SIGCONT)
        with self._lock, suppress(OSError):
            # The process reads the end of the pipe, and closes its end; then we close ours.
            self._half_close()
        if wait:
            self._reader.join(_EXIT_TIMEOUT_S)
            if self._reader.is_alive():
                self._process.kill()
                self._reader.join()

    def _half_close(self) -> None:
        with socket.socket(fileno=self._pipe.fileno()) as sock:
            try:
                sock.shutdown(socket.SHUT_WR)
            finally:
                sock.detach()

    def _read(self) -> None:
        """Take outcomes until the process closes its end, which is when it ends."""
        with suppress(OSError, EOFError):
            while True:
                self._take(*pickle.loads(self._pipe.recv_bytes()))  # noqa: S301 - our own child
        try:
            code = self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        with self._lock:
            self._pipe.close()
            self.exit_reason = _exit_reason(code)
            futures, self._futures = self._futures, {}
        for number, future in futures.items():
            kind = BrokenExecutor if number in self._begun else NotBegunError
            future.set_exception(kind(self.exit_reason))
        self._on_end(self)

    def _take(self, number: int, outcome: Any, error: BaseException | None) -> None:
        if number == READY:
            self.ready = True
        elif number == LOGGED:
            self._on_log(*outcome)
        elif number == BEGUN:
            self._begun.add(outcome)
        else:
            self._begun.discard(number)
            with self._lock:
                future = self._futures.pop(number)
            if error is None:
                future.set_result(outcome)
            else:
                future.set_exception(error)


def _exit_reason(code: int) -> str:
    if code >= 0:
        return f"ended with status {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


class ProcessPool:
    """A pool of `size` processes; one that dies is replaced."""

    def __init__(self, size: int) -> None:
        self.error: AuditorError | None = None
        self._size = size
        self._workers: dict[str, WorkerProcess] = {}
        self._exit_reasons: dict[str, str] = {}
        self._failed_starts = 0
        self._closing = False
        self._logged_at: dict[str, float] = {}

    async def start_workers(self, changed: Callable[[], None]) -> None:
        """Start the processes. Raises WorkersError if the system does not let us."""
        self._loop = asyncio.get_running_loop()
        self._changed = changed
        for _ in range(self._size):
            self._add()
        if self.error is not None:
            raise self.error

    def workers(self) -> Mapping[str, Executor]:
        """Return the running processes."""
        return self._workers

    def exit_reason(self, name: str) -> str:
        """Return how a process ended."""
        return self._exit_reasons.get(name, "gone")

    async def send_command(
        self, names: Collection[str], run: str, command: Command | Quota
    ) -> None:
        """Send a command to processes; one that is ending need not take it."""
        sent = [
            asyncio.wrap_future(self._workers[name].submit(send_command, run, command))
            for name in names
            if name in self._workers
        ]
        await asyncio.gather(*sent, return_exceptions=True)

    async def end_workers(self) -> None:
        """End all processes, and wait until they are gone."""
        self._closing = True
        workers = list(self._workers.values())
        for worker in workers:
            worker.shutdown(wait=False)
        await asyncio.gather(*(asyncio.to_thread(worker.shutdown) for worker in workers))

    def _add(self) -> None:
        try:
            process = WorkerProcess(self._on_end, self._on_log)
        except OSError as error:
            self.error = WorkersError(f"workers: no process can be started: {error.strerror}")
            return
        self._workers[f"process {process.pid}"] = process

    def _on_log(self, level: int, text: str, extra: Mapping[str, Any]) -> None:
        """Log a message of a process, unless another has just logged the same."""
        now = time.monotonic()
        last = self._logged_at.get(text)
        self._logged_at = {
            logged: when
            for logged, when in self._logged_at.items()
            if now - when < _REPEAT_INTERVAL_S
        }
        if last is None or now - last >= _REPEAT_INTERVAL_S:
            self._logged_at[text] = now
            _log.log(level, "%s", text, extra=dict(extra))

    def _on_end(self, process: WorkerProcess) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._replace, process)

    def _replace(self, process: WorkerProcess) -> None:
        name = f"process {process.pid}"
        del self._workers[name]
        self._exit_reasons[name] = process.exit_reason
        if self._closing:
            return
        self._failed_starts = 0 if process.ready else self._failed_starts + 1
        if self._failed_starts >= _MAX_FAILED_STARTS * self._size:
            why = process.exit_reason
            self.error = WorkersError(f"workers: processes end before they are ready: {why}")
        if self.error is None:
            self._add()
        self._changed()
