"""The _BOGUS findings: data that does not validate (data only, see `findings.entry`)."""

from __future__ import annotations

from typing import Final

from auditor.findings.entry import Entry

__all__ = ["ENTRIES"]

_REFERENCES: Final = ("RFC 4033 §5", "RFC 4035 §5.5", "RFC 8914 §4")
_REMEDY: Final = (
    "Ask a validating resolver for its extended error (auditor check shows it, or dig +cd with "
    "and without). Sign the zone again if the signatures have expired; if the DS record in the "
    "parent is that of another key, have it replaced, or removed until the zone is signed as it "
    "says."
)

ENTRIES: Final = (
    Entry(
        code="PTR_BOGUS",
        severity="error",
        subject="address",
        title="The PTR record does not validate (DNSSEC), so many receivers never see it",
        why=(
            "A resolver that validates hides the answer behind SERVFAIL, and most large receivers "
            "use one: for them the lookup fails (iprev temperror) until the zone is fixed, and "
            "mail is put off or refused. Others see the record."
        ),
        references=_REFERENCES,
        remedy=f"In the reverse zone: {_REMEDY[0].lower()}{_REMEDY[1:]}",
    ),
    Entry(
        code="FORWARD_BOGUS",
        severity="error",
        subject="name",
        title="The addresses of the PTR name do not validate (DNSSEC)",
        why=(
            "A resolver that validates hides the answer behind SERVFAIL, and most large receivers "
            "use one: for them nothing confirms the address (iprev temperror) until the zone of "
            "the name is fixed. Others see the records."
        ),
        references=_REFERENCES,
        remedy=f"In the zone of the name: {_REMEDY[0].lower()}{_REMEDY[1:]}",
    ),
    Entry(
        code="SPF_BOGUS",
        severity="error",
        subject="domain",
        title="The policy, or a name in it, does not validate (DNSSEC)",
        why=(
            "A resolver that validates hides the answer behind SERVFAIL, and most large "
            "receivers use one: for them SPF is a temperror until the zone is fixed, and mail "
            "is put off or goes without SPF. Others see the policy."
        ),
        references=("RFC 7208 §2.6.6", *_REFERENCES),
        remedy=f"In the zone that fails: {_REMEDY[0].lower()}{_REMEDY[1:]}",
    ),
    Entry(
        code="ADDRESS_BOGUS",
        severity="error",
        subject="domain",
        title="The addresses of the domain do not validate (DNSSEC)",
        why=(
            "A resolver that validates hides the answer behind SERVFAIL, and most large "
            "receivers use one: for them the sender's domain cannot be looked up, and mail from "
            "it is put off or refused."
        ),
        references=("RFC 5321 §5.1", *_REFERENCES),
        remedy=f"In the zone of the domain: {_REMEDY[0].lower()}{_REMEDY[1:]}",
    ),
    Entry(
        code="MX_BOGUS",
        severity="error",
        subject="name",
        title="The MX records, or the addresses of an MX host, do not validate (DNSSEC)",
        why=(
            "A resolver that validates hides the answer behind SERVFAIL: senders behind one "
            "keep mail to the domain in their queues, and return it in the end."
        ),
        references=("RFC 5321 §5.1", *_REFERENCES),
        remedy=f"In the zone that fails: {_REMEDY[0].lower()}{_REMEDY[1:]}",
    ),
)
