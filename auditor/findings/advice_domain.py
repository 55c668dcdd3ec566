"""Advice about the MX records of a domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auditor.checks.address import without_origin
from auditor.findings.advice_policy import alias_note, policy_lines
from auditor.publicsuffix import registrable
from auditor.wire.addresses import format_address, parse_address
from auditor.wire.master_file import absolute_name
from auditor.wire.names import NULL_MX, is_hostname

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auditor.checks.follow_up import FollowUpFacts
    from auditor.findings.advice_policy import Published

__all__ = ["mx_lines"]

_NOTHING_NEW: Final = "What is published stays as it is."
_MOST_ADDRESSES: Final = 4
_OCTETS: Final = 4  # of an IPv4 address, each one a label


def mx_lines(
    record: Mapping[str, Any], code: str, subject: str, known: FollowUpFacts
) -> Published | None:
    """Return the lines against a finding about MX records; None for any other finding."""
    make = _MAKERS.get(code)
    return make(record, subject, known) if make and record["kind"] == "domain" else None


def _is_name_of_host(record: Mapping[str, Any]) -> bool:
    """Tell whether a domain target is rather the name of a host.

    It is no registered domain, and it is the PTR name of one of its addresses, or has no sign of
    mail.
    """
    name = record["target"]
    if registrable(name) in {None, name}:
        return False
    facts = record["domain"]
    holders = facts["addresses"]["list"]
    return facts["spf"]["record"] is None or any(
        name in holder["ptr"]["names"] for holder in holders
    )


def _host_note(name: str) -> str:
    return (
        f"{name} looks like the name of a host: mail goes to a domain such as "
        f"{registrable(name)}, and a host needs no MX record."
    )


def _missing(record: Mapping[str, Any], subject: str, known: FollowUpFacts) -> Published:
    if _is_name_of_host(record):
        return (), (_host_note(subject),)
    owner, notes = _owner(subject, known)
    if record["domain"]["addresses"]["list"] and is_hostname(known.aliases.get(subject) or subject):
        note = "Or the name of another host that takes the mail."
        return (f"{owner} IN MX 10 {owner}",), (note, *notes)
    return (f"{owner} IN MX 10 <host>.",), notes


def _owner(domain: str, known: FollowUpFacts) -> tuple[str, tuple[str, ...]]:
    """Return the owner name of the records of a domain, and notes about it."""
    end = known.aliases.get(domain) or domain
    return absolute_name(end), (alias_note(domain, end),) if end != domain else ()


def _null(record: Mapping[str, Any], subject: str, known: FollowUpFacts) -> Published:
    if record["domain"]["spf"]["record"]:
        return (), (_NOTHING_NEW,)
    return policy_lines(record, "SPF_NONE", subject, known) or ((), ())


def _preference(record: Mapping[str, Any], name: str) -> int:
    hosts = record["domain"]["mx"]["hosts"]
    return next((host["preference"] for host in hosts if host["name"] == name), 10)


def _unresolvable(record: Mapping[str, Any], subject: str, known: FollowUpFacts) -> Published:
    domain = known.aliases.get(record["target"]) or record["target"]
    owner, preference = absolute_name(domain), _preference(record, subject)
    if _address_in(subject):
        return _not_a_host(record, subject, known)
    meant = without_origin(subject, domain)
    if meant:
        line = f"{owner} IN MX {preference} {absolute_name(known.aliases.get(meant) or meant)}"
        return (line,), (f"In place of the record with {subject}: its final dot was missing.",)
    return (f"{absolute_name(known.aliases.get(subject) or subject)} IN A <address>",), ()


def _alias(record: Mapping[str, Any], subject: str, known: FollowUpFacts) -> Published:
    target = known.aliases.get(subject, "")
    owner, _ = _owner(record["target"], known)
    host = absolute_name(target) if is_hostname(target) else "<what the alias leads to>."
    line = f"{owner} IN MX {_preference(record, subject)} {host}"
    return (line,), (f"In place of the record with {subject}.",)


def _not_a_host(record: Mapping[str, Any], subject: str, known: FollowUpFacts) -> Published:
    if subject == NULL_MX:
        return (), ("Delete the null MX record (a dot): the other MX records stay as they are.",)
    owner, _ = _owner(record["target"], known)
    preference = _preference(record, subject)
    addresses = _addresses(record, subject)[:_MOST_ADDRESSES]
    lines = (
        f"{owner} IN MX {preference} <host>.",
        *(f"<host>. IN {'AAAA' if ':' in address else 'A'} {address}" for address in addresses),
    )
    return lines, (f"In place of the record with {subject}.",)


def _addresses(record: Mapping[str, Any], name: str) -> list[str]:
    """Return the addresses of an MX host; of an address in place of a name, that address."""
    for host in record["domain"]["mx"]["hosts"]:
        if host["name"] == name and host["addresses"]:
            return [fact["address"] for fact in host["addresses"]]
    address = _address_in(name)
    return [address] if address else []


def _address_in(name: str) -> str:
    """Return the address in an MX record in place of a host name, "" without one.

    Without its final dot, the domain follows it (RFC 1035 §5.1).
    """
    labels = name.split(".")
    for text in (labels[0], ".".join(labels[:_OCTETS])):
        address = parse_address(text)
        if address is not None:
            return format_address(*address)
    return ""


_MAKERS: Final[dict[str, Callable[[Mapping[str, Any], str, FollowUpFacts], Published]]] = {
    "ADDRESS_MISSING": _missing,
    "MX_CNAME": _alias,
    "MX_INVALID_NAME": _not_a_host,
    "MX_MISSING": _missing,
    "MX_NULL": _null,
    "MX_UNDERSCORE": _not_a_host,
    "MX_UNRESOLVABLE": _unresolvable,
}
