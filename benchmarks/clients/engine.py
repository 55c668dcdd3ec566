"""auditor's engines, alone: `python -m benchmarks.clients.engine … ENGINE`.

Garbage is collected as rarely as in `auditor scan`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from auditor.resolve.answer import Question
from auditor.resolve.factory import make_plain_engine
from auditor.run.event_loop import garbage_collected_by_clock, new_loop, run_loop
from auditor.settings import Server, Settings
from auditor.wire import codes
from benchmarks.clients.report import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Answer

#: As in the pipeline: blocks, and at most this many questions waiting to be sent.
_BLOCK = 256
_BACKLOG = 512

#: Makes questions as the pipeline does.
_NEW = tuple.__new__


async def _main(task: Task, engine_name: str) -> None:
    engine = make_plain_engine(
        Settings(servers=(Server(task.address, task.port),), engine=engine_name)
    )
    await engine.start()
    rdtype: int = getattr(codes, task.rdtype)
    left = len(task.names)
    done = asyncio.get_running_loop().create_future()
    room = asyncio.Event()
    statuses = task.statuses

    def deliver(pairs: Sequence[tuple[Question, Answer]]) -> None:
        nonlocal left
        left -= len(pairs)
        statuses.update([answer.status for _, answer in pairs])
        if not left:
            done.set_result(None)

    engine.on_room(room.set)
    async with garbage_collected_by_clock():
        for start in range(0, left, _BLOCK):
            await asyncio.sleep(0)
            while engine.backlog() > _BACKLOG:
                room.clear()
                await room.wait()
            names = task.names[start : start + _BLOCK]
            engine.submit([_NEW(Question, (name, rdtype)) for name in names], deliver)
        await done
    task.finish(counters=dict(engine.counters()))
    await engine.close_engine()


if __name__ == "__main__":
    # Lazy imports happen before the clock starts, as they do for the other clients.

    new_loop().close()

    chosen = sys.argv.pop()
    run_loop(_main(Task(), chosen))
