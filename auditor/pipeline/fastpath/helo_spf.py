"""SPF checks of the HELO names of a block, each with its own policy: `spf.evaluator` in batches.

Loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from auditor.spf.check_host import helo_policy
from auditor.spf.evaluator import client_of, helo_fact, shared_outcome
from auditor.spf.records import policies, printable
from auditor.spf.result import SpfFact, fact_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Answer, Question, Rdata
    from auditor.spf.evaluator import Client

__all__ = ["HeloSpfBatch", "shared_fact"]

T = TypeVar("T")


class HeloSpfBatch(Generic[T]):
    """Checks the HELO names of many addresses concurrently, without a generator for each.

    `add_address` for each, `evaluate`, `learn_answer` for each of `questions`, `evaluate` again:
    until there are no more questions. Each check has an `item` of the caller's own.
    """

    __slots__ = ("_asked", "_known", "_waiting", "questions")

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self._asked: set[Question] = set()
        self._known: dict[Question, Answer] = {}
        self._waiting: list[tuple[T, Client, str, SpfFact | bytes | None]] = []

    def add_address(self, item: T, address: str, name: str, answer: Answer) -> None:
        """Take the HELO name (canonical) of an address, with the answer to its TXT question."""
        self._waiting.append((item, client_of(address), name, helo_policy(name, answer)))

    def learn_answer(self, question: Question, answer: Answer | None) -> None:
        """Take an answer, None if it is late: then the checks that need it have no fact."""
        if answer is not None:
            self._known[question] = answer

    def evaluate(self) -> list[tuple[T, SpfFact | None]]:
        """Return the finished checks, with the fact, or None if they need `check_host`."""
        done: list[tuple[T, SpfFact | None]] = []
        waiting: list[tuple[T, Client, str, SpfFact | bytes | None]] = []
        lacking: dict[Question, None] = {}
        for check in self._waiting:
            item, client, name, policy = check
            if not isinstance(policy, bytes):
                done.append((item, policy))
                continue
            fact = helo_fact(client, name, policy, self._known)
            if not isinstance(fact, list):
                done.append((item, fact))
            elif self._asked.isdisjoint(fact):
                waiting.append(check)
                lacking.update(dict.fromkeys(fact))
            else:
                done.append((item, None))
        self._asked.update(lacking)
        self._waiting = waiting
        self.questions = list(lacking)
        return done


def shared_fact(records: Sequence[Rdata], version: int) -> SpfFact | None:
    """Return the fact that TXT records give for any client with an address of their HELO name.

    Its domain is left open (""). None if the fact depends on the client.
    """
    texts = policies(records)
    if not texts:
        return SpfFact("helo", "", "none", None, 0, 0, None, None)
    if len(texts) != 1 or not texts[0].isascii():
        return None
    outcome = shared_outcome(texts[0], version)
    return fact_of("helo", "", outcome, printable(texts[0])) if outcome else None
