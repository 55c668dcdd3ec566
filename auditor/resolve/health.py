"""Which servers are used: the check at the start, probes, the bench, and the way back.

A silent name says little about its server, so a server that owes answers is asked for a
name that cannot exist: any reply will do. One that is silent to that too is benched, its
questions go to others, and it is probed until it answers again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.errors import AuditorError, NoServerError, WireError
from auditor.resolve.answer import Question
from auditor.resolve.upstream import PROBES, Health
from auditor.wire.codes import FORMERR, NOTIMP, A, rcode_status
from auditor.wire.message import decode_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.attempts import Policy
    from auditor.resolve.port import Probe
    from auditor.resolve.upstream import Upstream

__all__ = ["Keeper"]

_log = logging.getLogger("auditor")

#: Seconds for which a run waits for any server to come back before it gives up.
_LAST_HOPE: Final = 10.0

#: So many ICMP messages without any reply between them, and nobody is there.
_REFUSALS: Final = 8

_HEADER: Final = 12

#: Seconds until a server that cannot be reached is tried again at the start.
_AFTER_REFUSAL: Final = 0.1


class _Reply(NamedTuple):
    """What came back to the check; `probe` is None if the network said that nobody is there."""

    probe: Probe | None
    data: bytes


class Keeper:
    """Keeps the servers' health.

    `probe` sends a question, without EDNS if `plain`; `take_back` puts what a benched server
    owes back in line; `fail` ends the run, called once, when no server has been in use for
    `hope` seconds.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        policy: Policy,
        *,
        probe: Callable[[Upstream, Question, bool], None],
        take_back: Callable[[Upstream], None],
        fail: Callable[[AuditorError], None],
        hope: float = _LAST_HOPE,
    ) -> None:
        self._upstreams = upstreams
        self._policy = policy
        self._probe = probe
        self._take_back = take_back
        self._fail = fail
        self._hope = hope
        self._checks: dict[int, asyncio.Future[_Reply]] = {}
        self._all_gone: float | None = None
        self._failed = False
        self.complaints: dict[int, str] = {}

    async def check(self) -> None:
        """Ask every server for a name that cannot exist (RFC 6761 §6.4), all at once.

        One that makes up an address is a liar, one that says nothing a mute: both are named
        in the log and left out. Those that return the letters' case as sent are noted, and
        those that answer only without EDNS.
        """
        usable = [one for one in self._upstreams if one.health is Health.GOOD]
        await asyncio.gather(*(self._check_one(upstream) for upstream in usable))

    async def _check_one(self, upstream: Upstream) -> None:
        why = "does not answer"
        # The last try is without EDNS: there are firewalls that let nothing else pass.
        for last in (*(False,) * max(self._policy.tries - 1, 1), True):
            reply = await self._ask(upstream, plain=last or upstream.plain)
            if reply is not None and reply.probe is not None and last and not upstream.plain:
                # Or the path is lossy, and it was chance.
                reply = await self._ask(upstream, plain=False) or reply
            if reply is None:
                continue
            if reply.probe is None:
                why = "is not reachable"
                await asyncio.sleep(min(_AFTER_REFUSAL, self._policy.timeout))
                continue
            without_edns = reply.probe[2]
            if not without_edns and _refuses_edns(reply.data):
                upstream.plain = True
                continue
            upstream.plain = without_edns
            upstream.mixed_case = reply.data.startswith(reply.probe[0], _HEADER)
            if _has_address(reply.data):
                self.leave_out(upstream, "makes up answers for names that do not exist")
            return
        self.leave_out(upstream, why)

    async def _ask(self, upstream: Upstream, *, plain: bool) -> _Reply | None:
        """Send one question of the check and wait for what comes; None for nothing in time."""
        reply: asyncio.Future[_Reply] = asyncio.get_running_loop().create_future()
        self._checks[upstream.number] = reply
        try:
            self._probe(upstream, _nowhere(), plain)
            with suppress(TimeoutError):
                return await asyncio.wait_for(reply, self._policy.timeout)
            return None
        finally:
            del self._checks[upstream.number]

    def _on_check(self, upstream: Upstream, reply: _Reply) -> bool:
        """Hand a reply to the check of a server, if there is one under way."""
        check = self._checks.get(upstream.number)
        if check is None or check.done():
            return False
        check.set_result(reply)
        return True

    def leave_out(self, upstream: Upstream, why: str) -> None:
        """Do not use a server in this run, and say so."""
        upstream.health = Health.OUT
        self.complaints[upstream.number] = why
        _log.warning(
            "server %s %s: left out",
            upstream.name,
            why,
            extra=_event("server_left_out", server=upstream.name, why=why),
        )

    def usable(self) -> bool:
        """Tell whether any server is in use now."""
        return any(upstream.health is Health.GOOD for upstream in self._upstreams)

    def require_one(self) -> None:
        """Raise NoServerError unless a server is in use."""
        if not self.usable():
            raise NoServerError(f"no server is left to ask: {self._why()}")

    def _why(self) -> str:
        return "; ".join(
            f"{upstream.name} {self.complaints.get(upstream.number, 'does not answer')}"
            for upstream in self._upstreams
        )

    def on_probe(self, upstream: Upstream, probe: Probe, data: bytes, now: float) -> None:
        """Take a reply to a probe."""
        if upstream.round_trip.smoothed is None:
            upstream.round_trip.note(now - probe[1])
        self._on_check(upstream, _Reply(probe, data))
        if upstream.health is Health.BENCHED:
            upstream.health = Health.GOOD
            self._all_gone = None
            _log.warning(
                "server %s answers again",
                upstream.name,
                extra=_event("server_back", server=upstream.name),
            )

    def on_refused(self, upstream: Upstream, now: float, times: int = 1) -> None:
        """Note that the network says nobody is there; often enough, and it is believed."""
        upstream.refusals += times
        if self._on_check(upstream, _Reply(None, b"")):
            return
        if upstream.refusals >= _REFUSALS and upstream.health is Health.GOOD:
            self._bench(upstream, "is not reachable", now)

    def look(self, now: float) -> None:
        """Look after the servers, many times a second."""
        for upstream in self._upstreams:
            quiet = upstream.health is Health.BENCHED or (
                upstream.health is Health.GOOD and upstream.is_quiet(now)
            )
            if not quiet or now < upstream.next_probe:
                continue
            if upstream.health is Health.GOOD and upstream.probes >= PROBES:
                self._bench(upstream, "has stopped answering", now)
            upstream.probes += 1
            upstream.next_probe = now + upstream.patience()
            self._probe(upstream, _nowhere(), upstream.plain)
        gone = self._all_gone
        if gone is not None and now - gone > self._hope and not self._failed:
            self._failed = True
            self._fail(NoServerError(f"no server answers any more: {self._why()}"))

    def _bench(self, upstream: Upstream, why: str, now: float) -> None:
        upstream.health = Health.BENCHED
        self.complaints[upstream.number] = why
        _log.warning(
            "server %s %s: benched",
            upstream.name,
            why,
            extra=_event("server_benched", server=upstream.name, why=why),
        )
        upstream.next_probe = now
        self._take_back(upstream)
        if not self.usable():
            self._all_gone = now


def _event(event: str, **fields: str) -> dict[str, object]:
    """Return what a log record carries for machines: what happened, and to whom."""
    return {"event": event, "fields": fields}


def _nowhere() -> Question:
    """Return a question that no honest server has an address for."""
    return Question(f"{secrets.token_hex(8)}.invalid", A)


def _refuses_edns(data: bytes) -> bool:
    return rcode_status(data[3] & 0x0F) in {FORMERR, NOTIMP}


def _has_address(data: bytes) -> bool:
    try:
        return any(record.rdtype == A for record in decode_message(data).answer)
    except WireError:
        return False
