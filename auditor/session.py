"""Session of a scan: opens or resumes its output, runs it, syncs, ends early, writes the manifest.

Progress and messages go to a `Reporter`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor.errors import NOT_FINISHED, AuditorError, OutputError, UsageError
from auditor.output.folder import MANIFEST, is_folder
from auditor.output.sink import FileSink, StreamSink, partial_path
from auditor.output.tally import is_countable
from auditor.run.event_loop import garbage_collected_by_clock
from auditor.run.existing_output import FinishedOutput, open_output
from auditor.run.manifest import RUNNING
from auditor.run.manifest_writer import ManifestWriter
from auditor.run.outcome import Outcome, outcome
from auditor.run.server_sample import ServerSample
from auditor.run.shutdown import Shutdown
from auditor.run.zone_facts import ZoneFacts
from auditor.targets.given_targets import nothing_given
from auditor.workers.factory import make_coordinator, make_scan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.output.selected import OnlyVerdicts
    from auditor.run.identity import Identity
    from auditor.run.progress import Reporter
    from auditor.run.scan import AnyScan
    from auditor.settings import Settings
    from auditor.targets.stream import TargetStream
    from auditor.workers.parts import PartedOutput

__all__ = ["ScanSession"]

_log = logging.getLogger("auditor")

FINISHED: Final = "finished"

#: Seconds between syncs of the output and updates of the manifest: a power failure or a SIGKILL
#: loses at most that much.
_SYNC_INTERVAL_S: Final = 10.0

#: Suffixes of formats that an output cannot have.
_NOT_NDJSON: Final = frozenset(
    {".7z", ".arrow", ".avro", ".br", ".bz2", ".csv", ".feather", ".htm", ".html", ".lz4", ".ods"}
    | {".orc", ".parquet", ".pdf", ".tar", ".tgz", ".tsv", ".xls", ".xlsx", ".xml", ".xz", ".zip"}
)
#: Suffixes of the compressions that an output may have.
_COMPRESSIONS: Final = frozenset({".gz", ".zst"})


class ScanSession:
    """One session of a scan, from opening or resuming its output to an exit code.

    `output` is a path or `-`; `make_reporter` returns the reporter of the scan; `only`: selects
    the records to write, all of them without it; `began` is when the command began, by `clock`,
    in seconds. Raises UsageError for metrics that cannot be written.
    """

    def __init__(
        self,
        settings: Settings,
        stream: TargetStream,
        output: str,
        make_reporter: Callable[[AnyScan], Reporter],
        *,
        only: OnlyVerdicts | None = None,
        began: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        #: Set if the output is a folder.
        self._parts: PartedOutput | None = None
        if is_folder(output):
            from auditor.workers.parts import PartedOutput  # noqa: PLC0415 - for few runs

            self._parts = PartedOutput(output)
            self._scan: AnyScan = make_coordinator(stream, settings, self._parts)
        else:
            self._scan = make_scan(stream, settings)
        self._zone_facts = ZoneFacts(settings, output)
        self._output = output
        self._only = only
        self._files: Sequence[str] = ()
        self._sample = ServerSample(settings)
        self._reporter = make_reporter(self._scan)
        self._clock = clock
        self._began = clock() if began is None else began
        self._inputs: dict[str, Any] = {}
        self._device: int | None = None
        #: Set if the output is a file: its sink and the writer of its manifest.
        self._file: FileSink | PartedOutput | None = None
        self._manifest_writer: ManifestWriter | None = None
        self._ended_how = FINISHED
        self._torn = self._given_up = 0
        self._noting = asyncio.Lock()
        self._begun = self._over = self._discarded = self._is_empty = False

    def describe(self, identity: Identity, files: Sequence[str]) -> None:
        """Note the identity of the run for the manifest; `files` are its inputs."""
        self._files = files
        self._identity = identity
        self._inputs = {**self._identity.inputs, "targets": self._scan.stream.total}

    def open_output(self, *, overwrite: bool, resume: bool) -> int | None:
        """Open the output, before any query; return an exit code if it is complete already.

        Raises UsageError if it cannot be opened, OutputError if there is no room for it.
        """
        self._sink: FileSink | PartedOutput | StreamSink
        if overwrite and resume:
            raise UsageError("--resume continues an output, --overwrite replaces it: not both")
        if self._parts is not None:
            return self._open_folder(self._parts, overwrite=overwrite, resume=resume)
        path = Path(self._output)
        is_file = self._output != "-" and (path.is_file() or not path.exists())
        if resume and not (is_file or path.is_dir()):
            raise UsageError("--resume continues a file: add -o FILE")
        if not is_file:
            self._sink = self._stream(path)
            return None
        name = path.with_suffix("") if path.suffix.lower() in _COMPRESSIONS else path
        if name.suffix.lower() in _NOT_NDJSON:
            raise UsageError(
                f"{path}: the output is NDJSON, plain or as .gz or .zst, not {name.suffix}; "
                "auditor convert makes other formats of it"
            )
        opened = open_output(
            path, self._settings, self._identity, overwrite=overwrite, resume=resume
        )
        if isinstance(opened, FinishedOutput):
            return self._done_before(opened)
        self._file = self._sink = opened.sink
        self._manifest_writer = ManifestWriter(path, self._settings, self._identity, self._scan)
        if opened.earlier is not None:
            self._manifest_writer.continue_from(opened.earlier)
        return None

    def _open_folder(self, parts: PartedOutput, *, overwrite: bool, resume: bool) -> int | None:
        """Open a folder for parts, as `open_output` does a file."""
        from auditor.workers.parts import FolderManifestWriter  # noqa: PLC0415 - for few runs

        earlier = parts.open_folder(
            self._settings, self._identity, overwrite=overwrite, resume=resume
        )
        if isinstance(earlier, FinishedOutput):
            return self._done_before(earlier)
        self._file = self._sink = parts
        self._manifest_writer = FolderManifestWriter(
            parts, self._settings, self._identity, self._scan
        )
        if earlier is not None:
            self._manifest_writer.continue_from(earlier)
        return None

    def _stream(self, path: Path) -> StreamSink:
        if self._output == "-":
            if sys.stdout is None:
                raise UsageError("standard output is closed; -o FILE writes to a file")
            return StreamSink(sys.stdout.fileno())
        if path.is_dir():
            raise UsageError(f"{path}: is a directory; expected a file, or {path}/ for parts")
        try:
            # A pipe or a device takes the lines; it cannot be replaced by rename.
            self._device = os.open(path, os.O_WRONLY)
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
        return StreamSink(self._device, str(path))

    def _done_before(self, done: FinishedOutput) -> int:
        """Report that the output is complete; return the exit code of the run that wrote it.

        Raises UsageError if zone facts are asked for that this run has not made.
        """
        self._zone_facts.require_made()
        self._reporter.on_already_finished(self._output, done)
        return done.outcome.code

    async def run_to_end(self) -> int:
        """Scan, and return the exit code. Raises AuditorError."""
        work = asyncio.ensure_future(self._work())
        shutdown = Shutdown(self._scan, work, stopping=self._reporter.on_stopping, drop=self._drop)
        deadline = self._settings.deadline
        ending = Outcome(NOT_FINISHED)
        try:
            with shutdown.signals_handled(deadline and deadline - (self._clock() - self._began)):
                try:
                    async with garbage_collected_by_clock():
                        await work
                    self._ended_how = shutdown.why or FINISHED
                    if not shutdown.why:
                        self._require_target()
                        await self._finish()
                        ending = outcome(
                            self._settings, self._scan.tally, self._zone_facts.severities
                        )
                except asyncio.CancelledError:
                    self._ended_how = shutdown.why or "interrupted"
                except OutputError:
                    if not self._is_abandoned():
                        raise
                    self._ended_how = shutdown.why
                if self._ended_how != FINISHED:
                    self._leave_partial()
        except AuditorError as error:
            self._ended_how, ending = str(error), Outcome(error.exit_code)
            with contextlib.suppress(OutputError):  # the error that ended the run matters more
                self._leave_partial()
            raise
        finally:
            self._over = True
            self._sink.close_output()
            if self._manifest_writer is not None:
                self._manifest_writer.close()
            if self._device is not None:
                os.close(self._device)
            self._report_end(ending)
        return ending.code

    async def _work(self) -> None:
        """Count the records of earlier sessions, and scan the rest."""
        if isinstance(self._file, FileSink):
            await asyncio.to_thread(self._recover, self._file)
        self._reporter.on_begin(self._identity.fingerprint, self._inputs)
        if self._manifest_writer is not None:
            self._manifest_writer.start_session()
        self._begun = True
        over = asyncio.Event()
        scanning = asyncio.ensure_future(self._scan.audit_targets(self._write))
        keeping = asyncio.ensure_future(self._sync_regularly(scanning, over))
        try:
            with self._reporter.watching():
                self._report_recovered()
                await scanning
                if not self._scan.stopped:
                    await self._zone_facts.write_facts()
                    if self._manifest_writer is not None:
                        self._manifest_writer.zones = self._zone_facts.counts
                    await self._sample.compare()
        finally:
            over.set()
            # Not cancelled: a writing thread would continue unobserved.
            await keeping

    async def _write(self, lines: bytes) -> None:
        """Write lines; targets that were given up are in the manifest before their lines."""
        if self._manifest_writer is not None and len(self._scan.given_up) > self._given_up:
            self._given_up = len(self._scan.given_up)
            await self._note(self._manifest_writer)
        self._zone_facts.note_lines(lines)
        self._sample.sample_lines(lines)
        kept = lines if self._only is None else self._only(lines)
        if kept and isinstance(self._sink, FileSink | StreamSink):
            await self._sink.write_lines(kept)

    async def _note(self, manifest_writer: ManifestWriter) -> None:
        """Update the manifest, one update at a time. Raises OutputError."""
        async with self._noting:
            await asyncio.to_thread(
                manifest_writer.write_manifest, manifest_writer.content(RUNNING)
            )

    def _recover(self, file: FileSink) -> None:
        """Count the records of earlier sessions. Runs in a thread."""
        tally, done = self._scan.tally, self._scan.done
        writer = self._manifest_writer
        first_given_up = writer.first_given_up if writer is not None else None

        def note(line: bytes) -> bool:
            if self._over:
                raise OutputError("the run has ended")
            if tally.records == first_given_up:
                # Targets that were given up are audited again, and all after them.
                return False
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                return False
            if not is_countable(record):
                return False
            tally.count_record(record)
            done.add_target(record["target"])
            self._zone_facts.note_record(record)
            return True

        self._torn = file.recover(note).torn

    def _report_recovered(self) -> None:
        if self._file is None or not (self._scan.done.length or self._torn):
            return
        partial = partial_path(self._file.path)
        kept, torn = self._scan.done.length, self._torn
        dropped = f", a torn end of {torn:,} octets is dropped" if torn else ""
        writer = self._manifest_writer
        if torn and writer is not None and kept == writer.first_given_up:
            dropped = "; those of targets given up, and all after them, are made anew"
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

    async def _sync_regularly(self, scanning: asyncio.Future[None], over: asyncio.Event) -> None:
        """Sync the output at intervals. Raises OutputError if that fails."""
        file, manifest_writer = self._file, self._manifest_writer
        if file is None or manifest_writer is None:
            return
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SYNC_INTERVAL_S):
                    await over.wait()
                return
            try:
                await asyncio.to_thread(file.sync)
            except OutputError:
                scanning.cancel()
                raise
            with contextlib.suppress(OutputError):  # the last manifest stays
                await self._note(manifest_writer)

    async def _finish(self) -> None:
        """Rename the output to its final name. Raises OutputError."""
        file, manifest_writer = self._file, self._manifest_writer
        if file is None or manifest_writer is None:
            return
        content = manifest_writer.content(FINISHED)
        # Before the file has its final name: afterwards another run may replace it.
        await asyncio.to_thread(file.finish_output, lambda: manifest_writer.conclude(content))

    def _leave_partial(self) -> None:
        """Leave the output so that a later run can resume it. Raises OutputError."""
        file, manifest_writer = self._file, self._manifest_writer
        if file is None or manifest_writer is None:
            return
        if not self._begun or (self._failed() and (self._is_empty or not self._scan.tally.records)):
            # Nothing was written: leave no file that would block the next run.
            if not file.size or (self._is_empty and isinstance(file, FileSink)):
                self._discarded = True
                file.discard()
                if self._begun:
                    manifest_writer.withdraw()
            return
        try:
            file.sync()
        finally:
            for line in file.unwritten.splitlines():
                self._scan.tally.uncount_record(orjson.loads(line))
            manifest_writer.conclude(manifest_writer.content(self._ended_how))

    def _failed(self) -> bool:
        return self._ended_how not in {FINISHED, "interrupted", "deadline"}

    def _drop(self) -> None:
        """Stop waiting for the reader of a stream."""
        if isinstance(self._sink, StreamSink):
            self._sink.abandon()

    def _is_abandoned(self) -> bool:
        return isinstance(self._sink, StreamSink) and self._sink.abandoned

    def _require_target(self) -> None:
        """Raise InputError if there was no target: for a pipe, known only at its end."""
        tally = self._scan.tally
        self._is_empty = tally.records == tally.kinds["invalid"]
        if self._is_empty:
            raise nothing_given(self._scan.stream, self._files)

    def _report_end(self, ending: Outcome) -> None:
        """Report how the run ended, and where its records are."""
        if self._file is None or self._manifest_writer is None or self._discarded:
            self._reporter.on_end(self._ended_how, ending)
            return
        if self._parts is not None:
            folder = self._parts.folder.name
            where = f"{folder}/{MANIFEST}"
            self._reporter.on_end(self._ended_how, ending, records=f"{folder}/", manifest=where)
            return
        path = self._file.path
        output_path = path if self._ended_how == FINISHED else partial_path(path)
        self._reporter.on_end(
            self._ended_how, ending, records=output_path, manifest=self._manifest_writer.path
        )
