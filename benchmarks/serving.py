"""The servers of the tests, as Debian ships them, for the benchmarks."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from benchmarks.measure import ROOT, BenchError

sys.path.insert(0, str(ROOT / "tests"))

from support import limited_resolvers, servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import Server

__all__ = ["AUTHORITIES", "RESOLVERS", "TITLES", "serve", "serve_resolver", "serve_unbound"]

_AUTHORITIES = {
    "nsd": servers.nsd,
    "knot": servers.knot,
    "bind": servers.bind,
    "powerdns": servers.powerdns,
}
AUTHORITIES = tuple(_AUTHORITIES)
TITLES = {"nsd": "NSD", "knot": "Knot DNS", "bind": "BIND", "powerdns": "PowerDNS"}


RESOLVERS = limited_resolvers.RESOLVERS


@contextmanager
def serve(name: str, zones: Path) -> Iterator[Server]:
    """Run one of `AUTHORITIES` with a folder's zones. Raises BenchError if that fails."""
    with _outcomes(), _AUTHORITIES[name](zones) as server:
        yield server


@contextmanager
def serve_unbound(upstream: Server, zones: Path) -> Iterator[Server]:
    """Run Unbound in front of a server. Raises BenchError if that fails."""
    with _outcomes(), servers.unbound(upstream.port, zones) as server:
        yield server


@contextmanager
def serve_resolver(name: str, authority: int) -> Iterator[Server]:
    """Run one of `RESOLVERS` in front of an authority. Raises BenchError if that fails."""
    with _outcomes(), limited_resolvers.resolver(name, authority) as server:
        yield server


@contextmanager
def _outcomes() -> Iterator[None]:
    """Turn pytest's skips and failures of the tests' servers into BenchError."""
    try:
        yield
    except (pytest.skip.Exception, pytest.fail.Exception) as outcome:
        raise BenchError(str(outcome)) from None
