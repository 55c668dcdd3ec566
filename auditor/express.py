"""The short way of most addresses: a block at a time, without an object for each step.

An address with one PTR name that points back, or with no name at all, whose HELO name has no
policy, or whose given identities have policies with known ranges: nine targets in ten. Their
rounds of questions and their records are made here in plain loops, with the same judgement
and to the same octet as `audit` makes them; a test holds the two together. Whatever is out
of the ordinary, from the first sign on, is left to `audit`, with the answers it already has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import orjson

from auditor.checks.reach import is_global
from auditor.checks.spf import number_of
from auditor.findings.judge import judge_name, judge_spf, verdict, weigh
from auditor.resolve.answer import Answer, Question
from auditor.wire.codes import AAAA, NODATA, NOERROR, NXDOMAIN, PTR, TXT, A
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import SpfFact
    from auditor.checks.ptr import Wildcards
    from auditor.checks.spf import Identity, Policies
    from auditor.findings.ruling import Ruling
    from auditor.targets.target import Block, Target

__all__ = ["Express", "Left", "Rounds"]

_V4: Final = 4
_NEW: Final = tuple.__new__
_ABSENT: Final = frozenset({NXDOMAIN, NODATA})

#: What the records of a run's findings have in common: verdict, (code, severity) of each
#: finding, PTR status.
Alike: TypeAlias = tuple[str, tuple[tuple[str, str], ...], str]


class Left(NamedTuple):
    """A target that goes the long way: its place in the block, and what is known of it.

    `known`: the questions that it has asked one at a time, with their answers, in order.
    """

    place: int
    target: Target
    known: tuple[tuple[Question, Answer], ...]


class Express:
    """Makes the rounds of a run's blocks.

    `given`: the identities that the settings give, their policies' ranges known to
    `policies`; without any, the PTR name is the HELO identity. `spf`: whether SPF is checked.
    """

    def __init__(
        self,
        ruling: Ruling,
        wildcards: Wildcards,
        policies: Policies,
        given: Sequence[Identity],
        *,
        spf: bool,
    ) -> None:
        self.ruling = ruling
        self.wildcards = wildcards
        self.names_are_asked = spf and not given
        #: Of each given identity its kind, and its policy's ranges by IP version.
        self._given = [
            (identity.kind, {version: policies.table(identity, version) for version in (4, 6)})
            for identity in (given if spf else ())
        ]
        self._shown: dict[int, tuple[SpfFact, str]] = {}

    def given_facts(self, target: Target, found: list[tuple[str, str]]) -> str | None:
        """Return the facts of the given identities as JSON, adding to `found`.

        None if ranges do not give them all. Facts are the ranges' own, a few for a million
        addresses, so their JSON is kept.
        """
        if not self._given:
            return ""
        version = target.version
        number = number_of(target.text, version)
        shown = ""
        for kind, tables in self._given:
            table = tables[version]
            fact = table.fact(number, kind) if table is not None else None
            if fact is None:
                return None
            kept = self._shown.get(id(fact))
            if kept is None:
                # The fact is kept as well, so that no other one ever has its id.
                kept = self._shown[id(fact)] = (fact, orjson.dumps(fact._asdict()).decode())
            shown = f"{shown},{kept[1]}" if shown else kept[1]
            if fact.result != "pass":
                judge_spf(fact, given=True, found=found)
        return shown

    def begin(self, block: Block) -> Rounds:
        """Return a block's rounds, the first questions ready."""
        return Rounds(self, block)


#: An address on its way, as plain a thing as can be: place in the block, target, reverse name,
#: and the answers so far, one a round.
_Way: TypeAlias = "tuple[int, Target, str, Answer, Answer | None]"


