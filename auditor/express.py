"""The short way of most addresses: a block at a time, without an object for each step.

An address with one PTR name that points back and whose HELO name has no policy, or an
address with no name at all: nine targets in ten. Their rounds of questions and their records
are made here in plain loops, with the same judgement and to the same octet as `audit` makes
them; a test holds the two together. Whatever is out of the ordinary, from the first sign on,
is left to `audit`, with the answers that are there already.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import orjson

from auditor.checks.reach import is_global
from auditor.findings.judge import judge_name, verdict, weigh
from auditor.resolve.answer import Answer, Question
from auditor.wire.codes import AAAA, NODATA, NOERROR, NXDOMAIN, PTR, TXT, A
from auditor.wire.names import is_hostname
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.ptr import Wildcards
    from auditor.findings.ruling import Ruling
    from auditor.targets.target import Block, Target

__all__ = ["Express", "Left", "Rounds"]

_V4: Final = 4
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

    `plain`: whether targets without identities of their own get none from the settings
    either, so that the HELO name is the PTR name; `spf`: whether SPF is checked.
    """

    def __init__(self, ruling: Ruling, wildcards: Wildcards, *, plain: bool, spf: bool) -> None:
        self.ruling = ruling
        self.wildcards = wildcards
        self.plain = plain
        self.spf = spf

    def begin(self, block: Block) -> Rounds:
        """Return a block's rounds, the first questions ready."""
        return Rounds(self, block)


class _Named(NamedTuple):
    """An address with its one name, on its way."""

    place: int
    target: Target
    reverse: str
    ptr: Answer
    name: str
    forward: Answer | None


