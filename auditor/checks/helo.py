"""The HELO stage: whether the name that was given for an address exists and has the address.

RFC 5321 §4.1.1.1 wants a name that resolves, or an address literal; §4.1.4 forbids to refuse
mail for a name that does not verify, but receivers count it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.checks.facts import HeloFact
from auditor.resolve.answer import Question
from auditor.wire.addresses import V4
from auditor.wire.codes import AAAA, A
from auditor.wire.names import is_hostname

if TYPE_CHECKING:
    from auditor.resolve.answer import Answer, Steps

__all__ = ["check_helo", "helo_fact", "helo_question", "is_qualified"]


def is_qualified(name: str) -> bool:
    """Tell whether a HELO name is a fully qualified host name, not a literal or single label."""
    last = name.rpartition(".")[2]
    return "." in name and is_hostname(name) and not last.isdigit()


def helo_question(name: str, version: int) -> Question | None:
    """Return what to ask about a HELO name for a client of an IP version; None: nothing."""
    return Question(name, A if version == V4 else AAAA) if is_qualified(name) else None


def helo_fact(name: str, address: str, answer: Answer | None) -> HeloFact:
    """Return the fact of a HELO name, canonical; without an answer it could not be asked about."""
    if answer is None:
        return HeloFact(name, None, (), confirms=False)
    addresses = tuple(sorted(str(record) for record in answer.records))
    return HeloFact(name, answer.status, addresses, confirms=address in addresses)


def check_helo(name: str, address: str, version: int) -> Steps[HeloFact]:
    """Look up the HELO name of an address, in the address's family."""
    question = helo_question(name, version)
    if question is None:
        return helo_fact(name, address, None)
    (answer,) = yield (question,)
    return helo_fact(name, address, answer)
