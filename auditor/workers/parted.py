"""An output in parts: one for each shard, and a manifest that lists them.

What the folder holds is at every moment a result that can be read: parts are whole, and in
the manifest they stand in the order of the input.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import orjson
import zstandard

from auditor.errors import InputError, OutputError, UsageError
from auditor.output.parts import MANIFEST, open_folder
from auditor.run.manifest import RUNNING
from auditor.run.opening import Done, done_by
from auditor.run.tally import Tally, is_countable
from auditor.workers.shards import digest, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auditor.run.identity import Identity
    from auditor.settings import Settings
    from auditor.workers.orders import Result
    from auditor.workers.shards import Shard

__all__ = ["Parted", "part_name"]

_NAME: Final = re.compile(r"part-[0-9]{6,}\.ndjson\.zst")

#: Seconds between two manifests at least, and how many times as long as one takes to write.
_BETWEEN: Final = 5.0
_TIMES: Final = 20.0

_COUNTERS: Final = ("kinds", "verdicts", "codes", "severities", "statuses")


def part_name(number: int) -> str:
    """Return the name of the part of shard `number`."""
    return f"part-{number:06}.ndjson.zst"


class Parted:
    """Takes the parts of a run into the folder `output`, and knows those that are there.

    `found` counts the records in those that were not made again; `clock` gives seconds.
    """

    def __init__(self, output: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.found = 0
        self._output = output
        #: Returns the manifest as of now; set by whoever keeps it.
        self.content: Callable[[str], dict[str, Any]] | None = None
        self._clock = clock
        self._there: set[str] = set()
        #: Of the parts in place, what a manifest says of each, by their numbers.
        self._notes: dict[int, dict[str, Any]] = {}
        self._next = 0.0
        self._listing = threading.Lock()
        self._last = -1

    def open(
        self, settings: Settings, identity: Identity, *, overwrite: bool, resume: bool
    ) -> Mapping[str, Any] | Done | None:
        """Make ready for a run; return the manifest that it goes on from, or how that ended.

        Raises UsageError for what is there and may not be touched or gone on with; then, and
        when all is done, the folder is closed.
        """
        self.folder = open_folder(self._output)
        try:
            earlier = self._open(settings, identity, overwrite=overwrite, resume=resume)
        except BaseException:
            self.folder.close()
            raise
        if isinstance(earlier, Done):
            self.folder.close()
        return earlier

    def _open(
        self, settings: Settings, identity: Identity, *, overwrite: bool, resume: bool
    ) -> Mapping[str, Any] | Done | None:
        folder = self.folder
        names = set(folder.names())
        parts = {name for name in names if _NAME.fullmatch(name)}
        if not parts and MANIFEST not in names:
            return None
        if overwrite:
            # The list goes first: what it names has to be there.
            for name in sorted({MANIFEST} & names) + sorted(parts):
                folder.remove(name)
            return None
        if not resume:
            raise UsageError(
                f"{folder.name}/: has results in it; --resume goes on with them, "
                "--overwrite starts anew"
            )
        earlier = self._read(names)
        difference = identity.differences(earlier)
        if difference:
            raise UsageError(
                f"{folder.name}/: is of another run: {difference}; --overwrite starts anew"
            )
        self._there = parts
        self._notes = {
            _number(note["part"]): note for note in earlier["shards"] if note["part"] in parts
        }
        if earlier.get("how") == "finished" and len(self._notes) == len(earlier["parts"]):
            return done_by(settings, earlier)
        return earlier

    def _read(self, names: set[str]) -> Mapping[str, Any]:
        """Return the manifest that is there. Raises UsageError if it is none."""
        content: Any = None
        if MANIFEST in names:
            try:
                content = orjson.loads(self.folder.read(MANIFEST))
            except ValueError:
                content = None
        if not _is_manifest(content):
            raise UsageError(
                f"{self.folder.name}/: cannot be gone on with: its {MANIFEST} is not there "
                "or damaged; --overwrite starts anew"
            )
        manifest: Mapping[str, Any] = content
        return manifest

    @property
    def listed(self) -> int:
        """How many records the parts have that a manifest would list now."""
        return sum(note["records"] for note in self._notes.values())

    def there(self, shard: Shard) -> Tally | None:
        """Return the counts of a part that need not be made again.

        Raises InputError if it is of other targets: standard input has no digest to compare.
        """
        name = part_name(shard.number)
        note = self._notes.get(shard.number)
        self._last = shard.number
        if note is not None and note.get("targets") != digest(shard):
            raise InputError(
                f"the input is another one than before: {shard.shown} are not the targets of "
                f"{name}; --overwrite starts anew"
            )
        if name not in self._there or (note is not None and note.get("failed")):
            # It is listed as what it is until another one is in its place.
            return None
        tally = self._counted(name, shard) if note is None else _noted(note)
        if tally is None or tally.records != shard.size:
            self._notes.pop(shard.number, None)
            return None
        self._note(shard, tally, "")
        self.found += tally.records
        return tally

    def finish(self) -> None:
        """Raise InputError if there are parts behind the last shard."""
        more = sum(note["records"] for number, note in self._notes.items() if number > self._last)
        if more:
            raise InputError(
                f"the input is another one than before: there are {more:,} more records than "
                "targets; --overwrite starts anew"
            )

    def _counted(self, name: str, shard: Shard) -> Tally | None:
        """Count the records of a part that no manifest has listed yet.

        None if it is damaged, or of other targets.
        """
        tally = Tally()
        targets = (target.text for block in unpack(shard) for target in block)
        try:
            data = self.folder.read(name)
            with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as file:
                for line in file.read().splitlines():
                    record = orjson.loads(line)
                    if not is_countable(record) or record["target"] != next(targets, None):
                        return None
                    tally.note(record)
        except (zstandard.ZstdError, ValueError, OutputError):
            return None
        return tally

    async def put(self, shard: Shard, result: Result, failed: str) -> None:
        """Put a part in place. Raises OutputError."""
        name = part_name(shard.number)
        await asyncio.to_thread(self.folder.put, name, b"".join(result.frames))
        self._note(shard, result.tally, failed)
        now = self._clock()
        if self.content is not None and (failed or now >= self._next):
            await asyncio.to_thread(self.list_parts, self.content(RUNNING))
            self._next = now + max(_BETWEEN, _TIMES * (self._clock() - now))

    def list_parts(self, content: Mapping[str, Any]) -> None:
        """Put the manifest in place, `content` and the parts; in any thread. Raises OutputError."""
        with self._listing:
            notes = [note for _, note in sorted(self._notes.copy().items())]
            whole = {**content, "parts": [note["part"] for note in notes], "shards": notes}
            self.folder.put(MANIFEST, orjson.dumps(whole) + b"\n")

    def _note(self, shard: Shard, tally: Tally, failed: str) -> None:
        self._notes[shard.number] = {
            "part": part_name(shard.number),
            "targets": digest(shard),
            "records": tally.records,
            **{name: dict(getattr(tally, name)) for name in _COUNTERS},
            **({"failed": failed} if failed else {}),
        }


def _number(part: str) -> int:
    return int(part.removeprefix("part-").partition(".")[0])


def _is_manifest(content: Any) -> bool:
    """Tell whether something read from a file is what `list_parts` has put there."""
    if not isinstance(content, dict):
        return False
    parts, notes = content.get("parts"), content.get("shards")
    return (
        isinstance(parts, list)
        and isinstance(notes, list)
        and len(parts) == len(notes)
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
    """Return the counts that a manifest notes of a part."""
    tally = Tally()
    tally.records = note["records"]
    for name in _COUNTERS:
        getattr(tally, name).update(note[name])
    return tally
