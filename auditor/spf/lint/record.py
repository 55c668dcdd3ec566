"""Lints one SPF record: its syntax, its terms, and those that are never evaluated.

By its text alone, but for terms after an include that matches every address. The cost is linear
in the length of the record, or nearly so.
"""

from __future__ import annotations

import re
from itertools import groupby, pairwise, takewhile
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.spf.lint.problems import Problem, Problems, shown
from auditor.spf.parser import MECHANISMS, parsed
from auditor.spf.policy_memo import PolicyMemo
from auditor.wire.address_set import EVERYTHING, take_range
from auditor.wire.addresses import format_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.spf.parser import Policy, SyntaxProblem, Term
    from auditor.spf.policy_tree import TreePolicy

__all__ = [
    "CHOSEN_BY_CLIENT",
    "WIDEST_V4",
    "WIDEST_V6",
    "Breadth",
    "breadth_of",
    "lint_behind",
    "lint_own",
    "lint_strings",
    "lint_syntax",
    "passes_all",
]

#: The shortest prefixes that one sender plausibly uses. Of 4,600 networks in 3,065 real
#: policies four are wider than an IPv4 /16 and two than an IPv6 /32, the least that the
#: registries give to a provider.
WIDEST_V4: Final = 16
WIDEST_V6: Final = 32

_HAS_NETWORKS: Final = frozenset({"a", "mx", "ip4", "ip6"})
_VERSIONS: Final = {"ip4": 4, "ip6": 6}
_BOTH_VERSIONS: Final = frozenset({4, 6})
_NEITHER: Final[frozenset[int]] = frozenset()

#: Macros whose value the client chooses (§11.5.3), and the one that §7.2 advises against.
CHOSEN_BY_CLIENT: Final = frozenset("lsh")
_DISCOURAGED: Final = "p"

#: Modifiers of RFC 6652.
_REPORTING: Final = frozenset({"ra", "rp", "rr"})

#: The beginning of a term, as opposed to the rest of a split one.
_TERM: Final = re.compile(
    rb"[-+?~]?(?:(?:include|exists|ip4|ip6|a|mx|ptr):|(?:redirect|exp)="
    rb"|(?:all|a|mx|ptr)(?:[ /]|$))",
    re.IGNORECASE,
)
_VISIBLE_END: Final = re.compile(rb"[0-9a-z]$", re.IGNORECASE)


def lint_syntax(policy: Policy, problems: Problems) -> None:
    """Note the syntax errors, which are a permerror wherever the record is included."""
    for problem in policy.problems:
        code = "SPF_SYNTAX" if _is_printable(problem) else "SPF_NOT_ASCII"
        end = problem.position + len(problem.text)
        problems.note_at(code, problem.message, problem.text, problem.position, end)


def lint_strings(strings: Sequence[bytes], problems: Problems) -> None:
    """Note where the strings of a record run together (§3.3) that were meant to be apart."""
    offset = 0
    for before, after in pairwise(strings):
        offset += len(before)
        start = _TERM.match(after)
        if start is not None and _VISIBLE_END.search(before):
            head = before.rpartition(b" ")[2]
            tail = after.partition(b" ")[0]
            text = (head + tail).decode("latin-1")
            first = offset - len(head)
            note = f"one string ends at octet {offset}, and there is no space before the next"
            problems.note_at("SPF_STRINGS_JOINED", note, text, first, first + len(text))


def lint_own(policy: Policy, domain: str, problems: Problems) -> None:
    """Note the problems of the terms of the policy of a domain, or of one it redirects to."""
    names, found = _OWN_PROBLEMS(policy.text)
    if domain in names:
        _judge_own(policy, domain, problems)
        return
    # No term names the domain itself, so that the problems depend on the text alone.
    for problem in found:
        problems.add_problem(problem._replace(domain=problems.domain))


def _problems_of(text: str) -> tuple[frozenset[str], list[Problem]]:
    """Return the names in a policy, and its problems where none is its own, without a domain."""
    problems = Problems("")
    policy = parsed(text.encode("latin-1"))
    _judge_own(policy, _NO_DOMAIN, problems)
    names = frozenset([_named(term) for term in policy.terms if term.spec is not None])
    return names, problems.found


_OWN_PROBLEMS: Final = PolicyMemo(_problems_of)
#: No term can have it: they are separated by spaces.
_NO_DOMAIN: Final = " "


def _named(term: Term) -> str:
    """Return the domain-spec of a term as it is compared with others."""
    return (term.spec or "").lower().removesuffix(".")


def _judge_own(policy: Policy, domain: str, problems: Problems) -> None:
    mechanisms = policy.mechanisms
    end = next((i for i, term in enumerate(mechanisms) if term.kind == "all"), len(mechanisms))
    _lint_end(policy, mechanisms[end:], problems)
    effective = mechanisms[:end]
    for term in effective:
        _lint_term(term, problems)
    for term in policy.terms:
        _lint_macros(term, problems)
        if term.kind == "unknown" and term.name not in _REPORTING:
            problems.note_problem("SPF_UNKNOWN_MODIFIER", _meant(term), term)
    single = _lint_duplicates(effective, domain, problems)
    _lint_covered(single, problems)


