"""Facts of the SPF and HELO identities that are given: by the settings, or by each line."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import orjson

from auditor.checks.helo import helo_fact
from auditor.findings.judge import judge_helo, judge_spf
from auditor.output.record import spf_entry
from auditor.resolve.answer import Question
from auditor.wire.addresses import V4, number_of
from auditor.wire.codes import AAAA, TXT, A

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.checks.facts import HeloFact
    from auditor.checks.spf import SpfChecker, SpfIdentity
    from auditor.pipeline.fastpath.helo_spf import HeloSpfBatch
    from auditor.resolve.answer import Answer
    from auditor.spf.result import SpfFact
    from auditor.targets.target import Target

__all__ = ["GivenFacts", "IdentityFacts", "LineFacts"]


class IdentityFacts(Protocol):
    """Facts of the identities of addresses, as JSON."""

    #: Questions still to ask about them; the answers go to `learn_answers`.
    questions: Sequence[Question]
    #: Whether SPF is checked for the PTR name, and no identity is given.
    are_ptr_names: bool

    def learn_answers(self, answers: Sequence[Answer | None]) -> None:
        """Take the answers to `questions`; None for an answer that is late."""

    def spf(self, target: Target, codes: list[tuple[str, str]]) -> str | None:
        """Return the SPF facts as JSON; add findings to `codes`; None if they are not known."""

    def helo(self, target: Target, names: Sequence[str], codes: list[tuple[str, str]]) -> str:
        """Return the HELO fact of an address with these PTR names; add findings to `codes`.

        For an address whose SPF facts are known.
        """


class GivenFacts:
    """Facts as JSON, from the ranges of policies and from lookups made once for the run.

    `identities`: those to check SPF for, whose ranges `policies` has; none without SPF.
    `helo`: the HELO name, fully qualified, with the answers about it by IP version.
    """

    questions: Sequence[Question] = ()

    def __init__(
        self,
        identities: Sequence[SpfIdentity],
        policies: SpfChecker,
        helo: str | None = None,
        helo_answers: Mapping[int, Answer] = MappingProxyType({}),
        *,
        are_ptr_names: bool = False,
    ) -> None:
        self.are_ptr_names = are_ptr_names
        #: Of each identity its kind, and its policy's ranges by IP version.
        self._ranges = [
            (identity.kind, {version: policies.table(identity, version) for version in (4, 6)})
            for identity in identities
        ]
        self._json_by_id: dict[int, tuple[SpfFact, str]] = {}
        self._helo = helo
        self._helo_answers = helo_answers

    def learn_answers(self, answers: Sequence[Answer | None]) -> None:
        """Do nothing: all answers were fetched before the run."""

    def spf(self, target: Target, codes: list[tuple[str, str]]) -> str | None:
        """Return the SPF facts as JSON; add findings to `codes`; None if ranges lack some.

        Facts belong to ranges, a few for a million addresses, so their JSON is kept.
        """
        if not self._ranges:
            return ""
        version = target.version
        number = number_of(target.text)
        shown = ""
        for kind, tables in self._ranges:
            table = tables[version]
            fact = table.fact(number, kind) if table is not None else None
            if fact is None:
                return None
            kept = self._json_by_id.get(id(fact))
            if kept is None:
                # The fact is kept as well, so that no other fact can get its id.
                kept = self._json_by_id[id(fact)] = (fact, orjson.dumps(spf_entry(fact)).decode())
            shown = f"{shown},{kept[1]}" if shown else kept[1]
            if fact.result != "pass" or fact.differs:
                judge_spf(fact, codes)
        return shown

    def helo(self, target: Target, names: Sequence[str], codes: list[tuple[str, str]]) -> str:
        """Return the HELO fact of an address with these PTR names; add findings to `codes`."""
        if self._helo is None:
            return "null"
        fact = helo_fact(self._helo, target.text, self._helo_answers[target.version])
        judge_helo(fact, names, codes)
        return _helo_json(fact)


class LineFacts:
    """Facts as JSON of addresses of a block whose lines give a HELO name each.

    These names are looked up in the round of the PTR records, and the names in their policies in
    the rounds after it. `spf`: whether their policies are checked.
    """

    are_ptr_names = False

    def __init__(self, targets: Sequence[Target], *, spf: bool) -> None:
        self._targets = targets
        self._has_spf = spf
        self._answers: dict[Question, Answer] = {}
        self._batch: HeloSpfBatch[Target] | None = None
        self._facts: dict[tuple[str, str | None], SpfFact] = {}
        asked = [_helo_question(target) for target in targets]
        if spf:
            asked += [Question(name, TXT) for name, _ in asked]
        self.questions: Sequence[Question] = list(dict.fromkeys(asked))

    def learn_answers(self, answers: Sequence[Answer | None]) -> None:
        """Take the answers to `questions`, and evaluate the policies that have all of theirs."""
        known = {
            question: answer
            for question, answer in zip(self.questions, answers, strict=True)
            if answer is not None
        }
        if self._batch is None:
            self._answers = known
            if self._has_spf:
                self._batch = self._policies()
        if self._batch is None:
            self.questions = ()
            return
        for question, answer in known.items():
            self._batch.learn_answer(question, answer)
        for target, fact in self._batch.evaluate():
            if fact is not None:
                self._facts[target.text, target.origin.helo] = fact
        self.questions = self._batch.questions

    def _policies(self) -> HeloSpfBatch[Target]:
        from auditor.pipeline.fastpath.helo_spf import HeloSpfBatch  # noqa: PLC0415 - seldom needed

        batch: HeloSpfBatch[Target] = HeloSpfBatch()
        for target in self._targets:
            name = target.origin.helo or ""
            answer = self._answers.get(Question(name, TXT))
            if answer is not None:
                batch.add_address(target, target.text, name, answer)
        return batch

    def spf(self, target: Target, codes: list[tuple[str, str]]) -> str | None:
        """Return the SPF fact as JSON; add findings to `codes`; None if an answer is lacking."""
        if _helo_question(target) not in self._answers:
            return None
        if not self._has_spf:
            return ""
        fact = self._facts.get((target.text, target.origin.helo))
        if fact is None:
            return None
        if fact.result != "pass" or fact.differs:
            judge_spf(fact, codes)
        return orjson.dumps(spf_entry(fact)).decode()

    def helo(self, target: Target, names: Sequence[str], codes: list[tuple[str, str]]) -> str:
        """Return the HELO fact of an address with these PTR names; add findings to `codes`."""
        question = _helo_question(target)
        fact = helo_fact(question.name, target.text, self._answers[question])
        judge_helo(fact, names, codes)
        return _helo_json(fact)


def _helo_question(target: Target) -> Question:
    """Return the question about the HELO name of a line, a name that can be looked up."""
    return Question(target.origin.helo or "", A if target.version == V4 else AAAA)


def _helo_json(fact: HeloFact) -> str:
    return orjson.dumps(fact._asdict()).decode()
