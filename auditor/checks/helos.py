"""The SPF stage for a block's HELO names, each with a policy of its own.

For those whose policies need no more than `spf.direct`; loaded when the first one is met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from auditor.spf.direct import client_of, helo_fact, outright
from auditor.spf.evaluate import SpfFact, evaluated, helo_policy
from auditor.spf.policy import policies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Answer, Question, Rdata
    from auditor.spf.direct import Client

__all__ = ["Helos", "shared_fact"]

T = TypeVar("T")


class Helos(Generic[T]):
    """HELO names of many addresses, checked side by side without a generator for each.

    `add` them all, `evaluate`, `learn` the answers to `questions`, `evaluate` again: until
    there are no more questions. Each name stands for a thing of the caller's own.
    """

    __slots__ = ("_asked", "_known", "_waiting", "questions")

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self._asked: set[Question] = set()
        self._known: dict[Question, Answer] = {}
        self._waiting: list[tuple[T, Client, str, SpfFact | bytes | None]] = []

    def add(self, thing: T, address: str, name: str, answer: Answer) -> None:
        """Take the HELO name (canonical) of an address, with the answer to its TXT question."""
        self._waiting.append((thing, client_of(address), name, helo_policy(name, answer)))

    def learn(self, question: Question, answer: Answer | None) -> None:
        """Take an answer, None if it is late: then whoever lacks it is not waited for."""
        if answer is not None:
            self._known[question] = answer

    def evaluate(self) -> list[tuple[T, SpfFact | None]]:
        """Return who is done: with the fact, or None where `check_host` has to be asked."""
        done: list[tuple[T, SpfFact | None]] = []
        waiting: list[tuple[T, Client, str, SpfFact | bytes | None]] = []
        lacking: dict[Question, None] = {}
        for one in self._waiting:
            thing, client, name, policy = one
            if not isinstance(policy, bytes):
                done.append((thing, policy))
                continue
            fact = helo_fact(client, name, policy, self._known)
            if not isinstance(fact, list):
                done.append((thing, fact))
            elif self._asked.isdisjoint(fact):
                waiting.append(one)
                lacking.update(dict.fromkeys(fact))
            else:
                done.append((thing, None))
        self._asked.update(lacking)
        self._waiting = waiting
        self.questions = list(lacking)
        return done


def shared_fact(records: Sequence[Rdata], version: int) -> SpfFact | None:
    """Return what TXT records say of any client that has an address of their HELO name.

    The fact's domain is left open (""). None if the records do not say it of all alike.
    """
    found = policies(records)
    if not found:
        return SpfFact("helo", "", "none", None, 0, 0, None, None)
    if len(found) != 1 or not found[0].isascii():
        return None
    outcome = outright(found[0], version)
    return evaluated("helo", "", outcome, found[0]) if outcome else None