class Breadth(NamedTuple):
    """How many addresses a policy may match by its text alone.

    `open_terms` pass every address of an IP version, each with a text that says so; terms
    after `all` do not count.
    `may_match_all`: all addresses of an IP version may match before `all`; `may_pass_all`: they
    may pass, before any may match that do not.
    """

    open_terms: tuple[tuple[Term, str], ...]
    may_match_all: bool
    may_pass_all: bool


def _breadth(text: str) -> Breadth:
    mechanisms = parsed(text.encode("latin-1")).mechanisms
    end = next((at for at, term in enumerate(mechanisms) if term.kind == "all"), len(mechanisms))
    open_terms = [(term, passes_all(term)) for term in mechanisms[: end + 1]]
    first = takewhile(lambda term: term.qualifier == "+", mechanisms)
    return Breadth(
        tuple([(term, admitted) for term, admitted in open_terms if admitted]),
        any(map(_may_match_all, mechanisms[:end])),
        any(map(_may_match_all, first)),
    )


def _may_match_all(term: Term) -> bool:
    """Tell whether a term may match every address of an IP version by networks."""
    return term.kind in {"all", "include"} or (term.kind in _VERSIONS and term.bits == 0)


_BREADTHS: Final = PolicyMemo(_breadth)


def breadth_of(policy: Policy) -> Breadth:
    """Return how many addresses a policy may match, kept if it is short."""
    return _BREADTHS(policy.text)


def passes_all(term: Term) -> str:
    """Return "every address", of one IP version or both, if a passing term matches these, or ""."""
    if term.qualifier != "+":
        return ""
    if term.kind == "all":
        return "every address"
    v4 = term.kind in {"ip4", "a", "mx"} and term.bits == 0
    v6 = (term.kind == "ip6" and term.bits == 0) or (term.kind in {"a", "mx"} and term.bits6 == 0)
    if v4 and v6:
        return "every address"
    return "every IPv4 address" if v4 else "every IPv6 address" if v6 else ""


def _is_printable(problem: SyntaxProblem) -> bool:
    return problem.text.isascii() and problem.text.isprintable()


def _lint_end(policy: Policy, tail: Sequence[Term], problems: Problems) -> None:
    """Judge how the policy ends; `tail` is `all` and the terms after it."""
    if not tail:
        # What cannot be read may have been all.
        if policy.redirect is None and not policy.problems:
            problems.note_problem("SPF_NO_ALL", "no mechanism decides on the other addresses")
        return
    end, *behind = tail
    if end.qualifier == "?":
        problems.note_problem(
            "SPF_NEUTRAL_ALL", "neutral for every address that is not listed", end
        )
    for term in behind:
        problems.note_problem("SPF_TERM_AFTER_ALL", f"never evaluated: after {end.text}", term)
    if policy.redirect is not None:
        problems.note_problem(
            "SPF_REDIRECT_IGNORED", f"ignored because of {end.text}", policy.redirect
        )


def _lint_term(term: Term, problems: Problems) -> None:
    if term.kind == "ptr":
        problems.note_problem(
            "SPF_PTR_MECHANISM", "decided by the PTR records of the clients", term
        )
    _lint_host_bits(term, problems)
    if term.kind not in _HAS_NETWORKS or term.qualifier != "+" or passes_all(term):
        return
    bits = {"ip4": (term.bits, 128), "ip6": (32, term.bits)}.get(term.kind, (term.bits, term.bits6))
    for length, widest, width in zip(bits, (WIDEST_V4, WIDEST_V6), (32, 128), strict=True):
        if length < widest:
            count = 1 << (width - length)
            number = f"{count:,}" if width == 32 else f"2^{width - length}"  # noqa: PLR2004 - IPv4
            problems.note_problem("SPF_WIDE_RANGE", f"authorises {number} addresses", term)


def _lint_host_bits(term: Term, problems: Problems) -> None:
    """Note a network whose address has bits set after its prefix, which have no effect."""
    if term.kind not in _VERSIONS or term.address == term.span[0]:
        return
    first, last = (format_address(_VERSIONS[term.kind], number) for number in term.span)
    problems.note_problem(
        "SPF_HOST_BITS", f"stands for {first}/{term.bits}, {first} to {last}", term
    )


def _lint_macros(term: Term, problems: Problems) -> None:
    if term.kind in {"exp", "unknown"} or not term.pieces:
        return
    used = term.macros
    if _DISCOURAGED in used:
        problems.note_problem(
            "SPF_ODD_MACRO", "%{p} should not be used: receivers look up PTR", term
        )
    chosen = sorted(used & CHOSEN_BY_CLIENT)
    if chosen:
        macros = " and ".join(f"%{{{letter}}}" for letter in chosen)
        problems.note_problem("SPF_ODD_MACRO", f"the client chooses the value of {macros}", term)


