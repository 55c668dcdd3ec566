"""Facts about one zone: its delegation, its servers, and the answers of each of them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from auditor.resolve.answer import Answer, Question
from auditor.resolve.direct import ServerQuestion, ServerReply

if TYPE_CHECKING:
    from auditor.wire.message import Soa

__all__ = ["MAX_NAMES", "Asked", "DelegationRow", "Replied", "ServerRow", "SurveySteps", "ZoneFact"]

#: Most servers of a zone that are asked.
MAX_NAMES: Final = 13

#: A question for the resolver, or for one server.
Asked: TypeAlias = Question | ServerQuestion
Replied: TypeAlias = Answer | ServerReply

T = TypeVar("T")

#: As `resolve.answer.Steps`, with questions for single servers among those for the resolver.
SurveySteps: TypeAlias = Generator[Sequence[Asked], Sequence[Replied], T]


class DelegationRow(NamedTuple):
    """The delegation on a server of the parent zone.

    `ns`: the names that it delegates to. `address` is None for a name without one, and
    `status` that of its lookup. `is_proxy`: a proxy answers in its place (RA without AA).
    """

    name: str
    address: str | None
    status: str
    ns: tuple[str, ...] = ()
    denies: bool = False
    is_proxy: bool = False


class ServerRow(NamedTuple):
    """The zone on one of its servers.

    `soa` is None unless it answered with one; `aa`: with authority. `is_alias`: its name is
    an alias. `only`: the owners of PTR records that only this server has, None if it was not
    asked. `is_proxy` as in `DelegationRow`.
    """

    name: str
    address: str | None
    status: str
    aa: bool = False
    soa: Soa | None = None
    ns: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    is_alias: bool = False
    is_proxy: bool = False

    @property
    def serves(self) -> bool:
        """Whether it serves the zone: an SOA record, with authority."""
        return self.aa and self.soa is not None


class ZoneFact(NamedTuple):
    """One zone, or a name that should be one and is not delegated (`denied`).

    `parent`: the apex of the zone above, "" if unknown. `differing`: owners whose PTR records
    differ between servers. `hidden`: empty non-terminals (names without records, above existing
    names) that a server denies. `parent_rname`: the contact of the zone above, if a server of it
    denies this one.
    """

    zone: str
    parent: str
    soa: Soa | None
    parent_servers: tuple[DelegationRow, ...] = ()
    servers: tuple[ServerRow, ...] = ()
    denied: bool = False
    differing: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    parent_rname: str = ""
