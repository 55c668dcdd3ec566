"""Results of an SPF evaluation: the fact for a record, and the outcome it is made of."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from auditor.wire.codes import BOGUS

__all__ = ["Outcome", "SpfFact", "fact_of", "is_bogus", "with_difference"]

_NEW: Final = tuple.__new__


class Outcome(NamedTuple):
    """The result of a policy for a client; the fields are those of `SpfFact`."""

    result: str
    mechanism: str | None
    lookups: int
    voids: int
    explanation: str | None
    differs: str | None = None


class SpfFact(NamedTuple):
    """One `check_host()` (RFC 7208 §4): result, the term that decided, and the cost.

    `mechanism` is the term that decided, as published, or None (no match, none, errors).
    `lookups` counts the terms that cause DNS lookups, `voids` the lookups without an answer
    (RFC 7208 §4.6.4). `record` is the policy of `domain` as published, None without one or
    with several. `explanation`: for `fail` the text of exp=, for permerror and temperror
    what went wrong, else None.

    `differs`: the result of verifiers that look up all hosts of an mx before they compare any,
    and count every void lookup of a ptr; None where it is the same. It is no part of a record.
    """

    identity: Literal["helo", "mailfrom"]
    domain: str
    result: str
    mechanism: str | None
    lookups: int
    voids: int
    record: str | None
    explanation: str | None
    differs: str | None = None


def fact_of(
    identity: Literal["helo", "mailfrom"], domain: str, outcome: Outcome, record: str
) -> SpfFact:
    """Return the fact of a policy that was evaluated; `record` is as in `SpfFact`."""
    result, mechanism, lookups, voids, explanation, differs = outcome
    fields = identity, domain, result, mechanism, lookups, voids, record, explanation, differs
    return _NEW(SpfFact, fields)


def with_difference(outcome: Outcome, eager_result: str) -> Outcome:
    """Return an outcome, with the result of eager verifiers if that is another.

    A lookup that failed only in theirs is no difference.
    """
    if eager_result in {outcome.result, "temperror"}:
        return outcome
    return outcome._replace(differs=eager_result)


def is_bogus(fact: SpfFact) -> bool:
    """Tell whether a temperror is due to data that does not validate.

    Its explanation has the failed lookup and its status; names and terms have no blanks.
    """
    return f": {BOGUS}" in (fact.explanation or "")
