"""RFC 7208 §4.6 for sets of addresses: terms in order, each splitting the sets that reach it.

The addresses that reach a term differ in what they have spent: inside an include some match
before others. So they go in groups by (lookups, voids), at most 33 of them. What a term
matches, or ends, leaves its group as a part. Terms as `check_host` evaluates them: `query`
says where that is not as the RFC reads at first sight.
"""

from __future__ import annotations

from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from auditor.resolve.answer import Question
from auditor.spf.expand import owner_of
from auditor.spf.intervals import EVERYTHING, Interval, joined, take
from auditor.spf.policy import policies
from auditor.spf.terms import LOOKUP_TERMS, parse_policy
from auditor.wire.codes import AAAA, MX, NOERROR, SETTLED, TXT, A

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.resolve.answer import Answer, Rdata, Steps
    from auditor.spf.expand import Values
    from auditor.spf.terms import Policy, Term

__all__ = [
    "MAX_LOOKUPS",
    "MAX_MX",
    "MAX_VOIDS",
    "NULL_MX",
    "Answers",
    "Groups",
    "Label",
    "Part",
    "Path",
    "Walk",
    "only_policy",
    "parsed",
    "peculiar",
]

MAX_LOOKUPS: Final = 10  # RFC 7208 §4.6.4, as all three
MAX_VOIDS: Final = 2
MAX_MX: Final = 10
NULL_MX: Final = "."  # RFC 7505

#: What one walk may cost: terms, intervals and records looked at, about 1 µs each; and
#: questions. An honest policy needs a hundredth. What is left then is undecided.
_MAX_WORK: Final = 500_000
_MAX_QUESTIONS: Final = 400

_MAX_KEPT: Final = 2048  # octets: what a hostile zone can make long is not kept

#: By (lookups, voids) so far, the addresses that are still being evaluated.
Groups: TypeAlias = dict[tuple[int, int], list[Interval]]

#: The terms that led somewhere, outermost first: each with the domain whose policy it is
#: in; the last term is None where the evaluation reached the end of a policy.
Path: TypeAlias = tuple[tuple[str, str | None], ...]


class Label(NamedTuple):
    """How the evaluation ended for a part: `result` is None if that depends on more.

    `trouble` tells apart the errors of one term; `explained` is False for a fail with exp=.
    """

    result: str | None
    mechanism: str | None
    path: Path
    lookups: int
    voids: int
    trouble: str = ""
    explained: bool = True


class Part(NamedTuple):
    """Addresses for which the evaluation ended alike."""

    ranges: list[Interval]
    label: Label


class Answers:
    """The answers so far, and which of them mattered."""

    __slots__ = ("known", "used")

    def __init__(self) -> None:
        self.known: dict[Question, Answer] = {}
        self.used: dict[Question, Answer] = {}

    def ask(self, questions: Sequence[Question]) -> Steps[list[Answer]]:
        """Return the answers to questions, asking for those that are not known."""
        known = self.known
        lacking = [question for question in dict.fromkeys(questions) if question not in known]
        if lacking:
            known.update(zip(lacking, (yield lacking), strict=True))
        self.used.update((question, known[question]) for question in questions)
        return [known[question] for question in questions]

    @property
    def settled(self) -> bool:
        """Whether all that mattered was answered: no lookup failed."""
        return all(answer.status in SETTLED for answer in self.used.values())

    @property
    def ttl(self) -> int | None:
        """The lowest TTL of what mattered, in seconds, None if no answer had one."""
        ttls = (answer.ttl for answer in self.used.values())
        return min((ttl for ttl in ttls if ttl is not None), default=None)

    @property
    def exhausted(self) -> bool:
        """Whether no more should be asked."""
        return len(self.known) >= _MAX_QUESTIONS


def parsed(text: bytes) -> Policy:
    """Return the terms of a policy, kept if it is short."""
    return _kept(text) if len(text) <= _MAX_KEPT else parse_policy(text)


@lru_cache(maxsize=512)
def _kept(text: bytes) -> Policy:
    return parse_policy(text)


def only_policy(answer: Answer) -> bytes | None:
    """Return the one policy among TXT records, None if there is none or several (§4.5)."""
    found = policies(answer.records)
    return found[0] if len(found) == 1 else None


def peculiar(owner: str) -> bool:
    """Tell whether a name looks like an address, which pyspf takes for one here and there."""
    return ":" in owner or owner.rpartition(".")[2].isdigit()


