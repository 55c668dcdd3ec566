"""Engine for the zones' own servers (`--route`, `--direct`), with fallback to the resolvers.

Routes are given (`--route`), or found for the names in questions (`--direct`): the zone of a name
and its servers, from the resolvers; each server is tried first. Every server has an engine of its
own, with its own window, rate and RTT, as for a resolver. Questions that a server does not answer
go to the resolvers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from auditor.errors import AuditorError
from auditor.resolve.answer import Question
from auditor.resolve.cache import Cache
from auditor.resolve.direct import ServerAsker, ServerQuestion, answer_both
from auditor.resolve.resolver import CachingResolver
from auditor.resolve.steps import answer_steps
from auditor.resolve.token_bucket import TokenBucket
from auditor.routing.server_engine import ServerEngine
from auditor.settings import Server
from auditor.wire.codes import SETTLED, SOA
from auditor.wire.names import parent_of
from auditor.zones.finding_servers import find_servers
from auditor.zones.owners import group_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Answer, AnswerCallback, Engine
    from auditor.resolve.bulk.engine import BulkEngine
    from auditor.settings import Settings
    from auditor.zones.finding_servers import ZoneServers

__all__ = ["RoutedEngine"]

_log = logging.getLogger("auditor")

#: Queries per second to a server of other people's zones.
_FOREIGN_QPS: Final = 20.0
#: Most servers asked directly; most groups of names, and zones, whose routes are kept.
_MAX_SERVERS: Final = 128
_MAX_GROUPS: Final = 65_536
_MAX_ZONES: Final = 16_384
#: Questions for names under the same parent before finding their servers is worth it; reverse
#: names have many neighbours, so there one is enough.
_WORTH_FINDING: Final = 8
#: Answers about zones and servers that are cached.
_CACHE_ENTRIES: Final = 65_536
_RA: Final = 0x0080


class _Route:
    """The servers for questions about some names.

    `servers`: empty for the resolvers. `held`: questions that wait until the servers are found,
    None afterwards.
    """

    __slots__ = ("held", "servers")

    def __init__(self, servers: Sequence[ServerEngine] = ()) -> None:
        self.servers = list(servers)
        self.held: list[tuple[Sequence[Question], AnswerCallback]] | None = None


class _CountedSubmit:
    """Counts the questions that go to an engine through it."""

    def __init__(self, engine: Engine, counts: Counter[str]) -> None:
        self._engine = engine
        self._counts = counts

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Ask the engine."""
        self._counts["asked"] += len(questions)

        def take(pairs: Sequence[tuple[Question, Answer]]) -> None:
            failed = sum(answer.status not in SETTLED for _, answer in pairs)
            self._counts.update({"failed": failed, "answered": len(pairs) - failed})
            deliver(pairs)

        self._engine.submit(questions, take)


