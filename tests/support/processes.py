"""A server program, kept running on loopback for as long as a test needs it.

Ports, processes, readiness and signals; nothing here knows one name server from another
(that is in `servers`). Linux: it reads /proc and uses abstract sockets.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, TypeAlias

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from support.data import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Place", "Recipe", "Server", "claimed_port", "running"]

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_PORT_TRIES: Final = 5
#: Below the ports that Linux hands out by itself, which clients take at any moment.
_PORTS: Final = range(10240, 32768)


class Place(NamedTuple):
    """Where a server works: its folder, its port, the addresses it listens on, its zones."""

    folder: Path
    port: int
    addresses: tuple[str, ...]
    zones: dict[str, Path]


#: Writes the configuration into the folder, and returns the command line.
Configure: TypeAlias = "Callable[[Place], list[str]]"


class Recipe(NamedTuple):
    """What is needed to run one kind of server."""

    name: str
    program: str
    package: str
    configure: Configure


class _StartError(Exception):
    """The server did not come up. `in_use`: somebody else has the port."""

    def __init__(self, message: str, *, in_use: bool) -> None:
        super().__init__(message)
        self.in_use = in_use


class Server:
    """A running name server: `address`:`port`, and `addresses` for all it listens on."""

    def __init__(self, recipe: Recipe, folder: Path, port: int, zones: Path) -> None:
        self.name = recipe.name
        self.port = port
        self.addresses = _loopbacks()
        self.address = self.addresses[0]
        self._recipe = recipe
        self._folder = folder
        self._zones = zones
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """All that the program has said so far, over restarts."""
        path = self._folder / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        """The process, which leads the group of all the server's processes."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    def start(self) -> None:
        """Start, and return when every zone is answered for on every address."""
        assert self._process is None, f"{self.name} is running already"
        zones = {path.stem: path.resolve() for path in sorted(self._zones.glob("*.zone"))}
        place = Place(self._folder, self.port, self.addresses, zones)
        command = self._recipe.configure(place)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._await_zones(zones)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all its processes; nothing if it is stopped."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGCONT):
            _signal(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        _signal(process.pid, signal.SIGKILL)
        process.wait()

    def restart(self) -> None:
        """Stop and start on the same port; the zone files are read again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Fall silent: the sockets stay open, nobody reads them. Returns when it is so."""
        _signal(self.pid, signal.SIGSTOP)
        until = time.monotonic() + _STOP_SECONDS
        while not all(state == "T" for state in _group_states(self.pid)):
            assert time.monotonic() < until, f"{self.name} does not stop"

    def resume(self) -> None:
        """Go on after `pause`, with what has queued up in the sockets meanwhile."""
        _signal(self.pid, signal.SIGCONT)

    def _await_zones(self, zones: dict[str, Path]) -> None:
        until = time.monotonic() + _START_SECONDS
        for origin, address, tcp in product(zones, self.addresses, (True, False)):
            while not self._answers(origin, address, tcp=tcp):
                self._pause_for_breath()
                if time.monotonic() > until:
                    self._give_up(f"no SOA of {origin} from {address} in time")

    def _pause_for_breath(self) -> None:
        """Wait a moment, or until the process ends, which is the end of all hope."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._give_up(f"ended with status {self._process.wait(0.02)}")

    def _answers(self, origin: str, address: str, *, tcp: bool) -> bool:
        query = dns.message.make_query(origin, "SOA")
        ask = dns.query.tcp if tcp else dns.query.udp
        try:
            reply = ask(query, address, timeout=0.25, port=self.port)
        except (OSError, EOFError, dns.exception.DNSException):
            return False
        return reply.rcode() == dns.rcode.NOERROR and bool(reply.answer)

    def _give_up(self, why: str) -> NoReturn:
        in_use = "in use" in self.log
        raise _StartError(f"{self.name} {why}; its log:\n{self.log}", in_use=in_use)


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _group_states(group: int) -> list[str]:
    """Return the states of all processes of a group, `T` for a stopped one (proc(5))."""
    states = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended since it was listed
            state, _, its_group = path.read_text("ascii", "replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group:
                states.append(state)
    return states


def _loopbacks() -> tuple[str, ...]:
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        return ("127.0.0.1", "::1")
    return ("127.0.0.1",)


@contextmanager
def claimed_port() -> Iterator[int]:
    """Yield a port that is free for UDP and TCP and that no other harness takes meanwhile.

    Binding and letting go would leave a gap before the server binds, and some servers
    share a port without complaint (SO_REUSEPORT). So a socket in Linux's abstract name
    space stands for the port as long as it is ours; it goes with the process.
    """
    while True:
        port = random.choice(_PORTS)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim:
            try:
                claim.bind(f"\0auditor-tests-port-{port}")
                _try_bind(port)
            except OSError:
                continue
            yield port
            return


def _try_bind(port: int) -> None:
    for address, kind in product(_loopbacks(), (socket.SOCK_DGRAM, socket.SOCK_STREAM)):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, kind) as probe:
            probe.bind((address, port))


@contextmanager
def running(recipe: Recipe, zones: Path) -> Iterator[Server]:
    recipe = recipe._replace(program=installed(recipe.program, recipe.package))
    for attempt in range(1, _PORT_TRIES + 1):
        with ExitStack() as stack:
            # Not pytest's folder: the path of a control socket has 107 octets at most.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="auditor-"))
            port = stack.enter_context(claimed_port())
            server = Server(recipe, Path(folder), port, zones)
            try:
                server.start()
            except _StartError as error:
                if error.in_use and attempt < _PORT_TRIES:
                    continue
                pytest.fail(str(error))
            stack.callback(server.stop)
            yield server
            return
