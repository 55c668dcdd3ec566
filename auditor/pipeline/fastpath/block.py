"""Fast path: audits the common kinds of address a block at a time, without an object for each step.

A common address has no PTR name, or one name that points back (FCrDNS), with a CNAME (RFC 2317) or
without. SPF is checked for that name as HELO identity, with no policy or one without macros; or for
given identities whose policies have known ranges; or for a HELO name from its line whose policy has
no macros. That is nine targets in ten. Plain loops here ask their questions and make their records,
octet for octet those of `TargetAuditor.audit`; a test compares the two. Addresses with other names
are taken one by one (`rows.py`). Anything else falls back to `audit` as soon as it is noticed, with
the answers obtained so far.
"""

from __future__ import annotations

from itertools import compress, repeat
from typing import TYPE_CHECKING, Final, cast

from auditor.checks.address import MAX_NAMES, unconfirmed_result
from auditor.findings.judge import judge_expected, judge_name, judge_nameless
from auditor.findings.plain_names import perhaps_judged
from auditor.pipeline.fastpath.columns import AddressColumns, ask, is_plain_alias
from auditor.pipeline.fastpath.json_lines import (
    address_line,
    confirmed_lines,
    helo_facts,
    nameless_json,
)
from auditor.pipeline.fastpath.results import Fallback, StepResults
from auditor.pipeline.fastpath.rows import AddressRows
from auditor.pipeline.fastpath.verdicts import CLEAN_KEY, NO_POLICY_OUTCOME, helo_outcome
from auditor.resolve.answer import Answer, Question
from auditor.wire.codes import NODATA, NOERROR, NXDOMAIN, PTR, TXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.pipeline.fastpath.given import IdentityFacts
    from auditor.pipeline.fastpath.helo_spf import HeloSpfBatch
    from auditor.pipeline.fastpath.run_facts import RunFacts
    from auditor.pipeline.fastpath.verdicts import HeloOutcome
    from auditor.targets.target import Target

__all__ = ["BlockFastPath"]

_NEW: Final = tuple.__new__
_ABSENT: Final = frozenset({NXDOMAIN, NODATA})

_PASSED: Final = ("pass", "")


