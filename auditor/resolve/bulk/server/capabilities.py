"""Capabilities of a name server, learnt from its replies: EDNS, letter case, rate limiting (RRL).

A single reply may be forged or damaged, so several in a row are required.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Capabilities"]

#: Consecutive replies that came only without EDNS before EDNS is no longer used; and replies with
#: changed letter case before names are sent in lower case.
_REPLIES_WITHOUT_EDNS: Final = 3
_REPLIES_IN_OTHER_CASE: Final = 8

#: Seconds for which a server counts as limiting its response rate (RRL) after several empty
#: truncated replies: queries that it drops are sent over TCP at once. A few may just be large
#: answers.
_SLIPPING_S: Final = 2.0
_SLIPS: Final = 4


class Capabilities:
    """Capabilities of a server.

    `mixed_case`: it preserves the question's letter case. `plain`: it does not support EDNS.
    `recurse`: queries to it have the RD flag, as for resolvers.
    """

    __slots__ = (
        "_replies_in_other_case",
        "_replies_without_edns",
        "_slipped_at",
        "_slips",
        "mixed_case",
        "plain",
        "recurse",
    )

    def __init__(self, now: float) -> None:
        self.mixed_case = False
        self.plain = False
        self.recurse = True
        self._replies_without_edns = 0
        self._replies_in_other_case = 0
        self._slips = 0
        self._slipped_at = now - _SLIPPING_S

    def on_with_edns(self) -> None:
        """Note an answer to a query with EDNS."""
        self._replies_without_edns = 0

    def on_without_edns(self) -> None:
        """Note an answer to a query without EDNS, after one with it was refused."""
        self._replies_without_edns += 1
        if self._replies_without_edns >= _REPLIES_WITHOUT_EDNS:
            self.plain = True

    def on_case_changed(self) -> None:
        """Note a reply whose question has another letter case than was sent."""
        self._replies_in_other_case += 1
        if self._replies_in_other_case >= _REPLIES_IN_OTHER_CASE:
            self.mixed_case = False

    def on_slip(self, now: float) -> None:
        """Note an empty truncated reply, as RRL sends to verify the client over TCP."""
        self._slips = self._slips + 1 if now - self._slipped_at < _SLIPPING_S else 1
        self._slipped_at = now

    def is_slipping(self, now: float) -> bool:
        """Tell whether the server limits its response rate (RRL)."""
        return self._slips >= _SLIPS and now - self._slipped_at < _SLIPPING_S
