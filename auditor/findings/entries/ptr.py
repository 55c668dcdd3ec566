"""The PTR_ findings: the names of an address (data only, see `findings.entry`)."""

from __future__ import annotations

from typing import Final

from auditor.findings.entry import Entry

__all__ = ["ENTRIES"]

ENTRIES: Final = (
    Entry(
        code="PTR_MISSING",
        severity="error",
        subject="address",
        title="The address has no PTR record",
        why=(
            "An address without a name cannot be confirmed (iprev permerror), and the large "
            "receivers do not take mail from it: Gmail answers 550 5.7.25, Yahoo asks for "
            "valid reverse DNS, and Postfix with reject_unknown_reverse_client_hostname "
            "answers 450."
        ),
        references=(
            "RFC 1912 §2.1",
            "RFC 8601 §2.7.3",
            "RFC 7372 §3.3",
            "Gmail: Email sender guidelines",
            "Yahoo: Sender best practices",
        ),
        remedy=(
            "Publish a PTR record with the name that the server uses in EHLO, and give that "
            "name the address. Reverse zones belong to the operator of the address block: if "
            "that is your provider, have the name entered there, or the zone delegated (RFC "
            "2317 for less than a /24)."
        ),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="PTR_ALIAS_TO_HOST",
        severity="error",
        subject="address",
        title="The reverse name is an alias of a host, which has no PTR record",
        why=(
            "A CNAME in a reverse zone leads to where the PTR record is (RFC 2317). One that leads "
            "to the host itself leads to its address records: the address has no name, and "
            "receivers refuse its mail as that of any address without one (Gmail: 550 5.7.25)."
        ),
        references=(
            "RFC 1034 §3.6.2",
            "RFC 2317 §5.2",
            "RFC 8601 §2.7.3",
            "Gmail: Email sender guidelines",
        ),
        remedy=(
            "In the reverse zone, replace the CNAME record by a PTR record with the name of the "
            "host. Where that zone is not yours, a PTR record at the host's own name, which is "
            "where the alias leads, does as well."
        ),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="PTR_UNDETERMINED",
        severity="warning",
        subject="address",
        undetermined=True,
        title="The PTR lookup failed, so it is not known whether the address has a name",
        why=(
            "The servers of the reverse zone gave an error, or no answer in time. A receiver "
            "sees the same (iprev temperror) and puts mail off with a 4xx reply for as long "
            "as it lasts, or treats the address as one without a name."
        ),
        references=("RFC 8601 §2.7.3", "RFC 2308 §7", "RFC 9520 §2"),
        remedy=(
            "Ask every name server of the reverse zone by itself: `auditor zones ADDRESS` does, "
            "and shows which fail and who can fix it. Repair or remove those, check delegation "
            "and DNSSEC signatures, and audit again."
        ),
    ),
    Entry(
        code="PTR_MULTIPLE",
        severity="notice",
        subject="address",
        title="The address has several PTR names",
        why=(
            "Several names are allowed, but a receiver that looks at one takes any of them: "
            "which name it logs, confirms and compares with EHLO changes from one answer to "
            "the next."
        ),
        references=("RFC 2181 §10.2", "RFC 8601 §3"),
        remedy=(
            "Keep the one name that the server uses in EHLO. Other names that lead to the "
            "address need no PTR record of their own."
        ),
        zone_lines=("{reverse}. IN PTR {host}.",),
    ),
    Entry(
        code="PTR_UNEXPECTED",
        severity="warning",
        subject="name",
        title="The address has another PTR name than the input expects",
        why=(
            "The name that was given for the address and the one that the DNS has differ, so "
            "either is out of date: the address was handed on, the zone not loaded, or the "
            "server renamed. A receiver sees the name of the DNS."
        ),
        references=("RFC 1912 §2.1",),
        remedy=(
            "Find out which name is right. If it is the expected one, replace the PTR record and "
            "give that name the address; else correct the list."
        ),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="PTR_TOO_MANY",
        severity="warning",
        subject="address",
        title="The address has more than ten PTR names; only the first ten were confirmed",
        why=(
            "Receivers do not confirm all names: SPF uses the first ten, and many receivers "
            "look at fewer. The name that matters may not be among them, and an answer of "
            "that size has to be asked for again over TCP."
        ),
        references=("RFC 7208 §4.6.4", "RFC 7208 §5.5", "RFC 7766 §5"),
        remedy=(
            "Keep the one name that the server uses in EHLO. Web sites and other services on "
            "the address need no PTR record."
        ),
        zone_lines=("{reverse}. IN PTR {host}.",),
    ),
    Entry(
        code="PTR_GENERIC",
        severity="warning",
        subject="name",
        title="The PTR name looks made up for a number or a customer's line",
        why=(
            "Names that contain the address, or words such as dynamic, dsl and pool, are how "
            "networks mark lines that should not send mail directly. GMX and WEB.DE refuse mail "
            "from most of them, filters score them by pattern (SpamAssassin: RDNS_DYNAMIC), and "
            "none can tell a `static` one from the rest."
        ),
        references=(
            "M3AAWG: Methods for Sharing Dynamic Address Space Information with Others",
            "draft-msullivan-dnsop-generic-naming-schemes",
            "SpamAssassin: RDNS_DYNAMIC",
        ),
        remedy=(
            "Give an address that sends mail a name of its own, such as mail.example.net, in both "
            "directions, and use it in EHLO. If it is not meant to send mail, leave the name as "
            "it is and block port 25 outwards."
        ),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="PTR_INVALID_NAME",
        severity="warning",
        subject="name",
        title="The PTR name is not a host name",
        why=(
            "A host name has labels of letters, digits and inner hyphens. Mail software that "
            "checks throws away what is not one, so that the address counts as one without a "
            "name; usual causes are an underscore, a blank, an address where the name belongs, "
            "or a URL."
        ),
        references=("RFC 952", "RFC 1123 §2.1", "RFC 5321 §2.3.5"),
        remedy=("Replace the PTR record with one that holds a valid, fully qualified host name."),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="PTR_DOT_MISSING",
        severity="error",
        subject="name",
        title="The PTR name ends in its own zone: the final dot is missing in the zone file",
        why=(
            "A name without a final dot is completed by the origin of the zone, here by that of "
            "the reverse zone. No such name exists, so it confirms nothing, and mail software "
            "that looks for a host name finds none."
        ),
        references=("RFC 1035 §5.1", "RFC 1912 §2.1", "RFC 8601 §2.7.3"),
        remedy=(
            "In the file of the reverse zone, put a dot behind the name in the PTR record, raise "
            "the serial, and look for the same fault in the lines next to it."
        ),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="PTR_IN_ARPA",
        severity="warning",
        subject="name",
        title="The PTR name is one of the reverse tree and not of a host",
        why=(
            "Names under in-addr.arpa and ip6.arpa stand for addresses; no host has such a name. "
            "As a rule a name without its final dot was entered, and the zone's own name was "
            "added to it."
        ),
        references=("RFC 1035 §3.5", "RFC 1035 §5.1", "RFC 3172 §2"),
        remedy=(
            "Publish a PTR record with a fully qualified host name, with its final dot where the "
            "zone is a file, and give that name the address."
        ),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="PTR_UNKNOWN_TLD",
        severity="warning",
        subject="name",
        title="The PTR name ends in no top-level domain of the public DNS",
        why=(
            "Nobody outside can look up a name below local, lan, internal and the like, so it "
            "confirms nothing, even if an internal resolver knows it. Often it is the name of the "
            "machine without its domain, or one that only its own network uses."
        ),
        references=("RFC 6761 §6", "RFC 6762 §3", "RFC 5321 §2.3.5", "IANA: Root Zone Database"),
        remedy=(
            "Publish a PTR record with a fully qualified name in a domain that is registered, "
            "and give that name the address."
        ),
        zone_lines=("{reverse}. IN PTR {host}.", "{host}. IN {type} {address}"),
    ),
    Entry(
        code="PTR_WILDCARD",
        severity="notice",
        subject="owner",
        title="The PTR name comes from a wildcard record",
        why=(
            "A wildcard gives all other addresses the same name, which cannot "
            "lead back to all of them. The name tells a receiver nothing about the address."
        ),
        references=("RFC 1912 §2.7", "RFC 4592 §2.1.1", "RFC 8601 §3"),
        remedy=(
            "Enter a PTR record for each address that sends mail, and remove the wildcard. Until "
            "it is gone, a record with the same name cannot be told from it, and this stays."
        ),
        zone_lines=("{reverse}. IN PTR {host}.",),
    ),
)