class BlockFastPath:
    """The rounds of questions of one block: ask `questions`, `take_answers`, repeat.

    `columns`: its addresses; `given`: the facts of identities that are given for them; `others`:
    targets that fall back at once, by their places.

    `results` are those of the last step. When there are no more questions, the block is done.
    """

    __slots__ = (
        "_columns",
        "_given",
        "_round",
        "_rows",
        "_run_facts",
        "_spf_batch",
        "questions",
        "results",
    )

    def __init__(
        self,
        run: RunFacts,
        columns: AddressColumns,
        given: IdentityFacts,
        others: Iterable[tuple[int, Target]] = (),
    ) -> None:
        self._run_facts = run
        self.results = StepResults(run.weigh)
        self._rows = AddressRows(run, given, self.results)
        #: Addresses by their index in `_columns`, each with the answer about its policy.
        self._spf_batch: HeloSpfBatch[tuple[int, Answer]] | None = None
        # A number and not a bound method, which would keep the object alive.
        self._round = 0
        self._columns = columns
        self._given = given
        self.results.fallbacks += [Fallback(place, target, ()) for place, target in others]
        self.questions = [*ask(columns.reverses, repeat(PTR)), *given.questions]

    def take_answers(self, answers: Sequence[Answer | None]) -> None:
        """Take the answers to `questions`; None for an answer that is late."""
        self.results.clear()
        self._round += 1
        end = len(answers) - len(self._given.questions)
        if self._given.questions:
            self._given.learn_answers(answers[end:])
        start = end - len(self._rows.questions)
        of_rows = answers[start:end]
        answers, self.questions = answers[:start], self.questions[:start]
        if self._round == 1:
            self._after_ptr(answers)
        elif self._round == 2:  # noqa: PLR2004 - the second of three
            self._after_forward(answers)
        elif self._round == 3:  # noqa: PLR2004 - the last one for most
            self._after_policy(answers)
        elif self._spf_batch is not None:
            for question, answer in zip(self.questions, answers, strict=False):
                self._spf_batch.learn_answer(question, answer)
            self._finish_policies(self._spf_batch)
        if self._round > 1:
            self._rows.take_answers(of_rows)
        self.questions += self._rows.questions
        if self.questions:
            self.questions += self._given.questions

    def _after_ptr(self, answers: Sequence[Answer | None]) -> None:
        """Finish addresses without a name; ask for the addresses of the names of the others."""
        columns = self._columns
        named = [
            answer is not None
            and answer[0] == NOERROR
            and len(answer[1]) == 1
            and (not answer[2] or is_plain_alias(answer))
            for answer in answers
        ]
        if not all(named):
            for index, answer in enumerate(answers):
                if named[index]:
                    continue
                if answer is not None and 0 < len(answer.records) <= MAX_NAMES:
                    self._rows.add(columns, index, answer)
                elif answer is None or not self._finish_nameless(index, answer):
                    self._fall_back(index, answer)
            columns = columns.select(named)
            answers = list(compress(answers, named))
        ptrs = cast("Sequence[Answer]", answers)
        names = cast("list[str]", [answer[1][0] for answer in ptrs])
        self._columns = columns._replace(ptrs=ptrs, names=names)
        known = self._run_facts.wildcards.names
        self._rows.ask_forward()
        groups = dict.fromkeys([*columns.groups, *self._rows.groups()])
        parents = dict.fromkeys([group.parent for group in groups])
        self.questions = ask(names, columns.rdtypes)
        self.questions += [
            Question(f"*.{parent}", PTR) for parent in parents if parent not in known
        ]

    def _after_forward(self, answers: Sequence[Answer | None]) -> None:
        """Keep the addresses whose name points back; ask for their HELO name's policy."""
        run, columns = self._run_facts, self._columns
        size = len(columns.names)
        wildcards = run.wildcards
        for question, answer in zip(self.questions[size:], answers[size:], strict=True):
            if answer is not None:
                wildcards.learn_wildcard(question, answer)
        answers = answers[:size]
        confirmed = [
            answer is not None and answer[1] == address and not answer[2]
            for answer, address in zip(answers, zip(columns.texts, strict=True), strict=True)
        ]
        confirmed = self._with_plain_names(confirmed)
        if not all(confirmed):
            for index, answer in enumerate(answers):
                if answer is None:
                    self._fall_back(index, None)
                elif not confirmed[index]:
                    self._rows.add(columns, index, columns.ptrs[index], answer)
            columns = columns.select(confirmed)
            answers = list(compress(answers, confirmed))
        self._columns = columns = columns._replace(forwards=cast("Sequence[Answer]", answers))
        if self._given.are_ptr_names:
            self.questions = ask(columns.names, repeat(TXT))
            return
        self.questions = []
        self._finish_with_given_identities()

    def _with_plain_names(self, confirmed: list[bool]) -> list[bool]:
        """Return which confirmed addresses have a name without escapes, not from a wildcard.

        A name counts as from a wildcard while the answer about the wildcard is missing.
        """
        columns = self._columns
        known = self._run_facts.wildcards.names
        if any(known.get(group.parent) != () for group in dict.fromkeys(columns.groups)):
            confirmed = [
                is_confirmed and known.get(group.parent, ptr.records) != ptr.records
                for is_confirmed, group, ptr in zip(
                    confirmed, columns.groups, columns.ptrs, strict=True
                )
            ]
        joined = "".join(columns.names)
        if "\\" in joined or '"' in joined:
            confirmed = [
                is_confirmed and "\\" not in name and '"' not in name
                for is_confirmed, name in zip(confirmed, columns.names, strict=True)
            ]
        return confirmed

    def _finish_with_given_identities(self) -> None:
        """Finish addresses whose given identities all have a fact from the ranges of a policy."""
        columns, given = self._columns, self._given
        spf: list[str | None] = []
        helos: list[str] = []
        findings: list[list[tuple[str, str]]] = []
        for target, name in zip(columns.targets, columns.names, strict=True):
            codes: list[tuple[str, str]] = []
            facts = given.spf(target, codes)
            spf.append(facts)
            helos.append("" if facts is None else given.helo(target, (name,), codes))
            findings.append(codes)
        is_known = [facts is not None for facts in spf]
        if not all(is_known):
            for index, known in enumerate(is_known):
                if not known:
                    self._fall_back(index, None)
            columns = columns.select(is_known)
            findings = list(compress(findings, is_known))
            helos = list(compress(helos, is_known))
        known_spf = [facts for facts in spf if facts is not None]
        suspect = perhaps_judged(columns.names, columns.texts)
        self._finish_confirmed(columns, known_spf, suspect, findings, helos)

    def _after_policy(self, answers: Sequence[Answer | None]) -> None:
        """Finish addresses without a policy, and those whose policy can be evaluated at once."""
        columns, self.questions = self._columns, []
        if not columns.names:
            return
        suspect = perhaps_judged(columns.names, columns.texts)
        outcomes = [
            NO_POLICY_OUTCOME if answer is not None and answer[0] in _ABSENT else None
            for answer in answers
        ]
        if None in outcomes:
            self._fill_shared_outcomes(outcomes, answers, suspect)
        if None not in outcomes:
            self._finish_with_outcomes(columns, cast("list[HeloOutcome]", outcomes), suspect)
            return
        is_done = [outcome is not None for outcome in outcomes]
        if any(is_done):
            self._finish_with_outcomes(
                columns.select(is_done),
                [outcome for outcome in outcomes if outcome],
                list(compress(suspect, is_done)),
            )
        published = []
        for index, answer in enumerate(answers):
            if answer is None:
                self._fall_back(index, None)
            elif not is_done[index]:
                published.append((index, answer))
        if published:
            self._evaluate(published)

    def _fill_shared_outcomes(
        self,
        outcomes: list[HeloOutcome | None],
        answers: Sequence[Answer | None],
        suspect: Sequence[bool],
    ) -> None:
        """Fill `outcomes` with outcomes shared by many clients, if the first policy has one."""
        shared = self._run_facts.shared_outcomes(self._columns.texts)
        first = next((answer[1] for answer in answers if answer is not None and answer[1]), ())
        if first and shared[first] is not None:
            # A name that is not suspect is a host name, and a valid domain for SPF.
            outcomes[:] = [
                shared[answer[1]]
                if answer is not None and answer[1] and not is_suspect and outcome is None
                else outcome
                for outcome, answer, is_suspect in zip(outcomes, answers, suspect, strict=True)
            ]

    def _evaluate(self, published: list[tuple[int, Answer]]) -> None:
        """Start to evaluate TXT records that are, or may be, SPF policies."""
        from auditor.pipeline.fastpath.helo_spf import HeloSpfBatch  # noqa: PLC0415 - seldom needed

        columns = self._columns
        batch: HeloSpfBatch[tuple[int, Answer]] = HeloSpfBatch()
        for index, answer in published:
            name = columns.names[index]
            batch.add_address((index, answer), columns.texts[index], name, answer)
            # The forward lookup has the answer that policies ask for first.
            forward = _NEW(Question, (name, columns.rdtypes[index]))
            batch.learn_answer(forward, columns.forwards[index])
        self._spf_batch = batch
        self._finish_policies(batch)

    def _finish_policies(self, batch: HeloSpfBatch[tuple[int, Answer]]) -> None:
        """Finish addresses whose policies have been evaluated; the others wait or fall back."""
        done = batch.evaluate()
        indexes = [index for (index, _), fact in done if fact is not None]
        for (index, answer), fact in done:
            if fact is None:
                self._fall_back(index, answer)
        if indexes:
            columns = self._columns.at_indexes(indexes)
            outcomes = [helo_outcome(fact) for _, fact in done if fact is not None]
            suspect = perhaps_judged(columns.names, columns.texts)
            self._finish_with_outcomes(columns, outcomes, suspect)
        self.questions = batch.questions

    def _fall_back(self, index: int, answer: Answer | None) -> None:
        """Leave a target to `audit`, with the questions it has asked one at a time.

        `answer`: to the last of them, if there is one.
        """
        columns = self._columns
        name = columns.names[index] if columns.names else ""
        questions = (
            Question(columns.reverses[index], PTR),
            Question(name, columns.rdtypes[index]),
            Question(name, TXT),
        )
        answers = [column[index] for column in (columns.ptrs, columns.forwards) if column]
        if answer is not None:
            answers.append(answer)
        known = tuple(zip(questions, answers, strict=False))
        self.results.fallbacks.append(
            Fallback(columns.places[index], columns.targets[index], known)
        )

    def _finish_nameless(self, index: int, ptr: Answer) -> bool:
        """Finish an address without a name; return False if it has one or must fall back."""
        run, columns, status = self._run_facts, self._columns, ptr.status
        address, reverse = columns.texts[index], columns.reverses[index]
        if (
            ptr.records
            or ptr.chain
            or run.own.undelegated(reverse, ptr.zone)
            or (run.for_confirmed_only and status not in _ABSENT)
        ):
            return False
        codes: list[tuple[str, str]] = []
        judge_nameless(address, status, codes)
        spf = self._given.spf(columns.targets[index], codes)
        if spf is None:
            return False
        helo = self._given.helo(columns.targets[index], (), codes)
        verdict = self.results.count(codes, columns.groups[index], address, status)
        shown = nameless_json(status, reverse, ptr.zone)
        iprev = f'{{"result":"{unconfirmed_result(status)}","names":[]}}'
        line = address_line(columns, index, verdict, ptr=shown, helo=helo, iprev=iprev, spf=spf)
        self.results.lines.append((columns.places[index], line))
        return True

    def _finish_with_outcomes(
        self, columns: AddressColumns, outcomes: list[HeloOutcome], suspect: list[bool]
    ) -> None:
        """Finish addresses whose name points back; `outcomes`: SPF of their HELO names."""
        spf, codes = zip(*outcomes, strict=True)
        findings = None
        if any(codes):
            findings = [
                [(code, name)] if code else []
                for code, name in zip(codes, columns.names, strict=True)
            ]
        self._finish_confirmed(columns, helo_facts(columns.names, spf), suspect, findings)

    def _finish_confirmed(
        self,
        columns: AddressColumns,
        spf: Sequence[str],
        suspect: list[bool],
        findings: list[list[tuple[str, str]]] | None,
        helos: Iterable[str] = repeat("null"),
    ) -> None:
        """Finish addresses whose name points back; `findings`: about their SPF facts `spf`.

        `suspect`: whether a name may have findings of its own; `helos`: the facts of HELO names.
        """
        if columns.expected:
            findings = findings or [[] for _ in columns.names]
            for name, expected, codes in zip(
                columns.names, columns.expected, findings, strict=True
            ):
                judge_expected(expected, (name,), codes)
        verdicts: Iterable[tuple[str, str]] = repeat(_PASSED)
        clean = len(columns.names)
        if (
            any(suspect)
            or findings
            or not all(group.is_global for group in dict.fromkeys(columns.groups))
        ):
            verdicts = []
            for index, (name, address, group) in enumerate(
                zip(columns.names, columns.texts, columns.groups, strict=True)
            ):
                codes = findings[index] if findings else []
                if suspect[index]:
                    judge_name(name, address, codes, columns.ptrs[index].canonical)
                if codes or not group.is_global:
                    verdicts.append(self.results.count(codes, group, address, NOERROR))
                    clean -= 1
                else:
                    verdicts.append(_PASSED)
        if clean:
            self.results.counts[CLEAN_KEY] = self.results.counts.get(CLEAN_KEY, 0) + clean
        lines = confirmed_lines(columns, spf, verdicts, helos)
        self.results.lines += zip(columns.places, lines, strict=True)
