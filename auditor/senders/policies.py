"""Evaluates which addresses the policies of many domains authorise, a block of domains at a time.

The questions of a block are asked together as far as they can be foreseen; the evaluation asks for
the rest. Answers about included policies are kept for the blocks that follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.resolve.answer import Question
from auditor.spf.check_host import helo_policy
from auditor.spf.limits import MAX_LOOKUPS
from auditor.spf.macros import MacroValues, owner_of
from auditor.spf.parser import LOOKUP_TERMS, parsed
from auditor.spf.records import mail_hosts, only_policy
from auditor.spf.shared_policies import SharedPolicies
from auditor.wire.addresses import V4, V6
from auditor.wire.codes import AAAA, MX, SETTLED, TXT, A

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.resolve.answer import Answer, Steps
    from auditor.spf.parser import Term
    from auditor.spf.shared_ranges import PolicyRanges

__all__ = ["DomainPolicy", "PolicyReader"]

#: Answers about included policies that are kept; beyond that, all are forgotten.
_MAX_KEPT_ANSWERS: Final = 50_000
#: Questions that are asked ahead, for each domain of a block.
_MAX_FORESEEN_QUESTIONS: Final = 40
_BY_TYPE: Final = {"a": (A, AAAA), "mx": (MX,), "include": (TXT,), "redirect": (TXT,)}


class DomainPolicy(NamedTuple):
    """What a domain publishes, and what it authorises by IP version.

    `status` is `policy`, or the result of RFC 7208 without one to evaluate: `none`, `permerror`
    or `temperror`; then `ranges` is empty, and `explanation` is the error.
    """

    domain: str
    status: str
    explanation: str | None
    ranges: dict[int, PolicyRanges]


class PolicyReader:
    """Fetches and evaluates the policies of domains, sharing what they include."""

    __slots__ = ("_kept", "_policies")

    def __init__(self) -> None:
        self._policies = SharedPolicies()
        self._kept: dict[Question, Answer] = {}

    def read_policies(self, domains: Sequence[str]) -> Steps[list[DomainPolicy]]:
        """Return what the policies of canonical domains authorise, in the order given."""
        if len(self._kept) > _MAX_KEPT_ANSWERS:
            self._kept.clear()
        answers = yield [Question(domain, TXT) for domain in domains]
        outcomes = [
            helo_policy(name, answer) for name, answer in zip(domains, answers, strict=True)
        ]
        known = dict(self._kept)
        published = [
            (domain, policy)
            for domain, policy in zip(domains, outcomes, strict=True)
            if isinstance(policy, bytes)
        ]
        yield from self._ask_ahead(published, known)
        facts = []
        for domain, policy in zip(domains, outcomes, strict=True):
            if isinstance(policy, bytes):
                ranges = {}
                for version in (V4, V6):
                    ranges[version] = yield from self._policies.evaluate(
                        domain, policy, version, known
                    )
                facts.append(DomainPolicy(domain, "policy", None, ranges))
            elif policy is None:  # a single label has no policy (RFC 7208 §4.3)
                facts.append(DomainPolicy(domain, "none", None, {}))
            else:
                facts.append(DomainPolicy(domain, policy.result, policy.explanation, {}))
        return facts

    def _ask_ahead(
        self, published: Sequence[tuple[str, bytes]], known: dict[Question, Answer]
    ) -> Steps[None]:
        """Ask for what policies refer to, all at once; it saves rounds and changes no result."""
        own = [question for domain, policy in published for question in _questions(domain, policy)]
        included: list[Question] = []
        allowed = _MAX_FORESEEN_QUESTIONS * len(published)
        while allowed > 0:
            lacking = list(dict.fromkeys(q for q in (*own, *included) if q not in known))[:allowed]
            if not lacking:
                return
            allowed -= len(lacking)
            known.update(zip(lacking, (yield lacking), strict=True))
            # Answers about included policies are kept, those about a domain's own terms are not.
            kept = [q for q in lacking if q.rdtype == TXT]
            kept += set(included).intersection(lacking)
            self._kept.update((q, known[q]) for q in kept if known[q].status in SETTLED)
            mine = set(own)
            own = [q for domain in lacking if domain in mine for q in _hosts(domain, known[domain])]
            included = [
                q
                for domain in lacking
                for q in (
                    _included(domain, known[domain])
                    if domain.rdtype == TXT
                    else () if domain in mine else _hosts(domain, known[domain])
                )
            ]  # fmt: skip


def _questions(domain: str, text: bytes) -> Iterator[Question]:
    """Yield the questions that the text of a policy shows."""
    policy = parsed(text)
    if policy.problems:
        return
    terms: list[Term] = [term for term in policy.mechanisms if term.kind in LOOKUP_TERMS]
    if policy.redirect is not None:
        terms.append(policy.redirect)
    values = MacroValues(V4, domain, None, None)
    for term in terms[:MAX_LOOKUPS]:
        target = None if term.spec and "%" in term.spec else values.expand(term.pieces, domain)
        owner = None if target is None else owner_of(target)
        if owner is not None:
            for rdtype in _BY_TYPE.get(term.kind, ()):
                yield Question(owner, rdtype)


def _included(question: Question, answer: Answer) -> Iterator[Question]:
    policy = only_policy(answer)
    if policy is not None:
        yield from _questions(question.name, policy)


def _hosts(question: Question, answer: Answer) -> Iterator[Question]:
    if question.rdtype == MX:
        for host in mail_hosts(answer.records) or ():
            yield Question(host, A)
            yield Question(host, AAAA)
