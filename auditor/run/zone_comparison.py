"""Compares zones as on their primaries with the answers of each of their public servers."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from auditor.resolve.answer import Question
from auditor.resolve.direct import ServerAsker, ServerQuestion, answer_both
from auditor.resolve.steps import answer_steps
from auditor.run.scan import open_resolver
from auditor.run.zone_targets import read_zones
from auditor.wire.codes import NS
from auditor.zones.compare import COMPARED_TYPES, ServerComparison
from auditor.zones.survey import ask_servers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from auditor.resolve.resolver import CachingResolver
    from auditor.resolve.zones.zone import Zone
    from auditor.settings import Settings

__all__ = ["compare_zones"]

#: RRsets asked for at a time.
_RECORD_SETS_AT_ONCE: Final = 1024


async def compare_zones(
    names: Sequence[str], settings: Settings, primary: Path | None
) -> list[dict[str, Any]]:
    """Return a line for each address of a server of each zone. Raises AuditorError.

    The zones are those of `primary`, files, or transferred. The resolver of
    the settings finds their servers; if that is zone files, no server is asked.
    """
    asker = None
    if settings.zones is None:
        asker = ServerAsker(
            port=settings.authority_port,
            timeout=settings.timeout,
            tries=settings.tries,
            qps=settings.server_qps,
        )
    lines = []
    zones = await read_zones(names, settings, primary or settings.zones)
    try:
        async with open_resolver(settings) as resolver:
            for zone, _ in zones:
                comparisons = await _compare(zone, resolver, asker)
                lines += [comparison.as_json(zone.origin) for comparison in comparisons]
    finally:
        if asker is not None:
            await asker.close()
    return lines


async def _compare(
    zone: Zone, resolver: CachingResolver, asker: ServerAsker | None
) -> list[ServerComparison]:
    _, servers = zone.nodes[zone.origin].get(NS, (0, ()))
    names = {cast("str", name) for name in servers}
    rows = await answer_steps(
        ask_servers(zone.origin, names, {}), partial(answer_both, resolver, asker)
    )
    comparisons = [ServerComparison(row, zone.serial) for row in rows]
    serving = [
        comparison for comparison in comparisons if comparison.row.serves and comparison.row.address
    ]
    if asker is None:
        return comparisons
    record_sets = zone.record_sets(COMPARED_TYPES)
    while some := list(islice(record_sets, _RECORD_SETS_AT_ONCE)):
        asked = [
            ServerQuestion(str(comparison.row.address), Question(owner, rdtype))
            for comparison in serving
            for owner, rdtype, _, _ in some
        ]
        replies = iter(await asker.ask_many(asked))
        for comparison in serving:
            for record_set in some:
                comparison.compare_reply(record_set, next(replies))
        asker.forget_replies()
    return comparisons
