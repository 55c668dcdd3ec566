"""The stages of one address: its PTR names, and whether they point back (iprev, RFC 8601 §2.7.3).

Two rounds of questions at most, and a third where an alias leads to no PTR record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from auditor.checks.facts import ForwardName, IprevFact, PtrFact
from auditor.publicsuffix import is_public, registrable
from auditor.resolve.answer import Question
from auditor.wire.codes import AAAA, NODATA, NOERROR, PTR, SETTLED, A
from auditor.wire.names import is_hostname, parent_of
from auditor.wire.reverse import is_reverse, reverse_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.resolve.answer import Answer, Steps

__all__ = [
    "MAX_NAMES",
    "OwnZones",
    "Wildcards",
    "check_address",
    "confirm",
    "ptr_fact",
    "unconfirmed",
    "unconfirmed_result",
    "without_origin",
]

#: PTR names that are confirmed at most (the figure of RFC 7208 §4.6.4), in sorted order.
MAX_NAMES: Final = 10

_MAX_WILDCARDS: Final = 65_536


def check_address(
    address: str, version: int, wildcards: Wildcards
) -> Steps[tuple[PtrFact, IprevFact]]:
    """Look up the names of an address, then the addresses of the first ten of them.

    If an alias leads to a name without a PTR record, look up whether that is a host.
    `address` is canonical text, `version` 4 or 6.
    """
    reverse = reverse_name(address)
    (answer,) = yield (Question(reverse, PTR),)
    ptr = ptr_fact(reverse, answer)
    if not ptr.names:
        if ptr.chain and ptr.status == NODATA and not is_reverse(ptr.owner):
            hosts = yield (Question(ptr.owner, A), Question(ptr.owner, AAAA))
            ptr = ptr._replace(is_host_alias=any(answer.records for answer in hosts))
        return ptr, unconfirmed(ptr)
    names = ptr.names[:MAX_NAMES]
    rdtype = A if version == 4 else AAAA  # noqa: PLR2004 - IP versions
    questions = [Question(name, rdtype) for name in names]
    probe = wildcards.question(reverse)
    if probe is not None:
        questions.append(probe)
    answers = yield questions
    if probe is not None:
        wildcards.learn_wildcard(probe, answers[-1])
        answers = answers[:-1]
    owner = wildcards.wildcard_owner(reverse, ptr.names)
    if owner:
        ptr = ptr._replace(wildcard=owner)
    return ptr, confirm(address, names, answers)


class Wildcards:
    """Wildcards of reverse zones, which answer for names without records (RFC 4592).

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
        """Return the question for the wildcard beside an owner name, None if it is known."""
        parent = reverse.partition(".")[2]
        return None if parent in self.names else Question(f"*.{parent}", PTR)

    def learn_wildcard(self, question: Question, answer: Answer) -> None:
        """Take the answer to `question()`; a failed lookup counts as no wildcard."""
        if len(self.names) >= _MAX_WILDCARDS:
            self.names.clear()
        names = cast("tuple[str, ...]", answer.records) if answer.status == NOERROR else ()
        self.names[question.name[2:]] = names

    def wildcard_owner(self, reverse: str, names: Sequence[str]) -> str:
        """Return the owner of the wildcard if `names` are exactly its names, else ""."""
        parent = reverse.partition(".")[2]
        made_up = self.names.get(parent)
        return f"*.{parent}" if made_up and made_up == names else ""


class OwnZones:
    """The zones of the operator (`--own`), by their names."""

    __slots__ = ("_zones",)

    def __init__(self, zones: Iterable[str]) -> None:
        self._zones = frozenset(zones)

    def undelegated(self, owner: str, denied_by: str) -> str:
        """Return the zone that would hold `owner` and is not delegated, "" if there is none.

        `denied_by`: the zone whose SOA record is in the negative answer (RFC 2308 §3). If it
        is above an own zone, it lacks the delegation of that zone.
        """
        missing = ""
        if not self._zones or not denied_by:
            return missing
        name = owner
        while name not in {denied_by, "."}:
            if name in self._zones:
                missing = name
            name = parent_of(name)
        return missing if name == denied_by else ""


def ptr_fact(reverse: str, answer: Answer) -> PtrFact:
    """Return the fact of the answer to the PTR question for the name `reverse`."""
    names = cast("tuple[str, ...]", answer.records)
    return PtrFact(answer.status, names, answer.chain, answer.canonical or reverse, answer.zone)


def without_origin(name: str, owner: str) -> str:
    """Return the PTR name that was meant where its final dot is missing, else "".

    A name without it is completed by the origin of the zone (RFC 1035 §5.1), and that is the
    owner of the PTR record or above it: `mail.example.net` in 2.0.192.in-addr.arpa becomes
    `mail.example.net.2.0.192.in-addr.arpa`. Of a host name in the owner's own domain it
    cannot be told: outside of the reverse trees the name must be of the registered domain twice.
    """
    origin = owner
    while origin and not name.endswith(f".{origin}"):
        origin = origin.partition(".")[2]
    meant = name.removesuffix(f".{origin}") if origin else ""
    if "." not in meant or not is_hostname(meant) or not is_public(meant) or is_reverse(meant):
        return ""
    if is_reverse(name):
        return meant
    return meant if registrable(meant) == registrable(origin) is not None else ""


def unconfirmed(ptr: PtrFact) -> IprevFact:
    """Return the iprev result of an address whose PTR lookup gave no names."""
    return IprevFact(unconfirmed_result(ptr.status), ())


def unconfirmed_result(status: str) -> str:
    """Return the iprev result of an address without a PTR name, by the status of that lookup."""
    return "permerror" if status in SETTLED else "temperror"


def confirm(address: str, names: Sequence[str], answers: Sequence[Answer]) -> IprevFact:
    """Compare the address records of the PTR names with the address.

    `answers` are those to the A (for IPv4) or AAAA question of each of `names`. One name
    that points back is a pass. Without one, a lookup that failed might have been it, so
    the result is temperror; otherwise it is a fail, also when no name has any address.
    """
    forward_names = []
    result = "fail"
    for name, answer in zip(names, answers, strict=True):
        addresses = cast("tuple[str, ...]", answer.records)
        confirms = address in addresses
        forward_names.append(
            ForwardName(name, answer.status, addresses, confirms, answer.canonical)
        )
        if confirms:
            result = "pass"
        elif result == "fail" and answer.status not in SETTLED:
            result = "temperror"
    return IprevFact(result, tuple(forward_names))
