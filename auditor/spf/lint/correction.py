"""Corrects a policy: the whole record to publish, without the problems that lint has found.

Only what is certain is corrected. Where a person has to decide, a placeholder in angle
brackets stands in the record, and no receiver would take that for a policy.
"""

from __future__ import annotations

import re
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from auditor.resolve.answer import Question
from auditor.spf.limits import MAX_LOOKUPS
from auditor.spf.lint.near_miss import near_miss
from auditor.spf.parser import LOOKUP_TERMS, MECHANISMS, Policy, Term, parse_policy, parse_term
from auditor.spf.records import policies
from auditor.wire.addresses import V4, V6, format_address
from auditor.wire.codes import NOERROR, TXT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.resolve.answer import Answer
    from auditor.spf.lint.policy import LintReport
    from auditor.spf.lint.problems import Problem

__all__ = ["Correction", "authorising", "correct", "policy_owner"]

_VERSION: Final = "v=spf1"

#: Terms that can be removed without changing any result, or that are the fault themselves.
_SUPERFLUOUS: Final = frozenset(
    {
        "SPF_DUPLICATE_TERM",
        "SPF_EXP_WITHOUT_TEXT",
        "SPF_INCLUDE_LOOP",
        "SPF_REDIRECT_IGNORED",
        "SPF_TERM_AFTER_ALL",
        "SPF_TERM_COVERED",
        "SPF_TERM_RESOLVES_TO_NOTHING",
    }
)
#: Placeholders for a term that a person has to replace.
_TO_DECIDE: Final = {
    "SPF_INCLUDE_WITHOUT_RECORD": "the right name in place of",
    "SPF_ODD_MACRO": "networks in place of",
    "SPF_PASS_ALL": "the networks that send in place of",
    "SPF_PTR_MECHANISM": "the networks that send in place of",
    "SPF_WIDE_RANGE": "the hosts that send, out of",
}
#: Mistyped mechanisms, and characters that a word processor puts in place of others.
_MECHANISMS: Final = {"ipv4": "ip4", "ip": "ip4", "ipv6": "ip6", "includes": "include"}
_LOOKALIKES: Final = str.maketrans(
    {"‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-"}  # noqa: RUF001 - that is what is looked for
    | dict.fromkeys("“”„‘’\"'\u200b\ufeff", None)  # noqa: RUF001
    | dict.fromkeys("\u00a0\t\r\n", " ")
    | {"：": ":"}  # noqa: RUF001
)
#: What stands between terms where only spaces may.
_SEPARATORS: Final = re.compile(r"[\s,;]+")
#: A term with `all` run into it.
_GLUED_ALL: Final = re.compile(r"(.+[0-9A-Za-z/])([-+~?]all)", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]+)?")


class Correction(NamedTuple):
    """A policy as published, and as it should be; both of printable ASCII where they are not "".

    `text` is the whole new record, "" if nothing changes or not all is certain;
    `draft` is one with placeholders (`<...>`) for what a person has to decide, or "".
    """

    record: str
    text: str = ""
    draft: str = ""


def correct(report: LintReport, domain: str) -> Correction | None:
    """Return the policy of a domain corrected by the problems of a report; None without one."""
    answer = report.summary.answers.get(Question(domain, TXT))
    if answer is None or answer.status != NOERROR:
        return None
    found = policies(answer.records)
    problems = [problem for problem in report.problems if problem.domain == domain]
    if len(found) != 1:
        meant = _merged([parse_policy(text) for text in found]) if found else _nearest(answer)
        return Correction("", meant) if meant else None
    record = found[0].decode("latin-1")
    edits = _joined_strings(answer, record, problems)
    shadowed = [each for each in problems if _is_shadowed(each, record)]
    if shadowed:
        place, text = _include_of_all(record[: min(each.start or 0 for each in shadowed)])
        edits[place] = text
    for problem in problems:
        if problem in shadowed:
            continue
        edit = _edit(problem, record)
        if edit is not None:
            edits.setdefault(edit[0], edit[1])
    text = _applied(record, edits)
    codes = {problem.code for problem in problems}
    if "SPF_NO_ALL" in codes:
        text = f"{text.rstrip(' ')} ~all"
    was_open = _authorises(record) or not codes.isdisjoint({"SPF_NEUTRAL_ALL", "SPF_NO_ALL"})
    if was_open and not _authorises(text) and not _has_placeholder(edits):
        # No sender would be left: a person has to decide.
        text = f"{_VERSION} <the networks that send>{text[len(_VERSION) :]}"
        edits[0, 0] = "<>"
    shown = record if _is_plain(record) else ""
    if text == record or not _is_plain(text):
        return Correction(shown)  # not for records that are not plain text
    if _has_placeholder(edits):
        return Correction(shown, "", text)
    return Correction(shown, text if _is_publishable(text) else "")


