"""The event loop of the commands, and the garbage collector while a scan goes on."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING

import pytest
from support.virtual_time import run_virtual

from auditor.run.loop import run_loop, seldom_collected

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    assert gc.isenabled()
    yield
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


async def _kind_of_loop() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def test_it_is_uvloop() -> None:
    assert run_loop(_kind_of_loop()) == "uvloop"


def test_without_uvloop_it_is_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)  # as if it were not installed
    assert run_loop(_kind_of_loop()) == "asyncio"


def test_what_goes_wrong_comes_out() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_loop(broken())


def test_garbage_is_collected_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(gc, "collect", lambda: collected.append(loop.time()))
        async with seldom_collected():
            assert not gc.isenabled()
            await asyncio.sleep(100.0)
        await asyncio.sleep(100.0)

    run_virtual(main())
    assert 3 <= len(collected) <= 20
    assert max(collected) <= 100.0


def test_no_collection_is_due_when_it_is_over() -> None:
    kept: list[list[int]] = []
    phases: list[str] = []

    def note(phase: str, _: object) -> None:
        phases.append(phase)

    async def main() -> None:
        async with seldom_collected():
            gc.callbacks.append(note)
            kept.extend([number] for number in range(100_000))
        kept.extend([number] for number in range(gc.get_threshold()[0] // 2))

    try:
        run_virtual(main())
    finally:
        gc.callbacks.remove(note)
    assert phases == []


def test_the_collector_is_back_after_an_exception() -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with seldom_collected():
                raise ZeroDivisionError

    run_virtual(main())
