"""Limits of SPF processing (RFC 7208 §4.6.4), and how much of them is used.

Ten lookups, two void lookups, ten MX hosts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auditor.wire.codes import NOERROR, SETTLED

if TYPE_CHECKING:
    from auditor.resolve.answer import Answer

__all__ = ["MAX_LOOKUPS", "MAX_MX", "MAX_VOIDS", "Spent"]

#: Terms that cause DNS lookups, in a policy and all that it includes.
MAX_LOOKUPS: Final = 10
#: Lookups that find no records; more are a permerror.
MAX_VOIDS: Final = 2
#: Hosts of one mx mechanism.
MAX_MX: Final = 10


class Spent:
    """Lookups and voids of an address of one IP version, and whether its evaluation has ended."""

    __slots__ = ("ended", "lookups", "voids")

    def __init__(self) -> None:
        self.lookups = self.voids = 0
        self.ended = False

    def see(self, answer: Answer) -> None:
        """Count a lookup's answer (§4.6.4), or end with it."""
        if self.ended or answer.status == NOERROR:
            return
        if answer.status in SETTLED:
            self.voids += 1
        else:
            self.ended = True
