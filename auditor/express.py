"""The short way of most addresses: a block at a time, without an object for each step.

An address with one PTR name that points back, or with no name at all, whose HELO name has no
policy or one of the plain kind, or whose given identities have policies with known ranges:
nine targets in ten. Their rounds of questions and their records are made here in plain loops,
with the same judgement and to the same octet as `audit` makes them; a test holds the two
together. Whatever is out of the ordinary, from the first sign on, is left to `audit`, with
the answers it already has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import orjson

from auditor.checks.reach import is_global
from auditor.checks.spf import number_of
from auditor.findings.judge import Finding, judge_name, judge_spf, verdict, weigh
from auditor.resolve.answer import Answer, Question
from auditor.wire.codes import AAAA, NODATA, NOERROR, NXDOMAIN, PTR, TXT, A
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import SpfFact
    from auditor.checks.helos import Helos
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
_CLEAN: Final[Alike] = ("pass", (), NOERROR)


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
        self.wildcards = wildcards
        self.names_are_asked = spf and not given
        self._ruling = ruling
        #: Of each given identity its kind, and its policy's ranges by IP version.
        self._given = [
            (identity.kind, {version: policies.table(identity, version) for version in (4, 6)})
            for identity in (given if spf else ())
        ]
        self._shown: dict[int, tuple[SpfFact, str]] = {}
        #: Of a finding that is the only one: verdict, code and severity, its JSON's beginning.
        self._alone = {
            code: (
                verdict([Finding(code, severity, "")]),
                ((code, severity),),
                f'{{"code":"{code}","severity":"{severity}","subject":"',
            )
            for code, severity in ruling.severities.items()
        }

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

    def weighed(self, found: list[tuple[str, str]]) -> tuple[str, tuple[tuple[str, str], ...], str]:
        """Return the verdict, code and severity of each finding, and the findings as JSON."""
        if len(found) == 1:
            code, subject = found[0]
            alone = self._alone.get(code)
            if alone is None:
                return "pass", (), ""
            outcome, codes, start = alone
            return outcome, codes, f'{start}{subject}"}}'
        findings = weigh(found, self._ruling)
        counted = tuple([(code, severity) for code, severity, _ in findings])
        # Codes are plain, subjects addresses, names and checked domains: no escapes.
        return verdict(findings), counted, ",".join([_FINDING % finding for finding in findings])

    def begin(self, block: Block) -> Rounds:
        """Return a block's rounds, the first questions ready."""
        return Rounds(self, block)


class _Area(NamedTuple):
    """What neighbours share: the parent of their reverse names, whether they are global."""

    parent: str
    is_global: bool


#: An address on its way, as plain a thing as can be: place in the block, target, reverse name,
#: area, and the answers so far, one a round.
_Way: TypeAlias = "tuple[int, Target, str, _Area, Answer, Answer | None]"
#: One whose HELO name has TXT records, or has them perhaps: the question and its answer.
_Published: TypeAlias = "tuple[_Way, Question, Answer]"


