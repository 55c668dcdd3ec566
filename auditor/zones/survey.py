"""Surveys a zone: asks the servers of its parent and its own servers, as steps without I/O.

Bounded, whatever the servers answer: `MAX_NAMES` names of servers with `MAX_ADDRESSES` addresses
each, two rounds of names, and no further names from replies are followed.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, cast

from auditor.resolve.answer import Answer, Question
from auditor.resolve.direct import ServerQuestion, ServerReply
from auditor.resolve.response import interpret
from auditor.wire.codes import AAAA, NODATA, NOERROR, NS, NXDOMAIN, PTR, SETTLED, SOA, A
from auditor.wire.message import IN, Soa
from auditor.zones.facts import MAX_NAMES, DelegationRow, ServerRow, ZoneFact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from auditor.resolve.answer import Rdata
    from auditor.wire.message import Message
    from auditor.zones.facts import SurveySteps
    from auditor.zones.owners import Group
    from auditor.zones.placing import Placed

__all__ = [
    "MAX_ADDRESSES",
    "ask_servers",
    "differing_contents",
    "is_newer",
    "names_in",
    "newest_soa",
    "survey",
]

#: Most addresses of each server that are asked.
MAX_ADDRESSES: Final = 4
#: Most empty non-terminals that are checked in a zone.
_MAX_GROUPS: Final = 4096
_RA: Final = 0x0080


def survey(placed: Placed, groups: Sequence[Group], *, every: bool) -> SurveySteps[ZoneFact]:
    """Return the facts of a zone that holds the owners of `groups`.

    `every`: ask each of its servers for each PTR record, too.
    """
    zone = placed.zone
    glue: dict[str, set[str]] = {}
    delegations = yield from _ask_parent(placed.parent, zone, glue)
    names = {name for row in delegations for name in row.ns}
    above = ""
    if placed.denied or any(row.denies for row in delegations):
        above = yield from _soa_of(placed.parent)
    if not names and placed.denied:
        return ZoneFact(zone, placed.parent, None, delegations, denied=True, parent_rname=above)
    if not names:
        (answer,) = yield [Question(zone, NS)]
        names = names_in(answer)
    rows = yield from ask_servers(zone, names, glue)
    more = {name for row in rows if row.serves for name in row.ns} - names
    more = set(sorted(more)[: max(0, MAX_NAMES - len(names))])
    if more:
        rows += yield from ask_servers(zone, more, glue)
    hidden = yield from _find_hidden(rows, zone, groups)
    differing: tuple[str, ...] = ()
    if every:
        owners = sorted({owner for group in groups for owner in group.owners})
        rows, differing = yield from _compare(rows, owners)
    rows = sorted(rows, key=lambda row: (row.name, row.address or ""))
    soa = newest_soa(rows) or placed.soa
    return ZoneFact(
        zone,
        placed.parent,
        soa,
        delegations,
        tuple(rows),
        differing=differing,
        hidden=hidden,
        parent_rname=above,
    )


def _soa_of(zone: str) -> SurveySteps[str]:
    """Return the contact of a zone: the RNAME of its SOA record, "" if unknown."""
    (reply,) = yield [Question(zone, SOA)]
    records = cast("Answer", reply).records
    return next((record.rname for record in records if isinstance(record, Soa)), "")


def names_in(answer: object) -> set[str]:
    """Return the names of servers in an answer about NS records."""
    records = answer.records if isinstance(answer, Answer) else ()
    return {name for name in records if isinstance(name, str)}


def _ask_parent(
    parent: str, zone: str, glue: dict[str, set[str]]
) -> SurveySteps[tuple[DelegationRow, ...]]:
    """Ask each server of the parent zone for its delegation; adds addresses to `glue`."""
    if not parent or parent == zone:
        return ()
    (answer,) = yield [Question(parent, NS)]
    places = yield from _addresses(names_in(answer), {})
    asked = [(name, address) for name, address, _, _ in places if address is not None]
    replies = yield [ServerQuestion(address, Question(zone, NS)) for _, address in asked]
    rows = [
        DelegationRow(name, None, status) for name, address, status, _ in places if address is None
    ]
    for (name, address), reply in zip(asked, replies, strict=True):
        rows.append(_delegation(name, address, zone, cast("ServerReply", reply), glue))
    return tuple(sorted(rows, key=lambda row: (row.name, row.address or "")))


def _delegation(
    name: str, address: str, zone: str, reply: ServerReply, glue: dict[str, set[str]]
) -> DelegationRow:
    message = reply.message
    if message is None or reply.status not in {NOERROR, NXDOMAIN}:
        return DelegationRow(name, address, reply.status)
    if _is_proxy(message):
        return DelegationRow(name, address, reply.status, is_proxy=True)
    ns = _targets(message, zone)
    if ns:
        for record in message.additional:
            if record.name in ns and record.rdtype in {A, AAAA} and record.rdclass == IN:
                glue.setdefault(record.name, set()).add(str(record.rdata))
        return DelegationRow(name, address, NOERROR, ns)
    if reply.status == NXDOMAIN:
        return DelegationRow(name, address, NXDOMAIN, denies=message.authoritative)
    if message.authoritative:
        return DelegationRow(name, address, NODATA, denies=True)
    return DelegationRow(name, address, reply.status)


def _targets(message: Message, zone: str) -> tuple[str, ...]:
    """Return the servers that a reply names for a zone, in a referral or as an answer."""
    return tuple(
        sorted(
            {
                str(record.rdata)
                for record in (*message.answer, *message.authority)
                if record.rdtype == NS and record.rdclass == IN and record.name == zone
            }
        )
    )


def _is_proxy(message: Message) -> bool:
    """Whether a proxy answers in place of the server: recursion, without authority."""
    return bool(message.flags & _RA) and not message.authoritative and bool(message.answer)


def ask_servers(
    zone: str, names: Iterable[str], glue: Mapping[str, set[str]]
) -> SurveySteps[list[ServerRow]]:
    """Ask each server for a zone's SOA and NS records; `glue`: addresses from the parent."""
    places = yield from _addresses(names, glue)
    asked = [(name, address, alias) for name, address, _, alias in places if address is not None]
    replies = yield [ServerQuestion(address, Question(zone, SOA)) for _, address, _ in asked]
    heads = [cast("ServerReply", reply) for reply in replies]
    # Most servers send NS records with the SOA record; only the others are asked for them.
    lacking = [place for place, head in enumerate(heads) if _has_soa(head) and not _ns(head, zone)]
    replies = yield [ServerQuestion(asked[place][1], Question(zone, NS)) for place in lacking]
    named = {
        place: _ns(cast("ServerReply", reply), zone)
        for place, reply in zip(lacking, replies, strict=True)
    }
    rows = [
        ServerRow(name, None, status, is_alias=alias)
        for name, address, status, alias in places
        if address is None
    ]
    for place, (name, address, alias) in enumerate(asked):
        row = _server(name, address, zone, heads[place])
        ns = named.get(place, row.ns)
        rows.append(row._replace(is_alias=alias, ns=ns))
    return rows


