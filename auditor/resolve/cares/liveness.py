"""Detects that no server answers at all, for c-ares, which does not show its servers.

c-ares only says that a question was not answered: the name may be silent, or every server may be
gone. So such an answer is believed only if some reply has come since the question was asked. If
not, it is held back until a query for a name that cannot exist shows which of the two it is.
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

__all__ = ["LivenessWatch", "ask_nowhere", "try_out"]

_log = logging.getLogger("auditor")

#: Statuses for want of any reply.
_SILENT: Final = frozenset({TIMEOUT, UNREACHABLE})

#: What c-ares also says by itself, of a name or a type that it does not ask for.
_NO_PROOF: Final = frozenset({FORMERR, NOTIMP})

_NOBODY: Final = {
    pycares.errno.ARES_ETIMEOUT: "does not answer",
    pycares.errno.ARES_ECONNREFUSED: "is not reachable",
}

#: Seconds between two looks whether a server is back, at least: a refusal comes at once.
_PROBE_INTERVAL_S: Final = 0.5


class LivenessWatch:
    """Holds back failures that may mean that every server is silent.

    `probe` asks for a name that cannot exist and tells whether anybody answers; `settle` hands
    on an answer; `again` asks a question once more; `fail` ends the run, when nobody has
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
        self._heard = float("-inf")
        self._held: list[tuple[Question, AnswerCallback, Answer]] = []
        self._task: asyncio.Task[None] | None = None

    def holds(
        self, question: Question, deliver: AnswerCallback, answer: Answer, asked_at: float
    ) -> bool:
        """Take note of an answer; tell whether it is held back for now."""
        if answer.status not in _SILENT:
            if answer.status not in _NO_PROOF:
                self._heard = self._loop.time()
            return False
        if self._heard >= asked_at:
            return False
        self._held.append((question, deliver, answer))
        if self._task is None:
            self._task = self._loop.create_task(self._find_out())
        return True

    async def drop_held(self) -> None:
        """Forget what is held back."""
        self._held.clear()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _find_out(self) -> None:
        """Probe until a server answers; report a failure each `give_up_after_s` without any."""
        since = self._loop.time()
        gone = False
        while not await self._is_there():
            now = self._loop.time()
            if not gone:
                gone = True
                self._tell("server_benched", "has stopped answering")
            if now - since >= self._give_up_after_s:
                why = "; ".join(f"{server} does not answer" for server in self._servers)
                self._fail(NoServerError(f"no server answers any more: {why}"))
                since = now  # questions from now on wait as long
            await asyncio.sleep(_PROBE_INTERVAL_S)
        self._heard = self._loop.time()
        self._task = None
        held, self._held = self._held, []
        if gone:
            self._tell("server_back", "")
        for question, deliver, answer in held:
            if gone:
                self._again(question, deliver)
            else:
                self._settle(question, deliver, answer)

    async def _is_there(self) -> bool:
        before = self._heard
        return await self._probe() or self._heard > before

    def _tell(self, event: str, why: str) -> None:
        for server in self._servers:
            fields = {"server": server} | ({"why": why} if why else {})
            text = f"server %s {why}: benched" if why else "server %s answers again"
            _log.warning(text, server, extra={"event": event, "fields": fields})


async def ask_nowhere(resolver: aiodns.DNSResolver) -> tuple[str, bool]:
    """Ask for a name that cannot exist (RFC 6761 §6.4).

    Return why that shows no server to be there, "" if one is; and whether an address was
    made up for it.
    """
    try:
        result = await resolver.query_dns(_nowhere(), "A")
    except aiodns.error.DNSError as error:
        return _NOBODY.get(error.args[0], ""), False
    return "", bool(result.answer)


async def _complaint(resolver: aiodns.DNSResolver) -> str:
    """Return what is wrong with the only server of a resolver, "" for nothing.

    It is asked for what cannot exist and for what must (`. NS`), as the bulk engine does.
    """
    nobody, made_up = await ask_nowhere(resolver)
    if nobody or made_up:
        return nobody or "makes up answers for names that do not exist"
    root = await _error_of(resolver, ".", "NS")
    if root in _DENIALS:
        return "denies what must exist (the root's name servers)"
    if root in _NOBODY:
        return f"{_NOBODY[root]} for the root's name servers"
    if root == pycares.errno.ARES_ESERVFAIL:
        others = (await _error_of(resolver, name, "A") for name in (_nowhere(), "localhost"))
        if {root} == {error async for error in others}:
            return "answers SERVFAIL to everything"
    return ""


#: What denies a name, or a type at it.
_DENIALS: Final = frozenset({pycares.errno.ARES_ENODATA, pycares.errno.ARES_ENOTFOUND})


async def _error_of(resolver: aiodns.DNSResolver, name: str, rdtype: str) -> int:
    """Ask, and return the number of the error, 0 for none."""
    try:
        await resolver.query_dns(name, rdtype)
    except aiodns.error.DNSError as error:
        return int(error.args[0])
    return 0


def _nowhere() -> str:
    return f"{secrets.token_hex(8)}.invalid"


async def try_out(servers: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """Return those of the servers that answer, and answer honestly.

    The others are named in the log. Raises NoServerError if none is left.
    """

    async def one(server: str) -> str:
        resolver = aiodns.DNSResolver([server], loop=asyncio.get_running_loop(), **options)
        try:
            return await _complaint(resolver)
        finally:
            await resolver.close()

    verdicts = dict(zip(servers, await asyncio.gather(*map(one, servers)), strict=True))
    complaints = {server: why for server, why in verdicts.items() if why}
    for server, why in complaints.items():
        extra = {"event": "server_left_out", "fields": {"server": server, "why": why}}
        _log.warning("server %s %s: left out", server, why, extra=extra)
    if len(complaints) == len(verdicts):
        message = "; ".join(f"{server} {why}" for server, why in complaints.items())
        raise NoServerError(f"no server is left to ask: {message}")
    return [server for server in servers if server not in complaints]
