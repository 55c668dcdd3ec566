"""Limits found for one server: queries at a time, and queries a second."""

from __future__ import annotations

import logging
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

from auditor.resolve.bulk.server.pressure import Pressure
from auditor.resolve.bulk.server.rate_limit import RateLimit
from auditor.wire.codes import REFUSED, SERVFAIL

if TYPE_CHECKING:
    from auditor.resolve.token_bucket import TokenBucket

__all__ = ["ServerLimits"]

_log = logging.getLogger("auditor")

#: The share of the window for retransmissions while first attempts are queued; and for failed
#: questions during a trial.
_RETRY_WINDOW_SHARE: Final = 0.25
_TRIAL_FAILED_SHARE: Final = 0.75

#: Seconds after which most dropped queries have timed out and been answered on retransmission.
_SILENCE_NOTICED_S: Final = 0.3

#: Settings of resolvers that cause a limit, for operators who can raise it.
_SETTINGS: Final = {
    (REFUSED, "at_a_time"): "dnsmasq: dns-forward-max",
    (SERVFAIL, "at_a_time"): "BIND: recursive-clients, fetches-per-server, fetches-per-zone",
    (REFUSED, "a_second"): "a rate limit of the server's",
    (SERVFAIL, "a_second"): "Unbound: ratelimit",
    ("", "at_a_time"): (
        "BIND: fetches-per-zone, fetches-per-server; Unbound: num-queries-per-thread; "
        "PowerDNS Recursor: max-mthreads"
    ),
    ("", "a_second"): "Unbound: ip-ratelimit; BIND: rate-limit",
}


class ServerLimits:
    """The limits of the server `name`; `bucket` holds the rate tokens of its queries.

    `qps`: the limit that the user has set.
    """

    def __init__(self, name: str, bucket: TokenBucket, qps: float | None) -> None:
        self.pressure = Pressure()
        self.rate = RateLimit()
        self._name = name
        self._bucket = bucket
        self._qps = qps
        #: Until when refused queries keep their places in the window: freed at once, they would
        #: make room for more queries to be refused.
        self._cooling: deque[float] = deque()
        #: The status of the server's replies beyond its limit, "" for none.
        self._refusal_status = ""
        self._is_logged = False

    @property
    def are_close(self) -> bool:
        """Whether fewer queries may be in flight than the congestion window allows."""
        return bool(self._cooling) or self.pressure.is_limiting

    def allowed_in_flight(self, window: int) -> int:
        """Return how many queries may be in flight, with a congestion window of `window`."""
        return self.pressure.allowed_in_flight(window) - len(self._cooling)

    def room_for_later(self, window: int) -> int:
        """Return how many of them may be retransmissions while first attempts are queued."""
        trial = self.pressure.trial
        if trial is not None:
            return max(int(trial.size * _TRIAL_FAILED_SHARE), 1)
        return max(int(self.pressure.allowed_in_flight(window) * _RETRY_WINDOW_SHARE), 1)

    def set_user_limit(self, qps: float | None, now: float) -> None:
        """Change the limit that the user has set."""
        self._qps = qps
        self._set_rate(now)

    def cool(self, until: float) -> None:
        """Keep a refused query's place in the window until then."""
        self._cooling.append(until)

    def on_answers(self, count: int, in_flight: int, sent_at: float, now: float) -> None:
        """Note answers to first attempts, the newest of which was sent then."""
        self.pressure.on_answers(count, in_flight, sent_at)
        self.rate.on_answers(count, now)

    def on_refusal(self, status: str) -> None:
        """Note the status of a failure that may be due to a limit."""
        self._refusal_status = status

    def on_recovered(self, failed_at: float, tried_at: float, now: float, *, slow: bool) -> None:
        """Note the answer to a question that had failed here before, perhaps slowly."""
        self.pressure.on_recovered(failed_at, tried_at, now, slow=slow)
        if self.rate.rate is not None:
            # Refusals indicate a rate limit only if a smaller window has not ended them.
            self.rate.on_lost(failed_at)

    def on_lost(self, sent_at: float, now: float) -> None:
        """Note that a query sent then was lost: its retransmission is answered now."""
        self.rate.on_lost(sent_at)
        self.pressure.window.on_lost(sent_at, now)

    def on_overload(self, now: float) -> None:
        """Note that the server was overloaded."""
        pressure = self.pressure
        if pressure.suspects_rate:
            pressure.suspects_rate = False
            self.rate.suggest(now)
            self._set_rate(now)
        else:
            self._log_window()

    def were_reached(self, since: float, now: float) -> bool:
        """Tell whether queries may have been lost to a limit since then."""
        found = max(self.rate.lossy_at, self.pressure.window.reached_at)
        return found >= since or self.rate.is_lossy(now)

    def poll_limits(self, now: float, round_trip: float) -> bool:
        """Update the limits, many times a second; `round_trip`: the RTT in seconds.

        Return whether a new limit is being tried.
        """
        cooling = self._cooling
        while cooling and cooling[0] <= now:
            cooling.popleft()
        window, tries_fewer = self.pressure.window, self.rate.tries_fewer
        is_changed = self.rate.poll_rate(now)
        if self.rate.tries_fewer and not tries_fewer:
            # By Little's law: the number in flight at that rate.
            held = int(self.rate.peak * round_trip)
            window.lower(held, inf, now, noticed_s=_SILENCE_NOTICED_S)
            return True
        if is_changed and window.is_silent:
            # The rate was the limit, not the number in flight.
            window.lift()
        if tries_fewer and not self.rate.tries_fewer:
            self._log_window()
        if not is_changed:
            return False
        self._set_rate(now)
        if self.rate.is_found:
            self._log_limit("a_second", f"{self.rate.rate:,.0f} queries a second")
        return self.rate.is_tried

    def limits_found(self) -> dict[str, int | str]:
        """Return limits found: `at_a_time`, `a_second`, and the `setting` that may be raised."""
        found: dict[str, int | str] = {}
        if self.pressure.window.queries is not None:
            found["at_a_time"] = self.pressure.window.queries
        if self.rate.rate is not None and self.rate.is_found:
            found["a_second"] = int(self.rate.rate)
        settings = [self._setting(kind) for kind in found]
        if any(settings):
            found["setting"] = "; ".join(filter(None, settings))
        return found

    def _setting(self, kind: str) -> str:
        return _SETTINGS.get((self._refusal_status, kind), "")

    @property
    def qps(self) -> float | None:
        """The rate limit in queries a second, set or found; None for none."""
        rates = [rate for rate in (self._qps, self.rate.rate) if rate is not None]
        return min(rates, default=None)

    def _set_rate(self, now: float) -> None:
        self.pressure.is_paced = self.rate.rate is not None
        self._bucket.set_rate(self.qps, now)

    def _log_window(self) -> None:
        if self.pressure.window.queries is not None:
            self._log_limit("at_a_time", f"{self.pressure.window.queries:,} queries at a time")

    def _log_limit(self, kind: str, limit: str) -> None:
        setting = self._setting(kind)
        fields = {"server": self._name, "limit": limit, "setting": setting}
        # A warning once; later values are only more exact.
        level = logging.INFO if self._is_logged else logging.WARNING
        self._is_logged = True
        text = (
            f"server %s is limited to %s ({setting})" if setting else "server %s is limited to %s"
        )
        extra = {"event": "server_limit", "fields": fields}
        _log.log(level, text, self._name, limit, extra=extra)
