"""The SPF_ findings: does a policy authorise the address (data only, see `findings.entry`).

Those about the policy itself, which lint finds, are in `spf_errors` and `spf_warnings`.
"""

from __future__ import annotations

from typing import Final

from auditor.findings.entries import spf_errors, spf_warnings
from auditor.findings.entry import Entry

__all__ = ["ENTRIES"]

ENTRIES: Final = (
    Entry(
        code="SPF_NONE",
        severity="warning",
        subject="domain",
        title="The domain has no SPF record",
        why=(
            "Without a policy nobody can tell this domain's mail from a forgery by its "
            "address. Gmail refuses it unless DKIM passes (550 5.7.26), Yahoo asks for the same, "
            "and Orange for SPF and DKIM."
        ),
        references=(
            "RFC 7208 §2.6.1",
            "RFC 7208 §3",
            "Gmail: Email sender guidelines",
            "Yahoo: Sender best practices",
        ),
        remedy=(
            "Publish one TXT record that lists the addresses which send mail for the domain "
            'and ends in -all; for a domain that sends none, "v=spf1 -all". It does not count '
            'for names below: a HELO name may have one of its own, such as "v=spf1 a -all".'
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} -all"',),
    ),
    Entry(
        code="SPF_FAIL",
        severity="error",
        subject="domain",
        title="The policy says that the address may not send for the domain",
        why=(
            "The domain's owner states that mail from this address is not theirs. Receivers "
            "may reject it during the SMTP session (550 5.7.23), and DMARC cannot pass by "
            "SPF."
        ),
        references=("RFC 7208 §2.6.4", "RFC 7208 §8.4", "RFC 7372 §3.2", "RFC 9989 §4.4.2"),
        remedy=(
            "If the address is to send for the domain, authorise it, before the all term. If "
            "not, find out what on it sends under this name, and give it another HELO name or "
            "envelope sender."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} <the other terms> -all"',),
    ),
    Entry(
        code="SPF_SOFTFAIL",
        severity="warning",
        subject="domain",
        title="The policy says that the address should probably not send for the domain",
        why=(
            "What decided is a term with a tilde, ~all as a rule; the evidence names it. Gmail "
            "refuses such mail unless DKIM passes (550 5.7.26), Orange asks SPF to pass, filters "
            "count it, and DMARC cannot pass by SPF."
        ),
        references=("RFC 7208 §2.6.5", "RFC 7208 §8.5", "RFC 9989 §4.4.2"),
        remedy=("If the address is to send for the domain, authorise it, before the all term."),
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} <the other terms> ~all"',),
    ),
    Entry(
        code="SPF_NEUTRAL",
        severity="warning",
        subject="domain",
        title="The policy says nothing about the address",
        why=(
            "No term matched, or one with ?. Receivers must treat that like no policy at all, "
            "so the record does nothing for mail from this address."
        ),
        references=("RFC 7208 §2.6.2", "RFC 7208 §8.2"),
        remedy=(
            "If the address is to send for the domain, authorise it. End the policy in -all "
            "or ~all rather than ?all or nothing."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} <the other terms> -all"',),
    ),
    Entry(
        code="SPF_PERMERROR",
        severity="error",
        subject="domain",
        title="The policy cannot be evaluated",
        why=(
            "It has a syntax error, needs more than ten lookups, or includes a domain that "
            "has no policy. Receivers may reject the mail (550 5.7.24); none of them can use "
            "the policy until it is repaired, and DMARC cannot pass by SPF."
        ),
        references=("RFC 7208 §2.6.7", "RFC 7208 §4.6", "RFC 7208 §8.7", "RFC 7372 §3.2"),
        remedy=(
            "Correct what the explanation names. Where there are too many lookups, replace "
            "include, a and mx terms by the networks that they stand for, and drop those no "
            "longer used."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 <the corrected terms> -all"',),
    ),
    Entry(
        code="SPF_VERIFIERS_DIFFER",
        severity="notice",
        subject="domain",
        title="Verifiers come to different results for the address",
        why=(
            "Some verifiers look up the addresses of all MX hosts before they compare any, and "
            "count every void lookup of a ptr; others stop at the host that matches. A host "
            "without an address is then a void lookup for some alone, and three of these are a "
            "permerror: mail from the same address passes here and fails there."
        ),
        references=("RFC 7208 §4.6.4", "RFC 7208 §5.4", "RFC 7208 §5.5"),
        remedy=(
            "Name the addresses that send as ip4: and ip6:, or remove the MX hosts that have no "
            "address."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} <the other terms> -all"',),
    ),
    Entry(
        code="SPF_UNDETERMINED",
        severity="warning",
        subject="domain",
        undetermined=True,
        title="A lookup for the policy failed, so its result is not known",
        why=(
            "The policy, or a name in it, could not be looked up (SPF temperror). A receiver "
            "sees the same and either puts the mail off with a 4xx reply or goes without SPF."
        ),
        references=("RFC 7208 §2.6.6", "RFC 7208 §8.6", "RFC 9520 §2"),
        remedy=(
            "Ask every name server of the domain, and of the domains that its policy names, "
            "by itself (dig +norecurse DOMAIN TXT @SERVER); repair or remove those that fail. "
            "A large record needs TCP port 53 to be open. Then audit again."
        ),
    ),
    Entry(
        code="SPF_MULTIPLE_RECORDS",
        severity="error",
        subject="domain",
        title="The domain has more than one SPF record",
        why=(
            "With two or more records that begin with v=spf1 no policy can be selected: the "
            "result is permerror for every address, also for those that each record would "
            "authorise."
        ),
        references=("RFC 7208 §3.2", "RFC 7208 §4.5"),
        remedy=(
            "Put the terms of all of them into one record with one all term, and delete the "
            "others. A policy too long for one string may go into several strings of one "
            "record."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 <the terms of all records> -all"',),
    ),
    *spf_errors.ENTRIES,
    *spf_warnings.ENTRIES,
)
