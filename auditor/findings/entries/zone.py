"""The findings about zones and their servers (data only, see `findings.entry`)."""

from __future__ import annotations

from typing import Final

from auditor.findings.entry import Entry

__all__ = ["ENTRIES"]

ENTRIES: Final = (
    Entry(
        code="DELEGATION_MISSING",
        severity="error",
        subject="zone",
        beyond_scan=True,
        title="The zone is not delegated by its parent",
        why=(
            "The servers of the parent zone deny the name, so resolvers never ask yours: whatever "
            "PTR records they hold, receivers see an address without a name."
        ),
        references=("RFC 1034 §4.2.1", "RFC 1034 §4.2.2", "RFC 2317 §4"),
        remedy=(
            "Have the delegation entered: of a whole block at the registry (a domain object), of "
            "a part of one by the provider that holds the parent zone. The servers must have "
            "the zone before."
        ),
        zone_lines=("{zone}. IN NS {server}.",),
    ),
    Entry(
        code="DELEGATION_PARTIAL",
        severity="error",
        subject="zone",
        beyond_scan=True,
        title="Some servers of the parent zone delegate the zone and others deny it",
        why=(
            "It depends on chance whether a receiver finds the zone or is told that the name "
            "does not exist, and it keeps that answer. One server of the parent has an old copy."
        ),
        references=("RFC 1034 §4.3.5", "RFC 2182 §7", "RFC 2308 §5"),
        remedy=(
            "Tell whoever runs the parent zone which of its servers lacks the delegation: its "
            "transfer has to be fixed."
        ),
        zone_lines=("{zone}. IN NS {server}.",),
    ),
    Entry(
        code="ZONE_UNSERVED",
        severity="error",
        subject="zone",
        beyond_scan=True,
        title="No server that the zone is delegated to answers for it",
        why=(
            "All names in the zone are undetermined for everybody: a receiver puts mail off "
            "(iprev temperror), or treats its addresses as those without a name."
        ),
        references=("RFC 1912 §2.8", "RFC 2182 §5", "RFC 8601 §2.7.3"),
        remedy=(
            "Load the zone on the servers that it is delegated to and see that they can be "
            "reached, or have the delegation changed to servers that have it."
        ),
    ),
    Entry(
        code="SERVER_SILENT",
        severity="warning",
        subject="name",
        beyond_scan=True,
        title="A server that the zone is delegated to does not reply",
        why=(
            "Resolvers that choose it wait before they ask another, and a receiver may give up "
            "first. Whether it has the zone is not known."
        ),
        references=("RFC 2182 §3.1", "RFC 2182 §5"),
        remedy=(
            "Start the server, open UDP and TCP port 53 to it, or take it out of the NS records, "
            "in the zone and in its parent."
        ),
    ),
    Entry(
        code="SERVER_WITHOUT_ADDRESS",
        severity="warning",
        subject="name",
        beyond_scan=True,
        title="The name of a server has no address records of its own",
        why=(
            "Resolvers cannot reach it. The name of a server has to have address records itself; "
            "one that is an alias costs more look-ups, and some resolvers do not follow it."
        ),
        references=("RFC 1912 §2.8", "RFC 2181 §10.3"),
        remedy=(
            "Publish address records at the name of the server, or correct the NS records, in "
            "the zone and in its parent."
        ),
        zone_lines=("{name}. IN {type} {address}",),
    ),
    Entry(
        code="NS_MISMATCH",
        severity="notice",
        subject="zone",
        beyond_scan=True,
        title="Parent and zone name different servers",
        why=(
            "Which servers are asked depends on what a resolver has seen last. Those that only "
            "one side names are overlooked when the zone or its servers change."
        ),
        references=("RFC 1034 §4.2.2", "RFC 1912 §2.8"),
        remedy="Make the NS records of the zone and those of its delegation the same.",
        zone_lines=("{zone}. IN NS {server}.",),
    ),
    Entry(
        code="NS_TOO_MANY",
        severity="notice",
        subject="zone",
        beyond_scan=True,
        title="The zone has more servers than resolvers ask",
        why=(
            "Resolvers use only a few servers of a zone, since each name costs them queries. "
            "Which servers a receiver asks is left to chance, and the answer does not fit into a "
            "datagram."
        ),
        references=("RFC 2182 §5", "RFC 1034 §5.3.3"),
        remedy="Name three to seven servers, in different networks; 13 are looked at here.",
    ),
    Entry(
        code="SERIALS_DIFFER",
        severity="warning",
        subject="zone",
        beyond_scan=True,
        title="The servers of the zone have different serial numbers",
        why=(
            "Those with a lower one answer from an old copy. Shortly after a change that is "
            "normal; if it lasts, a transfer fails, and the copy will expire."
        ),
        references=("RFC 1034 §4.3.5", "RFC 1982 §3.2", "RFC 1912 §2.2"),
        remedy=(
            "See why the servers that are behind do not transfer the zone: NOTIFY, access lists, "
            "TSIG keys, or a serial that went backwards."
        ),
    ),
    Entry(
        code="ANCESTOR_NXDOMAIN",
        severity="warning",
        subject="owner",
        beyond_scan=True,
        title="A server denies a name that has PTR records below it",
        why=(
            "NXDOMAIN says that nothing is below the name either. Resolvers that go by it, or "
            "that ask label by label, never find the PTR records, while others do."
        ),
        references=("RFC 8020 §2", "RFC 9156 §2.3", "RFC 4592 §2.2.2"),
        remedy=(
            "Update the server's software, or its database backend: it has to answer NOERROR "
            "without records (NODATA) for a name that only has names below it."
        ),
    ),
)
