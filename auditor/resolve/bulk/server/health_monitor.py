"""Health of the servers: check at the start, probes, suspension, and return to use.

A silent name is weak evidence against its server, so a server with overdue answers is probed for a
name that cannot exist: any reply will do. Without a reply it is suspended: its questions go to
other servers, and it is probed until it answers again.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.errors import AuditorError, NoServerError
from auditor.resolve.bulk.server.nameserver import UNANSWERED_PROBES, Health
from auditor.resolve.bulk.server.server_check import (
    ROOT_SERVERS,
    has_address,
    local_name,
    nonexistent_name,
    refuses_edns,
    root_complaint,
    says_servfail,
)
from auditor.wire.message import IN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Question
    from auditor.resolve.bulk.retry_policy import RetryPolicy
    from auditor.resolve.bulk.server.nameserver import NameServer
    from auditor.resolve.bulk.udp.outstanding import Probe

__all__ = ["HealthMonitor"]

_log = logging.getLogger("auditor")

#: Seconds without any usable server after which a run gives up.
_GIVE_UP_S: Final = 10.0

#: Consecutive ICMP errors, without a reply between them, after which a server is suspended.
_REFUSALS_IN_A_ROW: Final = 8

#: Least assumed RTT in seconds before the first answer.
_MIN_ROUND_TRIP_S: Final = 0.2

_HEADER: Final = 12
_TYPE_CLASS: Final = Struct("!2H").pack

#: Seconds until an unreachable server is tried again at the start.
_RETRY_UNREACHABLE_S: Final = 0.1


class _Reply(NamedTuple):
    """A reply to the check; `probe` is None for an ICMP error."""

    probe: Probe | None
    data: bytes


class HealthMonitor:
    """Monitors the health of the servers.

    `probe` sends a question, without EDNS if its last argument is true; `take_back` requeues the
    unanswered queries of a suspended server; `fail` is called whenever no server has been usable
    for `give_up_after_s` seconds.
    """

    def __init__(
        self,
        nameservers: Sequence[NameServer],
        policy: RetryPolicy,
        *,
        probe: Callable[[NameServer, Question, bool], None],
        take_back: Callable[[NameServer], None],
        fail: Callable[[AuditorError], None],
        give_up_after_s: float = _GIVE_UP_S,
    ) -> None:
        self._nameservers = nameservers
        self._policy = policy
        self._probe = probe
        self._take_back = take_back
        self._fail = fail
        self._give_up_after_s = give_up_after_s
        #: By server number: the type asked for, and the future of the reply.
        self._checks: dict[int, tuple[int, asyncio.Future[_Reply]]] = {}
        self._all_down_since: float | None = None
        self.complaints: dict[int, str] = {}

    async def check_servers(self) -> None:
        """Ask every server for a name that cannot exist and for one that must, concurrently.

        A server that makes up an address, denies the root's NS records, fails every question, or
        does not reply is logged and left out. Support of EDNS and of random letter case is noted.
        """
        usable = [
            nameserver for nameserver in self._nameservers if nameserver.health is Health.GOOD
        ]
        await asyncio.gather(*(self._check_one(nameserver) for nameserver in usable))

    async def _check_one(self, nameserver: NameServer) -> None:
        why = "does not answer"
        # The last try is without EDNS: some firewalls drop queries with it.
        for last in (*(False,) * max(self._policy.tries - 1, 1), True):
            reply = await self._ask(
                nameserver, nonexistent_name(), plain=last or nameserver.can.plain
            )
            if reply is not None and reply.probe is not None and last and not nameserver.can.plain:
                # The earlier tries may have been lost by chance.
                reply = await self._ask(nameserver, nonexistent_name(), plain=False) or reply
            if reply is None:
                continue
            if reply.probe is None:
                why = "is not reachable"
                await asyncio.sleep(min(_RETRY_UNREACHABLE_S, self._policy.timeout))
                continue
            without_edns = reply.probe[2]
            if not without_edns and refuses_edns(reply.data):
                nameserver.can.plain = True
                continue
            nameserver.can.plain = without_edns
            nameserver.can.mixed_case = reply.data.startswith(reply.probe[0], _HEADER)
            if has_address(reply.data):
                why = "makes up answers for names that do not exist"
            else:
                why = await self._check_existing(nameserver, fails=says_servfail(reply.data))
            break
        if why:
            self.leave_out(nameserver, why)

    async def _check_existing(self, nameserver: NameServer, *, fails: bool) -> str:
        """Ask for `. NS`, which must exist; return what is wrong with the server, "" for nothing.

        `fails`: its previous reply was SERVFAIL.
        """
        reply = await self._ask_until_answered(nameserver, ROOT_SERVERS)
        if reply is None:
            return "does not answer for the root's name servers"
        if not (fails and says_servfail(reply.data)):
            return root_complaint(reply.data)
        reply = await self._ask_until_answered(nameserver, local_name())
        always = reply is None or says_servfail(reply.data)
        return "answers SERVFAIL to everything" if always else ""

    async def _ask_until_answered(
        self, nameserver: NameServer, question: Question
    ) -> _Reply | None:
        for _ in range(max(self._policy.tries, 2)):
            reply = await self._ask(nameserver, question, plain=nameserver.can.plain)
            if reply is not None and reply.probe is not None:
                return reply
        return None

    async def _ask(
        self, nameserver: NameServer, question: Question, *, plain: bool
    ) -> _Reply | None:
        """Send one question of the check; return the reply, None after a timeout."""
        reply: asyncio.Future[_Reply] = asyncio.get_running_loop().create_future()
        self._checks[nameserver.number] = (question.rdtype, reply)
        try:
            self._probe(nameserver, question, plain)
            with suppress(TimeoutError):
                return await asyncio.wait_for(reply, self._policy.timeout)
            return None
        finally:
            del self._checks[nameserver.number]

    def _on_check(self, nameserver: NameServer, reply: _Reply) -> bool:
        """Deliver a reply to the check of a server; return whether the check awaited it."""
        rdtype, check = self._checks.get(nameserver.number, (0, None))
        if check is None or check.done():
            return False
        if reply.probe is not None and not reply.probe[0].endswith(_TYPE_CLASS(rdtype, IN)):
            # A late reply to the previous question.
            return False
        check.set_result(reply)
        return True

    def leave_out(self, nameserver: NameServer, why: str) -> None:
        """Exclude a server from this run, and log it."""
        nameserver.health = Health.LEFT_OUT
        self.complaints[nameserver.number] = why
        _log.warning(
            "server %s %s: left out",
            nameserver.name,
            why,
            extra=_event("server_left_out", server=nameserver.name, why=why),
        )

    def usable(self) -> bool:
        """Tell whether any server is usable now."""
        return any(nameserver.health is Health.GOOD for nameserver in self._nameservers)

    def require_one(self) -> None:
        """Raise NoServerError unless a server is usable."""
        if not self.usable():
            raise NoServerError(f"no server is left to ask: {self._complaints_text()}")

    def _complaints_text(self) -> str:
        return "; ".join(
            f"{nameserver.name} {self.complaints.get(nameserver.number, 'does not answer')}"
            for nameserver in self._nameservers
        )

    def on_probe(self, nameserver: NameServer, probe: Probe, data: bytes, now: float) -> None:
        """Handle a reply to a probe: the server is alive."""
        if nameserver.round_trip.smoothed is None:
            # The server may have answered without resolving anything: names take longer.
            nameserver.round_trip.assume_rtt(max(now - probe[1], _MIN_ROUND_TRIP_S))
        self._on_check(nameserver, _Reply(probe, data))
        if nameserver.health is Health.SUSPENDED:
            nameserver.health = Health.GOOD
            self._all_down_since = None
            _log.warning(
                "server %s answers again",
                nameserver.name,
                extra=_event("server_back", server=nameserver.name),
            )

    def on_refused(self, nameserver: NameServer, now: float, times: int = 1) -> None:
        """Note ICMP errors; suspend the server after several in a row."""
        nameserver.refusals += times
        if self._on_check(nameserver, _Reply(None, b"")):
            return
        if nameserver.refusals >= _REFUSALS_IN_A_ROW and nameserver.health is Health.GOOD:
            self._suspend(nameserver, "is not reachable", now)

    def poll_servers(self, now: float) -> None:
        """Probe quiet and suspended servers, and suspend silent ones, many times a second."""
        for nameserver in self._nameservers:
            quiet = nameserver.health is Health.SUSPENDED or (
                nameserver.health is Health.GOOD and nameserver.is_quiet(now)
            )
            if not quiet or now < nameserver.next_probe:
                continue
            if nameserver.health is Health.GOOD and nameserver.probes >= UNANSWERED_PROBES:
                self._suspend(nameserver, "has stopped answering", now)
            nameserver.probes += 1
            nameserver.next_probe = now + nameserver.patience()
            self._probe(nameserver, nonexistent_name(), nameserver.can.plain)
        gone = self._all_down_since
        if gone is not None and now - gone > self._give_up_after_s:
            self._all_down_since = now  # later questions wait as long
            self._fail(NoServerError(f"no server answers any more: {self._complaints_text()}"))

    def _suspend(self, nameserver: NameServer, why: str, now: float) -> None:
        nameserver.health = Health.SUSPENDED
        self.complaints[nameserver.number] = why
        _log.warning(
            "server %s %s: benched",
            nameserver.name,
            why,
            extra=_event("server_benched", server=nameserver.name, why=why),
        )
        nameserver.next_probe = now
        self._take_back(nameserver)
        if not self.usable():
            self._all_down_since = now


def _event(event: str, **fields: str) -> dict[str, object]:
    """Return the structured part of a log record: event and fields."""
    return {"event": event, "fields": fields}
