"""What every test gets: no network but loopback, both event loops, the shared material."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import uvloop
from hypothesis import settings
from support.data import DATA, WHY_NOT
from support.held import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

T = TypeVar("T")

# A busy machine is no finding.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, T]], T]:
    """Run a coroutine to its end, once on each kind of event loop, in debug mode."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def runner(coroutine: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(debug=True, loop_factory=factory) as loop:
            # A test that blocks the loop is seen; one on a busy machine is not mistaken for it.
            loop.get_loop().slow_callback_duration = 1.0
            return loop.run(coroutine)

    return runner


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    with held.server:
        yield held
        held.gate.open()
