"""The TARGET_ and SERVER_ findings (data only, see `findings.entry`)."""

from __future__ import annotations

from typing import Final

from auditor.findings.entry import Entry

__all__ = ["ENTRIES"]

ENTRIES: Final = (
    Entry(
        code="TARGET_INVALID",
        severity="error",
        subject="line",
        title="The input line is not a target",
        why=(
            "It is neither an address nor a prefix, a range or a domain, so nothing was "
            "looked up. The record's error says in which file and line it stands, and what "
            "was expected."
        ),
        references=("RFC 4632 §3.1", "RFC 4291 §2.2", "RFC 4291 §2.3", "RFC 1123 §2.1"),
        remedy="Correct the line, or take it out of the input.",
    ),
    Entry(
        code="TARGET_NOT_GLOBAL",
        severity="warning",
        subject="address",
        title="The address is not one for the public internet",
        why=(
            "Private, shared (carrier-grade NAT), loopback, link-local, benchmarking, "
            "multicast and reserved addresses are never seen by a receiver on the internet, "
            "so what the DNS says about them does not matter there. Documentation addresses "
            "are not reported: they are there to be written about."
        ),
        references=("RFC 6890 §2.2", "RFC 1918 §3", "RFC 6598 §4", "RFC 4193 §3", "RFC 5737 §3"),
        remedy=(
            "Audit the address that the receivers see, which is that of the translator or "
            "relay in front. Remove a private address from public address records of a mail "
            "host."
        ),
    ),
    Entry(
        code="SERVER_LAME",
        severity="warning",
        subject="name",
        title="A name server refuses to answer for the zone that it was asked about",
        why=(
            "It replied REFUSED, NOTAUTH or SERVFAIL, referred upwards, or had no authority. "
            "From a server that the zone is delegated to, that is a lame delegation: resolvers "
            "everywhere lose time on it, or find no other server. From a server named by "
            "--server, it may mean that it does not serve you."
        ),
        references=("RFC 1912 §2.8", "RFC 9499 §7", "RFC 8914 §4.21"),
        remedy=(
            "Load the zone on every server that it is delegated to, or take the server out of "
            "the NS records, in the zone and in its parent. If the audit asked a resolver, "
            "allow it to recurse for you."
        ),
    ),
    Entry(
        code="SERVERS_DISAGREE",
        severity="error",
        subject="owner",
        title="The servers give different answers to the same question",
        why=(
            "Receivers ask any of them, so mail is accepted or refused by chance. As a rule one "
            "has an old copy of the zone, or is a resolver that keeps an old answer. Found by "
            "`auditor check` with several --server, each asked by itself, and with "
            "--authority=every, which asks each server of a zone for each PTR record; "
            "`auditor scan` compares --server for a few targets and logs it."
        ),
        references=("RFC 1034 §4.3.5", "RFC 1912 §2.2", "RFC 2182 §7"),
        remedy=(
            "Compare the serial numbers of the zone on all of its servers, repair the transfer "
            "to those that are behind, and raise the serial with every change."
        ),
        beyond_scan=True,
    ),
)