def _meant(modifier: Term) -> str:
    if modifier.name in MECHANISMS:
        return f"ignored: did you mean {shown(f'{modifier.name}:{modifier.spec}')}"
    return "ignored: a second record pasted in" if modifier.name == "v" else "ignored"


def _lint_duplicates(mechanisms: Sequence[Term], domain: str, problems: Problems) -> list[Term]:
    """Note repeated terms; return the others."""
    seen: dict[tuple[object, ...], Term] = {}
    single = []
    for term in mechanisms:
        name = domain if term.spec is None else _named(term)
        network = term.span if term.kind in _VERSIONS else (term.bits, term.bits6)
        key = (term.kind, "" if term.kind in _VERSIONS else name, network)
        first = seen.setdefault(key, term)
        if first is term:
            single.append(term)
        else:
            problems.note_problem(
                "SPF_DUPLICATE_TERM", f"the same stands at octet {first.start + 1}", term
            )
    return single


def _lint_covered(mechanisms: Sequence[Term], problems: Problems) -> None:
    """Note the networks that lie within others; no two are the same."""
    for kind, version in _VERSIONS.items():
        networks = [term for term in mechanisms if term.kind == kind]
        uncovered = [EVERYTHING[version]]
        idle = set()
        for index, term in enumerate(networks):
            if take_range(uncovered, *term.span):
                continue
            idle.add(term.start)
            if not problems.full("SPF_TERM_COVERED"):
                note = f"matches nothing: {_cover(term, networks[:index])} stands before it"
                problems.note_problem("SPF_TERM_COVERED", note, term)
        # Before a wider one with the same result a network is idle, unless something between
        # the two has another result.
        runs = groupby((term for term in mechanisms if term.start not in idle), _QUALIFIER)
        for _, run in runs:
            _lint_nested([term for term in run if term.kind == kind], problems)


_QUALIFIER: Final = attrgetter("qualifier")


def _cover(term: Term, before: Sequence[Term]) -> str:
    """Return the earlier network that a network lies in, or a text that several cover it."""
    first, last = term.span
    for other in before:
        low, high = other.span
        if low <= first and last <= high:
            return other.text
    return "what covers it"


def _lint_nested(networks: Sequence[Term], problems: Problems) -> None:
    """Note the networks that lie within a wider one further on."""
    order = sorted(networks, key=lambda term: (term.span[0], -term.span[1]))
    around: list[Term] = []
    for term in order:
        first, _ = term.span
        while around and around[-1].span[1] < first:
            around.pop()
        wider = next((other for other in around if other.start > term.start), None)
        if wider is not None:
            problems.note_problem("SPF_TERM_COVERED", f"{wider.text} covers it", term)
        around.append(term)


def lint_behind(node: TreePolicy, problems: Problems) -> None:
    """Note the terms after a term other than all, or several, that match every address."""
    end = node.end
    found = [end] if end is not None and end.kind != "all" else _matching_all(node)
    if not found:
        return
    listed = " and ".join(shown(term.text) for term in found)
    note = f"never evaluated: {listed} match{'es' * (len(found) == 1)} every address"
    for term in node.policy.mechanisms:
        if term.start > found[-1].start and term.kind != "all":
            problems.note_problem("SPF_TERM_AFTER_ALL", note, term)
    if node.policy.redirect is not None:
        problems.note_problem("SPF_REDIRECT_IGNORED", note, node.policy.redirect)


def _matching_all(node: TreePolicy) -> list[Term]:
    """Return the terms before all that match every address by networks, none if not all are."""
    if not breadth_of(node.policy).may_match_all:
        return []
    matched = _NEITHER
    found = []
    for term in node.policy.mechanisms:
        versions = _NEITHER if term.kind == "all" else _matched(node, term)
        if versions - matched:
            found.append(term)
            matched |= versions
        if matched == _BOTH_VERSIONS:
            return found
        if term.kind == "all":
            break
    return []


def _matched(node: TreePolicy, term: Term) -> frozenset[int]:
    """Return the IP versions of which a term matches every address."""
    if term.kind in _VERSIONS:
        return frozenset({_VERSIONS[term.kind]}) if term.bits == 0 else _NEITHER
    if term.kind == "include":
        policy = next((each.policy for each in node.terms if each.term is term), None)
        return _passed(policy) if policy is not None else _NEITHER
    return _NEITHER


def _passed(node: TreePolicy) -> frozenset[int]:
    """Return the IP versions of which a policy surely passes every address."""
    passed = _NEITHER
    if not breadth_of(node.policy).may_pass_all:
        return passed
    for term in node.policy.mechanisms:
        if term.qualifier != "+":
            break  # it may match some of the rest
        passed |= _BOTH_VERSIONS if term.kind == "all" else _matched(node, term)
    return passed
