"""The FORWARD_ findings: do the names lead back (data only, see `findings.entry`)."""

from __future__ import annotations

from typing import Final

from auditor.findings.entry import Entry

__all__ = ["ENTRIES"]

ENTRIES: Final = (
    Entry(
        code="FORWARD_MISSING",
        severity="error",
        subject="name",
        title="The PTR name has no address, and no other name confirms the address",
        why=(
            "Anyone can write any name into a reverse zone. It counts only if the name has "
            "the address in turn, and this one has no address of that family (A for IPv4, "
            "AAAA for IPv6) at all: iprev fails. Gmail answers 550 5.7.25; Postfix calls the "
            "client unknown."
        ),
        references=(
            "RFC 1912 §2.1",
            "RFC 8601 §2.7.3",
            "RFC 7372 §3.3",
            "Gmail: Email sender guidelines",
        ),
        remedy=(
            "Add the address record to the zone of the name, or change the PTR record to a name "
            "that has the address."
        ),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="FORWARD_MISMATCH",
        severity="error",
        subject="name",
        title="The PTR name has other addresses, and no other name confirms the address",
        why=(
            "Anyone can write any name into a reverse zone. It counts only if the name has "
            "the address in turn, and this one has only others: iprev fails. It looks like a "
            "borrowed name; Gmail answers 550 5.7.25, and Postfix calls the client unknown."
        ),
        references=(
            "RFC 1912 §2.1",
            "RFC 8601 §2.7.3",
            "RFC 7372 §3.3",
            "Gmail: Email sender guidelines",
        ),
        remedy=(
            "Add this address to those of the name, or, if the name is another machine's, "
            "give the address a name of its own in both directions."
        ),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="FORWARD_PARTIAL",
        severity="warning",
        subject="name",
        title="One of several PTR names does not lead back to the address",
        why=(
            "Another name of the address does, or could not be looked up. Receivers that look "
            "at one name only take whichever comes first in the answer, so mail is refused "
            "now and then, without a pattern."
        ),
        references=("RFC 1912 §2.1", "RFC 8601 §3"),
        remedy=(
            "Give this name the address as well, or remove its PTR record. One confirmed name "
            "is all an address needs."
        ),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="FORWARD_UNDETERMINED",
        severity="warning",
        subject="name",
        undetermined=True,
        title="The lookup of the PTR name failed, so it is not known whether it leads back",
        why=(
            "The servers of the name's zone gave an error, or no answer in time. A receiver "
            "sees the same (iprev temperror) and puts mail off with a 4xx reply for as long "
            "as it lasts, or treats the address as unconfirmed."
        ),
        references=("RFC 8601 §2.7.3", "RFC 2308 §7", "RFC 9520 §2"),
        remedy=(
            "Ask every name server of the name's zone by itself (dig +norecurse NAME "
            "@SERVER), repair or remove those that fail, and check that delegation and DNSSEC "
            "signatures are valid. Then audit again."
        ),
    ),
    Entry(
        code="FORWARD_CNAME",
        severity="notice",
        subject="name",
        title="The PTR name is an alias",
        why=(
            "A PTR record should hold the canonical name of a host, not one that a CNAME "
            "leads on from. Most receivers follow the alias; some compare names and find two "
            "that differ."
        ),
        references=("RFC 1034 §3.6.2", "RFC 2181 §10.2", "RFC 1912 §2.4"),
        remedy=(
            "Put the name that the alias leads to into the PTR record, or give the name its "
            "own address record instead of the CNAME."
        ),
        zone_lines=("{reverse}. IN PTR {host}.",),
    ),
)
