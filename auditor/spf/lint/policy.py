"""Lints the SPF policy of a domain: its own record, and the policies that it refers to.

Uses the tree of `policy_summary`, and a few more answers. The domain's own record, and those it
redirects to, are judged in every respect; included records only where they break this policy or
open it to the world, since everything else is up to their owners.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from auditor.resolve.answer import Question
from auditor.spf.check_host import check_host
from auditor.spf.limits import MAX_LOOKUPS, MAX_MX, MAX_VOIDS
from auditor.spf.lint.near_miss import near_miss
from auditor.spf.lint.problems import Problem, Problems, shown, unread
from auditor.spf.lint.record import (
    CHOSEN_BY_CLIENT,
    breadth_of,
    lint_behind,
    lint_own,
    lint_strings,
    lint_syntax,
)
from auditor.spf.macros import MacroValues, SpfSyntaxError, macro_string, owner_of
from auditor.spf.parser import parse_policy
from auditor.spf.policy_tree import policy_summary
from auditor.spf.records import policies, printable
from auditor.wire.address_set import EVERYTHING
from auditor.wire.codes import AAAA, MX, NOERROR, SETTLED, SPF, TXT, A
from auditor.wire.names import encode_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.resolve.answer import Answer, Steps
    from auditor.spf.parser import Policy, Term
    from auditor.spf.policy_tree import PolicySummary, TreePolicy, TreeTerm

__all__ = ["LintReport", "Problem", "answer_size", "lint"]

#: What a reply has room for without EDNS (RFC 1035 §4.2.1), and what servers send by UDP
#: with it (the EDNS buffer size of DNS Flag Day 2020); an OPT record is 11 octets.
_MAX_PLAIN: Final = 512
_MAX_EDNS: Final = 1232
_OPT: Final = 11

#: Of 3,065 real domains none authorises more addresses than this on purpose: the largest has
#: 880,000 IPv4 addresses, then come mistyped prefix lengths.
_MAX_TOTAL: Final = {4: 1_000_000, 6: 1 << 100}

#: The client for a policy that depends on the address, if the domain has no address.
_SOME_CLIENT: Final = "192.0.2.1"
#: The codes for permerrors of such a client, by the beginning of the explanation.
_CODES_OF_ERRORS: Final = {
    "Too many DNS lookups": "SPF_TOO_MANY_LOOKUPS",
    f"more than {MAX_VOIDS} void lookups": "SPF_TOO_MANY_VOIDS",
    f"more than {MAX_MX} MX records": "SPF_TOO_MANY_MX",
    "No valid SPF record for included domain": "SPF_INCLUDE_WITHOUT_RECORD",
    "no SPF record to redirect to": "SPF_INCLUDE_WITHOUT_RECORD",
}

_HEADER: Final = 12
_QUESTION_FIXED: Final = 4  # type and class
_RECORD_FIXED: Final = 12  # a pointer to the owner name, type, class, TTL and length


class LintReport(NamedTuple):
    """A policy with its problems.

    `policies` is the number of SPF records at the domain. `problems` stand in the order of
    the policy: the domain's own first, then those of the policies it refers to, by depth.
    """

    summary: PolicySummary
    policies: int
    problems: tuple[Problem, ...]

    @property
    def findings(self) -> list[tuple[str, str]]:
        """The problems as (code, subject), sorted, each once."""
        return sorted({(problem.code, problem.domain) for problem in self.problems})


def lint(domain: str) -> Steps[LintReport]:
    """Find the problems of the policy of a domain (any text).

    What a hostile zone can make this cost is bounded, as in `policy_summary`, and so is the
    number of problems.
    """
    summary = yield from policy_summary(domain)
    name = summary.domain
    txt = summary.answers.get(Question(name, TXT))
    if txt is None:  # no domain name, so no policy can be published
        return LintReport(summary, 0, (Problem("SPF_NONE", name, note="not a domain name"),))
    found = policies(txt.records) if txt.status in SETTLED else []
    lint_ = _Lint(summary)
    questions = [Question(name, SPF)]
    explained = {}
    for node in lint_.own:
        owner = _explanation_owner(node, name)
        if owner is not None:
            explained[node.domain] = Question(owner, TXT)
    questions += dict.fromkeys(explained.values())
    answers = dict(zip(questions, (yield questions), strict=True))
    if summary.tree is None:
        lint_.without_tree(txt, found)
    else:
        lint_.tree(summary.tree)
        lint_.limits(summary.tree)
        for node in lint_.own:
            if node.domain in explained:
                lint_.explanation(node, answers[explained[node.domain]])
        if lint_.depends_on_address():
            yield from lint_.trial()
    if answers[questions[0]].status == NOERROR:
        lint_.of(name).note_problem(
            "SPF_TYPE_99", "type SPF beside type TXT" if found else "type SPF alone"
        )
    return LintReport(summary, len(found), tuple(lint_.problems()))


class _Lint:
    """The problems of all policies of a tree, each policy judged once."""

    def __init__(self, summary: PolicySummary) -> None:
        self._summary = summary
        self._by_domain: dict[str, Problems] = {}
        self._judged: set[tuple[str, bool]] = set()
        self.own = list(_own(summary.tree))

    def of(self, domain: str) -> Problems:
        """Return the problems of a domain's policy."""
        found = self._by_domain.get(domain)
        if found is None:
            found = self._by_domain[domain] = Problems(domain)
        return found

    def problems(self) -> Iterator[Problem]:
        """Return all problems, by domain in the order met."""
        for problems in self._by_domain.values():
            yield from problems.found

    def without_tree(self, txt: Answer, found: Sequence[bytes]) -> None:
        """Note why there is no policy to evaluate."""
        name = self._summary.domain
        problems = self.of(name)
        if txt.status not in SETTLED:
            problems.note_problem(unread(txt.status), f"TXT of {name}: {txt.status}")
        elif not found:
            problems.note_problem("SPF_NONE", f"TXT of {name}: {txt.status}, no v=spf1 record")
            self._near_miss(txt, problems)
        elif len(found) > 1:
            problems.note_problem("SPF_MULTIPLE_RECORDS", f"{len(found)} records begin with v=spf1")
        for text in found if len(found) == 1 else ():
            policy = parse_policy(text)
            lint_syntax(policy, problems)
            self._lint_answer(policy, name, txt)
            lint_own(policy, name, problems)

    def _near_miss(self, txt: Answer, problems: Problems) -> None:
        """Note the record that comes nearest to a policy, and why it does not count."""
        miss = near_miss(txt.records)
        if miss is None:
            return
        record, start, end, note, _ = miss
        text = record.decode("latin-1")
        problems.note_at("SPF_NEAR_MISS", f"{note}: {shown(text)}", text[start:end], start, end)
        for strings in cast("Sequence[tuple[bytes, ...]]", txt.records):
            if b"".join(strings) == record:
                lint_strings(strings, problems)

    def depends_on_address(self) -> bool:
        """Whether only an evaluation for an address can tell if there is a permerror.

        Terms with macros may lead to any policy, or be void lookups.
        """
        terms = list(_open_terms(self._summary.tree))
        if not terms:
            return False
        letters = frozenset[str]().union(*[term.macros for term in terms])
        refers = any(term.kind in {"include", "redirect"} for term in terms)
        voids = self._summary.voids[0] + len(terms)
        return letters.isdisjoint(CHOSEN_BY_CLIENT) and (refers or voids > MAX_VOIDS)

    def trial(self) -> Steps[None]:
        """Evaluate a policy that depends on the address, for the addresses of the domain itself.

        Without any, for another address. Errors for all addresses are noted elsewhere.
        """
        name = self._summary.domain
        v4, v6 = yield [Question(name, A), Question(name, AAAA)]
        own = [cast("str", answer.records[0]) for answer in (v4, v6) if answer.records]
        for address in own or [_SOME_CLIENT]:
            fact = yield from check_host(address, "mailfrom", f"postmaster@{name}", name)
            if fact.result != "permerror":
                continue
            reason = fact.explanation or ""
            codes = (code for start, code in _CODES_OF_ERRORS.items() if reason.startswith(start))
            code = next(codes, "SPF_PERMERROR")
            if not any(problem.code == code for problem in self.problems()):
                self.of(name).note_problem(code, f"permerror for {address}: {reason}")
            return

    def tree(self, node: TreePolicy, *, passing: bool = True) -> None:
        """Judge a policy and all below it; `passing`: its pass is a pass of the domain."""
        name = owner_of(node.domain) or node.domain
        if (name, passing) in self._judged:
            return
        self._judged.add((name, passing))
        problems = self.of(name)
        first_time = (name, not passing) not in self._judged
        if first_time:
            lint_syntax(node.policy, problems)
        if passing:
            for term, admitted in breadth_of(node.policy).open_terms:
                problems.note_problem("SPF_PASS_ALL", f"{admitted} passes", term)
        own = any(node is other for other in self.own)
        if own:
            txt = self._summary.answers.get(Question(name, TXT))
            if txt is not None:
                self._lint_answer(node.policy, name, txt)
            lint_own(node.policy, name, problems)
            lint_behind(node, problems)
        for entry in node.terms:
            if first_time and entry.trouble is not None and entry.reached:
                self._trouble(entry, problems, own=own)
        for entry in node.terms:
            if entry.policy is not None:
                term = entry.term
                deeper = passing and (term.kind == "redirect" or term.result == "pass")
                self.tree(entry.policy, passing=deeper)

    def limits(self, tree: TreePolicy) -> None:
        """Compare the counts of the longest path with the limits (§4.6.4)."""
        summary = self._summary
        problems = self.of(summary.domain)
        if summary.lookups > MAX_LOOKUPS:
            term = next((e.term for e in tree.terms if e.lookups > MAX_LOOKUPS), None)
            count = f"{summary.lookups} lookups" + ("" if summary.complete else " at least")
            problems.note_problem(
                "SPF_TOO_MANY_LOOKUPS", f"{count}, {MAX_LOOKUPS} are allowed", term
            )
        self._void_limit(tree, problems)
        numbers = {4: summary.addresses_v4, 6: summary.addresses_v6}
        wide = [pair for pair in numbers.items() if pair[1] > _MAX_TOTAL[pair[0]]]
        if not wide or any(problem.code == "SPF_PASS_ALL" for problem in self.problems()):
            return
        for version, number in wide:
            if number > EVERYTHING[version][1]:
                note = f"every IPv{version} address passes, by all terms together"
                problems.note_problem("SPF_PASS_ALL", note)
            else:
                count = f"{number:,}" if version == 4 else f"2^{number.bit_length() - 1}"  # noqa: PLR2004 - IPv4
                note = f"{count} IPv{version} addresses or more pass, by all terms together"
                problems.note_problem("SPF_TOTAL_WIDE", note)

    def _void_limit(self, tree: TreePolicy, problems: Problems) -> None:
        """Judge the void lookups: those of IPv4 clients, and only then those of IPv6 alone."""
        for index, code in enumerate(("SPF_TOO_MANY_VOIDS", "SPF_TOO_MANY_VOIDS_V6")):
            voids = self._summary.voids[index]
            if voids > MAX_VOIDS:
                term = next((e.term for e in tree.terms if e.voids[index] > MAX_VOIDS), None)
                kind = f"{'AAAA' if index else 'A'}, MX and TXT"
                note = f"{voids} lookups of {kind} find nothing, {MAX_VOIDS} may"
                problems.note_problem(code, note, term)
                return

    def explanation(self, node: TreePolicy, answer: Answer) -> None:
        """Judge the text that exp= leads to (§6.2)."""
        wrong = _wrong_explanation(answer)
        if wrong:
            problems = self.of(owner_of(node.domain) or node.domain)
            problems.note_problem("SPF_EXP_WITHOUT_TEXT", wrong, node.policy.exp)

    def _trouble(self, entry: TreeTerm, problems: Problems, *, own: bool) -> None:
        """Note the problem with the target of a term."""
        term, target, trouble = entry.term, entry.target, entry.trouble
        if trouble in {"no policy", "no name"} and term.kind in {"include", "redirect"}:
            message = f"{target} has no SPF record" if target else "not a domain name"
            problems.note_problem("SPF_INCLUDE_WITHOUT_RECORD", message, term)
        elif trouble == "loop":
            problems.note_problem("SPF_INCLUDE_LOOP", f"the policy of {target} leads here", term)
        elif trouble == "several policies" and target:
            by = f"{term.kind}d" if term.kind == "include" else f"{term.kind}ed to"
            self.of(target).note_problem("SPF_MULTIPLE_RECORDS", f"{by} by {problems.domain}")
        elif trouble == "not ASCII" and target:
            answer = self._summary.answers[Question(target, TXT)]
            for text in policies(answer.records)[:1]:
                lint_syntax(parse_policy(text), self.of(target))
        elif trouble == "too many hosts" and target:
            count = len(self._summary.answers[Question(target, MX)].records)
            note = f"{target} has {count} MX hosts, {MAX_MX} are allowed"
            problems.note_problem("SPF_TOO_MANY_MX", note, term)
        elif trouble in {"no addresses", "no name"}:
            if own:
                note = f"{target} has no addresses" if target else "not a domain name"
                problems.note_problem("SPF_TERM_RESOLVES_TO_NOTHING", note, term)
        elif trouble != "not followed":
            problems.note_problem(unread(trouble), f"{self._not_read(entry)}: {trouble}", term)

    def _not_read(self, entry: TreeTerm) -> str:
        """Return which lookup failed for a term."""
        kind, target = entry.term.kind, entry.target
        if kind in {"include", "redirect"}:
            return f"TXT of {target}"
        if kind != "mx":
            return f"addresses of {target}"
        mx = self._summary.answers.get(Question(target or "", MX))
        read = mx is not None and mx.status == NOERROR
        return f"addresses of the MX hosts of {target}" if read else f"MX of {target}"

    def _lint_answer(self, policy: Policy, name: str, txt: Answer) -> None:
        """Judge how the record is split into strings, and how long the whole answer is."""
        problems = self.of(name)
        record = policy.text.encode("latin-1")
        for strings in cast("Sequence[tuple[bytes, ...]]", txt.records):
            if len(strings) > 1 and b"".join(strings) == record:
                lint_strings(strings, problems)
        size = answer_size(name, txt)
        if size <= _MAX_PLAIN:
            return
        note = f"about {size:,} octets, of which the policy takes {len(record):,}"
        if size + _OPT > _MAX_EDNS:
            problems.note_problem("SPF_ANSWER_NEEDS_TCP", note)
        else:
            problems.note_problem("SPF_RECORD_TOO_LONG", note)


