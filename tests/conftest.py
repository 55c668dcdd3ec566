"""What every test gets: no network but loopback, both event loops, the shared material."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import socket
from contextlib import nullcontext
from ipaddress import ip_address
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zlib import crc32

import pytest
import uvloop
from support.data import DATA, WHY_NOT
from support.effort import is_quick, register_profiles
from support.held import Held
from support.process_state import end_of_threads, shared_state, signals_put_back

from auditor import session
from auditor.cli import convert
from auditor.output.arrow import pyarrow
from auditor.run.manifest_writer import ManifestWriter
from auditor.workers import worker

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator

T = TypeVar("T")

_LOOPS: Final = ("uvloop", "asyncio")
_REAL: Final = Path(__file__).parent / "real"

register_profiles()

# Of asyncio's debug mode: on a busy machine any step of a loop may take long.
logging.getLogger("asyncio").addFilter(lambda record: " took " not in record.getMessage())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", metavar="SEED", help="run the tests in a random order")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Let `-n auto` be three processes more than there are cores: many tests wait for servers."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return len(os.sched_getaffinity(0)) + 3


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Freeze what is there for all tests: a collection that walks over it takes 0.3 seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of real servers, and shuffle files and their tests if that is wanted."""
    for item in items:
        if item.path.is_relative_to(_REAL):
            item.add_marker(pytest.mark.process)
    if is_quick():
        left_out = [item for item in items if not _is_quick(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _is_quick(item)]
    seed = config.getoption("--shuffle")
    if seed is not None:
        # The same way in all processes.
        places: dict[Path, float] = {}
        chance = random.Random(seed)
        order = [(places.setdefault(item.path, chance.random()), chance.random()) for item in items]
        items[:] = [item for _, item in sorted(zip(order, items, strict=True), key=itemgetter(0))]


def _is_quick(item: pytest.Item) -> bool:
    """Tell whether a quick run has a test; of one for both kinds of loop it has one of them."""
    if item.get_closest_marker("full"):
        return False
    callspec = getattr(item, "callspec", None)
    loop = None if callspec is None else callspec.params.get("run")
    return loop is None or loop == _LOOPS[crc32(item.nodeid.replace(loop, "").encode()) % 2]


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.getoption("--shuffle")
    return None if seed is None else f"in the random order of --shuffle {seed}"


@pytest.fixture(autouse=True)
def _leaves_the_process_as_it_was() -> Iterator[None]:
    """Fail a test that changes what all tests of its process share: no order may matter."""
    before = shared_state()
    with signals_put_back():
        yield
    end_of_threads()
    assert shared_state() == before


@pytest.fixture(scope="session", autouse=True)
def _what_is_frozen_stays_so() -> Iterator[None]:
    """Let no command thaw or hide what is there for all tests, as one in a process may."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for module in (session, worker):
            monkeypatch.setattr(module, "garbage_collected_by_clock", nullcontext)
        monkeypatch.setattr(convert, "load_arrow", pyarrow)
        for name in ("freeze", "unfreeze"):
            monkeypatch.setattr(gc, name, lambda: None)
        yield


@pytest.fixture
def memory_files() -> Iterator[Any]:
    """Yield fsspec's file system in memory, which all tests of a process share, empty."""
    fsspec = pytest.importorskip("fsspec", reason="pip install 'auditor[cluster]'")
    store = fsspec.filesystem("memory")
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]


@pytest.fixture(autouse=True)
def _loopback_only(_leaves_the_process_as_it_was: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to connect or send anywhere else: a test must not depend on the world."""

    def guard(name: str) -> None:
        real: Callable[..., Any] = getattr(socket.socket, name)

        def guarded(self: socket.socket, *args: Any) -> Any:
            address = args[-1]
            if isinstance(address, tuple) and not ip_address(address[0].split("%")[0]).is_loopback:
                pytest.fail(f"{name} to {address}: tests talk to loopback only")
            return real(self, *args)

        monkeypatch.setattr(socket.socket, name, guarded)

    for name in ("connect", "connect_ex", "sendto"):
        guard(name)


@pytest.fixture
def shared_data() -> Path:
    if DATA is None:
        pytest.skip(WHY_NOT)
    return DATA


@pytest.fixture(params=_LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, T]], T]:
    """Run a coroutine to its end on an event loop in debug mode; in a full run, on each kind."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def runner(coroutine: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(debug=True, loop_factory=factory) as loop:
            # A test that blocks the loop is seen; one on a busy machine is not mistaken for it.
            loop.get_loop().slow_callback_duration = 1.0
            return loop.run(coroutine)

    return runner


@pytest.fixture
def closed_ledgers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the ledgers that a test has begun, which keep a file open until a run closes them."""
    begun: list[ManifestWriter] = []
    keep_room = ManifestWriter._keep_room

    def noted(ledger: ManifestWriter) -> None:
        begun.append(ledger)
        keep_room(ledger)

    monkeypatch.setattr(ManifestWriter, "_keep_room", noted)
    yield
    for ledger in begun:
        ledger.close()


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    with held.server:
        yield held
        held.gate.open()
