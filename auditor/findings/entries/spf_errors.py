"""The SPF_ findings for which a policy gives permerror (data only, see `findings.entry`).

Found by lint: in the domain's own record and in every record that it includes.
"""

from __future__ import annotations

from typing import Final

from auditor.findings.entry import Entry

__all__ = ["ENTRIES"]

ENTRIES: Final = (
    Entry(
        code="SPF_SYNTAX",
        severity="error",
        subject="domain",
        title="The SPF record has a syntax error",
        why=(
            "One error anywhere in the record makes all of it void: receivers check the syntax "
            "before they evaluate anything, and the result is permerror for every address, "
            "also for those that a correct term before the error names."
        ),
        references=("RFC 7208 §4.6", "RFC 7208 §12", "RFC 7208 §8.7"),
        remedy=(
            "Correct the term that is named (auditor spf DOMAIN shows where it is). Terms are "
            "separated by spaces alone; addresses need ip4: or ip6: before them."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 <the corrected terms> -all"',),
    ),
    Entry(
        code="SPF_NOT_ASCII",
        severity="error",
        subject="domain",
        title="The SPF record has octets outside printable ASCII",
        why=(
            "A policy is made of visible ASCII characters and spaces. A dash, a quotation mark "
            "or a no-break space out of a word processor looks right and is none of these: the "
            "result is permerror for every address."
        ),
        references=("RFC 7208 §3.1", "RFC 7208 §4.6", "RFC 7208 §12"),
        remedy=(
            "Type the term that is named again, in the zone file itself, with the hyphen and the "
            "space of the keyboard. Domains in other scripts are written as A-labels (xn--)."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 <the terms in plain ASCII> -all"',),
    ),
    Entry(
        code="SPF_TOO_MANY_LOOKUPS",
        severity="error",
        subject="domain",
        title="The policy needs more than ten DNS lookups",
        why=(
            "Each include, a, mx, ptr, exists and redirect costs a lookup, those in included "
            "policies too. Ten are allowed: addresses that have not matched by then get "
            "permerror, and mail from the services listed last fails."
        ),
        references=("RFC 7208 §4.6.4", "RFC 7208 §10.1.1"),
        remedy=(
            "Drop the includes of services no longer used. Replace a and mx by the networks that "
            "they stand for, and give each service a sub-domain of its own to send from, with a "
            "policy of its own. auditor spf DOMAIN shows what each term costs."
        ),
        zone_lines=(
            '{domain}. IN TXT "v=spf1 {mechanism} <at most ten terms that need lookups> -all"',
        ),
    ),
    Entry(
        code="SPF_TOO_MANY_VOIDS",
        severity="error",
        subject="domain",
        title="More than two lookups of the policy find nothing",
        why=(
            "A name that does not exist, or has no record of the type asked for, is a void "
            "lookup. Receivers stop at the third one, and addresses that have not matched by "
            "then get permerror."
        ),
        references=("RFC 7208 §4.6.4", "RFC 7208 §11.1"),
        remedy="Remove the terms whose names are gone, or give the names their records again.",
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} <terms whose names exist> -all"',),
    ),
    Entry(
        code="SPF_TOO_MANY_VOIDS_V6",
        severity="warning",
        subject="domain",
        title="More than two lookups of the policy find nothing for IPv6 clients",
        why=(
            "For an IPv6 client each a, and each host of an mx, without an AAAA record is a void "
            "lookup. A strict receiver stops at the third one: IPv6 addresses that have not "
            "matched by then get permerror, also those that a later include authorises."
        ),
        references=("RFC 7208 §4.6.4", "RFC 7208 §5"),
        remedy=(
            "Write ip4: and the address instead of a and mx terms whose hosts have no AAAA record, "
            "or put them behind the terms that authorise IPv6 addresses."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} <terms whose names exist> -all"',),
    ),
    Entry(
        code="SPF_TOO_MANY_MX",
        severity="error",
        subject="domain",
        title="An mx term of the policy stands for more than ten hosts",
        why=(
            "A receiver looks up the addresses of at most ten MX hosts for one mx term. With "
            "more the result is permerror for every address that reaches the term."
        ),
        references=("RFC 7208 §4.6.4", "RFC 7208 §5.4"),
        remedy=(
            "Replace the mx term by the networks of the hosts that send mail; hosts that only "
            "take mail need no term."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} <the networks that send> -all"',),
    ),
    Entry(
        code="SPF_INCLUDE_WITHOUT_RECORD",
        severity="error",
        subject="domain",
        title="The policy includes or redirects to a domain without an SPF record",
        why=(
            "An include or a redirect to a domain that has no policy, or more than one, is a "
            "permerror: addresses that no earlier term matches cannot be judged at all."
        ),
        references=("RFC 7208 §5.2", "RFC 7208 §6.1"),
        remedy=(
            "Ask the service for the name that its customers are to include; names change. "
            "Remove the term if the service is no longer used. For a host without a policy use "
            "a: instead of include:."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 <the terms without this include> -all"',),
    ),
    Entry(
        code="SPF_INCLUDE_LOOP",
        severity="error",
        subject="domain",
        title="The policy includes itself",
        why=(
            "A policy that leads back to itself by include or redirect goes round until the "
            "limit of ten lookups ends it: permerror for every address that no earlier term "
            "matches."
        ),
        references=("RFC 7208 §4.6.4", "RFC 7208 §5.2"),
        remedy=(
            "Remove the term that closes the loop; an include of the domain itself never "
            "authorises anything."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 <the terms without the loop> -all"',),
    ),
)