class Rounds:
    """The rounds of one block: ask `questions`, give their answers to `step`, again and again.

    `lines` and `left` hold what has come of it since the last step; `alike` counts the
    lines by all that a tally wants to know. No more questions: the block is through.
    """

    __slots__ = (
        "_express",
        "_first",
        "_round",
        "_ways",
        "alike",
        "left",
        "lines",
        "questions",
    )

    def __init__(self, express: Express, block: Block) -> None:
        self._express = express
        self.lines: list[tuple[int, bytes]] = []
        self.left: list[Left] = []
        self.alike: dict[Alike, int] = {}
        self.questions: list[Question] = []
        self._ways: list[_Way] = []
        # A number and not a method: a method of its own would keep the object alive.
        self._round = 0
        first: list[tuple[int, Target, str]] = []
        for place, target in enumerate(block):
            origin = target.origin
            if target.kind == "ip" and origin.helo is None and not origin.mail_from:
                first.append((place, target, reverse_name(target.text)))
            else:
                self.left.append(Left(place, target, ()))
        self._first = first
        self.questions = [Question(reverse, PTR) for _, _, reverse in first]

    def step(self, answers: Sequence[Answer | None]) -> None:
        """Take the answers to `questions`, None for those that are late."""
        self.lines = []
        self.left = []
        self.alike = {}
        self._round += 1
        if self._round == 1:
            self._after_ptr(answers)
        elif self._round == 2:  # noqa: PLR2004 - the second of three
            self._after_forward(answers)
        else:
            self._after_policy(answers)

    def _after_ptr(self, answers: Sequence[Answer | None]) -> None:
        """Tell addresses with one name from those with none; ask for the names' addresses."""
        known = self._express.wildcards.names
        ways: list[_Way] = []
        questions: list[Question] = []
        probes: dict[str, Question] = {}
        for (place, target, reverse), answer in zip(self._first, answers, strict=False):
            if answer is None:
                self.left.append(Left(place, target, ()))
                continue
            status, records, chain, _, _, _ = answer
            if status == NOERROR and len(records) == 1 and not chain:
                ways.append((place, target, reverse, answer, None))
                rdtype = A if target.version == _V4 else AAAA
                questions.append(_NEW(Question, (records[0], rdtype)))
                parent = reverse[reverse.index(".") + 1 :]
                if parent not in known and parent not in probes:
                    probes[parent] = Question(f"*.{parent}", PTR)
            elif status not in _ABSENT or chain or not self._nameless(place, target, status):
                self.left.append(Left(place, target, ((Question(reverse, PTR), answer),)))
        self._ways = ways
        self.questions = [*questions, *probes.values()]

    def _after_forward(self, answers: Sequence[Answer | None]) -> None:
        """Keep the addresses whose name points back; ask for their HELO name's policy."""
        express = self._express
        wildcards = express.wildcards
        for question, answer in zip(
            self.questions[len(self._ways) :], answers[len(self._ways) :], strict=True
        ):
            if answer is not None:
                wildcards.learn(question, answer)
        known = wildcards.names
        ways: list[_Way] = []
        questions: list[Question] = []
        for way, question, answer in zip(self._ways, self.questions, answers, strict=False):
            place, target, reverse, ptr, _ = way
            name = question[0]
            # Not heard of the wildcard yet, or it gave the name; or a name to be escaped.
            if (
                answer is None
                or answer.records != (target.text,)
                or answer.chain
                or known.get(reverse[reverse.index(".") + 1 :], ptr.records) == ptr.records
                or "\\" in name
                or '"' in name
            ):
                self._leave(way, question, answer)
            elif express.names_are_asked:
                ways.append((place, target, reverse, ptr, answer))
                questions.append(_NEW(Question, (name, TXT)))
            elif not self._confirmed(place, target, name, None):
                self._leave(way, question, answer)
        self._ways = ways
        self.questions = questions

    def _after_policy(self, answers: Sequence[Answer | None]) -> None:
        """Finish those without TXT records; a policy, or anything like one, goes the long way."""
        for way, question, answer in zip(self._ways, self.questions, answers, strict=False):
            if answer is not None and answer.status in _ABSENT:
                name = question[0]
                self._confirmed(way[0], way[1], name, _NO_POLICY % name)
            else:
                self._leave(way, question, answer)
        self._ways = []
        self.questions = []

    def _leave(self, way: _Way, question: Question, answer: Answer | None) -> None:
        """Leave a target to the long way, with what it has asked one question at a time."""
        place, target, reverse, ptr, forward = way
        known = [(Question(reverse, PTR), ptr)]
        if forward is not None:
            rdtype = A if target.version == _V4 else AAAA
            known.append((Question(question.name, rdtype), forward))
        if answer is not None:
            known.append((question, answer))
        self.left.append(Left(place, target, tuple(known)))

    def _nameless(self, place: int, target: Target, status: str) -> bool:
        """Finish an address without a name; False if its SPF facts want the long way."""
        found = [("PTR_MISSING", target.text)]
        spf = self._express.given_facts(target, found)
        if spf is None:
            return False
        self._finish(place, target, found, status, _NAMELESS % (status, spf))
        return True

    def _confirmed(self, place: int, target: Target, name: str, spf: str | None) -> bool:
        """Finish an address whose name points back; False as above.

        `spf`: the facts of the name as HELO identity, None with identities given.
        """
        found: list[tuple[str, str]] = []
        if spf is None:
            spf = self._express.given_facts(target, found)
            if spf is None:
                return False
        judge_name(name, target.text, found)
        facts = _CONFIRMED % (name, name, target.text, spf)
        self._finish(place, target, found, NOERROR, facts)
        return True

    def _finish(
        self, place: int, target: Target, found: list[tuple[str, str]], status: str, facts: str
    ) -> None:
        """Weigh the findings, count the record, write the line."""
        address = target.text
        if not is_global(address, target.version):
            found.append(("TARGET_NOT_GLOBAL", address))
        outcome, listed = "pass", ""
        codes: tuple[tuple[str, str], ...] = ()
        if found:
            findings = weigh(found, self._express.ruling)
            outcome = verdict(findings)
            codes = tuple([(code, severity) for code, severity, _ in findings])
            # Codes are plain, subjects addresses, names and checked domains: no escapes.
            listed = ",".join([_FINDING % finding for finding in findings])
        alike = (outcome, codes, status)
        self.alike[alike] = self.alike.get(alike, 0) + 1
        labels = target.origin.labels
        shown = orjson.dumps(dict(labels)).decode() if labels else "{}"
        line = (
            f'{{"target":"{address}","kind":"ip","verdict":"{outcome}","findings":[{listed}],'
            f'{facts},"domain":null,"labels":{shown},"error":null}}\n'
        )
        self.lines.append((place, line.encode()))


_FINDING: Final = '{"code":"%s","severity":"%s","subject":"%s"}'
_NAMELESS: Final = (
    '"ptr":{"status":"%s","names":[],"chain":[]},'
    '"iprev":{"result":"permerror","names":[]},"spf":[%s]'
)
_CONFIRMED: Final = (
    '"ptr":{"status":"NOERROR","names":["%s"],"chain":[]},'
    '"iprev":{"result":"pass","names":[{"name":"%s","status":"NOERROR",'
    '"addresses":["%s"],"confirms":true}]},"spf":[%s]'
)
_NO_POLICY: Final = (
    '{"identity":"helo","domain":"%s","result":"none","mechanism":null,"lookups":0,'
    '"voids":0,"record":null,"explanation":null}'
)