def policy_owner(report: LintReport, domain: str) -> str:
    """Return the owner of the TXT records of a domain: the end of its aliases."""
    answer = report.summary.answers.get(Question(domain, TXT))
    return (answer.canonical if answer else None) or domain


def authorising(record: str, mechanism: str) -> str:
    """Return a policy with a mechanism added before all others; "" if the policy is invalid.

    At the beginning it counts whatever follows, and costs no lookup (RFC 7208 §4.6.2).
    """
    if not record or not _is_plain(record) or parse_policy(record).problems:
        return ""
    return f"{record[: len(_VERSION)]} {mechanism}{record[len(_VERSION) :]}"


def _has_placeholder(edits: Mapping[tuple[int, int], str]) -> bool:
    return any("<" in text for text in edits.values())


def _authorises(record: str) -> bool:
    """Tell whether any valid term of a policy passes an address."""
    policy = parse_policy(record)
    return bool(policy.redirect) or any(term.qualifier == "+" for term in policy.mechanisms)


def _is_publishable(text: str) -> bool:
    """Whether a policy has no errors, and does not pass every address."""
    policy = parse_policy(text)
    return not policy.problems and not any(
        (term.kind, term.qualifier) == ("all", "+") for term in policy.mechanisms
    )


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _edit(problem: Problem, record: str) -> tuple[tuple[int, int], str] | None:
    """Return the part of the record that a problem is about, and its replacement."""
    start, end = problem.start, problem.end
    if start is None or end is None:
        return None
    term = record[start:end]
    if problem.code not in {"SPF_SYNTAX", "SPF_NOT_ASCII"}:
        text = _replacement(problem.code, term)
        return None if text is None else ((start, end), text)
    whole = _with_next(term, record[end:])
    if whole:
        return (start, end + len(whole) - len(term) + 1), whole
    if _readable(term) and term in record[:start].split(" "):  # a modifier again
        return (start, end), ""
    return (start, end), _meant(term) or f"<in place of {problem.term}>"


def _replacement(code: str, term: str) -> str | None:
    """Return the replacement of a valid term; None if it stays."""
    if code in _SUPERFLUOUS:
        return ""
    if code in _TO_DECIDE:
        return f"<{_TO_DECIDE[code]} {term}>{' ~all' * (_kind(term) == 'all')}"
    if code == "SPF_HOST_BITS":
        return _host_or_network(parse_term(term))
    if code == "SPF_UNKNOWN_MODIFIER":
        return _as_mechanism(*term.split("=", 1))
    return "~all" if code == "SPF_NEUTRAL_ALL" else None


def _as_mechanism(name: str, value: str) -> str:
    """Return the mechanism that was meant by an unknown modifier, "" for none.

    An include of a domain without a policy would be a permerror, so it is a placeholder.
    """
    text = _readable(f"{name}:{value}") if name.lower() in MECHANISMS else ""
    return f"<{text}, if that domain has a policy>" if text and name.lower() == "include" else text


def _kind(text: str) -> str:
    try:
        return parse_term(text).kind
    except ValueError:
        return ""


def _readable(text: str) -> str:
    """Return a text if it is terms that can be read, else ""."""
    try:
        terms = [parse_term(word) for word in text.split(" ")]
    except (ValueError, IndexError):
        return ""
    return text if all(term.kind != "unknown" for term in terms) else ""


def _meant(term: str) -> str:
    """Return the term that an invalid one was most likely meant to be, "" if unknown."""
    try:
        text = term.encode("latin-1").decode("utf-8").translate(_LOOKALIKES)
    except UnicodeError:
        return ""
    candidates = (text, text.rstrip(",;./"), text.replace("\\", ""))
    return next(filter(None, (_readable(_parted(each).strip()) for each in candidates)), "")


def _parted(text: str) -> str:
    """Return a term and the `all` that is run into it, each as it was meant."""
    glued = _GLUED_ALL.fullmatch(text)
    return f"{_respelt(glued[1])} {glued[2]}" if glued else _respelt(text)


