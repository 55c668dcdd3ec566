"""Run a child process, and read its CPU (user and system), wall time and peak memory.

The figures are the kernel's for that process and its threads (wait4), without the servers, the
proxy and the benchmark itself.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["ROOT", "BenchError", "Helper", "Run", "helper", "run"]

#: The repository: children are started from here, so that `-m benchmarks.…` finds them.
ROOT: Final = Path(__file__).resolve().parent.parent

#: `ru_maxrss` is in KiB, on macOS in bytes.
_RSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024

_START_SECONDS: Final = 20

#: Modules are compiled once, as those of an installed program are, and not in every run.
_ENVIRONMENT: Final = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}


class BenchError(Exception):
    """A measured program failed, or did not end in time."""


@dataclass(frozen=True)
class Run:
    """Resource usage of one child, and how many of its questions were answered.

    `cpu`, `wall`: seconds of the whole process; `work_cpu`, `work_wall`: without its start, if
    it reports them, else the same; `peak`: bytes of memory.
    """

    cpu: float
    wall: float
    peak: int
    output: str = ""
    asked: int = 0
    answered: int = 0
    work_cpu: float = 0.0
    work_wall: float = 0.0
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The share of questions answered."""
        return self.answered / self.asked if self.asked else 0.0

    @property
    def micros(self) -> float:
        """Microseconds of CPU per question, without the start of the process."""
        return self.work_cpu / max(self.asked, 1) * 1e6

    @property
    def whole_micros(self) -> float:
        """Microseconds of CPU per question, with the start of the process."""
        return self.cpu / max(self.asked, 1) * 1e6


def run(command: Sequence[str], *, limit: float = 600.0, codes: Sequence[int] = (0,)) -> Run:
    """Run a command to its end. Raises BenchError if it fails or takes more than `limit` s."""
    gc.collect()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        timer = threading.Timer(limit, process.kill)
        timer.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        finally:
            timer.cancel()
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in codes:
            name = " ".join(Path(part).name for part in command[:3])
            if process.returncode == -signal.SIGKILL and wall >= limit:
                raise BenchError(f"{name} …: not finished after {limit:.0f} s")
            raise BenchError(f"{name} …: status {process.returncode}: {_last_line(err)}")
        out.seek(0)
        cpu = used.ru_utime + used.ru_stime
        return Run(
            cpu=cpu,
            wall=wall,
            peak=used.ru_maxrss * _RSS_UNIT,
            output=out.read().decode("utf-8", "replace"),
            work_cpu=cpu,
            work_wall=wall,
        )


def _last_line(file: IO[bytes]) -> str:
    file.seek(0)
    lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "no message"


class Helper:
    """A process of the benchmark's own beside the servers: the proxy, the responder.

    It prints one JSON line when it listens (with its `port`), and another with its counts when it
    is ended.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line()["port"])

    def _line(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise BenchError("a helper of the benchmark ended too soon")
        values: dict[str, Any] = json.loads(line)
        return values

    def stop(self) -> dict[str, Any]:
        """End it and return its counts."""
        self._process.terminate()
        seen = self._line()
        self._process.wait(_START_SECONDS)
        return seen


@contextmanager
def helper(module: str, *arguments: str) -> Iterator[Helper]:
    """Run `benchmarks.<module>` as a helper process, which ends with the context."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Helper(process)
        finally:
            if process.poll() is None:
                process.kill()
