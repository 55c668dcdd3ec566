"""Weighs silence: it counts against a zone only if the server answered others meanwhile.

While a server answers nothing, the link or the server may be down: a probe shows that, and silences
are remembered until then. No clock and no socket in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from auditor.resolve.bulk.dead_zones import DeadZones
    from auditor.resolve.bulk.server.nameserver import NameServer

__all__ = ["SilenceMonitor"]

#: Silences that are remembered until their cause is known.
_MAX_SUSPECTS: Final = 4096

#: Seconds between two probes of a server that is silent, at least.
_BETWEEN_PROBES_S: Final = 0.1


class SilenceMonitor:
    """Tells `dead` what has been silent; `probes` takes the servers that a probe should show."""

    def __init__(self, dead: DeadZones, probes: list[NameServer]) -> None:
        self._dead = dead
        self._probes = probes
        #: From times from which nothing has been answered yet: who was asked, for what, when.
        self._suspects: list[tuple[NameServer, str, float]] = []

    def on_second(self, nameserver: NameServer, name: str, sent_at: float, now: float) -> None:
        """Note that a name was silent a second time, asked then.

        Once says little: a packet was lost, and the zone's other names were answered long before
        that is noticed. Nor does it say anything where many get their answer only when they ask
        again, or while the server answers nobody.
        """
        if sent_at >= nameserver.presence.answered_until:
            self.on_server_silence(nameserver, name, sent_at, now)
            if len(self._suspects) < _MAX_SUSPECTS:
                self._suspects.append((nameserver, name, sent_at))
        else:
            self._hold(nameserver, name, now)

    def on_server_silence(
        self, nameserver: NameServer, name: str, sent_at: float, now: float
    ) -> None:
        """Note the silence of a name at a time from which nothing has been answered."""
        presence = nameserver.presence
        presence.on_silence(self._dead.zone_of(name), sent_at)
        if presence.has_ever_answered and now >= presence.next_probe:
            presence.next_probe = now + _BETWEEN_PROBES_S
            self._probes.append(nameserver)

    def judge(self, now: float) -> None:
        """Hold silences against their zones if the server has answered others since."""
        if not self._suspects:
            return
        suspects, self._suspects = self._suspects, []
        for nameserver, name, sent_at in suspects:
            if sent_at >= nameserver.presence.answered_until:
                self._suspects.append((nameserver, name, sent_at))
            else:
                self._hold(nameserver, name, now)

    def forget_silences(self, nameserver: NameServer, since: float, until: float) -> None:
        """Forget the silences of a time in which a server answered nothing at all."""
        self._suspects = [
            suspect
            for suspect in self._suspects
            if suspect[0] is not nameserver or not since <= suspect[2] <= until
        ]

    def _hold(self, nameserver: NameServer, name: str, now: float) -> None:
        if not (nameserver.is_losing or nameserver.limits.rate.is_lossy(now)):
            self._dead.on_failure(name, now)