def _has_soa(reply: ServerReply) -> bool:
    message = reply.message
    return message is not None and any(record.rdtype == SOA for record in message.answer)


def _ns(reply: ServerReply, zone: str) -> tuple[str, ...]:
    """Return the NS names of a zone from the reply of a server that has it."""
    message = reply.message
    return _targets(message, zone) if message is not None and message.authoritative else ()


def _server(name: str, address: str, zone: str, reply: ServerReply) -> ServerRow:
    message = reply.message
    if message is None:
        return ServerRow(name, address, reply.status)
    soas = [
        record.rdata
        for record in message.answer
        if record.name == zone and record.rdtype == SOA and isinstance(record.rdata, Soa)
    ]
    has_zone = bool(soas) and reply.status == NOERROR
    return ServerRow(
        name,
        address,
        reply.status,
        message.authoritative,
        soas[0] if has_zone else None,
        _ns(reply, zone) if has_zone else (),
        is_proxy=_is_proxy(message),
    )


def _addresses(
    names: Iterable[str], glue: Mapping[str, set[str]]
) -> SurveySteps[list[tuple[str, str | None, str, bool]]]:
    """Look up servers: (name, address, status, whether the name is an alias) for each address.

    A name without an address has None, and the status of its lookup.
    """
    wanted = sorted(names)[:MAX_NAMES]
    answers = yield [Question(name, rdtype) for name in wanted for rdtype in (A, AAAA)]
    places: list[tuple[str, str | None, str, bool]] = []
    for name, pair in zip(wanted, zip(answers[::2], answers[1::2], strict=True), strict=True):
        v4, v6 = cast("tuple[Answer, Answer]", pair)
        texts = {str(address) for address in (*v4.records, *v6.records)} | glue.get(name, set())
        texts = {address for address in texts if _is_host(address)}
        alias = bool(v4.chain or v6.chain)
        addresses = sorted(texts, key=_by_family)[:MAX_ADDRESSES]
        places.extend((name, address, NOERROR, alias) for address in addresses)
        if not texts:
            failed = [answer.status for answer in (v4, v6) if answer.status not in SETTLED]
            places.append((name, None, failed[0] if failed else v4.status, alias))
    return places


