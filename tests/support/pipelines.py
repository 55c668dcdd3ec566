"""What tests drive a pipeline with: an engine with delays, a writer with a gate, plain stages."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import tempfile
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import orjson

from auditor.output.tally import Tally
from auditor.pipeline.pipeline import Limits, Pipeline
from auditor.resolve.answer import Answer, Question
from auditor.resolve.cache import Cache
from auditor.resolve.resolver import CachingResolver
from auditor.targets.target import Origin, Target
from auditor.wire.codes import A
from support.fake_engine import FakeEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest

    from auditor.output.record_types import Record
    from auditor.resolve.answer import AnswerCallback, Steps
    from auditor.targets.target import Block

__all__ = [
    "PacedEngine",
    "TimedEngine",
    "Writer",
    "alone",
    "in_blocks",
    "make_audit",
    "make_pipeline",
    "make_targets",
    "no_traces",
    "open_files",
    "until",
]


@contextmanager
def no_traces(caplog: pytest.LogCaptureFixture, folder: Path) -> Iterator[None]:
    """Insist that no open file is left, and no exception that nobody has looked at.

    Temporary files are made in `folder` meanwhile.
    """
    files = open_files()
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = None
    gc.collect()
    records = [*caplog.get_records("call"), *caplog.records]
    assert [record for record in records if record.levelno >= logging.ERROR] == []
    assert open_files() == files
    assert list(folder.iterdir()) == []


def open_files() -> list[str]:
    """Return the regular files that this process holds open, deleted ones included."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder that is being listed
            target = str(link.readlink())
            if target.startswith("/") and not target.startswith(("/dev/", "/proc/")):
                found.append(target)
    return sorted(found)


class TimedEngine(FakeEngine):
    """Answers each question after its own time."""

    def __init__(
        self,
        delay: Callable[[Question], float],
        zone: Callable[[Question], Answer] | None = None,
    ) -> None:
        super().__init__(zone or (lambda _question: Answer("NODATA")))
        self._delay = delay

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        super().submit(questions, deliver)
        loop = asyncio.get_running_loop()
        for question in questions:
            loop.call_later(self._delay(question), self._reply_one, question)

    def _reply_one(self, question: Question) -> None:
        if not self.closed and question in self.open:
            self.reply([question])


class PacedEngine(FakeEngine):
    """Sends `rate` questions a second, first come, first served; each is answered `rtt` later."""

    def __init__(
        self, rate: float, zone: Callable[[Question], Answer] | None = None, *, rtt: float = 0.02
    ) -> None:
        super().__init__(zone or (lambda _question: Answer("NODATA")))
        self.rate = rate
        self._rtt = rtt
        self._unsent: deque[Question] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        super().submit(questions, deliver)
        self._unsent += questions
        if self._timer is None:
            self._wait()

    def backlog(self) -> int:
        return len(self._unsent)

    async def close_engine(self) -> None:
        self._unsent.clear()
        await super().close_engine()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(1 / self.rate, self._send)

    def _send(self) -> None:
        self._timer = None
        if self._unsent:
            asyncio.get_running_loop().call_later(self._rtt, self._answer, self._unsent.popleft())
            self._wait()
        if self.wake is not None:
            self.wake()

    def _answer(self, question: Question) -> None:
        if question in self.open:
            self.reply([question])


class Writer:
    """Takes lines; while `gate` is closed it takes its time."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.largest = 0

    async def __call__(self, chunk: bytes) -> None:
        self.largest = max(self.largest, len(chunk))
        assert chunk.endswith(b"\n")
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.lines += chunk.splitlines(keepends=True)

    @property
    def targets(self) -> list[str]:
        """What the lines so far are about."""
        return [orjson.loads(line)["target"] for line in self.lines]


def make_targets(count: int) -> list[Target]:
    """Return so many domains: `0.example.net` and so on."""
    return [Target(f"{number}.example.net", "domain", 0, Origin()) for number in range(count)]


def in_blocks(targets: Sequence[Target], size: int) -> Iterator[Block]:
    """Yield targets in blocks."""
    for start in range(0, len(targets), size):
        yield list(targets[start : start + size])


def make_audit(rounds: int, fill: int = 0) -> Callable[[Target], Steps[Record]]:
    """Return stages of so many rounds; the line is `fill` octets longer than it must be."""

    def audit(target: Target) -> Steps[Record]:
        asked = 0
        for number in range(rounds):
            asked += len((yield [Question(f"{number}.{target.text}", A)]))
        return cast(
            "Record",
            {
                "target": target.text,
                "kind": target.kind,
                "verdict": "pass",
                "findings": [],
                "ptr": None,
                "asked": asked,
                "fill": "x" * fill,
            },
        )

    return audit


def make_pipeline(
    engine: FakeEngine,
    writer: Writer,
    audit: Callable[[Target], Steps[Record]],
    **limits: int,
) -> tuple[Pipeline, Tally]:
    """Return a pipeline without a cache, and what it counts on."""
    tally = Tally()
    lookup = CachingResolver(engine, Cache(0))
    pipeline = Pipeline(lookup, audit, writer, tally=tally, limits=Limits()._replace(**limits))
    return pipeline, tally


async def until(condition: Callable[[], bool]) -> None:
    """Give everyone else their turns until something is so; a deadlock shows as a failure."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come to that")


def alone() -> bool:
    """Tell whether no other task is there."""
    return asyncio.all_tasks() == {asyncio.current_task()}