class Rounds:
    """The rounds of one block: ask `questions`, give their answers to `step`, again and again.

    `lines` and `left` hold what has come of it since the last step; `alike` counts the
    lines by all that a tally wants to know. No more questions: the block is through.
    """

    __slots__ = (
        *("_clean", "_express", "_first", "_helos", "_round", "_ways"),
        *("alike", "left", "lines", "questions"),
    )

    def __init__(self, express: Express, block: Block) -> None:
        self._express = express
        self.lines: list[tuple[int, bytes]] = []
        self.left: list[Left] = []
        self.alike: dict[Alike, int] = {}
        self._clean = 0
        self._ways: list[_Way] = []
        self._helos: Helos[_Published] | None = None
        # A number and not a method: a method of its own would keep the object alive.
        self._round = 0
        first: list[tuple[int, Target, str, _Area]] = []
        areas: dict[str, _Area] = {}
        for place, target in enumerate(block):
            text, kind, version, origin, _ = target
            if kind != "ip" or origin.helo is not None or origin.mail_from:
                self.left.append(Left(place, target, ()))
                continue
            if version == _V4:
                network, _, last = text.rpartition(".")
                area = areas.get(network)
                if area is None:
                    parent = reverse_name(text).partition(".")[2]
                    area = areas[network] = _Area(parent, is_global(text, version))
                reverse = f"{last}.{area.parent}"
            else:
                reverse = reverse_name(text)
                area = _Area(reverse.partition(".")[2], is_global(text, version))
            first.append((place, target, reverse, area))
        self._first = first
        self.questions = [_NEW(Question, (reverse, PTR)) for _, _, reverse, _ in first]

    def step(self, answers: Sequence[Answer | None]) -> None:
        """Take the answers to `questions`, None for those that are late."""
        self.lines = []
        self.left = []
        self.alike = {}
        self._clean = 0
        self._round += 1
        if self._round == 1:
            self._after_ptr(answers)
        elif self._round == 2:  # noqa: PLR2004 - the second of three
            self._after_forward(answers)
        elif self._round == 3:  # noqa: PLR2004 - the last one for most
            self._after_policy(answers)
        elif self._helos is not None:
            for question, answer in zip(self.questions, answers, strict=False):
                self._helos.learn(question, answer)
            self._finish_policies(self._helos)
        if self._clean:
            self.alike[_CLEAN] = self.alike.get(_CLEAN, 0) + self._clean

    def _after_ptr(self, answers: Sequence[Answer | None]) -> None:
        """Tell addresses with one name from those with none; ask for the names' addresses."""
        known = self._express.wildcards.names
        ways: list[_Way] = []
        questions: list[Question] = []
        probes: dict[str, Question] = {}
        for (place, target, reverse, area), answer in zip(self._first, answers, strict=False):
            if answer is None:
                self.left.append(Left(place, target, ()))
                continue
            status, records, chain, _, _, _ = answer
            if status == NOERROR and len(records) == 1 and not chain:
                ways.append((place, target, reverse, area, answer, None))
                rdtype = A if target.version == _V4 else AAAA
                questions.append(_NEW(Question, (records[0], rdtype)))
                parent = area.parent
                if parent not in known and parent not in probes:
                    probes[parent] = Question(f"*.{parent}", PTR)
            elif status not in _ABSENT or chain or not self._nameless(place, target, area, status):
                self.left.append(Left(place, target, ((Question(reverse, PTR), answer),)))
        self._first = []
        self._ways = ways
        self.questions = [*questions, *probes.values()]

    def _after_forward(self, answers: Sequence[Answer | None]) -> None:
        """Keep the addresses whose name points back; ask for their HELO name's policy."""
        express = self._express
        wildcards = express.wildcards
        asked = self.questions
        probes = slice(len(self._ways), None)
        for question, answer in zip(asked[probes], answers[probes], strict=True):
            if answer is not None:
                wildcards.learn(question, answer)
        known = wildcards.names
        ways: list[_Way] = []
        questions: list[Question] = []
        for way, question, answer in zip(self._ways, asked, answers, strict=False):
            place, target, reverse, area, ptr, _ = way
            name = question[0]
            # Not heard of the wildcard yet, or it gave the name; or a name to be escaped.
            if (
                answer is None
                or answer.records != (target.text,)
                or answer.chain
                or known.get(area.parent, ptr.records) == ptr.records
                or "\\" in name
                or '"' in name
            ):
                self._leave(way, question, answer)
            elif express.names_are_asked:
                ways.append((place, target, reverse, area, ptr, answer))
                questions.append(_NEW(Question, (name, TXT)))
            else:
                found: list[tuple[str, str]] = []
                spf = express.given_facts(target, found)
                if spf is None:
                    self._leave(way, question, answer)
                else:
                    self._confirmed(way, name, spf, found)
        self._ways = ways
        self.questions = questions

    def _after_policy(self, answers: Sequence[Answer | None]) -> None:
        """Finish those without a policy, and those whose policy can be evaluated at once."""
        published: list[_Published] = []
        for way, question, answer in zip(self._ways, self.questions, answers, strict=False):
            if answer is None:
                self._leave(way, question, answer)
            elif answer.status in _ABSENT:
                name = question[0]
                self._confirmed(way, name, _no_policy(name), [])
            else:
                published.append((way, question, answer))
        self._ways = []
        self.questions = []
        if published:
            self._evaluate(published)

    def _evaluate(self, published: list[_Published]) -> None:
        """Begin with policies, or TXT records that may be some."""
        from auditor.checks.helos import Helos  # noqa: PLC0415 - loads what most need not

        helos: Helos[_Published] = Helos()
        for one in published:
            (_, target, _, _, _, forward), (name, _), answer = one
            helos.add(one, target.text, name, answer)
            # What the forward check has asked is what policies ask about first.
            helos.learn(_NEW(Question, (name, A if target.version == _V4 else AAAA)), forward)
        self._helos = helos
        self._finish_policies(helos)

    def _finish_policies(self, helos: Helos[_Published]) -> None:
        """Finish those whose policies say what they say; the others wait, or are left."""
        for (way, question, answer), fact in helos.evaluate():
            if fact is None:
                self._leave(way, question, answer)
                continue
            found: list[tuple[str, str]] = []
            if fact.result != "pass":
                judge_spf(fact, given=False, found=found)
            self._confirmed(way, question[0], _told(fact), found)
        self.questions = helos.questions

    def _leave(self, way: _Way, question: Question, answer: Answer | None) -> None:
        """Leave a target to the long way, with what it has asked one question at a time."""
        place, target, reverse, _, ptr, forward = way
        known = [(Question(reverse, PTR), ptr)]
        if forward is not None:
            rdtype = A if target.version == _V4 else AAAA
            known.append((Question(question.name, rdtype), forward))
        if answer is not None:
            known.append((question, answer))
        self.left.append(Left(place, target, tuple(known)))

    def _nameless(self, place: int, target: Target, area: _Area, status: str) -> bool:
        """Finish an address without a name; False if its SPF facts want the long way."""
        address = target.text
        found = [("PTR_MISSING", address)]
        spf = self._express.given_facts(target, found)
        if spf is None:
            return False
        outcome, listed = self._count(found, area, address, status)
        line = (
            f'{{"target":"{address}","kind":"ip","verdict":"{outcome}","findings":[{listed}],'
            f'"ptr":{{"status":"{status}","names":[],"chain":[]}},'
            f'"iprev":{{"result":"permerror","names":[]}},"spf":[{spf}],'
            f'"domain":null,"labels":{_labels(target)},"error":null}}\n'
        )
        self.lines.append((place, line.encode()))
        return True

    def _confirmed(self, way: _Way, name: str, spf: str, found: list[tuple[str, str]]) -> None:
        """Finish an address whose name points back; `spf`: its facts, `found`: about them."""
        place, target, _, area, _, _ = way
        address = target.text
        judge_name(name, address, found)
        if found or not area.is_global:
            outcome, listed = self._count(found, area, address, NOERROR)
        else:
            outcome, listed = "pass", ""
            self._clean += 1
        line = (
            f'{{"target":"{address}","kind":"ip","verdict":"{outcome}","findings":[{listed}],'
            f'"ptr":{{"status":"NOERROR","names":["{name}"],"chain":[]}},'
            f'"iprev":{{"result":"pass","names":[{{"name":"{name}","status":"NOERROR",'
            f'"addresses":["{address}"],"confirms":true}}]}},"spf":[{spf}],'
            f'"domain":null,"labels":{_labels(target)},"error":null}}\n'
        )
        self.lines.append((place, line.encode()))

    def _count(
        self, found: list[tuple[str, str]], area: _Area, address: str, status: str
    ) -> tuple[str, str]:
        """Weigh the findings and count the record; return the verdict and the findings' JSON."""
        if not area.is_global:
            found.append(("TARGET_NOT_GLOBAL", address))
        outcome, codes, listed = self._express.weighed(found)
        alike = (outcome, codes, status)
        self.alike[alike] = self.alike.get(alike, 0) + 1
        return outcome, listed


def _labels(target: Target) -> str:
    labels = target.origin.labels
    return orjson.dumps(dict(labels)).decode() if labels else "{}"


_FINDING: Final = '{"code":"%s","severity":"%s","subject":"%s"}'


def _no_policy(name: str) -> str:
    return (
        f'{{"identity":"helo","domain":"{name}","result":"none","mechanism":null,"lookups":0,'
        f'"voids":0,"record":null,"explanation":null}}'
    )


def _told(fact: SpfFact) -> str:
    """Return the fact of a HELO name that has no escapes, as JSON."""
    _, name, result, mechanism, lookups, voids, record, explanation = fact
    dumps = orjson.dumps
    return (
        f'{{"identity":"helo","domain":"{name}","result":"{result}",'
        f'"mechanism":{dumps(mechanism).decode()},"lookups":{lookups},"voids":{voids},'
        f'"record":{dumps(record).decode()},"explanation":{dumps(explanation).decode()}}}'
    )
