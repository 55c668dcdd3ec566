"""Surveys the zones of a run: asks their servers; a line of facts and findings for each zone."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from auditor.findings.rules import RuleSet
from auditor.resolve.direct import ServerAsker, answer_both
from auditor.resolve.steps import answer_steps
from auditor.run.scan import open_resolver, until_failure
from auditor.zones.judge import zone_line
from auditor.zones.placing import place
from auditor.zones.survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.resolver import CachingResolver
    from auditor.settings import Settings
    from auditor.zones.facts import SurveySteps, ZoneFact
    from auditor.zones.owners import Group, Owners
    from auditor.zones.placing import Placed

__all__ = ["survey_zones"]

_log = logging.getLogger("auditor")

T = TypeVar("T")

#: Number of zones surveyed concurrently.
_MAX_SURVEYS: Final = 256


async def survey_zones(settings: Settings, owners: Owners) -> list[dict[str, Any]]:
    """Return a line for each zone, sorted by its name. Raises AuditorError.

    With zone files no server is asked: the facts are zones, SOA and NS records.
    """
    rule_set = RuleSet.from_settings(settings)
    every = settings.authority == "every"
    groups = [owners.groups[name] for name in sorted(owners.groups)]
    asker = None
    if settings.zones is None:
        asker = ServerAsker(
            port=settings.authority_port,
            timeout=settings.timeout,
            tries=settings.tries,
            qps=settings.server_qps,
        )
    try:
        # Zones and their servers are found through the resolvers, as any client finds them.
        async with open_resolver(replace(settings, direct=False)) as resolver:
            placed = await _concurrently(
                resolver, asker, [partial(place, group) for group in groups]
            )
            zones = _by_zone(groups, placed)
            facts = await _concurrently(
                resolver,
                asker,
                [partial(survey, at, held, every=every) for at, held in zones.values()],
            )
    finally:
        if asker is not None:
            await asker.close()
    _log_proxies(facts)
    return [
        zone_line(fact, sum(group.count for group in held), rule_set)
        for fact, (_, held) in zip(facts, zones.values(), strict=True)
    ]


def _by_zone(
    groups: Sequence[Group], placed: Sequence[Placed]
) -> dict[str, tuple[Placed, list[Group]]]:
    """Put groups of the same zone together; zones in the order of their names."""
    zones: dict[str, tuple[Placed, list[Group]]] = {}
    for group, at in zip(groups, placed, strict=True):
        before = zones.get(at.zone)
        if before is None:
            zones[at.zone] = (at, [group])
        else:
            # A placement by an existing name is preferred to one by a name that is denied.
            best = before[0] if at.denied or not before[0].denied else at
            zones[at.zone] = (best, [*before[1], group])
    return dict(sorted(zones.items()))


def _log_proxies(facts: Sequence[ZoneFact]) -> None:
    proxies: set[str | None] = set()
    for fact in facts:
        proxies |= {row.address for row in fact.parent_servers if row.is_proxy}
        proxies |= {row.address for row in fact.servers if row.is_proxy}
    if proxies:
        _log.warning(
            "%s: not judged: a proxy on the way answers in place of the zones' servers "
            "(recursion, without authority)",
            ", ".join(sorted(map(str, proxies))[:3]) + (", ..." if len(proxies) > 3 else ""),  # noqa: PLR2004 - named
        )


async def _concurrently(
    resolver: CachingResolver,
    asker: ServerAsker | None,
    starts: Sequence[Callable[[], SurveySteps[T]]],
) -> list[T]:
    """Run surveys concurrently, a bounded number at a time; return their results in order."""
    slots = asyncio.Semaphore(_MAX_SURVEYS)

    async def run(start: Callable[[], SurveySteps[T]]) -> T:
        async with slots:
            return await answer_steps(start(), partial(answer_both, resolver, asker))

    return await until_failure(resolver, asyncio.gather(*map(run, starts)))
