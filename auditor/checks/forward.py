"""The forward stage: does a PTR name point back (iprev, RFC 8601 §2.7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from auditor.checks.facts import ForwardName, IprevFact
from auditor.wire.codes import SETTLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import PtrFact
    from auditor.resolve.answer import Answer

__all__ = ["MAX_NAMES", "confirm", "unconfirmed"]

#: PTR names that are confirmed at most (the figure of RFC 7208 §4.6.4), in sorted order.
MAX_NAMES: Final = 10


def unconfirmed(ptr: PtrFact) -> IprevFact:
    """Return the iprev result of an address whose PTR lookup gave no names."""
    return IprevFact("permerror" if ptr.status in SETTLED else "temperror", ())


def confirm(address: str, names: Sequence[str], answers: Sequence[Answer]) -> IprevFact:
    """Hold the address records of the PTR names against the address.

    `answers` are those to the A (for IPv4) or AAAA question of each of `names`. One name
    that points back is a pass. Without one, a lookup that failed might have been it, so
    the result is temperror; otherwise it is a fail, also when no name has any address.
    """
    found = []
    result = "fail"
    for name, answer in zip(names, answers, strict=True):
        addresses = cast("tuple[str, ...]", answer.records)
        confirms = address in addresses
        found.append(ForwardName(name, answer.status, addresses, confirms, answer.canonical))
        if confirms:
            result = "pass"
        elif result == "fail" and answer.status not in SETTLED:
            result = "temperror"
    return IprevFact(result, tuple(found))
