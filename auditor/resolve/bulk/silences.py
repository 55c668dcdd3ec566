"""Evaluates timeouts: they count against a zone only if the server answered others meanwhile.

While a server answers nothing, the link or the server may be down: a probe shows that, and
timeouts are kept until then. No I/O; time is an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from auditor.resolve.bulk.dead_zones import DeadZones
    from auditor.resolve.bulk.server.nameserver import NameServer

__all__ = ["SilenceMonitor"]

#: Most timeouts kept until their cause is known.
_MAX_SUSPECTS: Final = 4096

#: Least seconds between two probes of a silent server.
_PROBE_INTERVAL_S: Final = 0.1


class SilenceMonitor:
    """Notes timeouts as failures in `dead`; adds servers to be probed to `probes`."""

    def __init__(self, dead: DeadZones, probes: list[NameServer]) -> None:
        self._dead = dead
        self._probes = probes
        #: Timeouts without any later answer yet: server, name, time of sending.
        self._suspects: list[tuple[NameServer, str, float]] = []

    def on_timeout(self, nameserver: NameServer, name: str, sent_at: float, now: float) -> None:
        """Note the timeout of a name's second attempt, sent then.

        The first is weak evidence, since a packet may be lost; so is any while loss is high, or
        while the server answers nothing.
        """
        if sent_at >= nameserver.presence.answered_until:
            self.on_server_silence(nameserver, name, sent_at, now)
            if len(self._suspects) < _MAX_SUSPECTS:
                self._suspects.append((nameserver, name, sent_at))
        else:
            self._count_failure(nameserver, name, now)

    def on_server_silence(
        self, nameserver: NameServer, name: str, sent_at: float, now: float
    ) -> None:
        """Note a timeout of a query since which the server has answered nothing."""
        presence = nameserver.presence
        presence.on_silence(self._dead.zone_of(name), sent_at)
        if presence.has_ever_answered and now >= presence.next_probe:
            presence.next_probe = now + _PROBE_INTERVAL_S
            self._probes.append(nameserver)

    def judge(self, now: float) -> None:
        """Count timeouts against their zones if the server has answered others since."""
        if not self._suspects:
            return
        suspects, self._suspects = self._suspects, []
        for nameserver, name, sent_at in suspects:
            if sent_at >= nameserver.presence.answered_until:
                self._suspects.append((nameserver, name, sent_at))
            else:
                self._count_failure(nameserver, name, now)

    def forget_silences(self, nameserver: NameServer, since: float, until: float) -> None:
        """Forget timeouts of queries sent to a server during its outage."""
        self._suspects = [
            suspect
            for suspect in self._suspects
            if suspect[0] is not nameserver or not since <= suspect[2] <= until
        ]

    def _count_failure(self, nameserver: NameServer, name: str, now: float) -> None:
        if not (nameserver.is_losing or nameserver.limits.rate.is_lossy(now)):
            self._dead.on_failure(name, now)
