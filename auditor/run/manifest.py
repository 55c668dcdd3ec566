"""The manifest of a run: its settings and inputs, its counters, how it ended.

A run that is interrupted and resumed has several sessions. Their counters are listed under
`sessions`, and their sums at the top level.
"""

from __future__ import annotations

import resource
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import orjson

from auditor.errors import OutputError
from auditor.output.atomic import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from auditor.output.tally import Tally
    from auditor.run.identity import Identity
    from auditor.run.scan import GivenUp
    from auditor.settings import Settings

__all__ = [
    "KILLED",
    "RUNNING",
    "Session",
    "manifest",
    "manifest_path",
    "peak_memory",
    "read_manifest",
    "write_manifest",
]

#: `how` of a session that has not ended, and of one that ended without a last manifest.
RUNNING: Final = "running"
KILLED: Final = "killed"

_MAX_MANIFEST_OCTETS: Final = 64 << 20


class Session(NamedTuple):
    """One session of a run, from its start or resumption to its end.

    `how`: `running`, `finished`, `interrupted`, `deadline`, `killed` (then `ended` is the time
    of its last manifest, and later queries are not counted), or the message of an error.
    `records`: those that it added; `queries`: the counters of `Scan.counters`.
    """

    started: datetime
    ended: datetime
    how: str
    records: int
    queries: Mapping[str, int | None]
    peak_memory: int

    @property
    def seconds(self) -> float:
        """Seconds from its start to its end."""
        return max((self.ended - self.started).total_seconds(), 0.0)

    def noted(self) -> dict[str, Any]:
        """Return the session as a manifest stores it."""
        return {
            **self._asdict(),
            "started": _time(self.started),
            "ended": _time(self.ended),
            "queries": dict(self.queries),
        }

    @classmethod
    def read(cls, noted: Mapping[str, Any]) -> Self:
        """Return a stored session. Raises ValueError, KeyError or TypeError if it is invalid."""
        queries = {str(name): value for name, value in noted["queries"].items()}
        if not all(value is None or type(value) is int for value in queries.values()):
            raise TypeError("queries are counted in whole numbers")
        return cls(
            datetime.fromisoformat(noted["started"]).astimezone(UTC),
            datetime.fromisoformat(noted["ended"]).astimezone(UTC),
            str(noted["how"]),
            int(noted["records"]),
            queries,
            int(noted["peak_memory"]),
        )


def peak_memory() -> int:
    """Return the most memory this process has held, in bytes."""
    try:
        # On Linux, `getrusage` may return the peak of the parent process, which fork passes on.
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - no path to speak of
            for line in status:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def manifest(
    settings: Settings,
    identity: Identity,
    *,
    output: str,
    inputs: Mapping[str, Any],
    sessions: Sequence[Session],
    tally: Tally,
    given_up: Sequence[GivenUp] = (),
    server_limits: Mapping[str, Mapping[str, int | str]] | None = None,
    zones: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the manifest. `output` is the name of the file that it is about.

    `inputs` are those of the identity, and what else is known of them. `given_up` is present
    only if targets were given up, `server_limits` if any were found in this session, `zones`
    (their number, and findings about them by code) with zone facts.
    """
    queries = _total(session.queries for session in sessions)
    seconds = max(sum(session.seconds for session in sessions), 1e-6)
    return {
        "auditor": identity.version,
        "output": output,
        "settings": settings.as_json(),
        "fingerprint": identity.fingerprint,
        "inputs": {**identity.inputs, **inputs},
        "digests": dict(identity.digests),
        "started": _time(sessions[0].started),
        "ended": _time(sessions[-1].ended),
        "how": sessions[-1].how,
        "records": tally.records,
        "kinds": dict(sorted(tally.kinds.items())),
        "verdicts": dict(sorted(tally.verdicts.items())),
        "findings": dict(sorted(tally.codes.items())),
        "findings_by_severity": dict(sorted(tally.findings.items())),
        "ptr_statuses": dict(sorted(tally.statuses.items())),
        "undetermined": dict(sorted(tally.undetermined.items())),
        "queries": queries,
        "queries_complete": all(session.how != KILLED for session in sessions),
        "lookups_per_second": round((queries.get("asked") or 0) / seconds, 1),
        "peak_memory": max(session.peak_memory for session in sessions),
        **({"given_up": [targets._asdict() for targets in given_up]} if given_up else {}),
        **({"server_limits": server_limits} if server_limits else {}),
        **({"zones": zones} if zones is not None else {}),
        "sessions": [session.noted() for session in sessions],
    }


def _total(parts: Iterable[Mapping[str, int | None]]) -> dict[str, int | None]:
    """Return the sums of counters; None where a summand is unknown."""
    total: dict[str, int | None] = {}
    for part in parts:
        for name, number in part.items():
            before = total.get(name, 0)
            total[name] = None if before is None or number is None else before + number
    return total


def _time(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds")


def manifest_path(output: Path) -> Path:
    """Return the path of the manifest of an output."""
    return output.with_name(output.name + ".run.json")


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest. Raises OSError, or ValueError if the file is not a manifest."""
    with path.open("rb") as file:
        content = orjson.loads(file.read(_MAX_MANIFEST_OCTETS))
    if not isinstance(content, dict) or not isinstance(content.get("fingerprint"), str):
        raise ValueError("no manifest")  # noqa: TRY004 - of the file, not of an argument
    return content


def write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    """Write a manifest atomically. Raises OutputError.

    Only for the process that holds the lock on the output.
    """
    try:
        data = orjson.dumps(dict(content), option=orjson.OPT_INDENT_2) + b"\n"
        replace_file(path, data, alone=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
