"""Decides what to do with an existing output: refuse, replace, resume, or leave it as complete."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.errors import OutputError, UsageError
from auditor.output.sink import FileSink, partial_path
from auditor.output.tally import Tally
from auditor.run.manifest import manifest_path, read_manifest
from auditor.run.outcome import outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from auditor.errors import AuditorError
    from auditor.run.identity import Identity
    from auditor.run.outcome import Outcome
    from auditor.settings import Settings

__all__ = ["FinishedOutput", "OpenedOutput", "done_by", "not_made", "open_output"]

#: Storage errors that have the same exit code before a run begins as during it.
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class OpenedOutput(NamedTuple):
    """An output to write to. `earlier`: the manifest of the run that it continues."""

    sink: FileSink
    earlier: Mapping[str, Any] | None


class FinishedOutput(NamedTuple):
    """An output that a run of this identity has finished."""

    records: int
    outcome: Outcome


def open_output(
    path: Path, settings: Settings, identity: Identity, *, overwrite: bool, resume: bool
) -> OpenedOutput | FinishedOutput:
    """Open the file that a run writes to, or find that it is finished.

    Raises UsageError for an existing output that may not be replaced or cannot be resumed;
    OutputError if there is no room for it.
    """
    if not resume:
        return OpenedOutput(_make(path, overwrite=overwrite), None)
    partial = partial_path(path)
    if path.exists() and not partial.exists():
        return _done(path, settings, identity)
    sink = _make(path, resume=True)
    try:
        earlier = _resumed_manifest(path, sink, identity)
        if earlier is not None or sink.size or not path.exists():
            return OpenedOutput(sink, earlier)
        # A replacement that was begun is empty, or has just been renamed to its final name.
        done = _done(path, settings, identity)
    except BaseException:
        _discard(sink)
        raise
    _discard(sink)
    return done


def _resumed_manifest(path: Path, sink: FileSink, identity: Identity) -> Mapping[str, Any] | None:
    """Return the manifest of the run that left the existing output; None without one.

    Raises UsageError if that was not one of this identity.
    """
    partial, earlier = partial_path(path), _read(path)
    if not sink.size:
        replaces = path.exists()
        if earlier is None or (replaces and earlier.get("how") == "finished"):
            return None
        if replaces:
            _compare(partial, identity, earlier)
        return None if identity.differences(earlier) else earlier
    if earlier is None:
        raise UsageError(
            f"{partial}: cannot be resumed: its manifest, {manifest_path(path)}, "
            "is missing or damaged; --overwrite starts anew"
        )
    _compare(partial, identity, earlier)
    return earlier


def _discard(sink: FileSink) -> None:
    if not sink.size:
        sink.discard()
    sink.close_output()


def _make(path: Path, *, overwrite: bool = False, resume: bool = False) -> FileSink:
    try:
        return FileSink(path, overwrite=overwrite, resume=resume)
    except OutputError as error:
        raise not_made(str(error), error.__cause__) from error


def not_made(message: str, why: BaseException | None) -> AuditorError:
    """Return the error for an output that a run cannot create."""
    if isinstance(why, OSError) and why.errno in _NO_ROOM:
        return OutputError(message)
    # Nothing has begun that could be finished later.
    return UsageError(message)


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        return read_manifest(manifest_path(path))
    except (OSError, ValueError):
        return None


def _compare(path: Path, identity: Identity, earlier: Mapping[str, Any]) -> None:
    difference = identity.differences(earlier)
    if difference:
        raise UsageError(f"{path}: belongs to another run: {difference}; --overwrite starts anew")


def _done(path: Path, settings: Settings, identity: Identity) -> FinishedOutput:
    """Return what is known of a finished output. Raises UsageError if it is not this run's."""
    earlier = _read(path)
    if earlier is None or earlier.get("how") != "finished":
        raise UsageError(
            f"{path}: exists already, and {manifest_path(path)} does not show that this run "
            "made it; --overwrite replaces it"
        )
    _compare(path, identity, earlier)
    return done_by(settings, earlier)


def done_by(settings: Settings, earlier: Mapping[str, Any]) -> FinishedOutput:
    """Return the finished output that the manifest of a run describes."""
    tally = Tally()
    for name in ("kinds", "verdicts", "undetermined"):
        getattr(tally, name).update(_counts(earlier, name))
    tally.findings.update(_counts(earlier, "findings_by_severity"))
    tally.records = tally.kinds.total()
    return FinishedOutput(tally.records, outcome(settings, tally))


def _counts(manifest: Mapping[str, Any], name: str) -> dict[str, int]:
    """Return a table of counts of a manifest, without entries that are not counts."""
    table = manifest.get(name)
    if not isinstance(table, dict):
        return {}
    return {key: count for key, count in table.items() if type(count) is int}
