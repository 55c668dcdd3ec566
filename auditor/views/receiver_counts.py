"""What receivers do to the addresses of results, by their published rules, as numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.findings.receivers import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.findings.receivers import Receiver

__all__ = ["EFFECTS", "ReceiverCount", "ReceiverCounts"]

#: What is counted of a receiver, strictest first: the effects in any case, then those under a
#: condition.
EFFECTS: Final = ("refuse", "defer", "junk", "score", "depends")


class ReceiverCount(NamedTuple):
    """For how many addresses a receiver has published each of EFFECTS, the strictest of each."""

    key: str
    name: str
    counts: dict[str, int]

    @property
    def total(self) -> int:
        """For how many addresses there is any rule."""
        return sum(self.counts.values())


class ReceiverCounts:
    """Counts the addresses of results by the facts that rules are about."""

    def __init__(self, chosen: Sequence[Receiver]) -> None:
        self._chosen = chosen
        self._facts: Counter[frozenset[str]] = Counter()

    @property
    def addresses(self) -> int:
        """How many there were."""
        return self._facts.total()

    def count_record(self, record: Mapping[str, Any], times: int = 1) -> None:
        """Count a record `times` times, if it is that of an address."""
        if record["kind"] == "ip":
            self._facts[facts_of(record)] += times

    def rows(self) -> list[ReceiverCount]:
        """Return the counts of each receiver, those that act on the most addresses first."""
        rows = [self._row(receiver) for receiver in self._chosen]
        return sorted(rows, key=lambda row: tuple(-row.counts[effect] for effect in EFFECTS))

    def _row(self, receiver: Receiver) -> ReceiverCount:
        counts = dict.fromkeys(EFFECTS, 0)
        for facts, number in self._facts.items():
            found = [
                EFFECTS.index(rule.effect if rule.is_certain else "depends")
                for rule in receiver.rules
                if rule.when <= facts
            ]
            if found:
                counts[EFFECTS[min(found)]] += number
        return ReceiverCount(receiver.key, receiver.name, counts)

    def as_json(self) -> dict[str, Any]:
        """Return `{"addresses","receivers":[{"receiver","name",EFFECT: n}]}`."""
        return {
            "addresses": self.addresses,
            "receivers": [
                {"receiver": row.key, "name": row.name, **row.counts} for row in self.rows()
            ],
        }