class _Level:
    """One policy on the way: the groups that are still in it, the parts that have left it."""

    __slots__ = ("domain", "explained", "groups", "parts")

    def __init__(self, domain: str, groups: Groups, *, explained: bool) -> None:
        self.domain = domain
        self.groups = groups
        self.parts: list[Part] = []
        self.explained = explained

    def end(self, text: str | None, result: str | None, trouble: str = "") -> None:
        """End the evaluation of all groups at a term, or at the end of the policy."""
        path = ((self.domain, text),)
        for (lookups, voids), ranges in self.groups.items():
            label = Label(result, None, path, lookups, voids, trouble)
            self.parts.append(Part(ranges, label))
        self.groups = {}

    def match(self, term: Term, spans: Iterable[Interval]) -> None:
        """Let a mechanism match what lies in any of the spans."""
        groups = self.groups
        emptied = False
        for first, last in spans:
            for spent, ranges in groups.items():
                taken = take(ranges, first, last)
                if taken:
                    self.parts.append(Part(taken, self._label(term, spent)))
                    emptied = emptied or not ranges
        if emptied:
            self.groups = {spent: ranges for spent, ranges in groups.items() if ranges}

    def _label(self, term: Term, spent: tuple[int, int]) -> Label:
        result = term.result
        explained = self.explained or result != "fail"
        path = ((self.domain, term.text),)
        return Label(result, term.text, path, *spent, "", explained)

    def spend(self, text: str) -> None:
        """Count a lookup; those for whom it is one too many end here (§4.6.4)."""
        self._count(text, 1, 0, "lookups")

    def void(self, text: str, what: str) -> None:
        """Count a void lookup in the same way."""
        self._count(text, 0, 1, what)

    def _count(self, text: str, lookups: int, voids: int, trouble: str) -> None:
        spent = {(n + lookups, v + voids): ranges for (n, v), ranges in self.groups.items()}
        self.groups = {key: spent[key] for key in spent if not _beyond(key)}
        rest, self.groups = self.groups, {key: spent[key] for key in spent if _beyond(key)}
        self.end(text, "permerror", trouble)
        self.groups = rest


def _beyond(spent: tuple[int, int]) -> bool:
    return spent[0] > MAX_LOOKUPS or spent[1] > MAX_VOIDS


