"""What a name server can do, learnt from its replies: EDNS, letters' case, and rate limiting.

One reply may be forged or damaged, so nothing is concluded from fewer than several in a row.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Capabilities"]

#: Replies in a row that came only without EDNS, until a server is asked without at once; and
#: replies with the letters' case changed, until it is asked in lower case.
_REPLIES_WITHOUT_EDNS: Final = 3
_REPLIES_IN_OTHER_CASE: Final = 8

#: Seconds for which a server that has sent several empty truncated replies counts as limiting
#: its rate (RRL): what it drops in that time is asked for over TCP at once. A few may be
#: nothing but large answers.
_SLIPPING_S: Final = 2.0
_SLIPS: Final = 4


class Capabilities:
    """What a server was found able to do.

    `mixed_case`: it returns the question's letters as they were sent. `plain`: it cannot do
    EDNS. `recurse`: it is asked to look further (RD), as resolvers are.
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
        """Note a reply whose question has not the letters' case that it was sent in."""
        self._replies_in_other_case += 1
        if self._replies_in_other_case >= _REPLIES_IN_OTHER_CASE:
            self.mixed_case = False

    def on_slip(self, now: float) -> None:
        """Note an empty truncated reply: "ask over TCP, if you are who you say"."""
        self._slips = self._slips + 1 if now - self._slipped_at < _SLIPPING_S else 1
        self._slipped_at = now

    def is_slipping(self, now: float) -> bool:
        """Tell whether the server limits the rate of its answers."""
        return self._slips >= _SLIPS and now - self._slipped_at < _SLIPPING_S
