"""Advice about an address: which PTR name it should have, and the records for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.checks.address import without_origin
from auditor.findings.generic_names import is_generic
from auditor.publicsuffix import is_public, registrable
from auditor.wire.addresses import is_global
from auditor.wire.codes import SETTLED
from auditor.wire.names import is_hostname
from auditor.wire.reverse import is_reverse, reverse_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from auditor.checks.follow_up import FollowUpFacts

__all__ = ["PTR_FIXABLE_CODES", "NeededRecords", "is_host_name", "needed_records"]

#: The findings that a PTR record and an address record for its name fix.
PTR_FIXABLE_CODES: Final = frozenset(
    {
        "ADDRESS_UNCONFIRMED",
        "FORWARD_CNAME",
        "FORWARD_MISMATCH",
        "FORWARD_MISSING",
        "FORWARD_PARTIAL",
        "MX_UNCONFIRMED",
        "PTR_ALIAS_TO_HOST",
        "PTR_DOT_MISSING",
        "PTR_GENERIC",
        "PTR_INVALID_NAME",
        "PTR_IN_ARPA",
        "PTR_MISSING",
        "PTR_MULTIPLE",
        "PTR_TOO_MANY",
        "PTR_UNEXPECTED",
        "PTR_UNKNOWN_TLD",
        "PTR_WILDCARD",
    }
)
#: Names or addresses that a note lists.
_MOST_NAMED: Final = 4


class NeededRecords(NamedTuple):
    """The records that an address needs.

    `owner` is the owner of its PTR record, `host` the name in it: "" if not known. `lacks_ptr`
    and `lacks_address`: that record has to be added.
    """

    address: str
    owner: str
    host: str
    lacks_ptr: bool
    lacks_address: bool
    is_global: bool
    others: tuple[str, ...]
    notes: tuple[str, ...]


def needed_records(
    record: Mapping[str, Any], code: str, subject: str, known: FollowUpFacts
) -> NeededRecords | None:
    """Return the records that fix a finding about an address, None for other findings."""
    if code not in PTR_FIXABLE_CODES:
        return None
    if record["kind"] == "ip":
        return _Address(record, record, record["target"], known).needed()
    if record["kind"] == "domain":
        for holder, names in _holders(record["domain"], record["target"]):
            if holder["address"] == subject:
                return _Address(record, holder, subject, known, names).needed()
    return None


def _holders(
    domain: Mapping[str, Any], name: str
) -> Iterator[tuple[Mapping[str, Any], Sequence[str]]]:
    """Yield the addresses of a domain, with the names that have them, mail hosts first."""
    hosts = domain["mx"]["hosts"]
    for host in hosts:
        for holder in host["addresses"]:
            address = holder["address"]
            yield (
                holder,
                [
                    other["name"]
                    for other in hosts
                    if any(
                        host_address["address"] == address for host_address in other["addresses"]
                    )
                ],
            )
    for holder in domain["addresses"]["list"]:
        yield holder, [name]


def _listed(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:_MOST_NAMED])
    return shown + (f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else "")


def is_host_name(name: str, address: str) -> bool:
    """Whether a name may be given to an address: a public host name, and no placeholder."""
    return (
        "." in name
        and is_hostname(name)
        and is_public(name)
        and not is_reverse(name)
        and not _is_doubled(name)
        and is_generic(name, address) is None
    )


def _is_doubled(name: str) -> bool:
    """Whether a name ends in its domain twice, as one does that lacks its final dot."""
    domain = registrable(name)
    return domain is not None and f".{name}".endswith(f".{domain}.{domain}")


def _shared(host: str, others: Sequence[str]) -> Iterator[str]:
    """Yield a warning if a name has other addresses already."""
    if others:
        yield (
            f"{host} has {_listed(others)} already: publish this only if that is the same host, "
            "and give the address a name of its own otherwise."
        )


class _Address:
    """An address: `facts` has its `ptr` and `iprev`, `names` those that have it in any case."""

    def __init__(
        self,
        record: Mapping[str, Any],
        facts: Mapping[str, Any],
        address: str,
        known: FollowUpFacts,
        names: Sequence[str] = (),
    ) -> None:
        self._address = address
        self._known = known
        given = record["helo"]
        self._helo: str = known.helo or (given["name"] if given else "")
        self._expected = known.expected
        self._names = names
        self._ptr = facts["ptr"]
        self._forward = facts["iprev"]["names"]
        raised = {(finding["code"], finding["subject"]) for finding in record["findings"]}
        codes = {code for code, _ in raised}
        self._aliases = {name for code, name in raised if code in {"FORWARD_CNAME", "MX_CNAME"}}
        for code, subject in raised:
            if code == "PTR_UNEXPECTED":
                self._expected = subject
        self._is_wildcard = "PTR_WILDCARD" in codes
        self._leads_to_host = "PTR_ALIAS_TO_HOST" in codes

    def needed(self) -> NeededRecords:
        """Return the records to publish."""
        host = next((name for name in self._candidates() if is_host_name(name, self._address)), "")
        published = self._ptr["names"]
        lacks_ptr = not host or host not in published or self._is_wildcard
        present = self._addresses_of(host) if host else ()
        others = self._others(present)
        return NeededRecords(
            self._address,
            self._owner(),
            host,
            lacks_ptr=lacks_ptr,
            lacks_address=self._address not in present,
            is_global=is_global(self._address, 6 if ":" in self._address else 4),
            others=others,
            notes=(
                *self._notes(host, lacks_ptr=lacks_ptr),
                *_shared(host, others),
                *self._unproven(host, present),
            ),
        )

    def _owner(self) -> str:
        owner: str | None = self._ptr["owner"]
        # Records of older versions have no owner: without an alias it is the reverse name.
        return owner or ("" if self._ptr["chain"] else reverse_name(self._address))

    def _candidates(self) -> Iterator[str]:
        """Yield the candidates for the name of the address, best first."""
        if self._leads_to_host:
            yield self._owner()
        if self._expected:
            yield self._end(self._expected)
        helo = self._end(self._helo) if self._helo else ""
        if helo and self._address in self._addresses_of(helo):
            yield helo
        yield from map(self._end, self._names)
        names = [(name["name"], name) for name in self._forward]
        yield from (self._end(name) for name, fact in names if fact["confirms"])
        # A confirmed name stays, even with a HELO name that leads elsewhere.
        yield helo
        for name in self._ptr["names"]:
            yield self._end(without_origin(name, self._owner()))
        if not self._is_wildcard:
            yield from (self._end(name) for name, fact in names if fact["status"] in SETTLED)

    def _end(self, name: str) -> str:
        """Return the end of the aliases of a name, "" if it is not known."""
        if name in self._known.aliases:
            return self._known.aliases[name]
        return "" if name in self._aliases else name

    def _addresses_of(self, host: str) -> Sequence[str]:
        """Return the addresses that a name is known to have."""
        if host in self._known.addresses:
            return self._known.addresses[host]
        for name in self._forward:
            if self._end(name["name"]) == host:
                return tuple(name["addresses"])
        aliased = [name for name, end in self._known.aliases.items() if end == host]
        if aliased:
            return self._known.addresses.get(aliased[0], ())
        return (self._address,) if host in self._names else ()

    def _last_reverse(self) -> str:
        """Return the last name of the chain of aliases in the reverse tree."""
        chain: list[str] = self._ptr["chain"]
        found = (name for name in reversed(chain) if is_reverse(name))
        return next(found, reverse_name(self._address))

    def _unproven(self, host: str, present: Sequence[str]) -> Iterator[str]:
        """Yield a warning if it was not looked up whether a name is an alias."""
        seen = {name["name"] for name in self._forward}
        if host and self._address not in present and not (self._known.is_complete or host in seen):
            yield f"If {host} is an alias (CNAME), both records are for the name it leads to."

    def _others(self, present: Sequence[str]) -> tuple[str, ...]:
        """Return the addresses of the family that a name has without having this one."""
        if self._address in present:
            return ()
        return tuple(text for text in present if (":" in text) == (":" in self._address))

    def _notes(self, host: str, *, lacks_ptr: bool) -> Iterator[str]:
        others = [name for name in self._ptr["names"] if name != host]
        shown = _listed(others)
        records = "record" if len(others) == 1 else "records"
        if self._leads_to_host:
            yield (
                f"Or, in place of the CNAME record at {self._last_reverse()}, "
                f"a PTR record with {host or 'the name of the host'}."
            )
        elif others and not self._is_wildcard:
            if host and lacks_ptr:
                yield f"The PTR record takes the place of the {records} with {shown}."
            elif host:
                yield f"Keep {host}, and delete the PTR {records} with {shown}."
