"""Compiles policies for `evaluator`: everything that is the same for all clients, once.

What is kept is bounded, since policies may be hostile.
"""

from __future__ import annotations

import re
from itertools import groupby
from operator import attrgetter
from socket import AF_INET, inet_pton
from typing import Final, NamedTuple, TypeAlias

from auditor.spf.macros import fit_domain, is_surely_named, owner_of
from auditor.spf.parser import Term, parse_term
from auditor.wire.addresses import V4

__all__ = [
    "IS_A",
    "IS_ALL",
    "IS_EXISTS",
    "IS_INCLUDE",
    "IS_MX",
    "IS_NET",
    "IS_NETS",
    "IS_OPAQUE",
    "CompiledPolicy",
    "CompiledTerm",
    "compiled_policy",
]

#: Kinds of terms; plain numbers, since they are compared for every term of every client.
IS_NET, IS_NETS, IS_ALL, IS_A, IS_MX, IS_INCLUDE, IS_EXISTS, IS_OPAQUE, _IS_REDIRECT = range(9)
_KINDS: Final = {
    "ip4": IS_NET,
    "ip6": IS_NET,
    "all": IS_ALL,
    "a": IS_A,
    "mx": IS_MX,
    "include": IS_INCLUDE,
    "exists": IS_EXISTS,
    "ptr": IS_OPAQUE,
    "redirect": _IS_REDIRECT,
}

_NEW: Final = tuple.__new__

#: Characters of a domain-spec that all verifiers read alike.
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]+")
_MAX_TERM_CHARACTERS: Final = 255

#: Networks in a row that are worth a table.
_MIN_TABLE_NETWORKS: Final = 4

#: Octets of policies, and mechanisms, that are kept.
_MAX_OCTETS: Final = 1 << 18
_MAX_KEPT_TERMS: Final = 4096

_Nets: TypeAlias = "tuple[tuple[int, dict[int, tuple[int, str, str]]], ...]"


class CompiledTerm(NamedTuple):
    """A mechanism, or `redirect`, ready to be evaluated for clients of one IP version.

    `name` is what it is about as published, `owner` the same as an owner name; both are ""
    where that is the domain of the policy. `shift`: the bits of an address that do not
    matter; for ip4 and ip6 `network` are those that do.

    Opaque terms are left to pyspf: `ptr`, and terms with macros.

    Many networks in a row are one: `nets` has them by shift and network, each with its place
    in the row.
    """

    kind: int
    text: str
    result: str
    name: str
    owner: str
    shift: int
    network: int
    nets: _Nets = ()


class CompiledPolicy(NamedTuple):
    """A policy ready to be evaluated; `explains`: it has an exp=."""

    ops: tuple[CompiledTerm, ...]
    redirect: CompiledTerm | None
    explains: bool


class _NotCompilableError(ValueError):
    """A term that is left to pyspf."""


class _PolicyCompiler:
    """Compiled policies by record and IP version; all are dropped when they are too many."""

    __slots__ = ("_known", "_octets")

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, int], CompiledPolicy | None] = {}
        self._octets = 0

    def __call__(self, policy: bytes, version: int) -> CompiledPolicy | None:
        """Return the compiled policy, None for one that is left to pyspf."""
        key = policy, version
        known = self._known
        program = known.get(key)
        if program is None and key not in known:
            self._octets += len(policy)
            if self._octets > _MAX_OCTETS:
                known.clear()
                self._octets = len(policy)
            program = known[key] = _compiled(policy, version)
        return program


#: Return the compiled policy, None for one that is left to pyspf.
compiled_policy: Final = _PolicyCompiler()

#: Mechanisms that many policies have: `a`, `-all`, the includes of the large providers.
_OPS: Final[dict[tuple[str, int], CompiledTerm]] = {}


def _compiled(policy: bytes, version: int) -> CompiledPolicy | None:
    """Compile a policy; None if it is left to pyspf."""
    ops = []
    modifiers: dict[str, Term] = {}
    try:
        for word in policy.decode("ascii").split(" ")[1:]:
            op = _OPS.get((word, version))
            if op is not None:
                ops.append(op)
                continue
            if not word:
                continue
            if word[:4] == "ip4:" and version == V4 and "/" not in word:
                # The policy's own, not shared with others, so it should be quick.
                network = int.from_bytes(inet_pton(AF_INET, word[4:]))
                ops.append(_NEW(CompiledTerm, (IS_NET, word, "pass", "", "", 0, network, ())))
                continue
            term = parse_term(word)
            if term.qualifier:
                op = _op(term, version)
                if op is not None:
                    ops.append(op)
            elif term.kind != "unknown" and modifiers.setdefault(term.kind, term) is not term:
                return None
        redirect = modifiers.get("redirect")
        target = _op(redirect, version) if redirect else None
    except (ValueError, OSError):
        return None
    return CompiledPolicy(_joined(ops), target, "exp" in modifiers)


def _joined(ops: list[CompiledTerm]) -> tuple[CompiledTerm, ...]:
    """Merge rows of many networks into one term each."""
    if len(ops) < _MIN_TABLE_NETWORKS:
        return tuple(ops)
    terms: list[CompiledTerm] = []
    for kind, group in groupby(ops, key=attrgetter("kind")):
        row = list(group)
        if kind != IS_NET or len(row) < _MIN_TABLE_NETWORKS:
            terms += row
            continue
        nets: dict[int, dict[int, tuple[int, str, str]]] = {}
        for place, op in enumerate(row):
            nets.setdefault(op.shift, {}).setdefault(op.network, (place, op.text, op.result))
        terms.append(CompiledTerm(IS_NETS, "", "", "", "", 0, 0, tuple(nets.items())))
    return tuple(terms)


def _op(term: Term, version: int) -> CompiledTerm | None:
    """Return a mechanism or redirect; None for addresses of the other IP version."""
    kind = _KINDS[term.kind]
    result = term.result
    if kind == IS_NET:
        if term.kind != f"ip{version}":
            return None
        shift = (32 if version == V4 else 128) - term.bits
        return CompiledTerm(kind, term.text, result, "", "", shift, term.address >> shift)
    shift = 32 - term.bits if version == V4 else 128 - term.bits6
    name = owner = ""
    if term.spec is not None and "%" in term.spec:
        if len(term.text) > _MAX_TERM_CHARACTERS or not is_surely_named(term.pieces):
            raise _NotCompilableError
        kind = IS_OPAQUE
    elif term.spec is not None:
        # Plain, so without percent signs and macros.
        target = owner_of(name := fit_domain(term.spec))
        if (
            target is None
            or len(term.text) > _MAX_TERM_CHARACTERS
            or not _PLAIN.fullmatch(term.spec)
        ):
            raise _NotCompilableError
        owner = target
    # pyspf shows the name redirect in lower case.
    text = term.text if term.qualifier else f"redirect={term.spec}"
    op = CompiledTerm(kind, text, result, name, owner, shift, 0)
    if term.qualifier:
        if len(_OPS) >= _MAX_KEPT_TERMS:
            _OPS.clear()
        _OPS[term.text, version] = op
    return op
