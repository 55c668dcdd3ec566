"""Evaluator for sets of addresses (RFC 7208 §4.6): each term splits the sets that reach it.

The addresses that reach a term differ in the lookups spent, since inside an include some match
before others. So they are grouped by (lookups, voids), at most 33 groups. Addresses that a term
matches, or ends, leave their group as a part. Terms mean what they mean to `check_host`;
`pyspf_evaluator` notes where that differs from a first reading of the RFC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from auditor.resolve.answer import Question
from auditor.spf.limits import MAX_LOOKUPS, MAX_VOIDS
from auditor.spf.macros import looks_like_address, owner_of
from auditor.spf.parser import LOOKUP_TERMS, parsed
from auditor.spf.records import Answers, mail_hosts, only_policy
from auditor.wire.address_set import EVERYTHING, Interval, take_range, union
from auditor.wire.codes import AAAA, MX, NOERROR, SETTLED, TXT, A

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.resolve.answer import Rdata, Steps
    from auditor.spf.macros import MacroValues
    from auditor.spf.parser import Policy, Term

__all__ = [
    "Groups",
    "Level",
    "Path",
    "RangeEvaluation",
    "RangeOutcome",
    "RangePart",
]


#: What one walk may cost: terms, intervals and records looked at, about 1 µs each. A genuine
#: policy needs a hundredth. What is left then is undecided.
_MAX_WORK: Final = 500_000


#: By (lookups, voids) so far, the addresses that are still being evaluated.
Groups: TypeAlias = dict[tuple[int, int], list[Interval]]

#: The terms that led somewhere, outermost first: each with the domain whose policy it is
#: in; the last term is None where the evaluation reached the end of a policy.
Path: TypeAlias = tuple[tuple[str, str | None], ...]


class RangeOutcome(NamedTuple):
    """How the evaluation ended for a part: `result` is None if it depends on more than the address.

    `trouble` tells apart the errors of one term; `explained` is False for a fail with exp=, and
    where it takes `check_host` to know whether all verifiers come to this result.
    """

    result: str | None
    mechanism: str | None
    path: Path
    lookups: int
    voids: int
    trouble: str = ""
    explained: bool = True


class RangePart(NamedTuple):
    """Addresses for which the evaluation ended the same way."""

    ranges: list[Interval]
    label: RangeOutcome


class Level:
    """One policy on the way: the groups that are still in it, the parts that have left it.

    `shared_ranges` has another kind, for policies that have much in common.
    """

    __slots__ = ("domain", "explained", "groups", "parts")

    def __init__(self, domain: str, groups: Groups, *, explained: bool) -> None:
        self.domain = domain
        self.groups = groups
        self.parts: list[RangePart] = []
        self.explained = explained

    def end_evaluation(self, text: str | None, result: str | None, trouble: str = "") -> None:
        """End the evaluation of all groups at a term, or at the end of the policy."""
        path = ((self.domain, text),)
        for (lookups, voids), ranges in self.groups.items():
            label = RangeOutcome(result, None, path, lookups, voids, trouble)
            self.parts.append(RangePart(ranges, label))
        self.groups = {}

    def match(self, term: Term, spans: Iterable[Interval], *, certain: bool = True) -> None:
        """Let a mechanism match what lies in any of the spans.

        Not `certain`: some verifiers might decide otherwise.
        """
        groups = self.groups
        emptied = False
        for first, last in spans:
            for spent, ranges in groups.items():
                taken = take_range(ranges, first, last)
                if taken:
                    self.parts.append(RangePart(taken, self._label(term, spent, certain=certain)))
                    emptied = emptied or not ranges
        if emptied:
            self.groups = {spent: ranges for spent, ranges in groups.items() if ranges}

    def _label(self, term: Term, spent: tuple[int, int], *, certain: bool) -> RangeOutcome:
        result = term.result
        explained = certain and (self.explained or result != "fail")
        path = ((self.domain, term.text),)
        return RangeOutcome(result, term.text, path, *spent, "", explained)

    def spend(self, text: str) -> None:
        """Count a lookup; addresses for which it is one too many end here (§4.6.4)."""
        self._count(text, 1, 0, "lookups")

    def void(self, text: str, problem: str) -> None:
        """Count a void lookup in the same way."""
        self._count(text, 0, 1, problem)

    def _count(self, text: str, lookups: int, voids: int, trouble: str) -> None:
        spent = {(n + lookups, v + voids): ranges for (n, v), ranges in self.groups.items()}
        self.groups = {key: spent[key] for key in spent if not _beyond(key)}
        rest, self.groups = self.groups, {key: spent[key] for key in spent if _beyond(key)}
        self.end_evaluation(text, "permerror", trouble)
        self.groups = rest


def _beyond(spent: tuple[int, int]) -> bool:
    return spent[0] > MAX_LOOKUPS or spent[1] > MAX_VOIDS


class RangeEvaluation:
    """The evaluation of policies for addresses of one IP version (4 or 6)."""

    __slots__ = ("_answers", "_rdtype", "_values", "_version", "_work")

    def __init__(self, version: int, values: MacroValues, answers: Answers) -> None:
        self._version = version
        self._values = values
        self._answers = answers
        self._rdtype = A if version == 4 else AAAA  # noqa: PLR2004 - IP version
        self._work = 0

    @property
    def is_cut_short(self) -> bool:
        """Whether something is undecided because of the limits."""
        return self._work > _MAX_WORK or self._answers.exhausted

    def evaluate_policy(
        self, text: bytes, domain: str, groups: Groups, *, included: bool = False
    ) -> Steps[list[RangePart]]:
        """Evaluate the policy of a domain for all groups; every address ends in one part."""
        policy = parsed(text)
        level = Level(domain, groups, explained=included or policy.exp is None)
        yield from self.walk(policy, level, included=included)
        return level.parts

    def walk(self, policy: Policy, level: Level, *, included: bool = False) -> Steps[None]:
        """Take a level through the terms of its policy, until no address is left in it."""
        domain = level.domain
        self._work += len(policy.text) // 4
        if policy.problems:
            level.end_evaluation(policy.problems[0].text, "permerror", "syntax")
        mechanisms = policy.mechanisms
        for term in mechanisms:
            if self._values.may_be_empty(term.pieces, domain):
                known = self._values.expand(term.pieces, domain) is not None
                level.end_evaluation(term.text, "permerror" if known else None, "empty")
        for term in mechanisms:
            if not level.groups:
                return
            self._work += len(level.groups)
            if self._work > _MAX_WORK:
                level.end_evaluation(term.text, None)
            elif term.kind in LOOKUP_TERMS:
                yield from self._look_up(term, level)
            elif term.kind == "all":
                level.match(term, [EVERYTHING[self._version]])
            elif term.kind == f"ip{self._version}":
                level.match(term, [term.span])
        if level.groups and policy.redirect is not None:
            yield from self.redirect(policy.redirect, level, included=included)
        level.end_evaluation(None, "neutral")  # §4.7

    def _look_up(self, term: Term, level: Level) -> Steps[None]:
        """Evaluate a mechanism that needs the DNS."""
        level.spend(term.text)
        target = self._values.expand(term.pieces, level.domain)
        if not level.groups:
            return
        if term.kind == "ptr" or target is None or self._answers.exhausted:
            level.end_evaluation(term.text, None)
            return
        if term.kind == "include":
            yield from self.include(term, target, level)
            return
        owner = owner_of(target)
        if owner is None:
            return  # text that is not a name has no records, and is no void lookup (§4.8)
        if term.kind == "exists":
            if (yield from self._records(Question(owner, A), term.text, level)):
                level.match(term, [EVERYTHING[self._version]])
            return
        if term.kind == "mx":
            yield from self._hosts(term, owner, level)
        else:
            yield from self._host(term, Question(owner, self._rdtype), level)

    def _host(
        self, term: Term, question: Question, level: Level, *, certain: bool = True
    ) -> Steps[None]:
        """Let a or mx match the addresses of a host."""
        addresses = yield from self._records(question, term.text, level)
        self._work += len(addresses) * (1 + len(level.groups))
        level.match(term, term.networks_around(self._version, addresses), certain=certain)

    def _records(self, question: Question, text: str, level: Level) -> Steps[Sequence[Rdata]]:
        """Return the records of an answer; without any, count it or end with it (§4.6.4)."""
        (answer,) = yield from self._answers.ask_unknown([question])
        if answer.status == NOERROR:
            return answer.records
        trouble = f"{question.rdtype} {question.name}"
        if answer.status not in SETTLED:
            level.end_evaluation(text, "temperror", trouble)
        else:
            level.void(text, trouble)
        return ()

    def _hosts(self, term: Term, owner: str, level: Level) -> Steps[None]:
        """Let mx match its hosts one after the other: a match ends the lookups (§5.4)."""
        hosts = mail_hosts((yield from self._records(Question(owner, MX), term.text, level)))
        if hosts is None:
            level.end_evaluation(term.text, "permerror", "mx")
        if not hosts or not level.groups:
            return
        questions = [Question(name, self._rdtype) for name in hosts]
        answers = yield from self._answers.ask_unknown(questions)
        void = [answer.status != NOERROR and answer.status in SETTLED for answer in answers]
        for place, question in enumerate(questions):
            certain = True not in void[place + 1 :]
            yield from self._host(term, question, level, certain=certain)

    def include(self, term: Term, target: str, level: Level) -> Steps[None]:
        """Evaluate an included policy: a pass is a match, an error is one, else go on (§5.2)."""
        parts = yield from self._referred(term.text, target, level, included=True)
        going_on: Groups = {}
        here = (level.domain, term.text)
        explained = level.explained or term.result != "fail"
        for ranges, label in parts:
            self._work += 1 + len(ranges) // 8
            changed = label._replace(path=(here, *label.path))
            if label.result in {"fail", "softfail", "neutral"}:
                if label.explained:
                    going_on.setdefault((label.lookups, label.voids), []).extend(ranges)
                    continue
                changed = changed._replace(result=None, mechanism=None)
            if label.result == "pass":
                changed = changed._replace(
                    result=term.result, mechanism=term.text, explained=explained and label.explained
                )
            level.parts.append(RangePart(ranges, changed))
        level.groups = {spent: union(ranges) for spent, ranges in going_on.items()}

    def redirect(self, term: Term, level: Level, *, included: bool) -> Steps[None]:
        """Continue with the policy of a redirect in place of this one (§6.1)."""
        level.spend(term.text)
        target = self._values.expand(term.pieces, level.domain)
        if not level.groups:
            return
        if target is None or self._answers.exhausted:
            level.end_evaluation(term.text, None)
            return
        parts = yield from self._referred(term.text, target, level, included=included)
        here = (level.domain, term.text)
        for ranges, label in parts:
            self._work += 1
            level.parts.append(RangePart(ranges, label._replace(path=(here, *label.path))))

    def _referred(
        self, text: str, target: str, level: Level, *, included: bool
    ) -> Steps[list[RangePart]]:
        """Evaluate the policy that a term refers to; without one, all end here."""
        owner = owner_of(target)
        if owner is None:
            level.end_evaluation(text, "permerror", "no policy")
            return []
        if looks_like_address(owner):
            level.end_evaluation(text, None)
            return []
        yield from self._records(Question(owner, TXT), text, level)
        policy = only_policy(self._answers.known[Question(owner, TXT)])
        if policy is None:
            level.end_evaluation(text, "permerror", "no policy")
            return []
        groups, level.groups = level.groups, {}
        return (
            (yield from self.evaluate_policy(policy, target, groups, included=included))
            if groups
            else []
        )
