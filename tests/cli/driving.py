"""Ways to run `auditor`: as a process of its own, at a terminal, step by step."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import contextmanager, nullcontext, suppress
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from support.fleet import FLEET
from support.process_state import signals_put_back

from auditor.cli.app import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = [
    "PROGRAM",
    "SECONDS",
    "UNCOMPILED",
    "ZONES",
    "Ended",
    "Terminal",
    "at_terminal",
    "auditor",
    "call",
    "call_as_one",
    "codes",
    "interrupt_until_gone",
    "manifest",
    "read_line",
    "records",
    "running",
    "standard_input",
    "wait_until",
]

PROGRAM: Final = (sys.executable, "-m", "auditor")
#: For a process whose files may not grow: Python would cut short what it compiles, and keep it.
UNCOMPILED: Final = {"PYTHONDONTWRITEBYTECODE": "1"}
ZONES: Final = str(FLEET / "zones")
#: For what takes no time unless the machine is in trouble.
SECONDS: Final = 120.0


class Ended(NamedTuple):
    """How a command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def auditor(*arguments: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None) -> Ended:
    """Run the program to its end."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env={**os.environ, **(env or {})},
        timeout=SECONDS,
        check=False,
    )
    out, err = (text.decode("utf-8", "backslashreplace") for text in (done.stdout, done.stderr))
    return Ended(done.returncode, out, err)


def call(*arguments: str | Path, stdin: bytes = b"") -> Ended:
    """Run a command to its end in this process, with streams of its own.

    Not beside a thread that serves it: each would have half of the time that timeouts count on.
    """
    with (
        standard_input(stdin),
        _standard_output(1, "stdout") as out,
        _standard_output(2, "stderr") as err,
        signals_put_back(),
    ):
        code = run([str(argument) for argument in arguments])
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        return Ended(code, _written(out), _written(err))


def call_as_one(*arguments: str) -> tuple[int, str]:
    """Run a command as `call` does; return its exit code and all that it writes, in order."""
    with (
        standard_input(b""),
        _standard_output(1, "stdout") as out,
        _standard_output(2, "stderr", out),
        signals_put_back(),
    ):
        code = run(arguments)
        sys.stdout.flush()
        return code, _written(out)


@contextmanager
def standard_input(octets: bytes) -> Iterator[None]:
    """Let what reads standard input, by its number or by its name, read these octets."""
    stream, number = sys.stdin, os.dup(0)
    with tempfile.TemporaryFile() as file:
        file.write(octets)
        file.seek(0)
        os.dup2(file.fileno(), 0)
    try:
        with open(0, closefd=False, encoding="utf-8") as sys.stdin:
            yield
    finally:
        sys.stdin = stream
        os.dup2(number, 0)
        os.close(number)


@contextmanager
def _standard_output(number: int, name: str, same: IO[bytes] | None = None) -> Iterator[IO[bytes]]:
    """Yield the file that has what is written to a stream, by its number or by its name.

    It is the `same` as another stream's if that is given.
    """
    stream, before = getattr(sys, name), os.dup(number)
    stream.flush()
    with tempfile.TemporaryFile() if same is None else nullcontext(same) as file:
        os.dup2(file.fileno(), number)
        try:
            with open(number, "w", closefd=False, encoding="utf-8") as text:
                setattr(sys, name, text)
                yield file
        finally:
            setattr(sys, name, stream)
            os.dup2(before, number)
            os.close(before)


def _written(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "backslashreplace")


def _heed_signals() -> None:
    """Heed the signals that end a run, whatever became of them in this process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def running(*arguments: str | Path, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program for as long as the context lasts; pipes unless `streams` say otherwise.

    It heeds Ctrl-C and SIGTERM, also where the tests run in the background and do not.
    """
    given: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    given["preexec_fn"] = _heed_signals
    given.update(streams)
    with subprocess.Popen([*PROGRAM, *map(str, arguments)], **given) as process:
        try:
            yield process
        finally:
            process.kill()


def read_line(pipe: IO[bytes] | None) -> str:
    """Return the next line of a pipe, without its end; "" at the end."""
    assert pipe is not None
    return pipe.readline().decode().rstrip("\n")


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds."""
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.01)


def interrupt_until_gone(process: subprocess.Popen[bytes]) -> int:
    """Press Ctrl-C again and again; return the exit code."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(0.05)
    raise AssertionError("it does not end")


class Terminal:
    """The screen side of a terminal: what has been written to it so far."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.text = ""

    def read_until(self, wanted: Callable[[str], object]) -> str:
        """Read on until what was written satisfies `wanted`, and return all of it."""
        while not wanted(self.text):
            try:
                data = os.read(self._handle, 65536)
            except OSError:  # Linux: the last writer is gone
                data = b""
            assert data, f"the terminal was closed after {self.text!r}"
            self.text += data.decode("utf-8", "replace")
        return self.text

    def read_all(self) -> str:
        """Read to the end."""
        with suppress(AssertionError):
            self.read_until(lambda _: False)
        return self.text


@contextmanager
def at_terminal(
    *arguments: str | Path, on: tuple[str, ...] = ("stderr",), columns: int = 120, **streams: Any
) -> Iterator[tuple[subprocess.Popen[bytes], Terminal]]:
    """Run the program with some of its streams `on` a terminal; see `running`."""
    screen, line = pty.openpty()
    try:
        fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color"}
        for name in ("NO_COLOR", "COLUMNS", "LINES", "CI", "FORCE_COLOR"):
            environment.pop(name, None)
        environment.update(streams.pop("env", {}))
        streams.update(dict.fromkeys(on, line))
        with running(*arguments, env=environment, **streams) as process:
            os.close(line)
            line = -1
            yield process, Terminal(screen)
    finally:
        os.close(screen)
        if line >= 0:
            os.close(line)


def records(text: str) -> list[dict[str, Any]]:
    """Return the records in a text of NDJSON, every line of which is whole."""
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def codes(record: dict[str, Any]) -> list[str]:
    """Return the codes of a record's findings."""
    return [finding["code"] for finding in record["findings"]]


def manifest(output: Path) -> dict[str, Any]:
    """Return the manifest beside an output."""
    found: dict[str, Any] = json.loads(
        output.with_name(output.name + ".run.json").read_text("utf-8")
    )
    return found
