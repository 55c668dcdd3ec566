"""Finds terms that are never evaluated, because a term before them matches every address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auditor.spf.lint.problems import shown
from auditor.spf.lint.record import breadth_of

if TYPE_CHECKING:
    from auditor.spf.lint.problems import Problems
    from auditor.spf.parser import Term
    from auditor.spf.policy_tree import TreePolicy

__all__ = ["lint_behind"]

_EVERYBODY: Final = frozenset({4, 6})
_NETWORKS: Final = {"ip4": frozenset({4}), "ip6": frozenset({6})}
_NOBODY: Final[frozenset[int]] = frozenset()


def lint_behind(node: TreePolicy, problems: Problems) -> None:
    """Note what stands behind a term other than all, or several, that match every address."""
    end = node.end
    found = [end] if end is not None and end.kind != "all" else _matching_all(node)
    if not found:
        return
    listed = " and ".join(shown(term.text) for term in found)
    note = f"never evaluated: {listed} match{'es' * (len(found) == 1)} every address"
    for term in node.policy.mechanisms:
        if term.start > found[-1].start and term.kind != "all":
            problems.note_problem("SPF_TERM_AFTER_ALL", note, term)
    if node.policy.redirect is not None:
        problems.note_problem("SPF_REDIRECT_IGNORED", note, node.policy.redirect)


def _matching_all(node: TreePolicy) -> list[Term]:
    """Return the terms before all that match every address by networks, none if not all are."""
    if not breadth_of(node.policy).may_match_all:
        return []
    matched = _NOBODY
    found = []
    for term in node.policy.mechanisms:
        versions = _NOBODY if term.kind == "all" else _matched(node, term)
        if versions - matched:
            found.append(term)
            matched |= versions
        if matched == _EVERYBODY:
            return found
        if term.kind == "all":
            break
    return []


def _matched(node: TreePolicy, term: Term) -> frozenset[int]:
    """Return the IP versions of which a term matches every address."""
    if term.kind in _NETWORKS:
        return _NETWORKS[term.kind] if term.bits == 0 else _NOBODY
    if term.kind == "include":
        policy = next((each.policy for each in node.terms if each.term is term), None)
        return _passed(policy) if policy is not None else _NOBODY
    return _NOBODY


def _passed(node: TreePolicy) -> frozenset[int]:
    """Return the IP versions of which a policy surely passes every address."""
    passed = _NOBODY
    if not breadth_of(node.policy).may_pass_all:
        return passed
    for term in node.policy.mechanisms:
        if term.qualifier != "+":
            break  # of the rest some may be matched by it
        passed |= _EVERYBODY if term.kind == "all" else _matched(node, term)
    return passed
