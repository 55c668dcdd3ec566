"""`--dry-run`: counts the targets of a scan and shows what it would do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from auditor.cli.formatting import counted
from auditor.output.atomic import check_replaceable
from auditor.output.folder import is_folder
from auditor.output.record import invalid_text
from auditor.quoting import printable
from auditor.targets.given_targets import nothing_given
from auditor.targets.target import Target
from auditor.wire.addresses import V4

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.settings import Settings
    from auditor.targets.stream import TargetStream

__all__ = ["dry_run_lines"]

#: Invalid lines that are shown.
_MAX_NAMED: Final = 10
#: Servers that are shown.
_SERVERS: Final = 8


def dry_run_lines(
    settings: Settings, stream: TargetStream, files: Sequence[str], output: str, *, replace: bool
) -> Iterator[str]:
    """Yield what a scan of these would do, in lines for a person.

    `replace`: whether an output that exists may be changed. Raises the errors of the scan that
    can be known before it.
    """
    if output != "-" and not is_folder(output) and not replace and Path(output).is_file():
        check_replaceable(Path(output), overwrite=False)
    kinds, invalid = _count(stream)
    if sum(kinds.values()) == kinds["invalid"]:
        raise nothing_given(stream, files, next(iter(invalid), None))
    shown = ", ".join(f"{kinds[kind]:,} {kind}" for kind in ("IPv4", "IPv6", "domains", "invalid"))
    yield f"{counted(sum(kinds.values()), 'target')}: {shown}"
    if stream.excluded or stream.repeated:
        yield f"left out: {stream.excluded:,} excluded, {stream.repeated:,} repeated"
    for target in invalid:
        yield f"invalid: {invalid_text(target)}"
    if kinds["invalid"] > len(invalid):
        yield f"invalid: {kinds['invalid'] - len(invalid):,} more"
    yield f"asked: {_asked(settings)}"
    yield f"written: {'standard output' if output == '-' else printable(output)}"


def _count(stream: TargetStream) -> tuple[Counter[str], list[Target]]:
    """Return how many targets of each kind there are, and the first invalid ones."""
    kinds: Counter[str] = Counter()
    invalid: list[Target] = []
    for entry in stream.entries():
        if entry is None:
            continue
        if not isinstance(entry, Target):
            kinds["IPv4" if entry.span.version == V4 else "IPv6"] += entry.span.size
        elif entry.kind == "ip":
            kinds["IPv4" if entry.version == V4 else "IPv6"] += 1
        elif entry.kind == "domain":
            kinds["domains"] += 1
        else:
            kinds["invalid"] += 1
            if len(invalid) < _MAX_NAMED:
                invalid.append(entry)
    return kinds, invalid


def _asked(settings: Settings) -> str:
    if settings.zones is not None:
        return f"no server; answers come from {printable(str(settings.zones))}"
    if not settings.servers:
        return "the system's resolvers"
    named = ", ".join(map(str, settings.servers[:_SERVERS]))
    more = len(settings.servers) - _SERVERS
    return f"{named} and {more:,} more" if more > 0 else named