class RoutedEngine:
    """An `Engine` over the one for the resolvers and one for each server of a route."""

    def __init__(self, resolvers: BulkEngine, settings: Settings) -> None:
        self._resolvers = resolvers
        self._settings = settings
        self._own = frozenset(settings.own)
        self._bucket = TokenBucket(None, 0.0)
        self._servers: dict[Server, ServerEngine] = {}
        self._given: dict[str, _Route] = {}
        #: By the name above: its route. By zone: the same, once found.
        self._groups: dict[str, _Route] = {}
        self._zones: dict[str, asyncio.Task[_Route]] = {}
        self._seen: Counter[str] = Counter()
        self._to_resolvers = _Route()
        self._finding: set[asyncio.Task[None]] = set()
        self._wake: Callable[[], None] | None = None
        self._direct = self._handed_back = 0
        self._limits = settings.concurrency, settings.qps, settings.server_qps
        # Over the resolvers alone: finding a route must not need the route.
        self._lookup_counts: Counter[str] = Counter()
        counted = _CountedSubmit(resolvers, self._lookup_counts)
        # The only parts of an engine that a resolver needs.
        self._lookup = CachingResolver(cast("Engine", counted), Cache(_CACHE_ENTRIES))
        self._asker = ServerAsker(
            port=settings.authority_port, timeout=settings.timeout, tries=settings.tries
        )

    async def start(self) -> None:
        """Start the resolvers, and the servers of the routes that were given."""
        self._resolvers.pool.share_rate(self._bucket)
        await self._resolvers.start()
        try:
            for zone, servers in self._settings.route:
                engines = [await self._given_server(zone, server) for server in servers]
                self._given[zone] = _Route(
                    [server_engine for server_engine in engines if server_engine is not None]
                )
        except BaseException:
            await self.close_engine()
            raise

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Divide the questions among the routes; see `Engine`."""
        shares: dict[_Route, list[Question]] = {}
        groups, given = self._groups, self._given
        for question in questions:
            name = question[0]
            group = name.partition(".")[2] if name[-9:] != ".ip6.arpa" else group_name(name)
            route = groups.get(group)
            if route is None or name in given:
                route = self._route_of(name, group)
            shares.setdefault(route, []).append(question)
        for route, part in shares.items():
            self._send(route, part, deliver)

    def set_limits(
        self, concurrency: int | None, qps: float | None, server_qps: float | None
    ) -> None:
        """Set limits, before or after the start."""
        self._limits = concurrency, qps, server_qps
        self._resolvers.set_limits(concurrency, qps, server_qps)
        for server in self._servers.values():
            server.engine.set_limits(concurrency, qps, self._qps_of(foreign=server.is_foreign))

    def rate(self) -> float | None:
        """Return the queries per second that the resolvers' limits allow; None for no limit."""
        return self._resolvers.rate()

    def limits_found(self) -> dict[str, dict[str, int | str]]:
        """Return the limits that were found, by server."""
        engines = [self._resolvers, *(server.engine for server in self._servers.values())]
        return {
            name: limits for engine in engines for name, limits in engine.limits_found().items()
        }

    def backlog(self) -> int:
        """Return how many questions have not been sent yet."""
        held = [part for route in self._groups.values() for part, _ in route.held or ()]
        servers = [server.engine.backlog() for server in self._servers.values()]
        return self._resolvers.backlog() + sum(servers) + sum(map(len, held))

    def on_room(self, wake: Callable[[], None]) -> None:
        """Call `wake` when few questions wait to be sent in all engines."""
        self._wake = wake
        self._resolvers.on_room(wake)
        for server in self._servers.values():
            server.engine.on_room(wake)

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        """Call `fail`, once, when no resolver is left."""
        self._resolvers.on_failure(fail)

    def counters(self) -> dict[str, int]:
        """Return the counts of all engines together (see `Counters`), and those of the routes.

        `direct`: questions sent to the zones' own servers; `handed_back`: those of them that then
        went to the resolvers; `server_queries`: queries to find out whether servers have a zone.
        """
        total: Counter[str] = Counter(self._resolvers.counters())
        for server in self._servers.values():
            # Questions that failed there go to the resolvers, and are counted there.
            total.update({**server.engine.counters(), "failed": 0})
        total["asked"] -= self._handed_back
        # Questions that this engine asked to find servers do not count as asked of it.
        total.subtract(self._lookup_counts)
        return {
            **total,
            "direct": self._direct,
            "handed_back": self._handed_back,
            "server_queries": self._asker.sent,
        }

    async def close_engine(self) -> None:
        """Drop outstanding questions, and free all sockets and tasks."""
        tasks = [*self._finding, *self._zones.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._asker.close()
        for server in self._servers.values():
            await server.engine.close_engine()
        await self._resolvers.close_engine()

    # --- Choosing routes

    def _route_of(self, name: str, group: str) -> _Route:
        """Return the route of a name: a given one, one to be found, or that of the resolvers."""
        zone = self._given_zone(name)
        if zone is not None:
            route = self._given[zone]
            if _is_within(group, zone):
                self._remember(group, route)
            return route
        if not self._settings.direct:
            return self._to_resolvers
        if not name.endswith(".arpa"):
            if len(self._seen) >= _MAX_GROUPS:
                self._seen.clear()
            self._seen[group] += 1
            if self._seen[group] < _WORTH_FINDING:
                return self._to_resolvers
        if group in self._groups:
            return self._groups[group]
        route = _Route()
        route.held = []
        self._remember(group, route)
        task = asyncio.get_running_loop().create_task(self._find(group, route))
        self._finding.add(task)
        task.add_done_callback(self._finding.discard)
        return route

    def _given_zone(self, name: str) -> str | None:
        """Return the closest zone above a name that has a given route."""
        above = name
        while self._given and above not in self._given:
            if above == ".":
                return None
            above = parent_of(above)
        return above if self._given else None

    def _remember(self, group: str, route: _Route) -> None:
        if len(self._groups) >= _MAX_GROUPS:
            waiting = {name: kept for name, kept in self._groups.items() if kept.held is not None}
            self._groups = waiting
        self._groups[group] = route

    def _send(self, route: _Route, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        if route.held is not None:
            route.held.append((questions, deliver))
            return
        alive = [server for server in route.servers if server.is_alive]
        if not alive:
            self._resolvers.submit(questions, deliver)
            return
        if len(questions) < len(alive):
            self._ask(min(alive, key=lambda server: server.load), questions, deliver)
            return
        for number, server in enumerate(alive):
            self._ask(server, questions[number :: len(alive)], deliver)

    def _ask(
        self, server: ServerEngine, questions: Sequence[Question], deliver: AnswerCallback
    ) -> None:
        """Ask a server; questions in flight to it for another caller go to the resolvers."""
        twice = server.asked_already(questions)
        if twice:
            self._resolvers.submit(twice, deliver)
            questions = [question for question in questions if question not in twice]
        self._direct += len(questions)
        server.submit(questions, deliver)

    def _hand_back(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Ask the resolvers the questions that a server of a route has not answered."""
        self._handed_back += len(questions)
        self._resolvers.submit(questions, deliver)

    # --- Finding servers

    async def _find(self, group: str, route: _Route) -> None:
        """Find the servers for the names below a name, and send the held questions."""
        try:
            servers = await answer_steps(
                find_servers(group), partial(answer_both, self._lookup, self._asker)
            )
            if servers.addresses:
                task = self._zones.get(servers.zone)
                if task is None:
                    if len(self._zones) >= _MAX_ZONES:
                        self._zones = {
                            z: task for z, task in self._zones.items() if not task.done()
                        }
                    task = self._zones[servers.zone] = asyncio.ensure_future(self._open(servers))
                route.servers = (await task).servers
        finally:
            held, route.held = route.held or [], None
            for questions, deliver in held:
                self._send(route, questions, deliver)

    async def _open(self, servers: ZoneServers) -> _Route:
        """Return a route to the servers of a zone."""
        foreign = not any(_is_within(servers.zone, zone) for zone in self._own)
        opened = []
        for address in servers.addresses:
            server = Server(address, self._settings.authority_port)
            opened.append(await self._server(server, foreign=foreign, recurse=False))
        return _Route([server for server in opened if server is not None])

    async def _given_server(self, zone: str, server: Server) -> ServerEngine | None:
        """Return the engine of a server of a given route; test whether it offers recursion."""
        asker = ServerAsker(
            port=server.port, timeout=self._settings.timeout, tries=self._settings.tries
        )
        try:
            (reply,) = await asker.ask_many([ServerQuestion(server.address, Question(zone, SOA))])
        finally:
            await asker.close()
        if reply.message is None:
            _log.warning(
                "route: %s does not answer (%s): asking the resolvers", server, reply.status
            )
            return None
        recurse = reply.message.flags & _RA > 0
        return await self._server(server, foreign=False, recurse=recurse)

    async def _server(self, server: Server, *, foreign: bool, recurse: bool) -> ServerEngine | None:
        """Return the engine of a server, None if it is unreachable or there are too many."""
        known = self._servers.get(server)
        if known is not None:
            if known.is_foreign and not foreign:
                known.is_foreign = False
                known.engine.set_limits(*self._limits[:2], self._qps_of(foreign=False))
            return known
        if len(self._servers) >= _MAX_SERVERS:
            return None
        made = ServerEngine(
            server,
            self._settings,
            self._hand_back,
            bucket=self._bucket,
            server_qps=self._qps_of(foreign=foreign),
            recurse=recurse,
        )
        made.is_foreign = foreign
        self._servers[server] = made
        try:
            await made.start()
        except AuditorError as error:
            _log.info("%s: asking the resolvers instead: %s", server, error)
            return None
        made.engine.set_limits(*self._limits[:2], self._qps_of(foreign=foreign))
        if self._wake is not None:
            made.engine.on_room(self._wake)
        return made

    def _qps_of(self, *, foreign: bool) -> float | None:
        """Return the queries per second for a server; the workers of a run share them."""
        server_qps = self._limits[2]
        if server_qps is None and foreign:
            return _FOREIGN_QPS / max(self._settings.workers, 1)
        return server_qps


def _is_within(name: str, zone: str) -> bool:
    return zone in {name, "."} or name.endswith(f".{zone}")
