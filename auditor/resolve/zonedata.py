"""A zone in memory, and how an authoritative server finds what it says about a name.

Plain data and the algorithm of RFC 1034 §4.3.2, with wildcards (RFC 4592), DNAME
(RFC 6672) and empty non-terminals (RFC 8020). No file, no library and no clock here:
`masterfile` makes zones, `zonefiles` asks them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from auditor.wire.codes import DNAME, NS
from auditor.wire.names import MAX_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.resolve.answer import Obtained, Rdata

__all__ = ["CUT", "EMPTY", "RRset", "RRsets", "Redirection", "Zone", "parent_of", "substitute"]

#: (TTL, records sorted and without duplicates)
RRset: TypeAlias = "tuple[int, tuple[Rdata, ...]]"
#: What stands at one owner name, by type.
RRsets: TypeAlias = "dict[int, RRset]"

#: An empty non-terminal: the name exists, no type does. Never changed.
EMPTY: Final[RRsets] = {}
#: A delegation out of the zone. Known by identity, never changed.
CUT: Final[RRsets] = {}

_LABEL = re.compile(r"(?:[^.\\]|\\.)+\.?")
_ESCAPE = re.compile(r"\\(?:[0-9]{3}|.)")


def parent_of(name: str) -> str:
    """Return the name without its first label; the root is its own parent."""
    if "\\" not in name:
        return name.partition(".")[2] or "."
    label = _LABEL.match(name)
    return (name[label.end() :] if label else "") or "."


def substitute(name: str, owner: str, target: str) -> str | None:
    """Return `name`, which is below `owner`, moved below `target` (RFC 6672 §2.2).

    None if the outcome is longer than a name can be.
    """
    prefix = name if owner == "." else name[: -len(owner) - 1]
    moved = prefix if target == "." else f"{prefix}.{target}"
    # The octets of length stand where the dots are, one more in front; the last is the root's.
    octets = len(_ESCAPE.sub("x", moved)) + 2
    return moved if octets <= MAX_NAME else None


class Redirection(NamedTuple):
    """The CNAME that a DNAME stands for; `target` is None if it would be too long."""

    target: str | None
    ttl: int


class Zone:
    """One zone: its authoritative data, the cuts in it, the TTL of its negative answers.

    `nodes` holds everything in the zone by owner name, the SOA record at `origin`
    included, and is taken over: what a cut or a DNAME occludes (glue, RFC 6672 §2.4) is
    dropped, so that the closest encloser of a name is always the node that decides about
    it.
    """

    __slots__ = ("how", "negative_ttl", "nodes", "origin")

    def __init__(
        self,
        origin: str,
        nodes: dict[str, RRsets],
        negative_ttl: int,
        how: Obtained,
    ) -> None:
        self.origin = origin
        self.nodes = nodes
        self.negative_ttl = negative_ttl
        self.how = how
        cuts = {name for name, node in nodes.items() if NS in node and name != origin}
        self._drop_below(cuts | {name for name, node in nodes.items() if DNAME in node})
        for name in cuts & nodes.keys():
            nodes[name] = CUT
        self._add_empty_nodes()

    def _above(self, name: str) -> Iterator[str]:
        """Yield the names above this one, up to the origin."""
        while name != self.origin:
            name = parent_of(name)
            yield name

    def _drop_below(self, ends: set[str]) -> None:
        if ends:
            for name in list(self.nodes):
                if any(above in ends for above in self._above(name)):
                    del self.nodes[name]

    def _add_empty_nodes(self) -> None:
        for name in list(self.nodes):
            for above in self._above(name):
                if above in self.nodes:
                    break
                self.nodes[above] = EMPTY

    def find(self, name: str) -> RRsets | Redirection | None:
        """Return what the zone says about a name in it; None if the name does not exist.

        RRsets are those of the name or of the wildcard that covers it; `CUT` stands for
        all names at and below a delegation, a `Redirection` for a name below a DNAME.
        """
        nodes = self.nodes
        node = nodes.get(name)
        if node is not None:
            return node
        encloser = parent_of(name)
        while (node := nodes.get(encloser)) is None:
            encloser = parent_of(encloser)
        if node is CUT:
            return CUT
        if DNAME in node:
            ttl, (target,) = node[DNAME]
            return Redirection(substitute(name, encloser, cast("str", target)), ttl)
        # RFC 4592 §3.3.1: only the closest encloser's own asterisk is a source of synthesis.
        return nodes.get("*" if encloser == "." else f"*.{encloser}")
