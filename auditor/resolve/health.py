"""Which servers are used: the check at the start, probes, the bench, and the way back.

A silent name says little about its server, so a server that owes answers is asked for a
name that cannot exist: any reply will do. One that is silent to that too is benched, its
questions go to others, and it is probed until it answers again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Final

from auditor.errors import AuditorError, NoServerError, WireError
from auditor.resolve.answer import Question
from auditor.resolve.upstream import PROBES, Health
from auditor.wire.codes import A
from auditor.wire.message import decode_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.attempts import Policy
    from auditor.resolve.upstream import Upstream

__all__ = ["Keeper"]

_log = logging.getLogger("auditor")

#: Seconds between two probes of a server that is silent.
_BETWEEN_PROBES: Final = 0.5

#: Seconds for which a run waits for any server to come back before it gives up.
_LAST_HOPE: Final = 10.0

#: So many ICMP messages without any reply between them, and nobody is there.
_REFUSALS: Final = 8


class Keeper:
    """Keeps the servers' health.

    `probe` sends a question and returns what the reply must echo; `take_back` puts what a
    benched server owes back in line; `fail` ends the run.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        policy: Policy,
        *,
        probe: Callable[[Upstream, Question], bytes],
        take_back: Callable[[Upstream], None],
        fail: Callable[[AuditorError], None],
    ) -> None:
        self._upstreams = upstreams
        self._policy = policy
        self._probe = probe
        self._take_back = take_back
        self._fail = fail
        self._checks: dict[int, asyncio.Future[bytes]] = {}
        self._all_gone: float | None = None
        self.complaints: dict[int, str] = {}

    async def check(self) -> None:
        """Ask every server for a name that cannot exist (RFC 6761 §6.4), all at once.

        One that makes up an address is a liar, one that says nothing a mute: both are named
        in the log and left out. Those that return the letters' case as sent are noted.
        """
        usable = [one for one in self._upstreams if one.health is Health.GOOD]
        await asyncio.gather(*(self._check_one(upstream) for upstream in usable))

    async def _check_one(self, upstream: Upstream) -> None:
        for _ in range(max(self._policy.tries, 2)):
            reply = asyncio.get_running_loop().create_future()
            self._checks[upstream.number] = reply
            asked = self._probe(upstream, _nowhere())
            try:
                data = await asyncio.wait_for(reply, self._policy.timeout)
            except TimeoutError:
                continue
            finally:
                del self._checks[upstream.number]
            upstream.mixed_case = data.startswith(asked, 12)
            if _has_address(data):
                self.leave_out(upstream, "makes up answers for names that do not exist")
            return
        self.leave_out(upstream, "does not answer")

    def leave_out(self, upstream: Upstream, why: str) -> None:
        """Do not use a server in this run, and say so."""
        upstream.health = Health.OUT
        self.complaints[upstream.number] = why
        _log.warning("server %s %s: left out", upstream.name, why)

    def usable(self) -> bool:
        """Tell whether any server is in use now."""
        return any(upstream.health is Health.GOOD for upstream in self._upstreams)

    def why(self) -> str:
        """Return what is wrong with the servers, for a person."""
        return "; ".join(
            f"{upstream.name} {self.complaints.get(upstream.number, 'does not answer')}"
            for upstream in self._upstreams
        )

    def on_probe(self, upstream: Upstream, asked: bytes, data: bytes, now: float) -> None:
        """Take a reply to a probe."""
        del asked
        upstream.on_heard(now)
        check = self._checks.get(upstream.number)
        if check is not None and not check.done():
            check.set_result(data)
        if upstream.health is Health.BENCHED:
            upstream.health = Health.GOOD
            self._all_gone = None
            _log.warning("server %s answers again", upstream.name)

    def on_refused(self, upstream: Upstream, now: float) -> None:
        """Note that the network says nobody is there; often enough, and it is believed."""
        upstream.refusals += 1
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
            upstream.next_probe = now + max(_BETWEEN_PROBES, upstream.round_trip.timeout)
            self._probe(upstream, _nowhere())
        if self._all_gone is not None and now - self._all_gone > _LAST_HOPE:
            self._all_gone = None
            self._fail(NoServerError(f"no server answers any more: {self.why()}"))

    def _bench(self, upstream: Upstream, why: str, now: float) -> None:
        upstream.health = Health.BENCHED
        self.complaints[upstream.number] = why
        _log.warning("server %s %s: benched", upstream.name, why)
        self._take_back(upstream)
        if not self.usable():
            self._all_gone = now


def _nowhere() -> Question:
    """Return a question that no honest server has an address for."""
    return Question(f"{secrets.token_hex(8)}.invalid", A)


def _has_address(data: bytes) -> bool:
    try:
        return any(record.rdtype == A for record in decode_message(data).answer)
    except WireError:
        return False
