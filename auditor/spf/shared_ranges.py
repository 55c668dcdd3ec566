"""Address ranges that policies authorise, shared by many domains; and ranges that are too wide."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from auditor.spf.parser import parse_term
from auditor.wire.addresses import V4

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auditor.spf.range_evaluator import Path
    from auditor.wire.address_set import Interval

__all__ = ["WIDEST", "EvaluationTrouble", "Piece", "PolicyRanges", "SharedRanges", "is_wide"]

#: First and last address, and the way to the term that matches them.
Piece: TypeAlias = "tuple[int, int, Path]"

#: Prefix lengths: a term that matches a wider network, or all addresses, is wide: it
#: authorises every address, or nearly. The widest allocation of a registry is an IPv4 /8.
WIDEST: Final = {4: 8, 6: 16}

#: Intervals in the states that are kept, about 70 octets each; beyond that, all are dropped.
_MAX_KEPT_INTERVALS: Final = 1_000_000
_NO_DOMAIN: Final = ""


class EvaluationTrouble(NamedTuple):
    """An error that some addresses get: `permerror` or `temperror`, where, and of what kind.

    `trouble` is as in `RangeOutcome`.
    """

    result: str
    path: Path
    trouble: str


class SharedRanges:
    """The addresses that pass in one step of many policies: disjoint, in order.

    `pieces` are (first, last, path). The domain of the first term of a path is "": it is the
    one whose policy is evaluated.
    """

    __slots__ = ("_firsts", "pieces")

    def __init__(self, pieces: tuple[Piece, ...]) -> None:
        self.pieces = pieces
        self._firsts = [first for first, _, _ in pieces]

    def overlaps(self, holes: Iterable[Interval]) -> list[Piece]:
        """Return the parts of the pieces that lie in any of the holes."""
        pieces, firsts = self.pieces, self._firsts
        found = []
        for low, high in holes:
            for index in range(max(bisect_right(firsts, low) - 1, 0), bisect_right(firsts, high)):
                first, last, path = pieces[index]
                if last >= low:
                    found.append((max(first, low), min(last, high), path))
        return found


class PolicyRanges(NamedTuple):
    """What the policy of a domain authorises, of the addresses of an IP version: result `pass`.

    `own`: (first, last, term) of its own networks; `shared`: ranges shared with other domains,
    each with the pieces of them that this policy has decided before. No address
    is in two of them.
    `wide`: terms that match every address, or nearly, with the way to them; their addresses
    are in neither. `undetermined`: terms whose outcome depends on the sender, on HELO or on the
    single address; addresses that reach them may pass. `otherwise` is the result of most
    addresses, None if that is undetermined. Paths are those of `SharedRanges`.
    """

    own: tuple[tuple[int, int, str], ...]
    shared: tuple[tuple[SharedRanges, tuple[Piece, ...]], ...]
    wide: tuple[Path, ...]
    undetermined: tuple[Path, ...]
    errors: tuple[EvaluationTrouble, ...]
    otherwise: str | None


def is_wide(text: str, version: int) -> bool:
    """Tell whether a passing term matches every address, or nearly."""
    term = parse_term(text)
    if term.kind in {"all", "exists"}:
        return True
    return (term.bits if version == V4 or term.kind == "ip6" else term.bits6) < WIDEST[version]
