"""Outcome of a finished run: its exit code, and why it is not a success.

If every lookup failed, nothing is known, and exit code 0 would mislead a job into "all is well":
such a run ends with 3 unless `max_unknown` is 100. Any lower share is for the operator to decide,
since a dead zone or two are nothing unusual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.errors import FINDINGS_FOUND, NOT_FINISHED
from auditor.findings.judge import fails
from auditor.wire.codes import REFUSED, TIMEOUT, UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from auditor.output.tally import Tally
    from auditor.settings import Settings

__all__ = ["Outcome", "outcome"]

_DNS_PORT: Final = 53
#: Kinds of failure and servers that a message names.
_MAX_NAMED: Final = 3


class Outcome(NamedTuple):
    """An exit code; `why`: what keeps the run from being a success, "" if nothing does."""

    code: int
    why: str = ""


def outcome(settings: Settings, tally: Tally, others: Iterable[str] = ()) -> Outcome:
    """Return the outcome of a run whose records have been counted.

    `others`: severities of findings that are in no record, those about zones.
    """
    targets = tally.records - tally.kinds["invalid"]
    unknown = tally.verdicts["unknown"]
    most = settings.max_unknown
    if unknown and (unknown == targets if most is None else 100 * unknown > most * targets):
        return Outcome(NOT_FINISHED, _why(settings, unknown, targets, tally.undetermined))
    failed = fails(settings.fail_on, {*tally.severities, *others}, tally.verdicts)
    return Outcome(FINDINGS_FOUND if failed else 0)


def _why(settings: Settings, unknown: int, targets: int, undetermined: Mapping[str, int]) -> str:
    """Return the most frequent failures, and what to check."""
    causes = sorted(undetermined.items(), key=lambda cause: (-cause[1], cause[0]))
    shown = ", ".join(
        cause if len(causes) == 1 else f"{cause} {count:,}" for cause, count in causes[:_MAX_NAMED]
    )
    message = f"{unknown:,} of {targets:,} could not be looked up"
    if shown:
        message += f" ({shown})"
    if settings.max_unknown is not None:
        message += f", more than {settings.max_unknown:g}%"
    return f"{message}: {_advice(settings, causes[0][0] if causes else '')}"


def _advice(settings: Settings, cause: str) -> str:
    if settings.zones is not None:
        return f"does {settings.zones} hold all their zones?"
    addresses = [
        address if port == _DNS_PORT else f"{address}:{port}" if ":" not in address else str(server)
        for server in settings.servers[:_MAX_NAMED]
        for address, port in (server,)
    ]
    asked = " or ".join(addresses) or "the system's resolver"
    if cause == REFUSED:
        return f"does {asked} recurse for you?"
    if cause in {TIMEOUT, UNREACHABLE}:
        return f"does {asked} answer you?"
    return f"does {asked} resolve them?"
