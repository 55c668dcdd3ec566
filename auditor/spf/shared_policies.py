"""Evaluates many policies for all addresses at once, sharing common includes.

A hundred thousand domains include the same ten policies. The evaluation is that of
`range_evaluator`; only the sets of addresses are kept differently. Matches of a policy's own
networks are kept beside the sets, which are therefore the same for all domains that spend and
include the same in the same order, and are computed once: a `_State` of the evaluation, and the
`_Step` that leads from it to the next one. The addresses that pass in a step are one
`SharedRanges` for all of these domains; for each domain only the addresses that it had decided
before are noted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from auditor.spf.include_tables import IncludeTables, KnownAnswers, TableEvaluation, is_settled
from auditor.spf.macros import MacroValues
from auditor.spf.parser import parsed
from auditor.spf.range_evaluator import Level, RangeEvaluation
from auditor.spf.shared_ranges import (
    WIDEST,
    EvaluationTrouble,
    PolicyRanges,
    SharedRanges,
    is_wide,
)
from auditor.wire.address_set import EVERYTHING, add_range, address_count, overlaps, uncovered

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from auditor.resolve.answer import Answer, Question, Steps
    from auditor.spf.parser import Term
    from auditor.spf.range_evaluator import Groups, Path, RangePart
    from auditor.spf.records import Answers
    from auditor.spf.shared_ranges import Piece
    from auditor.wire.address_set import Interval

__all__ = ["SharedPolicies"]

#: Intervals in the states that are kept, about 70 octets each; beyond that, all are dropped.
_MAX_KEPT_INTERVALS: Final = 1_000_000
_NO_DOMAIN: Final = ""
#: Addresses of the widest network that is not too wide.
_WIDE: Final = {version: EVERYTHING[version][1] + 1 >> length for version, length in WIDEST.items()}


class _State:
    """Addresses that are still being evaluated, without regard to own networks; and the steps."""

    __slots__ = ("groups", "steps")

    def __init__(self, groups: Groups) -> None:
        self.groups = groups
        self.steps: dict[Hashable, _Step] = {}


class _Step(NamedTuple):
    """A step from a state to the next, and the addresses that leave the evaluation there.

    `most` is the size of the largest part that leaves, with its result.
    """

    after: _State
    passing: SharedRanges | None
    wide: tuple[Path, ...]
    undetermined: tuple[Path, ...]
    errors: tuple[EvaluationTrouble, ...]
    most: tuple[int, str | None]


class _SharedLevel(Level):
    """The policy of a domain on the way, its own networks apart from the shared state."""

    __slots__ = ("errors", "most", "own", "policies", "shared", "state", "taken", "undetermined",
                 "version", "wide")  # fmt: skip

    def __init__(
        self, policies: SharedPolicies, version: int, domain: str, *, explained: bool
    ) -> None:
        state = policies.beginning(version, explained=explained)
        super().__init__(domain, state.groups, explained=explained)
        self.state = state
        self.policies = policies
        self.version = version
        #: Addresses that own networks have decided, with any result.
        self.taken: list[Interval] = []
        self.own: list[tuple[int, int, str]] = []
        self.shared: list[tuple[SharedRanges, tuple[Piece, ...]]] = []
        self.wide: dict[Path, None] = {}
        self.undetermined: dict[Path, None] = {}
        self.errors: dict[EvaluationTrouble, None] = {}
        self.most: tuple[int, str | None] = (0, None)

    def end_evaluation(self, text: str | None, result: str | None, trouble: str = "") -> None:
        """End the evaluation of all addresses that are left."""
        key = None if trouble else ("end", text, result)
        self._operate(key, lambda level: level.end_evaluation(text, result, trouble))

    def spend(self, text: str) -> None:
        """Count a lookup for all that are left."""
        self._count(text, 1, 0, "lookups")

    def _count(self, text: str, lookups: int, voids: int, trouble: str) -> None:
        short = (lookups, voids)
        if short in self.state.steps:
            self.follow(self.state.steps[short])
            return
        plain = self.plain()
        plain._count(text, lookups, voids, trouble)  # noqa: SLF001 - a level of the same kind
        # The term is named only if it exceeds the limit of lookups.
        self.follow(self.policies.step(self.state, None if plain.parts else short, plain, self))

    def match(self, term: Term, spans: Iterable[Interval], *, certain: bool = True) -> None:
        """Let a mechanism match what lies in any of the spans, which are disjoint."""
        passes = term.result == "pass"
        for first, last in spans:
            if (first, last) == EVERYTHING[self.version]:
                self._match_all(term, certain=certain)
                continue
            if passes and last - first >= _WIDE[self.version]:
                self.wide[((_NO_DOMAIN, term.text),)] = None
            elif passes:
                new = uncovered(self.taken, first, last)
                for ranges in self.groups.values():
                    for low, high in new:
                        self.own += [
                            (start, end, term.text) for start, end in overlaps(ranges, low, high)
                        ]
            add_range(self.taken, first, last)

    def _match_all(self, term: Term, *, certain: bool) -> None:
        def operate(level: Level) -> None:
            level.match(term, [EVERYTHING[self.version]], certain=certain)

        self._operate(("match", term.text, certain), operate)

    def _operate(self, key: Hashable, operate: Callable[[Level], None]) -> None:
        step = self.state.steps.get(key) if key is not None else None
        if step is None:
            plain = self.plain()
            operate(plain)
            step = self.policies.step(self.state, key, plain, self)
        self.follow(step)

    def plain(self) -> Level:
        """Return a level of the usual kind with the addresses left in the shared state."""
        groups = {spent: list(ranges) for spent, ranges in self.state.groups.items()}
        return Level(self.domain, groups, explained=self.explained)

    def follow(self, step: _Step) -> None:
        """Go on to the next state, and note the addresses that leave."""
        self.state = step.after
        self.groups = step.after.groups
        if not step.most[0]:
            return
        if step.passing is not None:
            exceptions = step.passing.overlaps(self.taken) if self.taken else ()
            self.shared.append((step.passing, tuple(exceptions)))
        self.wide.update(dict.fromkeys(step.wide))
        self.undetermined.update(dict.fromkeys(step.undetermined))
        self.errors.update(dict.fromkeys(step.errors))
        self.most = max(self.most, step.most, key=_amount)

    def outcome(self) -> PolicyRanges:
        """Return the outcome of the evaluation."""
        return PolicyRanges(
            tuple(self.own),
            tuple(self.shared),
            tuple(self.wide),
            tuple(self.undetermined),
            tuple(self.errors),
            self.most[1],
        )


class _SharedEvaluation(RangeEvaluation):
    """The evaluation of a policy whose includes and redirect are steps that are shared."""

    __slots__ = ("_policies",)

    def __init__(
        self, policies: SharedPolicies, version: int, values: MacroValues, answers: Answers
    ) -> None:
        super().__init__(version, values, answers)
        self._policies = policies

    def include(self, term: Term, target: str, level: Level) -> Steps[None]:
        """Follow the step of an include."""

        def evaluate(evaluation: RangeEvaluation, plain: Level) -> Steps[None]:
            return evaluation.include(term, target, plain)

        yield from self._step(("include", term.text, target), evaluate, level)

    def redirect(self, term: Term, level: Level, *, included: bool) -> Steps[None]:
        """Follow the step of a redirect."""

        def evaluate(evaluation: RangeEvaluation, plain: Level) -> Steps[None]:
            return evaluation.redirect(term, plain, included=included)

        target = self._values.expand(term.pieces, level.domain)
        yield from self._step(("redirect", term.text, target), evaluate, level)

    def _step(
        self,
        key: Hashable,
        evaluate: Callable[[RangeEvaluation, Level], Steps[None]],
        level: Level,
    ) -> Steps[None]:
        shared = cast("_SharedLevel", level)
        state = shared.state
        step = state.steps.get(key)
        if step is None:
            plain = shared.plain()
            values = MacroValues(self._version, None, None, None)
            answers = KnownAnswers(self._answers.known)
            evaluation = TableEvaluation(self._policies.tables, self._version, values, answers)
            yield from evaluate(evaluation, plain)
            step = self._policies.step(state, key, plain, shared)
        shared.follow(step)


class SharedPolicies:
    """The states and steps that policies share, for both IP versions."""

    __slots__ = ("_beginnings", "_common", "_ended", "_intervals", "_is_wide", "_passing", "tables")

    def __init__(self) -> None:
        self._beginnings: dict[tuple[int, bool], _State] = {}
        #: Outcomes of policies that do not depend on the domain that publishes them.
        self._common: dict[tuple[bytes, int], PolicyRanges] = {}
        self._ended = _State({})
        self._passing: dict[tuple[Piece, ...], SharedRanges] = {}
        self.tables = IncludeTables()
        self._is_wide: dict[tuple[str, int], bool] = {}
        self._intervals = 0

    def evaluate(
        self, domain: str, policy: bytes, version: int, known: dict[Question, Answer]
    ) -> Steps[PolicyRanges]:
        """Return what the policy of a domain authorises.

        Answers are taken from `known`; missing ones are asked for and added to it.
        """
        terms = parsed(policy)
        # What a percent sign begins may be a macro.
        is_common = b"%" not in policy and not any(map(_is_about_its_domain, terms.terms))
        if is_common and (policy, version) in self._common:
            return self._common[policy, version]
        level = _SharedLevel(self, version, domain, explained=terms.exp is None)
        values = MacroValues(version, domain, None, None)
        answers = KnownAnswers(known)
        yield from _SharedEvaluation(self, version, values, answers).walk(terms, level)
        if any(_names_the_sender_domain(path) for path in level.undetermined):
            # %{o} differs for each domain: nothing can be shared.
            answers = KnownAnswers(known)
            clients: Groups = {(0, 0): [EVERYTHING[version]]}
            evaluation = RangeEvaluation(version, values, answers)
            parts = yield from evaluation.evaluate_policy(policy, domain, clients)
            level = _SharedLevel(self, version, domain, explained=True)
            level.follow(self._step_of(parts, self._ended, version))
        outcome = level.outcome()
        if is_common and all(error.result != "temperror" for error in outcome.errors):
            self._common[policy, version] = outcome
            self._intervals += 1 + len(outcome.own)
        return outcome

    def beginning(self, version: int, *, explained: bool) -> _State:
        """Return the state that evaluations begin in."""
        if self._intervals + self.tables.intervals > _MAX_KEPT_INTERVALS:
            self._intervals = 0
            self._beginnings.clear()
            self._common.clear()
            self.tables.clear()
            self._is_wide.clear()
        key = version, explained
        if key not in self._beginnings:
            self._beginnings[key] = _State({(0, 0): [EVERYTHING[version]]})
        return self._beginnings[key]

    def step(self, state: _State, key: Hashable, plain: Level, level: _SharedLevel) -> _Step:
        """Return the step that a level has gone from a state; it is kept if it has a key."""
        after = _State(plain.groups) if plain.groups else self._ended
        step = self._step_of(plain.parts, after, level.version)
        if key is not None and is_settled(plain.parts):
            self._intervals += 1 + sum(map(len, plain.groups.values()))
            state.steps[key] = step
        return step

    def is_wide(self, text: str | None, version: int) -> bool:
        """Tell whether a passing term matches every address, or nearly."""
        if text is None:
            return False
        key = text, version
        if key not in self._is_wide:
            if len(self._is_wide) > _MAX_KEPT_INTERVALS:
                self._is_wide.clear()
            self._is_wide[key] = is_wide(text, version)
        return self._is_wide[key]

    def _step_of(self, parts: Sequence[RangePart], after: _State, version: int) -> _Step:
        pieces = []
        wide, undetermined, errors = [], [], []
        most: tuple[int, str | None] = (0, None)
        for ranges, label in parts:
            path = ((_NO_DOMAIN, label.path[0][1]), *label.path[1:])
            most = max(most, (address_count(ranges), label.result), key=_amount)
            if label.result is None:
                undetermined.append(path)
            elif label.result in {"permerror", "temperror"}:
                errors.append(EvaluationTrouble(label.result, path, label.trouble))
            elif label.result == "pass":
                if self.is_wide(path[-1][1], version):
                    wide.append(path)
                else:
                    pieces += [(first, last, path) for first, last in ranges]
        passing = None
        if pieces:
            key = tuple(sorted(pieces, key=_first))
            if key not in self._passing:
                self._passing[key] = SharedRanges(key)
                self._intervals += len(key)
            passing = self._passing[key]
        return _Step(after, passing, tuple(wide), tuple(undetermined), tuple(errors), most)


def _amount(part: tuple[int, str | None]) -> int:
    return part[0]


def _first(piece: Piece) -> int:
    return piece[0]


def _is_about_its_domain(term: Term) -> bool:
    return term.spec is None and term.kind in {"a", "mx", "ptr"}


def _names_the_sender_domain(path: Path) -> bool:
    return "%{o" in (path[-1][1] or "").lower()
