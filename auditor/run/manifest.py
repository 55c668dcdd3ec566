"""The manifest of a run: what was asked of it, what it did, how it ended (DESIGN §5)."""

from __future__ import annotations

import hashlib
import os
import resource
import secrets
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor import __version__
from auditor.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from auditor.run.tally import Tally
    from auditor.settings import Settings

__all__ = ["effective", "fingerprint", "manifest", "peak_memory", "write_manifest"]

#: Settings that decide how fast and how patiently a run asks, or how it ends, but not
#: what its records say.
_NOT_IN_RECORDS: Final = frozenset(
    {
        "concurrency",
        "qps",
        "server_qps",
        "server_check",
        "timeout",
        "tries",
        "cache_size",
        "fail_on",
        "max_targets",
    }
)


def effective(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain JSON values."""
    values = asdict(settings)
    values["servers"] = [str(server) for server in settings.servers]
    values["zones"] = None if settings.zones is None else str(settings.zones)
    return values


def fingerprint(
    settings: Settings, arguments: Sequence[str], files: Sequence[str], excludes: Sequence[str]
) -> str:
    """Return a digest of all that decides a run's records: inputs by content, settings.

    Standard input cannot be read twice, so it counts by name only; excludes in a file
    (`@FILE`) count as an input does. Raises OSError for a file that cannot be read.
    """
    digest = hashlib.sha256()
    kept = {
        item.name: value
        for item in fields(settings)
        if item.name not in _NOT_IN_RECORDS
        for value in [effective(settings)[item.name]]
    }
    head = {
        "settings": kept,
        "arguments": list(arguments),
        "excludes": [text for text in excludes if not text.startswith("@")],
        "files": [Path(name).name for name in files],
    }
    digest.update(orjson.dumps(head, option=orjson.OPT_SORT_KEYS))
    for name in [*files, *(text[1:] for text in excludes if text.startswith("@"))]:
        if name != "-" and Path(name).is_file():
            with Path(name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def peak_memory() -> int:
    """Return the most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def manifest(
    settings: Settings,
    *,
    digest: str,
    inputs: Mapping[str, Any],
    started: datetime,
    ended: datetime,
    tally: Tally,
    queries: Mapping[str, int | None],
    how: str,
) -> dict[str, Any]:
    """Return the manifest; `how` is `finished`, or in one line what stopped the run."""
    seconds = max((ended - started).total_seconds(), 1e-6)
    asked = queries.get("asked") or 0
    return {
        "auditor": __version__,
        "settings": effective(settings),
        "fingerprint": digest,
        "inputs": dict(inputs),
        "started": started.isoformat(timespec="milliseconds"),
        "ended": ended.isoformat(timespec="milliseconds"),
        "how": how,
        "records": tally.records,
        "kinds": dict(sorted(tally.kinds.items())),
        "verdicts": dict(sorted(tally.verdicts.items())),
        "findings": dict(sorted(tally.codes.items())),
        "ptr_statuses": dict(sorted(tally.statuses.items())),
        "queries": dict(queries),
        "lookups_per_second": round(asked / seconds, 1),
        "peak_memory": peak_memory(),
    }


def write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    """Put a manifest in place, whole or not at all. Raises OutputError."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            with new.open("xb") as file:
                file.write(orjson.dumps(dict(content), option=orjson.OPT_INDENT_2) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
