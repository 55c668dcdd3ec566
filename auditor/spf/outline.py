"""Outline of a policy for the tree: the terms that cost lookups, and their names."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from auditor.resolve.answer import Question
from auditor.spf.macros import fit_domain, is_surely_named, owner_of
from auditor.spf.parser import parsed
from auditor.spf.policy_memo import PolicyMemo
from auditor.wire.codes import AAAA, MX, TXT, A

if TYPE_CHECKING:
    from auditor.spf.parser import Policy, Term
    from auditor.wire.address_set import Interval

__all__ = ["CostlyTerm", "Outline", "first_questions", "outline_of"]

_VERSIONS: Final = {"ip4": 4, "ip6": 6}

Networks: TypeAlias = "dict[int, list[Interval]]"

#: The types that a term looks up first.
_ASKED: Final = {"include": (TXT,), "redirect": (TXT,), "a": (A, AAAA), "mx": (MX,), "exists": (A,)}


class CostlyTerm(NamedTuple):
    """A term that costs lookups, or `all`.

    `owner` is its target name, None if that is no name; only if it `is_fixed`. Else it is the
    domain of the policy, or depends on macros. `questions` are the first about
    it. `before`: by IP version the networks of ip4 and ip6, if any, since the costly term before.
    """

    term: Term
    is_fixed: bool
    owner: str | None
    questions: tuple[Question, ...]
    before: Networks


class Outline(NamedTuple):
    """The parts of a policy that matter for its tree.

    `asking`: the costly terms before `all`, with the redirect. `is_union`: it passes whatever
    any of its terms matches, and nothing else. `networks` are those after the last costly term.
    """

    policy: Policy
    costly: tuple[CostlyTerm, ...]
    redirect: CostlyTerm | None
    asking: tuple[CostlyTerm, ...]
    is_union: bool
    networks: Networks


def _outline(text: bytes) -> Outline:
    policy = parsed(text)
    mechanisms = policy.mechanisms
    costly = []
    networks: Networks = {}
    for term in mechanisms:
        if term.kind in _VERSIONS:
            networks.setdefault(_VERSIONS[term.kind], []).append(term.span)
        else:
            costly.append(_costly(term, networks))
            networks = {}
    redirect = None if policy.redirect is None else _costly(policy.redirect, networks)
    asking = [*takewhile(lambda each: each.term.kind != "all", costly)]
    if redirect is not None and len(asking) == len(costly):
        asking.append(redirect)
    return Outline(policy, tuple(costly), redirect, tuple(asking), _is_union(policy), networks)


def _costly(term: Term, before: Networks) -> CostlyTerm:
    if term.spec is None or "%" in term.spec:
        return CostlyTerm(term, is_fixed=False, owner=None, questions=(), before=before)
    owner = owner_of(fit_domain(term.spec))
    return CostlyTerm(term, True, owner, first_questions(term.kind, owner), before)  # noqa: FBT003 - a record


def first_questions(kind: str, owner: str | None) -> tuple[Question, ...]:
    """Return the first questions of a term about a name; none if it is None."""
    if owner is None:
        return ()
    return tuple([Question(owner, rdtype) for rdtype in _ASKED.get(kind, ())])


def _is_union(policy: Policy) -> bool:
    if policy.problems:
        return False
    for term in policy.mechanisms:
        if term.kind == "all":
            return term.qualifier != "+"
        if term.qualifier != "+" or not (term.spec is None or is_surely_named(term.pieces)):
            return False
        if "v" in term.macros:  # a name for each IP version
            return False
    return policy.redirect is None or "v" not in policy.redirect.macros


_OUTLINES: Final = PolicyMemo(_outline)


def outline_of(text: bytes) -> Outline:
    """Return the outline of a policy, kept if it is short."""
    return _OUTLINES(text)
