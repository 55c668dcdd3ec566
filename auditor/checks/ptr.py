"""The PTR stage: which names an address has, and whether a wildcard made them up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from auditor.checks.facts import PtrFact
from auditor.resolve.answer import Question
from auditor.wire.codes import NOERROR, PTR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Answer

__all__ = ["Wildcards", "ptr_fact"]

_MOST_REMEMBERED: Final = 65_536


class Wildcards:
    """Which reverse zones answer for names that nobody entered (RFC 4592).

    An asterisk label can be asked for like any other (§2.1.1): `*.100.51.198.in-addr.arpa`
    gives the names of the wildcard that would stand in for a missing neighbour, and
    NXDOMAIN where there is none. One question serves all neighbours of an address, so it
    is remembered by their common parent.
    """

    __slots__ = ("names",)

    def __init__(self) -> None:
        #: Parent of the wildcard to the names that it gives, none without one.
        self.names: dict[str, tuple[str, ...]] = {}

    def question(self, reverse: str) -> Question | None:
        """Return what to ask for an owner such as `7.100.51.198.in-addr.arpa`, if unknown."""
        parent = reverse.partition(".")[2]
        return None if parent in self.names else Question(f"*.{parent}", PTR)

    def learn(self, question: Question, answer: Answer) -> None:
        """Take the answer to `question()`; one that failed says nothing."""
        if len(self.names) >= _MOST_REMEMBERED:
            self.names.clear()
        names = cast("tuple[str, ...]", answer.records) if answer.status == NOERROR else ()
        self.names[question.name[2:]] = names

    def owner(self, reverse: str, names: Sequence[str]) -> str:
        """Return the wildcard's owner if just its names are those of `reverse`, else ""."""
        parent = reverse.partition(".")[2]
        made_up = self.names.get(parent)
        return f"*.{parent}" if made_up and made_up == names else ""


def ptr_fact(answer: Answer) -> PtrFact:
    """Return what the answer to the PTR question says."""
    return PtrFact(answer.status, cast("tuple[str, ...]", answer.records), answer.chain)
