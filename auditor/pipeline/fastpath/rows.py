"""Fast path, one address at a time: addresses with several PTR names, or with an odd one.

Odd is a name that does not point back, or that has other addresses as well, is an alias, or comes
from a wildcard. These addresses take part in the rounds of their block, with the facts and findings
of `TargetAuditor.audit` but without a generator for each. Those with late or large answers, names
that need escapes, or policies for pyspf fall back to `audit`.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, cast

from auditor.checks.address import MAX_NAMES, confirm, ptr_fact
from auditor.findings.judge import judge_name, judge_names
from auditor.findings.plain_names import perhaps_judged
from auditor.pipeline.fastpath.columns import ask
from auditor.pipeline.fastpath.json_lines import address_line, helo_facts, iprev_json, ptr_json
from auditor.pipeline.fastpath.results import Fallback
from auditor.pipeline.fastpath.verdicts import NO_POLICY_OUTCOME, helo_outcome
from auditor.resolve.answer import Question
from auditor.resolve.cache import large_octets
from auditor.wire.codes import PTR, SETTLED, TXT
from auditor.wire.reverse import is_reverse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import IprevFact
    from auditor.pipeline.fastpath.columns import AddressColumns, AddressGroup
    from auditor.pipeline.fastpath.given import IdentityFacts
    from auditor.pipeline.fastpath.helo_spf import HeloSpfBatch
    from auditor.pipeline.fastpath.results import StepResults
    from auditor.pipeline.fastpath.run_facts import RunFacts
    from auditor.pipeline.fastpath.verdicts import HeloOutcome
    from auditor.resolve.answer import Answer

__all__ = ["AddressRows"]


class _Row:
    """An address: its columns, its index in them, and the facts about its names.

    `suspect`: whether each name may have findings of its own, and needs the full check; `helos`:
    the confirmed names, whose policies are checked; `outcomes`: of these, None where still unknown.
    """

    __slots__ = (
        "columns",
        "forwards",
        "helos",
        "index",
        "iprev",
        "is_for_audit",
        "names",
        "outcomes",
        "ptr",
        "ptr_answer",
        "suspect",
    )
    iprev: IprevFact
    suspect: Sequence[bool]

    def __init__(self, columns: AddressColumns, index: int, ptr_answer: Answer) -> None:
        self.columns = columns
        self.index = index
        self.ptr_answer = ptr_answer
        self.ptr = ptr_fact(columns.reverses[index], ptr_answer)
        self.names = self.ptr.names[:MAX_NAMES]
        self.forwards: Sequence[Answer | None] = ()
        self.helos: list[str] = []
        self.outcomes: list[HeloOutcome | None] = []
        self.is_for_audit = False


class AddressRows:
    """The rounds of these addresses: ask `questions`, `take_answers`, repeat.

    Finished addresses go to `results`.
    """

    def __init__(self, run: RunFacts, given: IdentityFacts, results: StepResults) -> None:
        self._run_facts = run
        self._given = given
        self._results = results
        #: Addresses whose names are being looked up, and then the policies of these.
        self._rows: list[_Row] = []
        self._spf_batch: HeloSpfBatch[tuple[_Row, int]] | None = None
        self.questions: list[Question] = []

    def add(
        self, columns: AddressColumns, index: int, ptr_answer: Answer, *forwards: Answer
    ) -> None:
        """Take an address; `forwards`: the answers about its names, if they have been looked up."""
        row = _Row(columns, index, ptr_answer)
        row.forwards = forwards
        self._rows.append(row)

    def ask_forward(self) -> None:
        """Ask for the addresses of all names."""
        names = [name for row in self._rows for name in row.names]
        rdtypes = [row.columns.rdtypes[row.index] for row in self._rows for _ in row.names]
        self.questions = ask(names, rdtypes)

    def groups(self) -> list[AddressGroup]:
        """Return the groups of neighbours that the addresses are in."""
        return [row.columns.groups[row.index] for row in self._rows]

    def take_answers(self, answers: Sequence[Answer | None]) -> None:
        """Take the answers to `questions`; None for an answer that is late."""
        questions, self.questions = self.questions, []
        if self._spf_batch is not None:
            for question, answer in zip(questions, answers, strict=True):
                self._spf_batch.learn_answer(question, answer)
            self._finish_policies()
        elif any(row.helos for row in self._rows):
            self._after_policy(answers)
        elif self._rows:
            self._after_forward(answers)

    def _after_forward(self, answers: Sequence[Answer | None]) -> None:
        """Find out which names point back; finish addresses, or ask for their names' policies."""
        end = 0
        for row in self._rows:
            if not row.forwards:
                start, end = end, end + len(row.names)
                row.forwards = answers[start:end]
        are_odd = _are_odd(self._rows)
        rows = [
            row for row in self._rows if self._is_looked_up(row, is_odd=are_odd and _are_odd([row]))
        ]
        self._mark_suspect(rows)
        if self._given.are_ptr_names:
            for row in rows:
                row.helos = [name.name for name in row.iprev.names if name.confirms]
        self._rows = [row for row in rows if row.helos]
        helos = [helo for row in self._rows for helo in row.helos]
        self.questions = ask(helos, repeat(TXT))
        for row in rows:
            if not row.helos:
                self._finish_with_given_identities(row)

    def _is_looked_up(self, row: _Row, *, is_odd: bool) -> bool:
        """Work out whether the names of an address point back, unless it must fall back."""
        columns, index = row.columns, row.index
        wildcards = self._run_facts.wildcards
        forwards = [answer for answer in row.forwards if answer is not None]
        is_late = len(forwards) < len(row.names)
        if is_odd or is_late or columns.groups[index].parent not in wildcards.names:
            self._fall_back(row)
            return False
        row.iprev = confirm(columns.texts[index], row.names, forwards)
        if self._run_facts.for_confirmed_only and row.iprev.result != "pass":
            self._fall_back(row)
            return False
        owner = wildcards.wildcard_owner(columns.reverses[index], row.ptr.names)
        if owner:
            row.ptr = row.ptr._replace(wildcard=owner)
        return True

    def _mark_suspect(self, rows: Sequence[_Row]) -> None:
        """Mark the names that may have findings of their own."""
        names = [name for row in rows for name in row.names]
        texts = [row.columns.texts[row.index] for row in rows for _ in row.names]
        suspect = perhaps_judged(names, texts)
        end = 0
        for row in rows:
            start, end = end, end + len(row.names)
            is_elsewhere = not is_reverse(row.ptr.owner)
            row.suspect = [True] * len(row.names) if is_elsewhere else suspect[start:end]

    def _after_policy(self, answers: Sequence[Answer | None]) -> None:
        """Take the answers about the policies of confirmed names, and evaluate them."""
        published: list[tuple[_Row, int, Answer]] = []
        end = 0
        for row in self._rows:
            start, end = end, end + len(row.helos)
            row.outcomes = [None] * len(row.helos)
            for place, answer in enumerate(answers[start:end]):
                if answer is None:
                    row.is_for_audit = True
                elif not answer.records and answer.status in SETTLED:
                    row.outcomes[place] = NO_POLICY_OUTCOME
                else:
                    published.append((row, place, answer))
        if published:
            self._spf_batch = _batch_of(published)
        self._finish_policies()

    def _finish_policies(self) -> None:
        """Finish addresses whose policies have all been evaluated; the others wait or fall back."""
        if self._spf_batch is not None:
            for (row, place), fact in self._spf_batch.evaluate():
                if fact is None:
                    row.is_for_audit = True
                else:
                    row.outcomes[place] = helo_outcome(fact)
            self.questions = self._spf_batch.questions
        waiting = []
        for row in self._rows:
            if row.is_for_audit:
                self._fall_back(row)
            elif None in row.outcomes:
                waiting.append(row)
            else:
                outcomes = cast("list[HeloOutcome]", row.outcomes)
                codes = [
                    (code, name)
                    for name, (_, code) in zip(row.helos, outcomes, strict=True)
                    if code
                ]
                facts = helo_facts(row.helos, [outcome for outcome, _ in outcomes])
                self._finish(row, ",".join(facts), codes)
        self._rows = waiting

    def _finish_with_given_identities(self, row: _Row) -> None:
        """Finish an address, none of whose names is checked for SPF."""
        codes: list[tuple[str, str]] = []
        spf = self._given.spf(row.columns.targets[row.index], codes)
        if spf is None:
            self._fall_back(row)
        else:
            self._finish(row, spf, codes)

    def _finish(self, row: _Row, spf: str, codes: list[tuple[str, str]]) -> None:
        """Finish an address: its SPF facts as JSON, and the findings about them."""
        columns, index, ptr, iprev = row.columns, row.index, row.ptr, row.iprev
        text = columns.texts[index]
        for name, is_suspect in zip(row.names, row.suspect, strict=True):
            if is_suspect:
                judge_name(name, text, codes, ptr.owner)
        expected = columns.expected[index] if columns.expected else ""
        judge_names(text, ptr, iprev, expected, codes)
        helo = self._given.helo(columns.targets[index], ptr.names, codes)
        failed = [name.status for name in iprev.names if name.status not in SETTLED]
        verdict = self._results.count(
            codes, columns.groups[index], text, ptr.status, failed[0] if failed else ""
        )
        line = address_line(
            columns,
            index,
            verdict,
            ptr=ptr_json(ptr),
            helo=helo,
            iprev=iprev_json(iprev),
            spf=spf,
        )
        self._results.lines.append((columns.places[index], line))

    def _fall_back(self, row: _Row) -> None:
        columns, index = row.columns, row.index
        known = ((Question(columns.reverses[index], PTR), row.ptr_answer),)
        fallback = Fallback(columns.places[index], columns.targets[index], known)
        self._results.fallbacks.append(fallback)


def _are_odd(rows: Sequence[_Row]) -> bool:
    """Tell whether any answer is large, or any name has characters that JSON escapes."""
    answers = [answer for row in rows for answer in row.forwards if answer is not None]
    answers += [row.ptr_answer for row in rows]
    texts = [text for row in rows for text in (*row.ptr.names, *row.ptr.chain, row.ptr.owner)]
    joined = "".join(texts)
    return "\\" in joined or '"' in joined or large_octets(answers) > 0


def _batch_of(published: Sequence[tuple[_Row, int, Answer]]) -> HeloSpfBatch[tuple[_Row, int]]:
    """Return the checks of TXT records that are, or may be, policies of an address's names."""
    from auditor.pipeline.fastpath.helo_spf import HeloSpfBatch  # noqa: PLC0415 - seldom needed

    batch: HeloSpfBatch[tuple[_Row, int]] = HeloSpfBatch()
    for row, place, answer in published:
        columns, index = row.columns, row.index
        batch.add_address((row, place), columns.texts[index], row.helos[place], answer)
        for name, forward in zip(row.names, row.forwards, strict=True):
            # The forward lookup has the answer that policies ask for first.
            batch.learn_answer(Question(name, columns.rdtypes[index]), forward)
    return batch
