"""An output in parts: one file for each shard, and a manifest that lists them.

At any time the folder is a readable result: parts are complete, and the manifest lists them in the
order of the input.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import zstandard

from auditor.errors import InputError, OutputError, UsageError
from auditor.output.folder import MANIFEST, open_folder
from auditor.output.tally import Tally, is_countable
from auditor.run.existing_output import FinishedOutput, done_by, not_made
from auditor.run.manifest import KILLED, RUNNING
from auditor.run.manifest_writer import ManifestWriter
from auditor.workers.quotas import pace_of
from auditor.workers.shards import digest, unpack
from auditor.workers.worker_run import pack_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auditor.run.identity import Identity
    from auditor.run.scan import AnyScan
    from auditor.settings import Settings
    from auditor.workers.messages import Result
    from auditor.workers.shards import Shard

__all__ = ["FolderManifestWriter", "PartedOutput", "part_name"]

_NAME: Final = re.compile(r"part-[0-9]{6,}\.ndjson\.zst")

#: How often the manifest is written at most: after this time, and after this many times as long
#: as writing it takes.
_MANIFEST_INTERVAL_S: Final = 5.0
_MANIFEST_COST_FACTOR: Final = 20.0

_COUNTERS: Final = ("kinds", "verdicts", "findings", "statuses", "undetermined")


def part_name(number: int) -> str:
    """Return the name of the part of shard `number`."""
    return f"part-{number:06}.ndjson.zst"


class PartedOutput:
    """Writes the parts of a run to the folder `output`, and lists the existing ones.

    `found` counts the records in reused parts; `clock` returns seconds.
    """

    def __init__(self, output: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.found = 0
        self._output = output
        #: Returns the manifest as of now; set by the manifest's writer.
        self.content: Callable[[str], dict[str, Any]] | None = None
        self.pace: float | None = None
        self._clock = clock
        self._existing: set[str] = set()
        #: The manifest's entries of the existing parts, by their numbers.
        self._notes: dict[int, dict[str, Any]] = {}
        self._next = 0.0
        self._listing = threading.Lock()
        self._last = -1

    def open_folder(
        self, settings: Settings, identity: Identity, *, overwrite: bool, resume: bool
    ) -> Mapping[str, Any] | FinishedOutput | None:
        """Prepare for a run; return the manifest that it continues, or of its finished run.

        Raises UsageError for existing results that may not be replaced or cannot be resumed;
        then, and when the run has finished already, the folder is closed.
        """
        self.folder = open_folder(self._output)
        try:
            earlier = self._open(settings, identity, overwrite=overwrite, resume=resume)
        except BaseException:
            self.folder.close_folder()
            raise
        if isinstance(earlier, FinishedOutput):
            self.folder.close_folder()
        return earlier

    def _open(
        self, settings: Settings, identity: Identity, *, overwrite: bool, resume: bool
    ) -> Mapping[str, Any] | FinishedOutput | None:
        folder = self.folder
        self.pace = pace_of(settings)
        names = set(folder.file_names())
        parts = {name for name in names if _NAME.fullmatch(name)}
        if not parts and MANIFEST not in names:
            return None
        if overwrite:
            # The manifest is removed first: the parts that it lists must exist.
            for name in sorted({MANIFEST} & names) + sorted(parts):
                folder.remove_file(name)
            return None
        if not resume:
            raise UsageError(
                f"{folder.name}/: contains results; --resume continues them, "
                "--overwrite starts anew"
            )
        earlier = self._read(names)
        difference = identity.differences(earlier)
        if difference:
            raise UsageError(
                f"{folder.name}/: belongs to another run: {difference}; --overwrite starts anew"
            )
        self._existing = parts
        self.pace = earlier.get("pace")
        self._notes = {
            _number(note["part"]): note for note in earlier["shards"] if note["part"] in parts
        }
        if earlier.get("how") == "finished" and len(self._notes) == len(earlier["parts"]):
            return done_by(settings, earlier)
        return earlier

    def _read(self, names: set[str]) -> Mapping[str, Any]:
        """Return the existing manifest. Raises UsageError if it is missing or invalid."""
        content: Any = None
        if MANIFEST in names:
            try:
                content = orjson.loads(self.folder.read_file(MANIFEST))
            except ValueError:
                content = None
        if not _is_manifest(content):
            raise UsageError(
                f"{self.folder.name}/: cannot be resumed: its {MANIFEST} is missing "
                "or damaged; --overwrite starts anew"
            )
        manifest: Mapping[str, Any] = content
        return manifest

    @property
    def size(self) -> int:
        """The number of records in the parts that the manifest lists."""
        return sum(note["records"] for note in self._notes.values())

    def existing_part(self, shard: Shard) -> Tally | None:
        """Return the counts of the records of a part that need not be made again.

        They are those of the shard's first targets, or of all. Raises InputError if the part
        is of other targets: standard input has no digest to compare.
        """
        name = part_name(shard.number)
        note = self._notes.get(shard.number)
        self._last = shard.number
        if note is not None and note.get("targets") != digest(shard):
            raise InputError(
                f"the input differs from before: {shard.shown} are not the targets of "
                f"{name}; --overwrite starts anew"
            )
        if name not in self._existing or (note is not None and note.get("failed")):
            # It stays listed as it is until it is replaced.
            return None
        if note is not None and note["records"] == shard.size:
            tally: Tally | None = _noted(note)
        else:
            # It is incomplete, or not listed yet.
            tally = self._counted(name, shard)
        if tally is None or not tally.records:
            self._notes.pop(shard.number, None)
            return None
        self._note(shard, tally, "")
        self.found += tally.records
        return tally

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder.name)

    @property
    def unwritten(self) -> bytes:
        """No lines: lines outside of parts have not been counted."""
        return b""

    def sync(self) -> None:
        """Do nothing: a part is synced when it is written."""

    def discard(self) -> None:
        """Do nothing: there is no part."""

    def close_output(self) -> None:
        """Close the folder."""
        self.folder.close_folder()

    def finish_output(self, last: Callable[[], object]) -> None:
        """Call `last`. Raises InputError if there are parts after the last shard."""
        more = sum(note["records"] for number, note in self._notes.items() if number > self._last)
        if more:
            raise InputError(
                f"the input differs from before: there are {more:,} more records than "
                "targets; --overwrite starts anew"
            )
        last()

    def _counted(self, name: str, shard: Shard) -> Tally | None:
        """Count the records of a part.

        None if it is damaged, or of other targets.
        """
        tally = Tally()
        targets = (target.text for block in unpack(shard) for target in block)
        try:
            for line in _unpacked(self.folder.read_file(name)).splitlines():
                record = orjson.loads(line)
                if not is_countable(record) or record["target"] != next(targets, None):
                    return None
                tally.count_record(record)
        except (zstandard.ZstdError, ValueError, OutputError):
            return None
        return tally

    async def put_part(
        self, shard: Shard, result: Result, failed: str = "", begun: Tally | None = None
    ) -> None:
        """Write a part. Raises OutputError.

        `begun`: the counts of the records that it holds, to which `result` adds.
        """
        name, tally = part_name(shard.number), Tally()
        for added in (begun, result.tally):
            if added is not None:
                tally.add_tally(added)
        await asyncio.to_thread(self._put, name, result.frames, begun is not None)
        self._note(shard, tally, failed)
        now = self._clock()
        if self.content is not None and (failed or now >= self._next):
            await asyncio.to_thread(self.write_manifest, self.content(RUNNING))
            self._next = now + max(
                _MANIFEST_INTERVAL_S, _MANIFEST_COST_FACTOR * (self._clock() - now)
            )

    def _put(self, name: str, frames: Sequence[bytes], begun: bool) -> None:  # noqa: FBT001 - in a thread
        """Write a part: the lines in `frames`, after its existing ones if it was `begun`."""
        if begun:
            lines = pack_lines()
            lines.add_lines(_unpacked(self.folder.read_file(name)))
            for frame in frames:
                lines.add_lines(_unpacked(frame))
            frames = lines.packed_frames()
        self.folder.write_file(name, b"".join(frames))

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Write the manifest, `content` and the parts, in any thread. Raises OutputError."""
        with self._listing:
            notes = [note for _, note in sorted(self._notes.copy().items())]
            whole = {**content, "parts": [note["part"] for note in notes], "shards": notes}
            if self.pace is not None:
                whole["pace"] = self.pace
            self.folder.write_file(MANIFEST, orjson.dumps(whole) + b"\n")

    def _note(self, shard: Shard, tally: Tally, failed: str) -> None:
        self._notes[shard.number] = {
            "part": part_name(shard.number),
            "targets": digest(shard),
            "records": tally.records,
            **{name: dict(getattr(tally, name)) for name in _COUNTERS},
            **({"failed": failed} if failed else {}),
        }


