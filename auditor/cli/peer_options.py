"""Options of massdns, zdns and dnsx, and their equivalents here, for error messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["peer_option"]

_FILE: Final = "-i FILE"
_SERVERS: Final = "--server ADDR, or --server @FILE for a list"
_RATE: Final = "--qps N"
_IN_FLIGHT: Final = "--concurrency N"
_TRIES: Final = "--tries N"

#: The equivalent of each option of another tool.
_HERE: Final = {
    "-l": _FILE,
    "-list": _FILE,
    "--list": _FILE,
    "--input-file": _FILE,
    "-f": _FILE,
    "-r": _SERVERS,
    "-resolver": _SERVERS,
    "--resolver": _SERVERS,
    "--resolvers": _SERVERS,
    "--name-servers": _SERVERS,
    "-rl": _RATE,
    "-rate-limit": _RATE,
    "--rate-limit": _RATE,
    "-t": _IN_FLIGHT,
    "-threads": _IN_FLIGHT,
    "--threads": _IN_FLIGHT,
    "-s": _IN_FLIGHT,
    "--hashmap-size": _IN_FLIGHT,
    "-retry": _TRIES,
    "--retry": _TRIES,
    "--retries": _TRIES,
    "-c": _TRIES,
    "--resolve-count": _TRIES,
    "-silent": "-q",
    "-json": "nothing: NDJSON is what scan writes",
}


def peer_option(option: str, arguments: Sequence[str]) -> str | None:
    """Return the option of another tool, as it was typed, and its equivalent here.

    `option` is what could not be read; of `-rl`, typed as one argument, that is `-r`. None for
    any other.
    """
    typed = [argument.partition("=")[0] for argument in arguments if argument.startswith(option)]
    known = next((name for name in typed if name in _HERE), None)
    return f"{known}; here it is {_HERE[known]}" if known else None
