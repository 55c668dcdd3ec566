"""The SPF_ findings about policies that work, though not as meant (data only, see `entry`).

Found by lint. About the domain's own record, or the one it redirects to: what stands in a
record that it includes is its owner's business, unless that opens the policy to the world.
"""

from __future__ import annotations

from typing import Final

from auditor.findings.entry import Entry

__all__ = ["ENTRIES"]

_LINE: Final = '{domain}. IN TXT "v=spf1 <the networks that send> -all"'

ENTRIES: Final = (
    Entry(
        code="SPF_NEAR_MISS",
        severity="warning",
        subject="domain",
        title="A TXT record of the domain is nearly an SPF policy, but does not count as one",
        why=(
            "A policy starts with v=spf1, followed by a space or by nothing. Receivers discard a "
            "record with anything before the version, or with anything else behind it: for them "
            "the domain has no policy, though whoever published the record sees it there."
        ),
        references=("RFC 7208 §3.3", "RFC 7208 §4.5"),
        remedy=(
            "Publish the record anew, beginning with v=spf1 and one space. Web forms add the "
            "quotation marks themselves; the strings of a long record are joined without a space."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 <the networks that send> -all"',),
    ),
    Entry(
        code="SPF_PASS_ALL",
        severity="error",
        subject="domain",
        title="The policy authorises every address to send for the domain",
        why=(
            "With +all, or a network of all addresses, every forgery passes SPF, and with it "
            "DMARC: a pass means that the owner is responsible for the mail. Receivers distrust "
            "domains with such a policy."
        ),
        references=("RFC 7208 §2.6.3", "RFC 7208 §5.1", "RFC 9989 §4.4.2"),
        remedy=(
            "List the addresses that send mail for the domain, and end the policy in -all, or in "
            "~all while you find out."
        ),
        zone_lines=(_LINE,),
    ),
    Entry(
        code="SPF_NO_ALL",
        severity="warning",
        subject="domain",
        title="The policy has neither all nor redirect",
        why=(
            "For an address that no term matches the result is neutral, which receivers must "
            "treat like no policy at all: the record authorises, but protects from nothing."
        ),
        references=("RFC 7208 §4.7", "RFC 7208 §8.2"),
        remedy="End the policy in -all, or in ~all while you find out what else sends.",
        zone_lines=('{domain}. IN TXT "v=spf1 <the terms as they are> -all"',),
    ),
    Entry(
        code="SPF_NEUTRAL_ALL",
        severity="warning",
        subject="domain",
        title="The policy ends in ?all, which is neutral for all other addresses",
        why=(
            "Every address that no term matches gets neutral from ?all, and receivers must treat "
            "that like no policy at all: the record authorises, but protects from nothing."
        ),
        references=("RFC 7208 §5.1", "RFC 7208 §8.2"),
        remedy="Replace ?all by -all, or by ~all while you find out what else sends.",
        zone_lines=('{domain}. IN TXT "v=spf1 <the other terms> -all"',),
    ),
    Entry(
        code="SPF_TERM_AFTER_ALL",
        severity="warning",
        subject="domain",
        title="A term of the policy stands after one that matches everything",
        why=(
            "Every address matches all, or an include of a policy that passes everybody, so "
            "evaluation ends there: the terms after it authorise no address."
        ),
        references=("RFC 7208 §4.6.2", "RFC 7208 §5.1"),
        remedy="Move the term before all, or remove it.",
        zone_lines=('{domain}. IN TXT "v=spf1 <all other terms> -all"',),
    ),
    Entry(
        code="SPF_REDIRECT_IGNORED",
        severity="warning",
        subject="domain",
        title="The policy has a redirect that is ignored because of all",
        why=(
            "A redirect counts only if no mechanism matches, and all matches always: the other "
            "policy is never evaluated."
        ),
        references=("RFC 7208 §5.1", "RFC 7208 §6.1"),
        remedy=(
            "Remove all if the other domain's policy is to apply, or the redirect if it is not. "
            "To add the other domain's addresses to these, use include: before all."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 <the terms without redirect> -all"',),
    ),
    Entry(
        code="SPF_PTR_MECHANISM",
        severity="warning",
        subject="domain",
        title="The policy uses the ptr mechanism",
        why=(
            "It is slow, fails with the name servers of others, burdens those of the reverse "
            "zones, and should not be published; some receivers do not evaluate it. It is decided "
            "by PTR records of others."
        ),
        references=("RFC 7208 §5.5",),
        remedy="Replace ptr by the networks that it stands for, as ip4: and ip6:.",
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} <the other terms> -all"',),
    ),
    Entry(
        code="SPF_WIDE_RANGE",
        severity="warning",
        subject="domain",
        title="The policy authorises a very wide network",
        why=(
            "A pass means that the owner is responsible for mail from the address. A network "
            "wider than an IPv4 /16 or an IPv6 /32, all that a whole provider has, is hardly ever "
            "under one sender's control: everybody in it can send for the domain."
        ),
        references=("RFC 7208 §2.6.3", "RFC 7208 §5.6", "RFC 7208 §11.4"),
        remedy=(
            "Authorise the outbound hosts, or the subnets that they are in; look for a mistyped "
            "prefix length."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} <the other terms> -all"',),
    ),
    Entry(
        code="SPF_TOTAL_WIDE",
        severity="warning",
        subject="domain",
        title="All terms of the policy together authorise very many addresses",
        why=(
            "A pass means that the owner is responsible for mail from the address. More than a "
            "million IPv4 addresses are more than the largest mail services have together, so "
            "most of them belong to people who have nothing to do with the domain."
        ),
        references=("RFC 7208 §2.6.3", "RFC 7208 §11.4"),
        remedy=(
            "Look at the widest networks first, those of the included policies among them, for a "
            "mistyped prefix length; remove the services that no longer send for the domain."
        ),
        zone_lines=(_LINE,),
    ),
    Entry(
        code="SPF_HOST_BITS",
        severity="notice",
        subject="domain",
        title="A network of the policy is written with the address of a host in it",
        why=(
            "Of ip4:192.0.2.77/24 the last octet counts for nothing: the whole network may send. "
            "Often a single address was meant, and the prefix length is a slip."
        ),
        references=("RFC 7208 §5.6",),
        remedy=(
            "Omit the prefix length if one address is meant; else write the first address of "
            "the network."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} <the other terms> -all"',),
    ),
    Entry(
        code="SPF_DUPLICATE_TERM",
        severity="notice",
        subject="domain",
        title="A term of the policy is repeated",
        why=(
            "The second one never matches anything that the first has not. It makes the record "
            "longer, and with include, a, mx and exists it costs a lookup out of ten."
        ),
        references=("RFC 7208 §3.4", "RFC 7208 §4.6.2", "RFC 7208 §4.6.4"),
        remedy="Remove the second one.",
        zone_lines=('{domain}. IN TXT "v=spf1 <each term once> -all"',),
    ),
    Entry(
        code="SPF_TERM_COVERED",
        severity="notice",
        subject="domain",
        title="A network of the policy lies within another one",
        why=(
            "It changes no result and makes the record longer; or it was meant to change one, "
            "as an exception, and stands behind the wider network where it cannot."
        ),
        references=("RFC 7208 §3.4", "RFC 7208 §4.6.2", "RFC 7208 §5.6"),
        remedy=(
            "Remove the narrower network. An exception, such as -ip4: within a network that "
            "passes, goes before the wider one."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 <the wider networks> -all"',),
    ),
    Entry(
        code="SPF_TERM_RESOLVES_TO_NOTHING",
        severity="warning",
        subject="domain",
        title="An a or mx term of the policy stands for no address at all",
        why=(
            "The term authorises nobody, so that mail from the host that it once stood for fails. "
            "It costs a lookup out of ten and a void lookup out of two; whoever registers the "
            "name is authorised."
        ),
        references=("RFC 7208 §4.6.4", "RFC 7208 §5.3", "RFC 7208 §5.4"),
        remedy="Remove the term, or repair the name: give the host its address records again.",
        zone_lines=('{domain}. IN TXT "v=spf1 <the terms whose names exist> -all"',),
    ),
    Entry(
        code="SPF_STRINGS_JOINED",
        severity="warning",
        subject="domain",
        title="Two strings of the SPF record run together without a space",
        why=(
            "The strings of a TXT record are joined as they are. Where one ends in a whole term "
            "and the next begins with another one, the two become one term, which is not what "
            "was meant."
        ),
        references=("RFC 7208 §3.3",),
        remedy="Put a space at the end of each string of the record but the last.",
        zone_lines=('{domain}. IN TXT "v=spf1 <some terms> " "<the other terms> -all"',),
    ),
    Entry(
        code="SPF_UNKNOWN_MODIFIER",
        severity="warning",
        subject="domain",
        title="The policy has an unknown modifier",
        why=(
            "A term with a = is a modifier, and receivers ignore unknown ones. include= or ip4= "
            "in place of include: or ip4: authorise nobody, and no receiver complains."
        ),
        references=("RFC 7208 §6",),
        remedy="Write mechanisms with a colon, as in ip4: and include:; remove the others.",
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} <the other terms> -all"',),
    ),
    Entry(
        code="SPF_ODD_MACRO",
        severity="notice",
        subject="domain",
        title="The policy uses a macro that hardly any sender needs",
        why=(
            "The macro %{p} should not be used. With %{l}, %{s} or %{h} the client itself "
            "chooses what receivers ask, so that no cache helps, and the queries tell third "
            "parties who writes mail."
        ),
        references=("RFC 7208 §7.2", "RFC 7208 §11.5.3", "RFC 7208 §11.6"),
        remedy=(
            "List networks instead; where a policy must be computed, use %{i} and %{v} alone, as "
            "in exists:%{ir}.%{v}._spf.%{d}."
        ),
        zone_lines=('{domain}. IN TXT "v=spf1 {mechanism} <the other terms> -all"',),
    ),
    Entry(
        code="SPF_EXP_WITHOUT_TEXT",
        severity="notice",
        subject="domain",
        title="The explanation that the policy refers to does not exist",
        why=(
            "With exp= a policy names a domain whose one TXT record tells rejected senders why. "
            "Without it, with several, or with a broken macro in it, receivers show no explanation."
        ),
        references=("RFC 7208 §6.2",),
        remedy="Publish one TXT record there, in ASCII, or remove exp=.",
        zone_lines=('_why.{domain}. IN TXT "See https://<a page> for who may send"',),
    ),
    Entry(
        code="SPF_RECORD_TOO_LONG",
        severity="notice",
        subject="domain",
        title="The answer with the SPF record is longer than 512 octets",
        why=(
            "All TXT records of a name come in one answer. Over 512 octets it needs EDNS or TCP, "
            "and the few receivers behind a firewall that knows neither see no policy."
        ),
        references=("RFC 7208 §3.4", "RFC 1035 §4.2.1"),
        remedy=(
            "Move texts for other purposes, such as site verification, to names of their own "
            "where their owners allow it; put long lists of networks under a name of their own "
            "and include that."
        ),
        zone_lines=(
            '{domain}. IN TXT "v=spf1 include:_spf.{domain} -all"',
            '_spf.{domain}. IN TXT "v=spf1 <the networks> -all"',
        ),
    ),
    Entry(
        code="SPF_ANSWER_NEEDS_TCP",
        severity="warning",
        subject="domain",
        title="The answer with the SPF record is longer than 1232 octets",
        why=(
            "Name servers and resolvers send at most 1232 octets by UDP, so this answer comes by "
            "TCP. Where TCP port 53 is closed on either side the policy cannot be read: "
            "temperror."
        ),
        references=("RFC 7208 §3.4", "RFC 7766 §5", "DNS: Flag Day 2020, EDNS buffer size"),
        remedy=(
            "Remove what is no longer needed of the TXT records at the name, such as old site "
            "verifications; put long lists of networks under names of their own and include "
            "those. Make sure that the name servers answer by TCP."
        ),
        zone_lines=(
            '{domain}. IN TXT "v=spf1 include:_spf.{domain} -all"',
            '_spf.{domain}. IN TXT "v=spf1 <the networks> -all"',
        ),
    ),
    Entry(
        code="SPF_TYPE_99",
        severity="notice",
        subject="domain",
        title="The domain publishes a record of the obsolete type SPF (99)",
        why=(
            "Policies are TXT records only. Receivers do not look up type 99, and such a copy is "
            "easily forgotten when the policy changes."
        ),
        references=("RFC 7208 §3.1", "RFC 6686"),
        remedy="Delete the record of type SPF; keep the TXT record.",
    ),
)
