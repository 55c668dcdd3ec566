"""The HELO_ findings (data only, see `findings.entry`)."""

from __future__ import annotations

from typing import Final

from auditor.findings.entry import Entry

__all__ = ["ENTRIES"]

ENTRIES: Final = (
    Entry(
        code="HELO_NOT_FQDN",
        severity="warning",
        subject="name",
        title="The HELO name is not a fully qualified host name",
        why=(
            "A client has to give its fully qualified name in HELO, or an address literal if "
            "it has none. Postfix with reject_non_fqdn_helo_hostname answers 504, GMX and "
            "WEB.DE ask for such a name, and filters count a single label or a literal as a "
            "sign of a home computer."
        ),
        references=("RFC 5321 §4.1.1.1", "RFC 5321 §2.3.5"),
        remedy=(
            "Set the name that the server gives in HELO (Postfix: myhostname or "
            "smtp_helo_name) to its full host name, best the name of its PTR record."
        ),
    ),
    Entry(
        code="HELO_UNRESOLVABLE",
        severity="warning",
        subject="name",
        title="The HELO name has no address",
        why=(
            "The name in HELO has to resolve to an address. Postfix with "
            "reject_unknown_helo_hostname answers 450, Orange refuses with a code of its own, "
            "and filters count it. A receiver must not refuse mail for that reason alone, "
            "so it is no error."
        ),
        references=("RFC 5321 §4.1.1.1", "RFC 5321 §4.1.4"),
        remedy=(
            "Give the name an address record, or configure a HELO name that has one, "
            "best that of its PTR record."
        ),
    ),
    Entry(
        code="HELO_MISMATCH",
        severity="notice",
        subject="name",
        title="The HELO name has other addresses than this one",
        why=(
            "According to the DNS, the name belongs to another host. Receivers may verify "
            "the name and must not refuse mail because it fails, but filters count it, and "
            'SPF for HELO fails with a policy such as "v=spf1 a -all".'
        ),
        references=("RFC 5321 §4.1.4", "RFC 7208 §2.3"),
        remedy=(
            "Configure the name of the server itself, or add the address to the name if one name "
            "is meant for several hosts."
        ),
    ),
    Entry(
        code="HELO_NOT_PTR",
        severity="notice",
        subject="name",
        title="The HELO name is not the name of the PTR record",
        why=(
            "The two need not be the same, but Proofpoint and several filters "
            "recommend it, and a host with one name in all places is trusted most."
        ),
        references=("RFC 1912 §2.1", "RFC 5321 §4.1.1.1"),
        remedy="Configure the name of its PTR record, or change that record.",
    ),
)
