"""A scan at the command line: output, early ends, progress, manifest, summary, exit code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from auditor.cli.ending import NOT_FINISHED, Ending
from auditor.cli.reporting import Reports
from auditor.cli.streams import say
from auditor.errors import AuditorError, InputError, OutputError, UsageError
from auditor.findings.judge import at_or_above
from auditor.output.parts import MANIFEST, is_folder
from auditor.output.sink import FileSink, StreamSink, partial_path
from auditor.run.identity import identify
from auditor.run.ledger import Ledger
from auditor.run.loop import seldom_collected
from auditor.run.manifest import RUNNING
from auditor.run.opening import Done, open_output
from auditor.run.tally import is_countable
from auditor.workers.workforce import make_fleet, make_scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from auditor.cli.streams import Voice
    from auditor.run.identity import Identity
    from auditor.run.scan import AnyScan
    from auditor.settings import Settings
    from auditor.targets.stream import TargetStream
    from auditor.workers.folders import FolderSink
    from auditor.workers.parted import Parted

__all__ = ["Run"]

_log = logging.getLogger("auditor")

FINDINGS_FOUND: Final = 1
FINISHED: Final = "finished"

#: Seconds between two times that what there is is made safe, and the manifest brought up to
#: date: what a power failure or a SIGKILL may cost.
_BETWEEN: Final = 10.0

#: Formats that somebody might expect by the name of an output, and not get.
_NOT_NDJSON: Final = frozenset({".arrow", ".csv", ".feather", ".parquet", ".xz"})


class Run:
    """One scan, from the command line to its exit code.

    `output` is a path or `-`; `voice` is whose format the settings decide on; `began` is when
    the command did, by `clock`, in seconds. Raises UsageError for metrics that cannot be.
    """

    def __init__(
        self,
        settings: Settings,
        stream: TargetStream,
        output: str,
        voice: Voice,
        *,
        began: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        #: The parts of an output that is a folder.
        self._parts: Parted | None = None
        if is_folder(output):
            from auditor.workers.parted import Parted  # noqa: PLC0415 - for few runs

            self._parts = Parted(output)
            self._scan: AnyScan = make_fleet(stream, settings, self._parts)
        else:
            self._scan = make_scan(stream, settings)
        self._output = output
        self._reports = Reports(settings, self._scan, voice, terminal=self._has_terminal())
        self._clock = clock
        self._began = clock() if began is None else began
        self._inputs: dict[str, Any] = {}
        self._device: int | None = None
        #: Of an output that is a file: who writes to it and to its manifest.
        self._file: FileSink | FolderSink | None = None
        self._ledger: Ledger | None = None
        self._how = FINISHED
        self._torn = self._given_up = 0
        self._noting = asyncio.Lock()
        self._begun = self._over = self._discarded = False

    def describe(
        self, arguments: Sequence[str], files: Sequence[str], excludes: Sequence[str]
    ) -> None:
        """Note what the run is about, for the manifest. Raises InputError."""
        try:
            self._identity: Identity = identify(self._settings, arguments, files, excludes)
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from error
        self._inputs = {**self._identity.inputs, "targets": self._scan.stream.total}

    def open(self, *, overwrite: bool, resume: bool) -> int | None:
        """Open the output, before anything is asked; an exit code if all is done already.

        Raises UsageError if it cannot be opened, OutputError if there is no room for it.
        """
        self._sink: FileSink | FolderSink | StreamSink
        if overwrite and resume:
            raise UsageError("--resume goes on with an output, --overwrite replaces it: not both")
        if self._parts is not None:
            return self._open_folder(self._parts, overwrite=overwrite, resume=resume)
        path = Path(self._output)
        is_file = self._output != "-" and (path.is_file() or not path.exists())
        if resume and not (is_file or path.is_dir()):
            raise UsageError("--resume goes on with a file: -o FILE says which")
        if not is_file:
            self._sink = self._stream(path)
            return None
        if path.suffix.lower() in _NOT_NDJSON:
            raise UsageError(
                f"{path}: the output is NDJSON, as it is or as .gz or .zst, not {path.suffix}; "
                "auditor convert makes other formats of it"
            )
        opened = open_output(
            path, self._settings, self._identity, overwrite=overwrite, resume=resume
        )
        if isinstance(opened, Done):
            self._say_done(opened.records)
            return self._exit_code(opened.severities)
        self._file = self._sink = opened.sink
        self._ledger = Ledger(path, self._settings, self._identity, self._scan)
        if opened.earlier is not None:
            self._ledger.follow(opened.earlier)
        return None

    def _open_folder(self, parts: Parted, *, overwrite: bool, resume: bool) -> int | None:
        """Open a folder for parts, as `open` does a file."""
        from auditor.workers.folders import FolderLedger, FolderSink  # noqa: PLC0415 - for few runs

        earlier = parts.open(self._settings, self._identity, overwrite=overwrite, resume=resume)
        if isinstance(earlier, Done):
            self._say_done(earlier.records)
            return self._exit_code(earlier.severities)
        self._file = self._sink = FolderSink(parts)
        self._ledger = FolderLedger(parts, self._settings, self._identity, self._scan)
        if earlier is not None:
            self._ledger.follow(earlier)
        return None

    def _stream(self, path: Path) -> StreamSink:
        if self._output == "-":
            if sys.stdout is None:
                raise UsageError("standard output is closed; -o FILE writes to a file")
            return StreamSink(sys.stdout.fileno())
        if path.is_dir():
            raise UsageError(f"{path}: is a directory; expected a file, or {path}/ for parts")
        try:
            # A pipe or a device takes the lines; nothing can be put in its place.
            self._device = os.open(path, os.O_WRONLY)
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
        return StreamSink(self._device, str(path))

    def _say_done(self, records: int) -> None:
        if self._settings.quiet:
            return
        if self._settings.log_format == "json":
            from auditor.cli.events import emit  # noqa: PLC0415 - for few runs

            emit("already_finished", datetime.now(UTC), output=self._output, records=records)
        else:
            say(f"auditor: {self._output}: finished already, with {records:,} records")

    async def go(self) -> int:
        """Scan, and return the exit code. Raises AuditorError."""
        work = asyncio.ensure_future(self._work())
        ending = Ending(self._scan, work, stopping=self._reports.stopping, drop=self._drop)
        deadline = self._settings.deadline
        code = NOT_FINISHED
        try:
            with ending.heeded(deadline and deadline - (self._clock() - self._began)):
                try:
                    async with seldom_collected():
                        await work
                    self._how = ending.why or FINISHED
                    if not ending.why:
                        await self._finish()
                        code = self._exit_code(self._scan.tally.severities)
                except asyncio.CancelledError:
                    self._how = ending.why or "interrupted"
                except OutputError:
                    if not self._is_abandoned():
                        raise
                    self._how = ending.why
                if self._how != FINISHED:
                    self._leave()
        except AuditorError as error:
            self._how, code = str(error), error.exit_code
            with contextlib.suppress(OutputError):  # what ended the run is what matters
                self._leave()
            raise
        finally:
            self._over = True
            self._sink.close()
            if self._device is not None:
                os.close(self._device)
            self._report_end(code)
        return code

    async def _work(self) -> None:
        """Take up what there is, and scan the rest."""
        if self._file is not None:
            await asyncio.to_thread(self._take_up, self._file)
        self._reports.begin(self._identity.fingerprint, self._inputs)
        if self._ledger is not None:
            self._ledger.begin()
        self._begun = True
        over = asyncio.Event()
        scanning = asyncio.ensure_future(self._scan.run(self._write))
        keeping = asyncio.ensure_future(self._keep(scanning, over))
        try:
            with self._reports.watching():
                self._tell_kept()
                await scanning
        finally:
            over.set()
            # Not cancelled: a thread that writes would go on, and nobody would wait for it.
            await keeping

    async def _write(self, lines: bytes) -> None:
        """Write lines, those of targets that were given up after it has been noted."""
        if self._ledger is not None and len(self._scan.given_up) > self._given_up:
            self._given_up = len(self._scan.given_up)
            await self._note(self._ledger)
        await self._sink.write(lines)

    async def _note(self, ledger: Ledger) -> None:
        """Bring the manifest up to date, one after the other. Raises OutputError."""
        async with self._noting:
            await asyncio.to_thread(ledger.write, ledger.content(RUNNING))

    def _take_up(self, file: FileSink | FolderSink) -> None:
        """Count the records that earlier sessions have left. In a thread."""
        tally, done = self._scan.tally, self._scan.done
        sound = self._ledger.sound if self._ledger is not None else None

        def note(line: bytes) -> bool:
            if self._over:
                raise OutputError("nobody waits for it any more")
            if tally.records == sound:
                # What was given up is done again, and with it all that stands behind.
                return False
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                return False
            if not is_countable(record):
                return False
            tally.note(record)
            done.add(record["target"])
            return True

        self._torn = file.take_up(note).torn

    def _tell_kept(self) -> None:
        if self._file is None or not (self._scan.done.length or self._torn):
            return
        partial = partial_path(self._file.path)
        kept, torn = self._scan.done.length, self._torn
        dropped = f", a torn end of {torn:,} octets is dropped" if torn else ""
        if torn and self._ledger is not None and kept == self._ledger.sound:
            dropped = ", those of targets that were given up and all behind them are made anew"
        _log.warning(
            "%s: %s records are kept%s",
            partial,
            f"{kept:,}",
            dropped,
            extra={
                "event": "resumed",
                "fields": {"output": str(partial), "records": kept, "torn": torn},
            },
        )

    async def _keep(self, scanning: asyncio.Future[None], over: asyncio.Event) -> None:
        """Make safe what there is, from time to time. Raises OutputError if that fails."""
        file, ledger = self._file, self._ledger
        if file is None or ledger is None:
            return
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_BETWEEN):
                    await over.wait()
                return
            try:
                await asyncio.to_thread(file.keep)
            except OutputError:
                scanning.cancel()
                raise
            with contextlib.suppress(OutputError):  # there is the one from before
                await self._note(ledger)

    async def _finish(self) -> None:
        """Put the output in its place. Raises OutputError."""
        file, ledger = self._file, self._ledger
        if file is None or ledger is None:
            return
        content = ledger.content(FINISHED)
        # Before the file has its name: then it may be somebody else's.
        await asyncio.to_thread(file.finish, lambda: ledger.write(content))

    def _leave(self) -> None:
        """Leave what there is so that a later run can go on with it. Raises OutputError."""
        file, ledger = self._file, self._ledger
        if file is None or ledger is None:
            return
        if not self._begun or (self._failed() and not self._scan.tally.records):
            # It has not really begun: leave nothing that is in the way of the next try.
            if not file.size:
                self._discarded = True
                file.discard()
                if self._begun:
                    ledger.withdraw()
            return
        try:
            file.keep()
        finally:
            for line in file.unwritten.splitlines():
                self._scan.tally.forget(orjson.loads(line))
            ledger.write(ledger.content(self._how))

    def _failed(self) -> bool:
        return self._how not in {FINISHED, "interrupted", "deadline"}

    def _drop(self) -> None:
        """Wait for nobody any more."""
        if isinstance(self._sink, StreamSink):
            self._sink.abandon()

    def _is_abandoned(self) -> bool:
        return isinstance(self._sink, StreamSink) and self._sink.abandoned

    def _exit_code(self, severities: Iterable[str]) -> int:
        failed = any(at_or_above(found, self._settings.fail_on) for found in severities)
        return FINDINGS_FOUND if failed else 0

    def _report_end(self, code: int) -> None:
        if self._file is None or self._ledger is None or self._discarded:
            self._reports.end(self._how, code)
            return
        if self._parts is not None:
            folder = self._parts.folder.name
            where = f"{folder}/{MANIFEST}"
            self._reports.end(self._how, code, records=f"{folder}/", manifest=where)
            return
        path = self._file.path
        there = path if self._how == FINISHED else partial_path(path)
        self._reports.end(self._how, code, records=there, manifest=self._ledger.path)

    def _has_terminal(self) -> bool:
        """Tell whether there is a terminal for the progress line, and for nothing else."""
        if sys.stderr is None or not sys.stderr.isatty():
            return False
        return self._output != "-" or not sys.stdout.isatty()