class FolderManifestWriter(ManifestWriter):
    """Keeps the manifest of a run in the folder, with the list of its parts."""

    def __init__(
        self, parts: PartedOutput, settings: Settings, identity: Identity, scan: AnyScan
    ) -> None:
        # The folder may have no name of its own: `./`, a URL.
        super().__init__(Path("parts"), settings, identity, scan)
        self.path = parts.path / MANIFEST
        self._parts = parts
        self._listed = 0
        parts.content = self.content

    def start_session(self) -> None:
        """Write the manifest of a run that starts or resumes. Raises UsageError, OutputError."""
        self._listed = self._parts.size
        try:
            self.write_manifest(self.content(RUNNING))
        except OutputError as error:
            # Nothing has been written before: the folder may belong to somebody else.
            raise not_made(str(error), error.__cause__) from error
        self._keep_room()

    def content(self, how: str) -> dict[str, Any]:
        """Return the manifest as of now, without the parts. On the loop of the scan."""
        self._before = min(self._parts.found, self._scan.tally.records)
        if self._earlier:
            # The session may have written parts that it did not list before it ended.
            *before, last = self._earlier
            records = max(self._listed, self._parts.found) - sum(
                session.records for session in before
            )
            ended = KILLED if last.how == RUNNING else last.how
            self._earlier = [*before, last._replace(records=max(records, 0), how=ended)]
        return {**super().content(how), "output": self._parts.folder.name}

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Write the manifest, in any thread. Raises OutputError."""
        self._parts.write_manifest(content)

    def withdraw(self) -> None:
        """Remove the manifest: there is no part."""
        with suppress(OutputError):
            self._parts.folder.remove_file(MANIFEST)


def _unpacked(data: bytes) -> bytes:
    """Return the lines of frames. Raises zstandard.ZstdError."""
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as file:
        lines: bytes = file.read()
    return lines


def _number(part: str) -> int:
    return int(part.removeprefix("part-").partition(".")[0])


def _is_manifest(content: Any) -> bool:
    """Tell whether content read from a file has the form that `write_manifest` writes."""
    if not isinstance(content, dict):
        return False
    parts, notes = content.get("parts"), content.get("shards")
    return (
        isinstance(parts, list)
        and isinstance(notes, list)
        and len(parts) == len(notes)
        and isinstance(content.get("pace"), float | None)
        and all(
            isinstance(note, dict)
            and isinstance(part, str)
            and _NAME.fullmatch(part)
            and note.get("part") == part
            and type(note.get("records")) is int
            and all(_is_counts(note.get(name)) for name in _COUNTERS)
            for part, note in zip(parts, notes, strict=True)
        )
    )


def _is_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(type(number) is int for number in value.values())


def _noted(note: Mapping[str, Any]) -> Tally:
    """Return the counts of a part from its entry in a manifest."""
    tally = Tally()
    tally.records = note["records"]
    for name in _COUNTERS:
        getattr(tally, name).update(note[name])
    return tally