class Walk:
    """The evaluation of policies for addresses of one IP version (4 or 6)."""

    __slots__ = ("_answers", "_rdtype", "_values", "_version", "_work")

    def __init__(self, version: int, values: Values, answers: Answers) -> None:
        self._version = version
        self._values = values
        self._answers = answers
        self._rdtype = A if version == 4 else AAAA  # noqa: PLR2004 - IP version
        self._work = 0

    def policy(
        self, text: bytes, domain: str, groups: Groups, *, included: bool = False
    ) -> Steps[list[Part]]:
        """Evaluate the policy of a domain for all groups; every address ends in one part."""
        policy = parsed(text)
        level = _Level(domain, groups, explained=included or policy.exp is None)
        self._work += len(text) // 4
        if policy.problems:
            level.end(policy.problems[0].text, "permerror", "syntax")
        mechanisms = policy.mechanisms
        for term in mechanisms:
            if term.pieces and self._values.may_be_empty(term, domain):
                known = self._values.expand(term, domain) is not None
                level.end(term.text, "permerror" if known else None, "empty")
        for term in mechanisms:
            if not level.groups:
                return level.parts
            self._work += len(level.groups)
            if self._work > _MAX_WORK:
                level.end(term.text, None)
            elif term.kind in LOOKUP_TERMS:
                yield from self._look_up(term, level)
            elif term.kind == "all":
                level.match(term, [EVERYTHING[self._version]])
            elif term.kind == f"ip{self._version}":
                level.match(term, [term.span])
        if level.groups and policy.redirect is not None:
            yield from self._redirect(policy.redirect, level, included=included)
        level.end(None, "neutral")  # §4.7
        return level.parts

    def _look_up(self, term: Term, level: _Level) -> Steps[None]:
        """Evaluate a mechanism that needs the DNS."""
        level.spend(term.text)
        target = self._values.expand(term, level.domain)
        if not level.groups:
            return
        if term.kind == "ptr" or target is None or self._answers.exhausted:
            level.end(term.text, None)
            return
        if term.kind == "include":
            yield from self._include(term, target, level)
            return
        owner = owner_of(target)
        if owner is None:
            return  # what is no name has no records, and is no void lookup (§4.8)
        if term.kind == "exists":
            if (yield from self._records(Question(owner, A), term.text, level)):
                level.match(term, [EVERYTHING[self._version]])
            return
        addresses: Sequence[Rdata]
        if term.kind == "mx":
            addresses = yield from self._hosts(owner, term.text, level)
        else:
            addresses = yield from self._records(Question(owner, self._rdtype), term.text, level)
        self._work += len(addresses) * (1 + len(level.groups))
        level.match(term, self._spans(term, cast("Sequence[str]", addresses)))

    def _spans(self, term: Term, addresses: Sequence[str]) -> list[Interval]:
        """Return the networks of a and mx (§5.3, §5.4) as intervals."""
        v4 = self._version == 4  # noqa: PLR2004 - IP version
        family, host_bits = (AF_INET, 32 - term.bits) if v4 else (AF_INET6, 128 - term.bits6)
        numbers = [int.from_bytes(inet_pton(family, address)) for address in addresses]
        firsts = {number >> host_bits << host_bits for number in numbers}
        return [(first, first | (1 << host_bits) - 1) for first in sorted(firsts)]

    def _records(self, question: Question, text: str, level: _Level) -> Steps[Sequence[Rdata]]:
        """Return the records of an answer; without any, count it or end with it (§4.6.4)."""
        (answer,) = yield from self._answers.ask([question])
        if answer.status == NOERROR:
            return answer.records
        trouble = f"{question.rdtype} {question.name}"
        if answer.status not in SETTLED:
            level.end(text, "temperror", trouble)
        else:
            level.void(text, trouble)
        return ()

    def _hosts(self, owner: str, text: str, level: _Level) -> Steps[list[Rdata]]:
        """Return the addresses of all MX hosts; all of them are looked up (§5.4)."""
        found = yield from self._records(Question(owner, MX), text, level)
        hosts = cast("Sequence[tuple[int, str]]", found)
        if len(hosts) > MAX_MX:
            level.end(text, "permerror", "mx")
        if not hosts or not level.groups:
            return []
        questions = [Question(name, self._rdtype) for _, name in hosts if name != NULL_MX]
        yield from self._answers.ask(questions)
        addresses: list[Rdata] = []
        for question in questions:
            addresses.extend((yield from self._records(question, text, level)))
        return addresses

    def _include(self, term: Term, target: str, level: _Level) -> Steps[None]:
        """Evaluate an included policy: a pass is a match, an error is one, else go on (§5.2)."""
        parts = yield from self._referred(term.text, target, level, included=True)
        going_on: Groups = {}
        here = (level.domain, term.text)
        explained = level.explained or term.result != "fail"
        for ranges, label in parts:
            self._work += 1 + len(ranges) // 8
            if label.result in {"fail", "softfail", "neutral"}:
                going_on.setdefault((label.lookups, label.voids), []).extend(ranges)
                continue
            changed = label._replace(path=(here, *label.path))
            if label.result == "pass":
                changed = changed._replace(
                    result=term.result, mechanism=term.text, explained=explained
                )
            level.parts.append(Part(ranges, changed))
        level.groups = {spent: joined(ranges) for spent, ranges in going_on.items()}

    def _redirect(self, term: Term, level: _Level, *, included: bool) -> Steps[None]:
        """Let another policy take the place of this one (§6.1)."""
        level.spend(term.text)
        target = self._values.expand(term, level.domain)
        if not level.groups:
            return
        if target is None or self._answers.exhausted:
            level.end(term.text, None)
            return
        parts = yield from self._referred(term.text, target, level, included=included)
        here = (level.domain, term.text)
        for ranges, label in parts:
            self._work += 1
            level.parts.append(Part(ranges, label._replace(path=(here, *label.path))))

    def _referred(
        self, text: str, target: str, level: _Level, *, included: bool
    ) -> Steps[list[Part]]:
        """Evaluate the policy that a term refers to; without one, all end here."""
        owner = owner_of(target)
        if owner is None:
            level.end(text, "permerror", "no policy")
            return []
        if peculiar(owner):
            level.end(text, None)
            return []
        yield from self._records(Question(owner, TXT), text, level)
        found = only_policy(self._answers.known[Question(owner, TXT)])
        if found is None or not found.isascii():
            level.end(text, "permerror", "no policy")
            return []
        groups, level.groups = level.groups, {}
        return (yield from self.policy(found, target, groups, included=included)) if groups else []
