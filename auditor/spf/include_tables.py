"""Evaluates included policies once for all addresses and all policies that include them.

The result of an included policy for an address depends on the lookups and voids spent before, and
on nothing else unless macros name the sender. So there is a table for each policy and each such
count, and the part needed is cut out of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auditor.spf.range_evaluator import RangeEvaluation, RangePart
from auditor.spf.records import Answers
from auditor.wire.address_set import EVERYTHING, intersection

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from auditor.resolve.answer import Answer, Question, Steps
    from auditor.spf.macros import MacroValues
    from auditor.spf.range_evaluator import Groups

__all__ = ["IncludeTables", "KnownAnswers", "TableEvaluation", "is_settled"]

#: Answers that one evaluation may use; the same limit as in `records`.
_MAX_USED_ANSWERS: Final = 400


class KnownAnswers(Answers):
    """Answers shared by many evaluations, with a limit of those that one evaluation uses."""

    def __init__(self, known: dict[Question, Answer]) -> None:
        super().__init__()
        self.known = known
        self._times = 0

    def ask_unknown(self, questions: Sequence[Question]) -> Steps[list[Answer]]:
        """Return the answers to questions, asking for those that are not known."""
        self._times += len(questions)
        known = self.known
        try:
            return [known[question] for question in questions]
        except KeyError:
            return (yield from super().ask_unknown(questions))

    @property
    def exhausted(self) -> bool:
        """Whether the limit of answers is reached."""
        return self._times >= _MAX_USED_ANSWERS


def is_settled(parts: Sequence[RangePart]) -> bool:
    """Tell whether no lookup failed: a failed one is not kept, so that it is tried again."""
    return all(label.result != "temperror" for _, label in parts)


class IncludeTables:
    """Tables of included policies; `intervals`: how many there are in all of them."""

    __slots__ = ("_known", "intervals")

    def __init__(self) -> None:
        self._known: dict[Hashable, list[RangePart]] = {}
        self.intervals = 0

    def known_table(self, key: Hashable) -> list[RangePart] | None:
        """Return a table, None if it is not known."""
        return self._known.get(key)

    def keep(self, key: Hashable, table: list[RangePart]) -> None:
        """Keep a table."""
        self._known[key] = table
        self.intervals += sum(len(ranges) for ranges, _ in table)

    def clear(self) -> None:
        """Forget all tables."""
        self._known.clear()
        self.intervals = 0


class TableEvaluation(RangeEvaluation):
    """The evaluation of included policies, each once for all addresses of equal cost so far.

    The part for some addresses is cut out of it.
    """

    __slots__ = ("_tables",)

    def __init__(
        self, tables: IncludeTables, version: int, values: MacroValues, answers: Answers
    ) -> None:
        super().__init__(version, values, answers)
        self._tables = tables

    def evaluate_policy(
        self, text: bytes, domain: str, groups: Groups, *, included: bool = False
    ) -> Steps[list[RangePart]]:
        """Evaluate the policy of a domain for all groups, as for `RangeEvaluation`."""
        found = []
        for spent, ranges in groups.items():
            table = yield from self._table(text, domain, spent, included=included)
            for everywhere, label in table:
                clipped = intersection(everywhere, ranges)
                if clipped:
                    found.append(RangePart(clipped, label))
        return found

    def _table(
        self, text: bytes, domain: str, spent: tuple[int, int], *, included: bool
    ) -> Steps[list[RangePart]]:
        key = self._version, text, domain, spent, included
        table = self._tables.known_table(key)
        if table is None:
            clients: Groups = {spent: [EVERYTHING[self._version]]}
            table = yield from super().evaluate_policy(text, domain, clients, included=included)
            if not self.is_cut_short and is_settled(table):
                self._tables.keep(key, table)
        return table