def _respelt(text: str) -> str:
    """Return a term with the mechanism that fits its value."""
    if _ADDRESS.fullmatch(text):
        return f"ip4:{text}"
    qualifier, rest = (text[:1], text[1:]) if text[:1] in {*"+-?~"} else ("", text)
    name, colon, value = rest.partition(":")
    name = _MECHANISMS.get(name.lower(), name)
    if not colon:
        return f"{qualifier}{name}"
    if name.lower() in {"redirect", "exp"}:
        return f"{name}={value.strip()}"
    value = value.strip().removeprefix("[").removesuffix("]")
    if name.lower() in {"a", "ip4", "ip6", "mx"}:
        if _ADDRESS.fullmatch(value):
            name = "ip4"
        elif ":" in value:
            name = "ip6"
    return f"{qualifier}{name}:{value}"


def _with_next(term: str, behind: str) -> str:
    """Return a term that a space has split (`ip4: 192.0.2.1`, `- all`), else ""."""
    following = behind.removeprefix(" ").partition(" ")[0]
    torn = term[-1:] == ":" or term in {*"+-?~"}
    return _readable(term + following) if torn and behind[:1] == " " else ""


def _nearest(answer: Answer) -> str:
    """Return the policy that a near miss was meant to be, "" if unknown."""
    miss = near_miss(answer.records)
    if miss is None or miss.terms is None:
        return ""
    try:
        terms = miss.record[miss.terms :].decode("utf-8").translate(_LOOKALIKES)
    except UnicodeError:
        return ""
    words = [word for word in _SEPARATORS.split(terms) if word]
    meant = [_readable(word) or _meant(word) for word in words] if terms.isascii() else []
    text = " ".join((_VERSION, *meant))
    return text if meant and all(meant) and _is_publishable(text) else ""


def _is_shadowed(problem: Problem, record: str) -> bool:
    """Tell whether a term is not reached because of an include, rather than `all` itself."""
    if problem.code != "SPF_TERM_AFTER_ALL" or problem.start is None:
        return False
    words = record[: problem.start].split(" ")[1:]
    return all(_kind(word) != "all" for word in words if word)


def _include_of_all(before: str) -> tuple[tuple[int, int], str]:
    """Return the replacement for the term that passes every address before others."""
    end = len(before.rstrip(" "))
    include = before[:end].rpartition(" ")[2]
    return (end - len(include), end), f"<the networks that send in place of {include}>"


def _host_or_network(term: Term) -> str:
    """Return the two possible meanings of a network with host bits."""
    version = V4 if term.kind == "ip4" else V6
    network = f"{format_address(version, term.span[0])}/{term.bits}"
    mechanism = f"{term.qualifier.replace('+', '')}{term.kind}:"
    return f"<{mechanism}{format_address(version, term.address)} or {mechanism}{network}>"


def _joined_strings(
    answer: Answer, record: str, problems: Sequence[Problem]
) -> dict[tuple[int, int], str]:
    """Return the edits that put a space where two strings run together."""
    edits: dict[tuple[int, int], str] = {}
    ends: list[int] = []
    for strings in cast("Sequence[tuple[bytes, ...]]", answer.records):
        if b"".join(strings).decode("latin-1") == record:
            ends = list(accumulate(map(len, strings)))
    for problem in problems:
        if problem.code == "SPF_STRINGS_JOINED" and problem.start is not None and problem.end:
            start, end = problem.start, problem.end
            parts = [start, *(at for at in ends if start < at < end), end]
            words = [record[a:b] for a, b in pairwise(parts)]
            edits[start, end] = " ".join(words)
    return edits


def _applied(record: str, edits: Mapping[tuple[int, int], str]) -> str:
    """Return the record with its edits made; of two that overlap the first in the text counts."""
    pieces = []
    done = 0
    for (start, end), text in sorted(edits.items()):
        if start >= done:
            pieces += [record[done:start], text]
            done = end
    text = "".join((*pieces, record[done:]))
    return re.sub(" +", " ", text).rstrip(" ") if edits else record


def _merged(parsed: Sequence[Policy]) -> str:
    """Return one policy for several, "" if their combination is not clear."""
    terms: dict[str, Term] = {}
    ends = set()
    for policy in parsed:
        if policy.problems or policy.redirect or policy.exp:
            return ""
        for term in policy.mechanisms:
            if term.kind == "all":
                ends.add(term.qualifier)
                break
            if term.qualifier != "+":
                return ""
            terms.setdefault(term.text.lower(), term)
    costly = sum(term.kind in LOOKUP_TERMS for term in terms.values())
    if "+" in ends or costly > MAX_LOOKUPS:
        return ""
    end = "-all" if ends == {"-"} else "~all"
    return " ".join((_VERSION, *(term.text for term in terms.values()), end))
