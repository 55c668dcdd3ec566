"""The event loop of the commands, and the garbage collector while a scan goes on.

Also tests `cli/garbage.py`.
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Final

import pytest
from support.virtual_time import run_virtual

from auditor.cli.garbage import cycles_uncollected
from auditor.run.event_loop import garbage_collected_by_clock, run_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Before the suite keeps them from its tests.
_FREEZE: Final = gc.freeze
_UNFREEZE: Final = gc.unfreeze


@pytest.fixture
def _thawed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Thaw what the suite has frozen: a command finds nothing frozen, and leaves nothing so."""
    monkeypatch.setattr(gc, "freeze", _FREEZE)
    monkeypatch.setattr(gc, "unfreeze", _UNFREEZE)
    assert gc.isenabled()
    gc.unfreeze()
    yield
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    gc.freeze()


async def _kind_of_loop() -> str:
    return type(asyncio.get_running_loop()).__mro__[1].__module__


def test_it_is_uvloop() -> None:
    assert run_loop(_kind_of_loop()) == "uvloop"


def test_what_goes_wrong_comes_out() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_loop(broken())


@pytest.mark.usefixtures("_thawed")
def test_garbage_is_collected_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(gc, "collect", lambda: collected.append(loop.time()))
        async with garbage_collected_by_clock():
            assert not gc.isenabled()
            await asyncio.sleep(100.0)
        await asyncio.sleep(100.0)

    run_virtual(main())
    assert 3 <= len(collected) <= 20
    assert max(collected) <= 100.0


@pytest.mark.usefixtures("_thawed")
def test_no_collection_is_due_when_it_is_over() -> None:
    kept: list[list[int]] = []
    phases: list[str] = []

    def note(phase: str, _: object) -> None:
        phases.append(phase)

    async def main() -> None:
        async with garbage_collected_by_clock():
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
            async with garbage_collected_by_clock():
                raise ZeroDivisionError

    run_virtual(main())


def test_no_command_thaws_what_all_tests_share() -> None:
    with cycles_uncollected():
        pass
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