def _is_host(address: str) -> bool:
    """Whether an address is that of one host: not multicast, unspecified or broadcast."""
    known = ip_address(address)
    return not (known.is_multicast or known.is_unspecified or address == "255.255.255.255")


def _by_family(address: str) -> tuple[bool, int]:
    known = ip_address(address)
    return known.version == 6, int(known)  # noqa: PLR2004 - IPv6


def _find_hidden(
    rows: Sequence[ServerRow], zone: str, groups: Sequence[Group]
) -> SurveySteps[tuple[str, ...]]:
    """Return empty non-terminals above PTR owners that a server of the zone denies.

    NXDOMAIN means that no name is below it either (RFC 8020 §2).
    """
    below = [group for group in groups if group.name != zone and group.samples][:_MAX_GROUPS]
    asked = [(row, group) for row in rows if row.serves and row.address for group in below]
    replies = yield [ServerQuestion(str(row.address), Question(g.name, SOA)) for row, g in asked]
    denied = [
        (str(row.address), group, owner)
        for (row, group), reply in zip(asked, replies, strict=True)
        if reply.status == NXDOMAIN
        for _, owner in group.samples
    ]
    replies = yield [ServerQuestion(address, Question(owner, PTR)) for address, _, owner in denied]
    return tuple(
        sorted(
            {
                group.name
                for (_, group, owner), reply in zip(denied, replies, strict=True)
                if _ptr(reply, owner).status == NOERROR
            }
        )
    )


def _compare(
    rows: Sequence[ServerRow], owners: Sequence[str]
) -> SurveySteps[tuple[list[ServerRow], tuple[str, ...]]]:
    """Ask each server for each PTR record; return what each has alone, and what differs."""
    serving = [row for row in rows if row.serves and row.address]
    questions = [Question(owner, PTR) for owner in owners]
    replies = yield [
        ServerQuestion(str(row.address), asked) for row in serving for asked in questions
    ]
    answered: list[dict[str, Answer]] = []
    for start in range(0, len(replies), max(1, len(owners))):
        part = replies[start : start + len(owners)]
        answered.append({o: _ptr(reply, o) for o, reply in zip(owners, part, strict=True)})
    differing = []
    only: list[list[str]] = [[] for _ in serving]
    for owner in owners:
        known = [(place, names[owner]) for place, names in enumerate(answered)]
        contents = differing_contents(
            [(place, answer) for place, answer in known if answer.status in SETTLED]
        )
        if not contents:
            continue
        differing.append(owner)
        common = set.intersection(*(set(records) for _, records in contents))
        for place, records in contents:
            if not common.issuperset(records):
                only[place].append(owner)
    compared = dict(zip(serving, only, strict=True))
    marked = [row._replace(only=tuple(compared[row])) if row in compared else row for row in rows]
    return marked, tuple(differing)


def differing_contents(
    known: Sequence[tuple[int, Answer]],
) -> list[tuple[int, tuple[Rdata, ...]]]:
    """Return the contents of an owner, by server number, where they differ; [] if they agree.

    Every server must have the alias; its destination only a server that has that zone, too.
    """
    ends = [(place, answer) for place, answer in known if answer.records or answer.zone]
    for said in ([(place, _own_data(answer)) for place, answer in known], ends):
        if len({(answer.status, answer.records) for _, answer in said}) > 1:
            return [(place, answer.records) for place, answer in said]
    return []


def _own_data(answer: Answer) -> Answer:
    """Return an answer without following aliases: the target of the first one."""
    if not answer.chain:
        return answer
    return Answer(NOERROR, (answer.chain[1] if len(answer.chain) > 1 else answer.canonical,))


def _ptr(reply: object, owner: str) -> Answer:
    """Return a server's reply about a PTR record as an answer, without following aliases."""
    server_reply = cast("ServerReply", reply)
    if server_reply.message is None:
        return Answer(server_reply.status)
    return interpret(server_reply.message, Question(owner, PTR))


def newest_soa(rows: Sequence[ServerRow]) -> Soa | None:
    """Return the SOA with the highest serial, in the arithmetic of RFC 1982."""
    newest: Soa | None = None
    for row in rows:
        if row.serves and row.soa is not None and (newest is None or is_newer(row.soa, newest)):
            newest = row.soa
    return newest


def is_newer(soa: Soa, other: Soa) -> bool:
    """Whether a serial is greater than another (RFC 1982 §3.2)."""
    return 0 < (soa.serial - other.serial) % (1 << 32) < 1 << 31
