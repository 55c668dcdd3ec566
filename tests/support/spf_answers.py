"""Answers for SPF tests from a few lines in memory, and what drives `check_host` with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from auditor.resolve.answer import Answer, Question, make_answer
from auditor.spf.check_host import check_host
from auditor.wire.codes import CNAME, NODATA, NOERROR, NXDOMAIN, TIMEOUT, type_number
from auditor.wire.names import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auditor.resolve.answer import Rdata
    from auditor.spf.result import SpfFact

#: What may stand for the records of a type: one value, several, or a status.
Given = str | tuple[int, str] | list[str] | list[tuple[int, str]]

V4 = "192.0.2.1"
V6 = "2001:db8::1"
REVERSE = "1.2.0.192.in-addr.arpa"

_STATUSES = frozenset({"SERVFAIL", "REFUSED", "TIMEOUT", "TRUNCATED", "MALFORMED", "NODATA"})


class Zone:
    """Names and their records; a name without any does not exist.

    `timeouts` are names for which every type without a record is never answered.
    """

    def __init__(
        self,
        names: Mapping[str, Mapping[int, Sequence[Rdata] | str]],
        timeouts: Sequence[str] = (),
    ) -> None:
        self._names = {normalise(name): dict(types) for name, types in names.items()}
        self._timeouts = {normalise(name) for name in timeouts}
        self.asked: list[Question] = []

    @classmethod
    def of(cls, **names: dict[str, Given]) -> Zone:
        """Return a zone below example.net: `of(www={"A": "192.0.2.1"}, apex={...})`.

        `apex` is example.net itself, `__` in a name is a dot. A TXT record is one string; a
        status in the place of records is what the lookup ends with.
        """
        return cls(
            {
                _owner(name): {
                    type_number(rdtype): _records(rdtype, given) for rdtype, given in types.items()
                }
                for name, types in names.items()
            }
        )

    def answer(self, question: Question) -> Answer:
        """Answer as a resolver would that has followed every alias."""
        self.asked.append(question)
        name, rdtype = question
        aliases: list[tuple[str, str]] = []
        while True:
            types = self._names.get(name, {})
            records = types.get(rdtype)
            if isinstance(records, str):
                return make_answer(records, (), aliases)
            if records:
                return make_answer(NOERROR, records, aliases)
            if name in self._timeouts:
                return make_answer(TIMEOUT, (), aliases)
            target = types.get(CNAME)
            if not target:
                return make_answer(NODATA if name in self._names else NXDOMAIN, (), aliases)
            aliases.append((name, str(target[0])))
            if target[0] in {owner for owner, _ in aliases}:
                return make_answer(NOERROR, (), aliases)
            name = str(target[0])


def _owner(name: str) -> str:
    return "example.net" if name == "apex" else f"{name.replace('__', '.')}.example.net"


def _records(rdtype: str, given: Given) -> Sequence[Rdata] | str:
    if isinstance(given, str) and given in _STATUSES:
        return given
    values = given if isinstance(given, list) else [given]
    if rdtype == "TXT":
        return [(str(value).encode("latin-1"),) for value in values]
    return list(values)


class Course(NamedTuple):
    """How a `check_host` went: its fact, and the questions of each round."""

    fact: SpfFact
    rounds: list[list[Question]]

    @property
    def questions(self) -> list[Question]:
        """All questions, in the order asked."""
        return [question for batch in self.rounds for question in batch]


def check(
    answer: Callable[[Question], Answer],
    address: str,
    helo: str = "mail.example.net",
    sender: str | None = None,
) -> Course:
    """Run `check_host` to its end: for `mailfrom` if there is a sender, else for `helo`."""
    identity: Literal["helo", "mailfrom"] = "helo" if sender is None else "mailfrom"
    steps = check_host(address, identity, sender or "", helo)
    rounds: list[list[Question]] = []
    answers = None
    while True:
        try:
            batch = next(steps) if answers is None else steps.send(answers)
        except StopIteration as end:
            return Course(end.value, rounds)
        rounds.append(list(batch))
        answers = [answer(question) for question in batch]


def mailed(policy: str, address: str = V4, **names: dict[str, Given]) -> SpfFact:
    """Return what a policy at example.net says of me@example.net (for `names`: `Zone.of`)."""
    apex: dict[str, Given] = {"TXT": policy, **names.pop("apex", {})}
    return check(Zone.of(apex=apex, **names).answer, address, sender="me@example.net").fact
