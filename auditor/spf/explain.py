"""Explains one `check_host()` term by term (`auditor spf --ip`).

The steps are recorded while pyspf evaluates the policy, since it handles every policy, including
macros, `ptr` and `exp=`. Terms that it skips without a lookup are filled in from the text.
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, cast

from auditor.resolve.answer import Question
from auditor.spf.check_host import check_host
from auditor.spf.parser import LOOKUP_TERMS, parse_policy
from auditor.spf.pyspf_evaluator import PyspfQuery
from auditor.spf.records import only_policy, printable
from auditor.wire.codes import TXT, type_name

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from ipaddress import IPv4Address, IPv6Address

    from auditor.resolve.answer import Answer, Rdata, Steps
    from auditor.spf.parser import Policy
    from auditor.spf.result import SpfFact

__all__ = ["AskedLookup", "Outcome", "Trace", "TraceStep", "trace_host"]

#: `match` decided, or led to what decided; `error` ended the evaluation with one.
Outcome: TypeAlias = Literal["match", "no match", "error", "not reached"]

_POSTMASTER: Final = "postmaster"
#: Limits of the lookups of a term that are shown.
_MAX_ASKED: Final = 64
_MAX_RECORDS: Final = 16
_MAX_TEXT_OCTETS: Final = 1024


class AskedLookup(NamedTuple):
    """A lookup on the way: what was asked, the status, and the records for people."""

    name: str
    rdtype: str
    status: str
    records: tuple[str, ...]


class TraceStep(NamedTuple):
    """A mechanism or redirect, and how it went.

    `lookups` and `voids` are the counts after it. `policy` is that of an
    include or redirect, if there is one.
    """

    term: str
    outcome: Outcome
    lookups: int
    voids: int
    asked: tuple[AskedLookup, ...]
    policy: Trace | None


class Trace(NamedTuple):
    """A policy as it was evaluated; `error` is what ended it before its first term, or ""."""

    domain: str
    record: str
    steps: tuple[TraceStep, ...]
    error: str


def trace_host(
    address: str, identity: Literal["helo", "mailfrom"], sender: str, helo: str
) -> Steps[tuple[SpfFact, Trace | None]]:
    """Return the fact of `check_host`, and the trace of its evaluation; None without a policy."""
    answers: dict[Question, Answer] = {}
    fact = yield from _remember(check_host(address, identity, sender, helo), answers)
    policy = only_policy(answers[Question(fact.domain, TXT)]) if fact.record is not None else None
    if policy is None:
        return fact, None
    client = ip_address(address)
    mapped = client.ipv4_mapped if client.version == 6 else None  # noqa: PLR2004 - IP version
    local = sender.rpartition("@")[0] if identity == "mailfrom" else ""
    identified = f"{local or _POSTMASTER}@{fact.domain}"
    while True:
        run = _Traced(mapped or client, identified, helo, answers)
        trace = run.trace(policy.decode("ascii"), fact.explanation or fact.result)
        if not run.lacking:
            return fact, trace
        # pyspf reads every term first, and `%{p}` there needs names that nothing depends on.
        lacking = list(run.lacking)
        answers.update(zip(lacking, (yield lacking), strict=True))


def _remember(
    steps: Steps[SpfFact], answers: dict[Question, Answer]
) -> Generator[Sequence[Question], Sequence[Answer], SpfFact]:
    """Pass questions and answers on, and keep them."""
    try:
        questions = next(steps)
        while True:
            received = yield questions
            answers.update(zip(questions, received, strict=True))
            questions = steps.send(received)
    except StopIteration as end:
        fact: SpfFact = end.value
        return fact


class _Note:
    """A term that costs a lookup, while it is evaluated."""

    def __init__(self) -> None:
        self.asked: list[AskedLookup] = []
        self.policy: _Level | None = None
        self.spent = (0, 0)


class _Level:
    """A policy while it is evaluated: a note for each of its terms that cost a lookup.

    `matched` is the mechanism that decided, None if none did or a redirect was followed.
    """

    def __init__(self, domain: str, text: str, spent: tuple[int, int]) -> None:
        self.domain = domain
        self.text = text
        self.spent = spent
        self.notes: list[_Note] = []
        self.matched: str | None = None
        self.failed = True

    def finish(self, error: str) -> Trace:
        """Return the policy with all its terms; `error` is what the evaluation ended with."""
        policy = parse_policy(self.text)
        before = error if self.failed and not self.notes else ""
        return Trace(self.domain, self.text, tuple(self._steps(policy, error)), before)

    def _steps(self, policy: Policy, error: str) -> Iterator[TraceStep]:
        """Assign the notes to the terms: each belongs to the next term that costs lookups."""
        notes = iter(self.notes)
        left = len(self.notes)
        ended = self.failed and not self.notes
        spent = self.spent
        terms = (
            policy.mechanisms if policy.redirect is None else (*policy.mechanisms, policy.redirect)
        )
        for term in terms:
            note = next(notes, None) if term.kind in LOOKUP_TERMS and not ended else None
            if note is not None:
                left -= 1
                spent = note.spent
            outcome: Outcome = "no match"
            if ended or (note is None and term.kind in LOOKUP_TERMS):
                outcome = "not reached"
            elif not left and self.failed and note is not None:
                outcome = "error"
            elif not left and (term.kind == "redirect" or term.text == self.matched):
                outcome = "match"
            ended = ended or outcome in {"error", "match"}
            inner = note.policy.finish(error) if note is not None and note.policy else None
            asked = tuple(note.asked) if note is not None else ()
            yield TraceStep(term.text, outcome, *spent, asked, inner)


class _Traced(PyspfQuery):
    """A run of pyspf that notes what it does."""

    def __init__(
        self,
        client: IPv4Address | IPv6Address,
        sender: str,
        helo: str,
        answers: Mapping[Question, Answer],
    ) -> None:
        super().__init__(client, sender, helo, answers)
        self._top: _Level | None = None
        self._levels: list[_Level] = []

    def trace(self, policy: str, error: str) -> Trace | None:
        """Evaluate a policy and return its trace; `error` is that of the result, if any."""
        # Whatever pyspf stumbles over is a permerror in `check_host`, too.
        with suppress(Exception):
            self.check(policy)
        return self._top.finish(error) if self._top is not None else None

    def check0(self, spf_text: str | None, recursion: int) -> tuple[str, int, str]:
        """Note a policy, and its result."""
        level = _Level(self.d, spf_text or "", self._spent)
        if self._levels:
            self._levels[-1].notes[-1].policy = level
        else:
            self._top = level
        self._levels.append(level)
        try:
            outcome = super().check0(spf_text, recursion)
            level.failed = False
            level.matched = self.mechanism
            return outcome
        finally:
            self._done(level)
            self._levels.pop()

    def check_lookups(self) -> None:
        """Note a term that costs a lookup: this is called first for each of them."""
        level = self._levels[-1]
        self._done(level)
        level.notes.append(_Note())
        super().check_lookups()

    def lookup(self, owner: str, rdtype: int) -> Sequence[Rdata]:
        """Note a lookup, if it counts."""
        answer = self.answers.get(Question(owner, rdtype))
        notes = self._levels[-1].notes if self._levels else []
        if answer is not None and notes and self.counting and len(notes[-1].asked) < _MAX_ASKED:
            notes[-1].asked.append(_asked(owner, rdtype, answer))
        return super().lookup(owner, rdtype)

    @property
    def _spent(self) -> tuple[int, int]:
        return self.lookups, self.void_lookups

    def _done(self, level: _Level) -> None:
        """Note the counts after the last term so far."""
        if level.notes:
            level.notes[-1].spent = self._spent


def _asked(owner: str, rdtype: int, answer: Answer) -> AskedLookup:
    records = tuple(_shown(record) for record in answer.records[:_MAX_RECORDS])
    return AskedLookup(owner, type_name(rdtype), answer.status, records)


def _shown(record: Rdata) -> str:
    if isinstance(record, str):
        return record
    if isinstance(record, tuple) and isinstance(record[0], int):
        return " ".join(str(part) for part in record)
    return printable(b"".join(cast("tuple[bytes, ...]", record))[:_MAX_TEXT_OCTETS])
