"""Detects that no server answers at all, for c-ares, which hides its servers.

c-ares only reports a timeout: because the name is silent, or because every server is down. So a
timeout is final only if some reply has come since the question was sent. If not, it is held back
until a query for a name that cannot exist shows which of the two it is.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import aiodns
import pycares

from auditor.errors import NoServerError
from auditor.wire.codes import FORMERR, NOTIMP, TIMEOUT, UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.answer import Answer, AnswerCallback, Question

__all__ = ["LivenessWatch", "check_servers", "query_nonexistent_name"]

_log = logging.getLogger("auditor")

#: Statuses of questions without any reply.
_SILENT: Final = frozenset({TIMEOUT, UNREACHABLE})

#: Statuses that c-ares also reports without a reply, for names and types it does not send.
_NO_PROOF: Final = frozenset({FORMERR, NOTIMP})

_UNREACHED: Final = {
    pycares.errno.ARES_ETIMEOUT: "does not answer",
    pycares.errno.ARES_ECONNREFUSED: "is not reachable",
}

#: Least seconds between two probes of silent servers: a refused connection fails at once.
_PROBE_INTERVAL_S: Final = 0.5


class LivenessWatch:
    """Holds back timeouts that may mean that every server is silent.

    `probe` asks for a name that cannot exist and returns whether a server replies; `settle`
    delivers an answer; `again` sends a question again; `fail` ends the run when no server has
    answered for `give_up_after_s` seconds. `servers` are named in the log.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        probe: Callable[[], Awaitable[bool]],
        settle: Callable[[Question, AnswerCallback, Answer], None],
        again: Callable[[Question, AnswerCallback], None],
        fail: Callable[[AuditorError], None],
        give_up_after_s: float,
    ) -> None:
        self._servers = servers
        self._probe = probe
        self._settle = settle
        self._again = again
        self._fail = fail
        self._give_up_after_s = give_up_after_s
        self._loop = asyncio.get_running_loop()
        self._last_reply_at = float("-inf")
        self._held: list[tuple[Question, AnswerCallback, Answer]] = []
        self._task: asyncio.Task[None] | None = None

    def holds(
        self, question: Question, deliver: AnswerCallback, answer: Answer, asked_at: float
    ) -> bool:
        """Note an answer; return whether it is held back for now."""
        if answer.status not in _SILENT:
            if answer.status not in _NO_PROOF:
                self._last_reply_at = self._loop.time()
            return False
        if self._last_reply_at >= asked_at:
            return False
        self._held.append((question, deliver, answer))
        if self._task is None:
            self._task = self._loop.create_task(self._probe_servers())
        return True

    async def drop_held(self) -> None:
        """Discard the answers that are held back."""
        self._held.clear()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _probe_servers(self) -> None:
        """Probe until a server answers; call `fail` every `give_up_after_s` without an answer."""
        since = self._loop.time()
        gone = False
        while not await self._does_any_reply():
            now = self._loop.time()
            if not gone:
                gone = True
                self._log_servers("server_benched", "has stopped answering")
            if now - since >= self._give_up_after_s:
                why = "; ".join(f"{server} does not answer" for server in self._servers)
                self._fail(NoServerError(f"no server answers any more: {why}"))
                since = now  # later questions wait as long
            await asyncio.sleep(_PROBE_INTERVAL_S)
        self._last_reply_at = self._loop.time()
        self._task = None
        held, self._held = self._held, []
        if gone:
            self._log_servers("server_back", "")
        for question, deliver, answer in held:
            if gone:
                self._again(question, deliver)
            else:
                self._settle(question, deliver, answer)

    async def _does_any_reply(self) -> bool:
        before = self._last_reply_at
        return await self._probe() or self._last_reply_at > before

    def _log_servers(self, event: str, why: str) -> None:
        for server in self._servers:
            fields = {"server": server} | ({"why": why} if why else {})
            text = f"server %s {why}: benched" if why else "server %s answers again"
            _log.warning(text, server, extra={"event": event, "fields": fields})


async def query_nonexistent_name(resolver: aiodns.DNSResolver) -> tuple[str, bool]:
    """Ask for a name that cannot exist (RFC 6761 §6.4).

    Return why no server was reached, "" if one was; and whether it made up an address.
    """
    try:
        result = await resolver.query_dns(_nonexistent_name(), "A")
    except aiodns.error.DNSError as error:
        return _UNREACHED.get(error.args[0], ""), False
    return "", bool(result.answer)


async def _server_fault(resolver: aiodns.DNSResolver) -> str:
    """Return what is wrong with the only server of a resolver, "" for nothing.

    As in the bulk engine, it is asked for a name that cannot exist and for `. NS`.
    """
    unreached, made_up = await query_nonexistent_name(resolver)
    if unreached or made_up:
        return unreached or "makes up answers for names that do not exist"
    root = await _error_of(resolver, ".", "NS")
    if root in _DENIALS:
        return "denies what must exist (the root's name servers)"
    if root in _UNREACHED:
        return f"{_UNREACHED[root]} for the root's name servers"
    if root == pycares.errno.ARES_ESERVFAIL:
        others = (
            await _error_of(resolver, name, "A") for name in (_nonexistent_name(), "localhost")
        )
        if {root} == {error async for error in others}:
            return "answers SERVFAIL to everything"
    return ""


#: Errors of negative answers: no such name, or no such type.
_DENIALS: Final = frozenset({pycares.errno.ARES_ENODATA, pycares.errno.ARES_ENOTFOUND})


async def _error_of(resolver: aiodns.DNSResolver, name: str, rdtype: str) -> int:
    """Send a query, and return the c-ares error number, 0 for none."""
    try:
        await resolver.query_dns(name, rdtype)
    except aiodns.error.DNSError as error:
        return int(error.args[0])
    return 0


def _nonexistent_name() -> str:
    return f"{secrets.token_hex(8)}.invalid"


async def check_servers(servers: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """Check the servers; return those that answer, and do not make up or deny names.

    The others are logged. Raises NoServerError if none is left.
    """

    async def check_server(server: str) -> str:
        resolver = aiodns.DNSResolver([server], loop=asyncio.get_running_loop(), **options)
        try:
            return await _server_fault(resolver)
        finally:
            await resolver.close()

    verdicts = dict(zip(servers, await asyncio.gather(*map(check_server, servers)), strict=True))
    complaints = {server: why for server, why in verdicts.items() if why}
    for server, why in complaints.items():
        extra = {"event": "server_left_out", "fields": {"server": server, "why": why}}
        _log.warning("server %s %s: left out", server, why, extra=extra)
    if len(complaints) == len(verdicts):
        message = "; ".join(f"{server} {why}" for server, why in complaints.items())
        raise NoServerError(f"no server is left to ask: {message}")
    return [server for server in servers if server not in complaints]
