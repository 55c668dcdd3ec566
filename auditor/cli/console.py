"""Standard output and standard error: data on one, everything else on the other."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import click

from auditor.cli.formatting import fitted
from auditor.errors import ClosedOutputError, OutputError
from auditor.quoting import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "ErrorOutput",
    "engine_messages",
    "flush",
    "prepare",
    "print_data",
    "print_json",
    "print_lines",
    "print_message",
]

#: Characters of a line of a message, which may contain names of files of any length.
_MAX_LINE: Final = 10_000
_STYLE: Final = re.compile(r"(\x1b\[[0-9;]*m)")


def prepare() -> None:
    """Make the standard streams usable for any caller.

    A closed one (`<&-`) becomes the null device: whatever is opened next would get its number,
    and the event loop aborts over that. What the character set of standard output lacks is
    written as an escape, not an error.
    """
    if None in (sys.stdin, sys.stdout, sys.stderr):
        while (null := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - standard error
            pass
        os.close(null)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def print_data(text: str = "") -> None:
    """Print data on standard output. Raises OutputError if it cannot be written."""
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    try:
        click.echo(text, color=False if os.environ.get("NO_COLOR") else None)
    except OSError as error:
        raise unwritable(error) from error


def print_lines(lines: Iterable[str]) -> None:
    """Print lines for a person, each as it fits into the terminal. Raises OutputError."""
    for line in lines:
        print_data(fitted(line))


def print_json(value: object, *, indent: bool = False) -> None:
    """Print a value as JSON on standard output, fit for a terminal. Raises OutputError."""
    import orjson  # noqa: PLC0415 - for few commands

    option = orjson.OPT_INDENT_2 if indent else 0
    print_data(printable_json(orjson.dumps(value, option=option).decode()))


def print_message(text: str) -> None:
    """Print lines about the run on standard error, if it is open; fit for a terminal."""
    # Not by click, which would bypass the progress display in place of sys.stderr.
    with suppress(OSError):
        if sys.stderr is not None:
            colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
            shown = _escaped(text if colour else click.unstyle(text))
            print(shown, file=sys.stderr, flush=True)  # noqa: T201


def _escaped(text: str) -> str:
    """Return lines with what does not print escaped, but for colours."""
    if text.isprintable():
        return text
    parts = _STYLE.split(text)
    for place in range(0, len(parts), 2):
        lines = parts[place].split("\n")
        parts[place] = "\n".join(printable(line, _MAX_LINE) for line in lines)
    return "".join(parts)


class ErrorOutput:
    """How the error that ends a command is printed: as a line for people, or as a JSON event.

    It is in the context of the command (`obj`), and is set when the log format is known.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._printed = ""

    @classmethod
    def from_arguments(cls, arguments: Sequence[str], environ: Mapping[str, str]) -> ErrorOutput:
        """Return what a command line seems to ask for, before it is parsed."""
        choice = environ.get("AUDITOR_LOG_FORMAT", "")
        for text, following in zip(arguments, [*arguments[1:], ""], strict=True):
            name, equals, value = text.partition("=")
            if name == "--log-format":
                choice = value if equals else following
        return cls(as_json=choice == "json" and arguments[0] == "scan")

    def fail(self, message: str, code: int) -> None:
        """Print the error that ended the command, once."""
        if not self.as_json:
            print_message(f"auditor: {message}")
        elif message != self._printed:
            self._printed = message
            from auditor.cli.log_json import error_event  # noqa: PLC0415 - for few commands

            error_event(message, code)


def unwritable(error: OSError) -> OutputError:
    """Return the error for a standard output that cannot be written."""
    if isinstance(error, BrokenPipeError):
        return ClosedOutputError("standard output: closed by its reader")
    return OutputError(f"standard output: cannot be written: {error.strerror}")


def flush() -> OSError | None:
    """Flush standard output; return the error, if there is one."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # The interpreter would try to flush it again, and print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


class _Messages(logging.Handler):
    """Prints what the engines log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print `auditor: ` and the message."""
        print_message(f"auditor: {record.getMessage()}")


@contextmanager
def engine_messages(*, quiet: bool = False) -> Iterator[None]:
    """Print what the engines log about servers; nothing if `quiet`.

    Errors are not printed: an error ends the command, and is its last message.
    """
    log = logging.getLogger("auditor")
    handler = logging.NullHandler() if quiet else _Messages()
    handler.addFilter(lambda record: record.levelno < logging.ERROR)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
