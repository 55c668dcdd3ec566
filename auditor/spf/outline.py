"""Outline of a policy for the tree: the terms that cost lookups, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from auditor.spf.macro_expansion import is_surely_named, owner_of
from auditor.spf.macros import fit_domain
from auditor.spf.parser import Policy, Term, parse_policy
from auditor.spf.policy_memo import PolicyMemo

if TYPE_CHECKING:
    from auditor.wire.address_set import Interval

__all__ = ["CostlyTerm", "Outline", "outline_of"]

_VERSIONS: Final = {"ip4": 4, "ip6": 6}


Networks: TypeAlias = "dict[int, list[Interval]]"


class CostlyTerm(NamedTuple):
    """A term that costs lookups, or `all`.

    `owner` is its target name, None if that is no name; only if it `is_fixed`. Else
    it is the domain of the policy, or depends on macros. `before`: by IP version the networks
    of ip4 and ip6 since the costly term before.
    """

    term: Term
    is_fixed: bool
    owner: str | None
    before: Networks


class Outline(NamedTuple):
    """What of a policy matters for its tree.

    `is_union`: it passes whatever any of its terms matches, and nothing else. `networks` are
    those behind the last costly term.
    """

    policy: Policy
    costly: tuple[CostlyTerm, ...]
    redirect: CostlyTerm | None
    is_union: bool
    networks: Networks

    @property
    def asking(self) -> tuple[CostlyTerm, ...]:
        """The costly terms before `all`, with the redirect."""
        end = next((at for at, costly in enumerate(self.costly) if costly.term.kind == "all"), None)
        if end is not None:
            return self.costly[:end]
        return self.costly if self.redirect is None else (*self.costly, self.redirect)


def _outline(text: bytes) -> Outline:
    policy = parse_policy(text)
    mechanisms = policy.mechanisms
    costly = []
    networks: Networks = {4: [], 6: []}
    for term in mechanisms:
        if term.kind in _VERSIONS:
            networks[_VERSIONS[term.kind]].append(term.span)
        else:
            costly.append(_costly(term, networks))
            networks = {4: [], 6: []}
    redirect = None if policy.redirect is None else _costly(policy.redirect, networks)
    return Outline(policy, tuple(costly), redirect, _is_union(policy), networks)


def _costly(term: Term, before: Networks) -> CostlyTerm:
    if term.spec is None or "%" in term.spec:
        return CostlyTerm(term, is_fixed=False, owner=None, before=before)
    return CostlyTerm(term, is_fixed=True, owner=owner_of(fit_domain(term.spec)), before=before)


def _is_union(policy: Policy) -> bool:
    if policy.problems:
        return False
    for term in policy.mechanisms:
        if term.kind == "all":
            return term.qualifier != "+"
        if term.qualifier != "+" or not (term.spec is None or is_surely_named(term)):
            return False
        if "v" in term.macros:  # a name for each IP version
            return False
    return policy.redirect is None or "v" not in policy.redirect.macros


_OUTLINES: Final = PolicyMemo(_outline)


def outline_of(text: bytes) -> Outline:
    """Return the outline of a policy, kept if it is short."""
    return _OUTLINES(text)
