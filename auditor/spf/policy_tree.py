"""Tree of a policy and its includes: running counts of lookups, the addresses that pass.

The counts are those of an address that no network matches, so that every term is evaluated
(RFC 7208 §4.6.4); counting continues beyond the limits, to show by how much they are exceeded.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.resolve.answer import Question
from auditor.spf.limits import MAX_LOOKUPS, MAX_VOIDS, Spent
from auditor.spf.macros import MacroValues, looks_like_address, owner_of
from auditor.spf.outline import first_questions, outline_of
from auditor.spf.policy_memo import MAX_KEPT_OCTETS
from auditor.spf.ranges import passing_numbers
from auditor.spf.records import Answers, mail_hosts, only_policy, policies, published
from auditor.wire.address_set import EVERYTHING, address_count, union
from auditor.wire.codes import AAAA, MX, NOERROR, SETTLED, TXT, A

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.resolve.answer import Answer, Steps
    from auditor.spf.outline import CostlyTerm
    from auditor.spf.parser import Policy, Term
    from auditor.spf.records import PublishedPolicy
    from auditor.wire.address_set import Interval

__all__ = ["PolicySummary", "TreePolicy", "TreeTerm", "policy_summary"]

#: Limits of a tree: genuine ones are far smaller, and hostile ones may be endless.
_MAX_DEPTH: Final = 20
_MAX_TERMS: Final = 1000
_MAX_OCTETS: Final = 1 << 19
_MAX_ABREAST: Final = 128

_VERSIONS: Final = (4, 6)


class TreeTerm(NamedTuple):
    """A term that costs lookups, and the counts after it.

    `target` is the canonical name that it is about, None where that is no name or depends on
    the client. `lookups` (the higher of both IP versions) and `voids` (for IPv4 and for
    IPv6) are running counts. `reached` is False after a term that matches everything, and
    after an error. `policy` is what an include or redirect leads to.

    `trouble`: None, or `no addresses` (of a or mx, in either IP version), `loop`, `no policy`,
    `several policies`, `not ASCII`, `too many hosts`, `no name`, `not followed` (the tree is
    too large), or the status of the lookup that failed.
    """

    term: Term
    target: str | None
    lookups: int
    voids: tuple[int, int]
    reached: bool
    trouble: str | None = None
    policy: TreePolicy | None = None


class TreePolicy(NamedTuple):
    """A policy in the tree: the domain as referred to, the terms, those that cost lookups.

    `end` is the mechanism that matches every address, None if there is none.
    """

    domain: str
    policy: Policy
    terms: tuple[TreeTerm, ...]
    end: Term | None = None


class PolicySummary(NamedTuple):
    """The policy of a domain as a whole.

    `status` is that of the TXT lookup, None for what is no domain name. `record` and
    `explanation` are as in `SpfFact`, the latter if there is not exactly one policy;
    then `tree` is None and all counts are 0. `lookups` (the higher of both IP versions) and
    `voids` (for IPv4 and for IPv6) are those of the longest path: 11 lookups at least where a
    loop is on it.

    `addresses_v4` and `addresses_v6` are the numbers of addresses that pass, out of 2^32 and
    2^128; the `undecided` ones depend on more than the address. `complete` is False if the
    tree was too large to be followed. `settled` and `ttl` are as in `RangeTable`; `answers`
    are all that were received.
    """

    domain: str
    status: str | None
    record: str | None
    explanation: str | None
    lookups: int
    voids: tuple[int, int]
    addresses_v4: int
    addresses_v6: int
    undecided_v4: int
    undecided_v6: int
    tree: TreePolicy | None
    complete: bool
    settled: bool
    ttl: int | None
    answers: Mapping[Question, Answer]


def policy_summary(domain: str) -> Steps[PolicySummary]:
    """Evaluate the policy of a domain, any text, for all addresses; the sender is unknown."""
    head = yield from published(domain)
    tree = None
    numbers = dict.fromkeys(_VERSIONS, (0, 0))
    count = _TreeBuilder(head)
    if head.fact is None:
        yield from count.ask_ahead(head.policy, head.domain)
        tree, _ = yield from count.build_policy(head.policy, head.domain, ())
        if count.is_union:
            numbers = count.numbers()
        else:
            # What a large tree has used up is there again for a partition.
            rest = head._replace(answers=Answers()) if head.answers.exhausted else head
            for version in _VERSIONS:
                numbers[version] = yield from passing_numbers(version, rest)
    answer = head.answers.known.get(Question(head.domain, TXT))
    (pass4, open4), (pass6, open6) = numbers.values()
    return PolicySummary(
        head.domain,
        answer.status if answer else None,
        head.record,
        head.fact.explanation if head.fact else None,
        count.lookups,
        count.voids,
        pass4,
        pass6,
        open4,
        open6,
        tree,
        count.complete,
        head.answers.settled,
        head.answers.ttl,
        head.answers.known,
    )


class _TreeBuilder:
    """The walk through a tree of policies, for both IP versions at once."""

    def __init__(self, head: PublishedPolicy) -> None:
        self._answers: Answers = head.answers
        self._values = [MacroValues(version, head.domain, None, None) for version in _VERSIONS]
        self._spent = {version: Spent() for version in _VERSIONS}
        self._terms = self._octets = 0
        self._is_union = True
        #: What the terms match, up to the first one that depends on the client.
        self._passing: dict[int, list[Interval]] = {version: [] for version in _VERSIONS}
        self.is_open = False
        self.complete = True

    @property
    def lookups(self) -> int:
        """The higher number of lookups of both IP versions."""
        return max(self._spent[4].lookups, self._spent[6].lookups)

    @property
    def voids(self) -> tuple[int, int]:
        """The void lookups so far, for IPv4 and for IPv6."""
        return self._spent[4].voids, self._spent[6].voids

    @property
    def is_union(self) -> bool:
        """Whether the addresses that surely pass are just those in `passing`."""
        within = self.lookups <= MAX_LOOKUPS and max(self.voids) <= MAX_VOIDS
        ended = any(spent.ended for spent in self._spent.values())
        return self._is_union and self.complete and within and not ended

    def numbers(self) -> dict[int, tuple[int, int]]:
        """Return for a union what `passing_numbers` would, by IP version."""
        found = {}
        for version, spans in self._passing.items():
            number = address_count(union(spans))
            found[version] = number, EVERYTHING[version][1] + 1 - number if self.is_open else 0
        return found

    def build_policy(
        self, text: bytes, domain: str, above: tuple[str, ...]
    ) -> Steps[tuple[TreePolicy, bool]]:
        """Return a policy with all below it, and whether it passes all that reach its end.

        `above` are the owner names of the policies that lead here.
        """
        policy, costly, redirect, _, is_union, networks = outline_of(text)
        self._is_union &= is_union
        self._octets += len(text)
        lineage = (*above, owner_of(domain) or domain)
        if policy.problems:
            self._end()
        found: list[TreeTerm] = []
        passes = ended = False
        end = None
        for costly_term in costly:
            term = costly_term.term
            if self._terms >= _MAX_TERMS:
                self.complete = False
                break
            if ended:
                if term.kind != "all":
                    found.append(self._unreached(term))
                continue
            if term.kind == "all":
                self._pass(costly_term.before)
                ended = True
            else:
                self._pass(costly_term.before)
                entry, ended = yield from self._follow(costly_term, domain, lineage)
                found.append(entry)
            if ended:
                end = term
                self._is_union &= term.kind == "all"
                passes = term.result == "pass"
        if redirect is not None and ended:
            found.append(self._unreached(redirect.term))
        elif redirect is not None:
            self._pass(networks)
            entry, passes = yield from self._follow(redirect, domain, lineage)
            found.append(entry)
        elif not ended:
            self._pass(networks)
        return TreePolicy(domain, policy, tuple(found), end), passes

    def _pass(self, networks: Mapping[int, Sequence[Interval]]) -> None:
        """Note networks that pass, of the addresses that reach the term."""
        if networks and self._collects:
            for version, spans in networks.items():
                self._passing[version] += spans

    @property
    def _collects(self) -> bool:
        return self._is_union and not self.is_open and self.lookups <= MAX_LOOKUPS

    def _unreached(self, term: Term) -> TreeTerm:
        self._terms += 1
        return TreeTerm(term, None, self.lookups, self.voids, reached=False)

    def _end(self) -> None:
        for spent in self._spent.values():
            spent.ended = True

    def _target(self, costly_term: CostlyTerm, domain: str) -> tuple[str | None, str | None]:
        """Return the owner name that a term is about, and what is wrong with it."""
        term, is_fixed, owner, _, _ = costly_term
        if term.spec is None:
            owner = owner_of(domain)
        elif not is_fixed:
            names = {values.expand(term.pieces, domain) for values in self._values}
            name = names.pop()
            if names or name is None:
                return None, None
            owner = owner_of(name)
        return owner, None if owner else "no name"

    def ask_ahead(self, text: bytes, domain: str) -> Steps[None]:
        """Ask for all that the tree of a policy is about, in a round for each level of it."""
        level = [(text, domain)]
        seen = {domain}
        for _ in range(_MAX_DEPTH):
            questions: list[Question] = []
            referred: list[str] = []
            for policy, name in level:
                for costly_term in outline_of(policy).asking:
                    kind, owner = costly_term.term.kind, costly_term.owner
                    if costly_term.is_fixed:
                        questions += costly_term.questions
                    else:
                        owner, _ = self._target(costly_term, name)
                        questions += first_questions(kind, owner)
                    if owner and kind in {"include", "redirect"} and owner not in seen:
                        seen.add(owner)
                        referred.append(owner)
            if not questions or self._answers.exhausted:
                return
            yield from self._answers.ask_unknown(questions[:_MAX_ABREAST])
            known = self._answers.known
            level = [
                (record, owner)
                for owner in referred
                if (answer := known.get(Question(owner, TXT)))
                and (record := only_policy(answer))
                and len(record) <= MAX_KEPT_OCTETS
            ]

    def _follow(
        self, costly_term: CostlyTerm, domain: str, lineage: tuple[str, ...]
    ) -> Steps[tuple[TreeTerm, bool]]:
        """Return a term with what it leads to, and whether it matches every address."""
        self._terms += 1
        reached = False
        for spent in self._spent.values():
            if not spent.ended:
                spent.lookups += 1
                reached = True
        policy = None
        matches = False
        term = costly_term.term
        target, trouble = self._target(costly_term, domain)
        self.is_open |= (target is None and trouble is None) or term.kind == "ptr"
        if target is not None and self._answers.exhausted:
            self.complete = False
            trouble = "not followed"
        elif term.kind in {"include", "redirect"}:
            if target is not None:
                trouble, policy, matches = yield from self._refer(term, target, domain, lineage)
            elif trouble:
                self._end()
        elif target is not None and term.kind != "ptr":
            trouble, matches = yield from self._resolve(term, target)
        entry = TreeTerm(term, target, self.lookups, self.voids, reached, trouble, policy)
        return entry, matches

    def _refer(
        self, term: Term, owner: str, domain: str, lineage: tuple[str, ...]
    ) -> Steps[tuple[str | None, TreePolicy | None, bool]]:
        """Return what is wrong with the policy referred to, itself, and whether it passes."""
        if owner in lineage:
            for spent in self._spent.values():
                if not spent.ended:
                    spent.lookups = max(spent.lookups, MAX_LOOKUPS + 1)
            self._end()
            return "loop", None, False
        answer = yield from self._ask(Question(owner, TXT))
        text = only_policy(answer)
        if answer.status not in SETTLED:
            return answer.status, None, False
        if text is None:
            self._end()
            count = len(policies(answer.records))
            trouble = ("no policy", "not ASCII", "several policies")[min(count, 2)]
            return trouble, None, False
        if (
            len(lineage) >= _MAX_DEPTH
            or self._octets + len(text) > _MAX_OCTETS
            or looks_like_address(owner)
        ):
            self.complete = False
            return "not followed", None, False
        name = self._values[0].expand(term.pieces, domain) or owner
        policy, passes = yield from self.build_policy(text, name, lineage)
        return None, policy, passes

    def _ask(self, question: Question) -> Steps[Answer]:
        """Return the answer to a question that both IP versions have, and count it."""
        answers = self._answers
        answer = answers.known.get(question)
        if answer is None:
            (answer,) = yield from answers.ask_unknown([question])
        answers.used[question] = answer
        if answer.status != NOERROR:
            for spent in self._spent.values():
                spent.see(answer)
        return answer

    def _resolve(self, term: Term, owner: str) -> Steps[tuple[str | None, bool]]:
        """Count the lookups of a, mx and exists; return the trouble, and whether all match."""
        kind = term.kind
        if kind == "exists":
            answer = yield from self._ask(Question(owner, A))
            return None if answer.status in SETTLED else answer.status, answer.status == NOERROR
        names = [owner]
        if kind == "mx":
            answer = yield from self._ask(Question(owner, MX))
            if answer.status not in SETTLED:
                return answer.status, False
            hosts = mail_hosts(answer.records)
            if hosts is None:
                self._end()
                return "too many hosts", False
            names = hosts
        statuses = []
        questions = [Question(name, rdtype) for rdtype in (A, AAAA) for name in names]
        answers = iter((yield from self._answers.ask_unknown(questions)))
        for version, spent in self._spent.items():
            for answer in islice(answers, len(names)):
                spent.see(answer)
                statuses.append(answer.status)
                if answer.records and self._collects:
                    self._passing[version] += term.networks_around(version, answer.records)
        failed = [status for status in statuses if status not in SETTLED]
        nothing = None if NOERROR in statuses else "no addresses"
        return failed[0] if failed else nothing, False
