"""Advice about SPF: whole policies to publish, filled in with what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from auditor.findings.catalogue import zone_lines
from auditor.spf.lint.correction import authorising
from auditor.wire.addresses import is_global
from auditor.wire.codes import SETTLED
from auditor.wire.master_file import MAX_STRING, absolute_name, quoted_text
from auditor.wire.names import NULL_MX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from auditor.checks.follow_up import FollowUpFacts
    from auditor.spf.lint.correction import Correction

__all__ = ["Published", "alias_note", "policy_lines", "policy_text_lines", "with_wildcard"]

#: Lines to publish, and notes that belong to them.
Published: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]

_NOT_AUTHORISED: Final = frozenset({"SPF_FAIL", "SPF_NEUTRAL", "SPF_SOFTFAIL"})
_REPLACED: Final = "This record takes the place of what the domain publishes now."
_NO_MAIL: Final = "This says that the domain sends no mail."
_ALL_SENDERS: Final = (
    "Add what else sends for the domain; when nothing is missing, end the record in -all."
)


def policy_lines(
    record: Mapping[str, Any], code: str, domain: str, known: FollowUpFacts
) -> Published | None:
    """Return the lines against a finding about the policy of a domain; None for any other."""
    if not code.startswith("SPF_"):
        return None
    address = record["target"] if record["kind"] == "ip" else ""
    if address and not is_global(address, 6 if ":" in address else 4):
        return (), ("No receiver on the internet sees this address: authorise it nowhere.",)
    owner = known.aliases.get(domain) or domain
    lines, notes = _policy_lines(record, code, domain, owner, known)
    where = _alias_notes(domain, owner, known) if lines else ()
    return with_wildcard((lines, (*notes, *where)), owner, known)


def _policy_lines(
    record: Mapping[str, Any], code: str, domain: str, owner: str, known: FollowUpFacts
) -> Published:
    address = record["target"] if record["kind"] == "ip" else ""
    correction = known.policies.get(domain)
    if code == "SPF_NONE":
        if correction and correction.text:  # of a record that is nearly a policy
            return _from_near_miss(correction.text, owner, address)
        if address:
            return _first_of_address(address, owner)
        found = [(finding["code"], finding["subject"]) for finding in record["findings"]]
        if ("SPF_NEAR_MISS", domain) not in found:
            return _first_of_domain(record["domain"], owner)
    if code in _NOT_AUTHORISED:
        published = [fact["record"] for fact in record["spf"] if fact["domain"] == domain]
        base = (correction and correction.text) or next(filter(None, published), "")
        text = authorising(base, _mechanism(address))
        if text:
            note = f"If {address} is to send for {domain}, in place of the record that is there."
            return (_line(owner, text),), (note,)
    return policy_text_lines(code, owner, correction, address)


def policy_text_lines(
    code: str, owner: str, correction: Correction | None, address: str = ""
) -> Published:
    """Return the lines against a finding about the text of a policy.

    `owner` is the owner of the policy: the end of the aliases of its domain. `correction` is
    the corrected policy, if it is known.
    """
    if correction is not None and (correction.text or correction.draft):
        line = _line(owner, correction.text) if correction.text else _draft(owner, correction.draft)
        return (line,), (_REPLACED,)
    facts = {"address": address} if address else {}
    lines = zone_lines(code, subject=owner, **facts)
    senders = "<the networks that send> " if code == "SPF_NONE" else ""
    return tuple(line.replace("<mechanism> ", senders) for line in lines), ()


def _alias_notes(domain: str, owner: str, known: FollowUpFacts) -> tuple[str, ...]:
    """Return notes about a policy whose owner is, or may be, another name."""
    if owner != domain:
        return (alias_note(domain, owner),)
    if not known.is_complete:
        return (f"If {domain} is an alias (CNAME), the record goes to the name it leads to.",)
    return ()


def with_wildcard(published: Published, owner: str, known: FollowUpFacts) -> Published:
    """Add the records that a name has from a wildcard, which it loses with a record of its own.

    RFC 4592 §2.2.1.
    """
    wildcard = known.wildcards.get(owner)
    lines, notes = published
    if wildcard is None or not lines:
        return published
    copies = (
        f"{absolute_name(owner)} IN {rdtype} {' '.join(_fields(rdtype, fields))}"
        for rdtype, fields in wildcard.records
    )
    note = f"{owner} seems to have its addresses from {wildcard.name}, which then no longer counts"
    return (*lines, *copies), (*notes, f"{note}: the lines repeat what it gives.")


def _fields(rdtype: str, fields: Sequence[str]) -> Iterator[str]:
    for field in fields:
        yield absolute_name(field) if rdtype == "MX" and not field.isdigit() else field


def alias_note(domain: str, owner: str) -> str:
    """Return a note on why a record is published at `owner` and not at the domain."""
    return (
        f"{domain} is an alias, and no record may stand beside its CNAME record. If {owner} is "
        f"not yours, first put the records of {owner} in place of the CNAME record."
    )


def _line(owner: str, text: str) -> str:
    return f"{absolute_name(owner)} IN TXT {quoted_text(text.encode('ascii'))}"


def _draft(owner: str, text: str) -> str:
    """Return a line with placeholders, a comment, with its strings split between terms."""
    strings = [""]
    depth = 0  # of placeholders, which have spaces in them
    for word in text.split(" "):
        piece = f" {word}" if strings != [""] else word
        if depth <= 0 and len(strings[-1]) + len(piece) > MAX_STRING:
            strings.append("")
        strings[-1] += piece
        depth += word.count("<") - word.count(">")
    return f"{absolute_name(owner)} IN TXT " + " ".join(f'"{string}"' for string in strings)


def _mechanism(address: str) -> str:
    return f"{'ip6' if ':' in address else 'ip4'}:{address}"


def _from_near_miss(text: str, owner: str, address: str) -> Published:
    """Return the policy that a near miss was meant to be, with the sending address."""
    if address and _mechanism(address) not in text.split(" "):
        text = authorising(text, _mechanism(address))
    return (_line(owner, text),), ("It takes the place of the record that does not count.",)


def _first_of_address(address: str, owner: str) -> Published:
    """Return a first policy for a domain without one, with the sending address."""
    return (_line(owner, f"v=spf1 {_mechanism(address)} ~all"),), (_ALL_SENDERS,)


def _first_of_domain(facts: Mapping[str, Any], owner: str) -> Published:
    """Return a first policy for a domain without one: -all if it sends no mail.

    After failed lookups, or with MX hosts without addresses, it may still send.
    """
    hosts, holders = facts["mx"]["hosts"], facts["addresses"]
    is_null = any(host["name"] == NULL_MX for host in hosts)
    if not is_null and any(host["addresses"] for host in hosts):
        return (_line(owner, "v=spf1 mx ~all"),), (_ALL_SENDERS,)
    if not is_null and holders["list"]:
        return (_line(owner, "v=spf1 a ~all"),), (_ALL_SENDERS,)
    if is_null or (not hosts and SETTLED.issuperset((facts["mx"]["status"], holders["status"]))):
        return (_line(owner, "v=spf1 -all"),), (_NO_MAIL,)
    return policy_text_lines("SPF_NONE", owner, None)