def answer_size(name: str, answer: Answer) -> int:
    """Return about how many octets a reply with these TXT records has, without EDNS.

    That is without additional records, and with owner names compressed as all servers do.
    """
    size = _HEADER + len(encode_name(name)) + _QUESTION_FIXED
    for target in (*answer.chain[1:], answer.canonical) if answer.chain else ():
        size += _RECORD_FIXED + len(encode_name(target))
    for strings in cast("Sequence[tuple[bytes, ...]]", answer.records):
        size += _RECORD_FIXED + len(strings) + sum(map(len, strings))
    return size


def _own(tree: TreePolicy | None) -> Iterator[TreePolicy]:
    """Yield the policy of the domain, and those that it redirects to."""
    while tree is not None:
        yield tree
        last = tree.terms[-1] if tree.terms else None
        tree = last.policy if last is not None and last.term.kind == "redirect" else None


def _open_terms(tree: TreePolicy | None) -> Iterator[Term]:
    """Yield the terms whose target depends on the client, through macros."""
    for entry in tree.terms if tree is not None else ():
        if entry.target is None and entry.reached and entry.term.macros:
            yield entry.term
        yield from _open_terms(entry.policy)


def _explanation_owner(node: TreePolicy, domain: str) -> str | None:
    """Return the name that exp= stands for, None if that depends on the client."""
    if node.policy.exp is None:
        return None
    name = MacroValues(4, domain, None, None).expand(node.policy.exp.pieces, node.domain)
    return owner_of(name) if name is not None and "v" not in node.policy.exp.macros else None


def _wrong_explanation(answer: Answer) -> str:
    """Return why the explanation is not usable, "" if it is fine or unknown."""
    if answer.status not in SETTLED:
        return ""
    if len(answer.records) != 1:
        return f"{len(answer.records) or 'no'} TXT records there, expected one"
    text = b"".join(cast("tuple[bytes, ...]", answer.records[0]))
    if not text.isascii():
        return "the text has octets outside ASCII"
    try:
        macro_string(text.decode("ascii"))
    except SpfSyntaxError as error:
        return printable(str(error).encode())
    return ""
