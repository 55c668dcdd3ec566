"""What a policy comes to: the tree of policies with running counts, the addresses it passes.

The counts are those of an address that no network matches, which reaches the end of
everything (RFC 7208 §4.6.4); they go on beyond the limits, to tell by how much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from auditor.resolve.answer import Question
from auditor.spf.expand import Values, owner_of
from auditor.spf.intervals import EVERYTHING
from auditor.spf.policy import policies
from auditor.spf.ranges import partition, published
from auditor.spf.terms import LOOKUP_TERMS
from auditor.spf.walk import MAX_LOOKUPS, MAX_MX, NULL_MX, only_policy, parsed, peculiar
from auditor.wire.codes import AAAA, MX, NOERROR, SETTLED, TXT, A

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from auditor.resolve.answer import Answer, Steps
    from auditor.spf.ranges import Head, RangeResult
    from auditor.spf.terms import Policy, Term
    from auditor.spf.walk import Answers

__all__ = ["PolicySummary", "TreePolicy", "TreeTerm", "policy_summary"]

#: What of a tree is shown: an honest one is far smaller, and a hostile one has no end.
_MAX_DEPTH: Final = 20
_MAX_TERMS: Final = 1000
_MAX_OCTETS: Final = 1 << 19
_MAX_ABREAST: Final = 64

_VERSIONS: Final = (4, 6)
_ADDRESSES: Final = {4: A, 6: AAAA}
_ASKED: Final = {"include": (TXT,), "a": (A, AAAA), "mx": (MX,), "exists": (A,)}


class TreeTerm(NamedTuple):
    """A term that costs lookups, and what has been spent when it is done with.

    `target` is the canonical name that it is about, None where that is no name or depends on
    the client. `lookups` (the higher of both IP versions) and `voids` (for IPv4 and for
    IPv6) are running counts. `reached` is False behind a term that matches everything, and
    behind an error. `policy` is what an include or redirect leads to.

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
    """A policy in the tree: the domain as referred to, the terms, those that cost lookups."""

    domain: str
    policy: Policy
    terms: tuple[TreeTerm, ...]


class PolicySummary(NamedTuple):
    """The policy of a domain as a whole.

    `status` is that of the TXT lookup, None for what is no domain name. `record` and
    `explanation` are as in `SpfFact`, the latter where there is no one policy to evaluate;
    then `tree` is None and all counts are 0. `lookups` (the higher of both IP versions) and
    `voids` (for IPv4 and for IPv6) are those of the longest path: 11 lookups at least where a
    loop is on it.

    `addresses_v4` and `addresses_v6` are the numbers of addresses that pass, out of 2^32 and
    2^128; about the `undecided` ones only `check_host` can tell. `complete` is False if the
    tree was too large to be followed. `settled` and `ttl` are as in `RangeTable`; `answers`
    are all that were had.
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
    results: dict[int, list[RangeResult]] = {}
    count = _Tree(head)
    if head.fact is None:
        for version in _VERSIONS:
            results[version] = yield from partition(
                version, [EVERYTHING[version]], head, None, None
            )
        tree, _ = yield from count.policy(head.policy, head.domain, ())
    answer = head.answers.known.get(Question(head.domain, TXT))
    pass4, pass6 = [_number(results.get(version, []), "pass") for version in _VERSIONS]
    open4, open6 = [_number(results.get(version, []), None) for version in _VERSIONS]
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


def _number(results: Iterable[RangeResult], wanted: str | None) -> int:
    return sum(r.last - r.first + 1 for r in results if r.result == wanted)


class _Spent:
    """What an address of one IP version has spent, and whether its evaluation has ended."""

    __slots__ = ("ended", "lookups", "voids")

    def __init__(self) -> None:
        self.lookups = self.voids = 0
        self.ended = False

    def see(self, answer: Answer) -> None:
        """Count a lookup's answer (§4.6.4), or end with it."""
        if self.ended or answer.status == NOERROR:
            return
        if answer.status in SETTLED:
            self.voids += 1
        else:
            self.ended = True