class Rounds:
    """The rounds of one block: ask `questions`, give their answers to `step`, again and again.

    `lines` and `left` hold what has come of it since the last step; `alike` counts the
    lines by all that a tally wants to know. No more questions: the block is through.
    """

    __slots__ = (
        "_express",
        "_first",
        "_named",
        "_round",
        "alike",
        "left",
        "lines",
        "questions",
    )

    def __init__(self, express: Express, block: Block) -> None:
        self._express = express
        self.lines: list[tuple[int, bytes]] = []
        self.left: list[Left] = []
        self.alike: Counter[Alike] = Counter()
        self.questions: list[Question] = []
        self._named: list[_Named] = []
        # A number and not a method: a method of its own would keep the object alive.
        self._round = 0
        plain = express.plain
        first: list[tuple[int, Target, str]] = []
        for index, target in enumerate(block):
            origin = target.origin
            if target.kind == "ip" and plain and origin.helo is None and not origin.mail_from:
                first.append((index, target, reverse_name(target.text)))
            else:
                self.left.append(Left(index, target, ()))
        self._first = first
        self.questions = [Question(reverse, PTR) for _, _, reverse in first]

    def step(self, answers: Sequence[Answer | None]) -> None:
        """Take the answers to `questions`, None for those that are late."""
        self.lines = []
        self.left = []
        self.alike = Counter()
        self._round += 1
        if self._round == 1:
            self._after_ptr(answers)
        elif self._round == 2:  # noqa: PLR2004 - the second of three
            self._after_forward(answers)
        else:
            self._after_policy(answers)

    def _after_ptr(self, answers: Sequence[Answer | None]) -> None:
        """Tell addresses with one name from those with none; ask for the names' addresses."""
        wildcards = self._express.wildcards
        named: list[_Named] = []
        questions: list[Question] = []
        probes: set[Question] = set()
        for (index, target, reverse), answer in zip(self._first, answers, strict=False):
            if answer is None:
                self.left.append(Left(index, target, ()))
                continue
            status, records, chain, _, _, _ = answer
            if status == NOERROR and len(records) == 1 and not chain:
                name = str(records[0])
                named.append(_Named(index, target, reverse, answer, name, None))
                questions.append(Question(name, A if target.version == _V4 else AAAA))
                probe = wildcards.question(reverse)
                if probe is not None:
                    probes.add(probe)
            elif status in _ABSENT and not chain:
                self._nameless(index, target, status)
            else:
                known = ((Question(reverse, PTR), answer),)
                self.left.append(Left(index, target, known))
        self._named = named
        self.questions = [*questions, *probes]

    def _after_forward(self, answers: Sequence[Answer | None]) -> None:
        """Keep the addresses whose name points back; ask for their HELO name's policy."""
        express = self._express
        wildcards = express.wildcards
        for place in range(len(self._named), len(self.questions)):
            answer = answers[place]
            if answer is not None:
                wildcards.learn(self.questions[place], answer)
        confirmed: list[_Named] = []
        for one, question, answer in zip(self._named, self.questions, answers, strict=False):
            index, target, reverse, ptr, name, _ = one
            if (
                answer is None
                or answer.records != (target.text,)
                or answer.chain
                or wildcards.question(reverse) is not None
                or wildcards.owner(reverse, ptr.records)  # type: ignore[arg-type]
                or not is_hostname(name)
            ):
                known = [(Question(reverse, PTR), ptr)]
                if answer is not None:
                    known.append((question, answer))
                self.left.append(Left(index, target, tuple(known)))
            elif express.spf:
                confirmed.append(one._replace(forward=answer))
            else:
                self._confirmed(one, spf="")
        self._named = confirmed
        self.questions = [Question(one.name, TXT) for one in confirmed]

    def _after_policy(self, answers: Sequence[Answer | None]) -> None:
        """Finish those without TXT records; a policy, or anything like one, goes the long way."""
        for one, question, answer in zip(self._named, self.questions, answers, strict=False):
            if answer is not None and answer.status in _ABSENT:
                self._confirmed(one, spf=_NO_POLICY % one.name)
                continue
            _, target, reverse, ptr, name, forward = one
            known = [(Question(reverse, PTR), ptr)]
            if forward is not None:
                rdtype = A if target.version == _V4 else AAAA
                known.append((Question(name, rdtype), forward))
                if answer is not None:
                    known.append((question, answer))
            self.left.append(Left(one.place, target, tuple(known)))
        self._named = []
        self.questions = []

    def _nameless(self, index: int, target: Target, status: str) -> None:
        address = target.text
        found = [("PTR_MISSING", address)]
        findings = self._judged(target, found, status)
        self._line(index, target, findings, _NAMELESS % status)

    def _confirmed(self, one: _Named, *, spf: str) -> None:
        target, name = one.target, one.name
        found: list[tuple[str, str]] = []
        judge_name(name, target.text, found)
        findings = self._judged(target, found, NOERROR)
        self._line(one.place, target, findings, _CONFIRMED % (name, name, target.text, spf))

    def _judged(self, target: Target, found: list[tuple[str, str]], status: str) -> tuple[str, str]:
        """Weigh the findings, count the record, return verdict and findings as JSON."""
        if not is_global(target.text, target.version):
            found.append(("TARGET_NOT_GLOBAL", target.text))
        findings = weigh(found, self._express.ruling) if found else []
        if not findings:
            self.alike["pass", (), status] += 1
            return "pass", "[]"
        outcome = verdict(findings)
        codes = tuple((code, severity) for code, severity, _ in findings)
        self.alike[outcome, codes, status] += 1
        # Codes are plain, and subjects are addresses and host names: nothing to escape.
        listed = ",".join([_FINDING % finding for finding in findings])
        return outcome, f"[{listed}]"

    def _line(self, index: int, target: Target, judged: tuple[str, str], facts: str) -> None:
        labels = target.origin.labels
        shown = orjson.dumps(dict(labels)).decode() if labels else "{}"
        line = (
            f'{{"target":"{target.text}","kind":"ip","verdict":"{judged[0]}",'
            f'"findings":{judged[1]},{facts},"domain":null,"labels":{shown},"error":null}}\n'
        )
        self.lines.append((index, line.encode()))


_FINDING: Final = '{"code":"%s","severity":"%s","subject":"%s"}'
_NAMELESS: Final = (
    '"ptr":{"status":"%s","names":[],"chain":[]},"iprev":{"result":"permerror","names":[]},"spf":[]'
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
