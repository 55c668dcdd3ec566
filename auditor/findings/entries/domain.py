"""The ADDRESS_ and MX_ findings of a domain target (data only, see `findings.entry`)."""

from __future__ import annotations

from typing import Final

from auditor.findings.entry import Entry

__all__ = ["ENTRIES"]

ENTRIES: Final = (
    Entry(
        code="ADDRESS_MISSING",
        severity="error",
        subject="domain",
        title="The domain has neither an address nor an MX record",
        why=(
            "Mail to the domain, bounces and replies included, can go nowhere. Many receivers "
            "refuse a sender to whom they could not answer, as Postfix does with "
            "reject_unknown_sender_domain."
        ),
        references=("RFC 5321 §5.1", "RFC 5321 §2.3.5"),
        remedy=(
            "Publish an MX record that names a host with an address. If the domain is to take no "
            "mail, publish a null MX record; do not send from it then."
        ),
        zone_lines=("{domain}. IN MX 10 {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="ADDRESS_UNDETERMINED",
        severity="warning",
        subject="domain",
        undetermined=True,
        title="The lookup of the domain's addresses failed",
        why=(
            "The domain's name servers gave an error, or no answer in time. A receiver sees "
            "the same, and puts mail from the domain off for as long as it lasts."
        ),
        references=("RFC 5321 §5.1", "RFC 2308 §7", "RFC 9520 §2"),
        remedy=(
            "Ask every name server of the domain by itself (dig +norecurse DOMAIN A @SERVER, "
            "and AAAA), and repair or remove those that fail. Then audit again."
        ),
    ),
    Entry(
        code="ADDRESS_UNCONFIRMED",
        severity="notice",
        subject="address",
        title="An address of the domain, whose mail goes elsewhere, has no confirmed PTR name",
        why=(
            "The MX records name other hosts, so this is often a web server, whose PTR record "
            "does not matter. It matters as soon as the machine sends mail, from a web form for "
            "example."
        ),
        references=("RFC 1912 §2.1", "RFC 8601 §2.7.3"),
        remedy=(
            "If the machine sends mail, publish its name in both directions, or send through "
            "a relay that has one. Otherwise nothing need be done."
        ),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="MX_MISSING",
        severity="info",
        subject="domain",
        title="The domain has no MX record; its own addresses stand in for one",
        why=(
            "Without an MX record mail goes to the addresses of the domain itself (implicit "
            "MX). That is allowed, but mostly it is a web server which then has to answer on "
            "port 25."
        ),
        references=("RFC 5321 §5.1",),
        remedy=(
            "Publish an MX record that names the host which takes the mail, or a null MX "
            "record if the domain takes none."
        ),
        zone_lines=("{domain}. IN MX 10 {host}.",),
    ),
    Entry(
        code="MX_NULL",
        severity="info",
        subject="domain",
        title="The domain takes no mail (null MX)",
        why=(
            "Receivers refuse mail from a sender to whom they could not answer, so a domain "
            "with a null MX should not be used as a sender."
        ),
        references=("RFC 7505 §3", "RFC 7505 §4.2"),
        remedy=(
            "Nothing need be done for a domain without mail; let its SPF record say so as "
            "well. For one that sends, publish an MX record that names a host."
        ),
        zone_lines=("{domain}. IN MX 0 .", '{domain}. IN TXT "v=spf1 -all"'),
    ),
    Entry(
        code="MX_UNRESOLVABLE",
        severity="error",
        subject="name",
        title="The MX host has no address",
        why=(
            "The name in an MX record must lead to at least one address. Without another MX "
            "host that does, mail to the domain is returned, and receivers may refuse it as a "
            "sender."
        ),
        references=("RFC 5321 §5.1", "RFC 1912 §2.5"),
        remedy=(
            "Give the host an address record, or name another host in the MX record. Look for "
            "a final dot missing in the zone file, which doubles the domain in the name."
        ),
        zone_lines=("{name}. IN {type} {address}",),
    ),
    Entry(
        code="MX_CNAME",
        severity="warning",
        subject="name",
        title="The MX host is an alias",
        why=(
            "The name in an MX record must not be an alias. Many senders follow it all the "
            "same, others do not deliver, and a sender that looks for itself among the MX "
            "hosts may not find itself."
        ),
        references=("RFC 2181 §10.3", "RFC 5321 §5.1", "RFC 1912 §2.4"),
        remedy=(
            "Put the name that the alias leads to into the MX record, or give the host its "
            "own address records instead of the CNAME."
        ),
        zone_lines=("{domain}. IN MX 10 {host}.",),
    ),
    Entry(
        code="MX_INVALID_NAME",
        severity="error",
        subject="name",
        title="The MX record does not hold a host name",
        why=(
            "An MX record holds a name, never an address; a null MX (a dot) is only valid "
            "alone. Senders cannot deliver there, and receivers may refuse a sender with such "
            "a record."
        ),
        references=("RFC 1035 §3.3.9", "RFC 5321 §5.1", "RFC 7505 §3"),
        remedy=(
            "Give the mail host a name with an address record, and put that name into the MX "
            "record. Remove a null MX record that stands beside others."
        ),
        zone_lines=("{domain}. IN MX 10 {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="MX_UNDERSCORE",
        severity="notice",
        subject="name",
        title="The name of the MX host has an underscore",
        why=(
            "The name of a host has letters, digits and hyphens only. Hosting panels make names "
            "such as _dc-mx.example.net all the same, and nearly every sender delivers there; one "
            "that checks names strictly does not."
        ),
        references=("RFC 5321 §2.3.5", "RFC 1123 §2.1"),
        remedy="Give the host a name without an underscore when the MX record is changed anyway.",
        zone_lines=("{domain}. IN MX 10 {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="MX_UNDETERMINED",
        severity="warning",
        subject="name",
        undetermined=True,
        title="The lookup of the MX records, or of an MX host, failed",
        why=(
            "The name servers gave an error, or no answer in time. A sender sees the same, "
            "and keeps mail to the domain in its queue for as long as it lasts."
        ),
        references=("RFC 5321 §5.1", "RFC 2308 §7", "RFC 9520 §2"),
        remedy=(
            "Ask every name server of the name by itself (dig +norecurse NAME MX @SERVER, for "
            "a host A and AAAA), and repair or remove those that fail. Then audit again."
        ),
    ),
    Entry(
        code="MX_UNCONFIRMED",
        severity="warning",
        subject="address",
        title="An address of a mail host has no PTR name that leads back to it",
        why=(
            "To take mail a host needs no PTR record, but most mail hosts also send: replies, "
            "bounces, the whole domain's mail. What they send from this address fails iprev, "
            "for which Gmail answers 550 5.7.25."
        ),
        references=("RFC 1912 §2.1", "RFC 8601 §2.7.3", "Gmail: Email sender guidelines"),
        remedy=(
            "Publish a PTR record with the host's name, and give that name the address. Audit the "
            "address by itself to see which of the two is missing."
        ),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
)