class _Tree:
    """The walk through a tree of policies, for both IP versions at once."""

    def __init__(self, head: Head) -> None:
        self._answers: Answers = head.answers
        self._values = [Values(version, head.domain, None, None) for version in _VERSIONS]
        self._spent = {version: _Spent() for version in _VERSIONS}
        self._terms = self._octets = 0
        self.complete = True

    @property
    def lookups(self) -> int:
        """The higher number of lookups of both IP versions."""
        return max(spent.lookups for spent in self._spent.values())

    @property
    def voids(self) -> tuple[int, int]:
        """The void lookups so far, for IPv4 and for IPv6."""
        return self._spent[4].voids, self._spent[6].voids

    def policy(
        self, text: bytes, domain: str, above: tuple[str, ...]
    ) -> Steps[tuple[TreePolicy, bool]]:
        """Return a policy with all below it, and whether it passes whoever gets to its end.

        `above` are the owner names of the policies that lead here.
        """
        policy = parsed(text)
        self._octets += len(text)
        lineage = (*above, owner_of(domain) or domain)
        if policy.problems:
            self._end()
        spending = [term for term in policy.mechanisms if term.kind in LOOKUP_TERMS | {"all"}]
        yield from self._ahead(spending, domain)
        found: list[TreeTerm] = []
        passes = ended = False
        for term in spending:
            if self._terms >= _MAX_TERMS:
                self.complete = False
                break
            if ended:
                if term.kind != "all":
                    found.append(self._unreached(term))
                continue
            if term.kind == "all":
                ended = True
            else:
                entry, ended = yield from self._follow(term, domain, lineage)
                found.append(entry)
            passes = ended and term.result == "pass"
        if policy.redirect is not None and ended:
            found.append(self._unreached(policy.redirect))
        elif policy.redirect is not None:
            entry, passes = yield from self._follow(policy.redirect, domain, lineage)
            found.append(entry)
        return TreePolicy(domain, policy, tuple(found)), passes

    def _unreached(self, term: Term) -> TreeTerm:
        self._terms += 1
        return TreeTerm(term, None, self.lookups, self.voids, reached=False)

    def _end(self) -> None:
        for spent in self._spent.values():
            spent.ended = True

    def _target(self, term: Term, domain: str) -> tuple[str | None, str | None]:
        """Return the owner name that a term is about, and what is wrong with it."""
        names = {values.expand(term, domain) for values in self._values}
        name = names.pop()
        if names or name is None:
            return None, None
        owner = owner_of(name)
        return owner, None if owner else "no name"

    def _ahead(self, terms: Sequence[Term], domain: str) -> Steps[None]:
        """Ask in one round for what the terms of a policy are about."""
        questions: list[Question] = []
        for term in terms[:_MAX_ABREAST]:
            owner, _ = self._target(term, domain)
            if owner is not None and term.kind in _ASKED:
                questions += [Question(owner, rdtype) for rdtype in _ASKED[term.kind]]
        if questions and not self._answers.exhausted:
            yield from self._answers.ask(questions)

    def _follow(
        self, term: Term, domain: str, lineage: tuple[str, ...]
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
        target, trouble = self._target(term, domain)
        if target is not None and self._answers.exhausted:
            self.complete = False
            trouble = "not followed"
        elif term.kind in {"include", "redirect"}:
            if target is not None:
                trouble, policy, matches = yield from self._refer(term, target, domain, lineage)
            elif trouble:
                self._end()
        elif target is not None and term.kind != "ptr":
            trouble, matches = yield from self._resolve(term.kind, target)
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
        (answer,) = yield from self._answers.ask([Question(owner, TXT)])
        for spent in self._spent.values():
            spent.see(answer)
        text = only_policy(answer)
        if answer.status not in SETTLED:
            return answer.status, None, False
        if text is None or not text.isascii():
            self._end()
            several = len(policies(answer.records)) > 1
            return (
                "several policies" if several else "not ASCII" if text else "no policy",
                None,
                False,
            )
        if len(lineage) >= _MAX_DEPTH or self._octets + len(text) > _MAX_OCTETS or peculiar(owner):
            self.complete = False
            return "not followed", None, False
        name = self._values[0].expand(term, domain) or owner
        policy, passes = yield from self.policy(text, name, lineage)
        return None, policy, passes

    def _resolve(self, kind: str, owner: str) -> Steps[tuple[str | None, bool]]:
        """Count what a, mx and exists ask; return the trouble, and whether all match."""
        if kind == "exists":
            (answer,) = yield from self._answers.ask([Question(owner, A)])
            for spent in self._spent.values():
                spent.see(answer)
            return None if answer.status in SETTLED else answer.status, answer.status == NOERROR
        names = [owner]
        if kind == "mx":
            (answer,) = yield from self._answers.ask([Question(owner, MX)])
            for spent in self._spent.values():
                spent.see(answer)
            if answer.status not in SETTLED:
                return answer.status, False
            hosts = cast("Sequence[tuple[int, str]]", answer.records)
            names = [name for _, name in hosts if name != NULL_MX]
            if len(hosts) > MAX_MX:
                self._end()
                return "too many hosts", False
        statuses = []
        for version, spent in self._spent.items():
            questions = [Question(name, _ADDRESSES[version]) for name in names]
            for answer in (yield from self._answers.ask(questions)):
                spent.see(answer)
                statuses.append(answer.status)
        failed = [status for status in statuses if status not in SETTLED]
        nothing = None if NOERROR in statuses else "no addresses"
        return failed[0] if failed else nothing, False
