"""What an evaluation is going to ask, guessed from the policies that are already there.

Guesses save rounds and cost a lookup where they are wrong; they never change a result,
for results come from pyspf over the answers alone. So terms are read loosely here, and a
policy that cannot be read is left alone. Only names without macros are asked ahead: those
are shared by all clients, and cached.
"""

from __future__ import annotations

import re
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, cast

from auditor.errors import WireError
from auditor.resolve.answer import Question
from auditor.spf.policy import policies
from auditor.wire.codes import AAAA, MX, SETTLED, TXT, A
from auditor.wire.names import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address, IPv6Address

    from auditor.resolve.answer import Answer

__all__ = ["questions_ahead"]

_MAX_LOOKUPS: Final = 10  # RFC 7208 §4.6.4; the hosts of one mx are bounded alike
_MAX_KEPT: Final = 2048  # characters: what a hostile zone can make long is not kept
_NULL_MX: Final = "."  # RFC 7505

_TERM: Final = re.compile(
    r"([-+?~]?)(all|include|a|mx|ptr|exists|ip4|ip6)"
    r"(?::([^%]+?))?(?:/([0-9]{1,3}))?(?://([0-9]{1,3}))?",
    re.IGNORECASE,
)
_WITH_MACRO: Final = re.compile(r"[-+?~]?(?:include|a|mx|ptr|exists)[:/].*%.*", re.IGNORECASE)
_MODIFIER: Final = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE)

#: `net` is ip4 and ip6; `opaque` costs a lookup that cannot be told from the text.
_Kind: TypeAlias = Literal["net", "all", "include", "a", "mx", "exists", "redirect", "opaque"]
_KINDS: Final[dict[str, _Kind]] = {
    "all": "all",
    "include": "include",
    "a": "a",
    "mx": "mx",
    "exists": "exists",
    "ptr": "opaque",
    "ip4": "net",
    "ip6": "net",
}


class _Term(NamedTuple):
    """A term as far as it matters here; `name` is "" where the domain itself is meant.

    `bits` are the prefix lengths for IPv4 and IPv6, None for the family that never matches.
    """

    kind: _Kind
    passes: bool = True
    name: str = ""
    bits: tuple[int | None, int | None] = (32, 128)
    number: int = 0


def questions_ahead(
    client: IPv4Address | IPv6Address,
    policy: str,
    domain: str,
    answers: Mapping[Question, Answer],
) -> list[Question]:
    """Return the questions that `domain`'s policy is going to raise, as far as one can tell.

    They are not among `answers`. Only terms are looked at that come before the first one
    which surely matches, and before the lookup limit; so they are few.
    """
    walk = _Walk(client, answers)
    walk.evaluate(policy, domain)
    return list(walk.lacking)


class _Walk:
    """One pass over the policies that are known; a lacking answer counts as no match."""

    __slots__ = ("_answers", "_bits", "_family", "_number", "_rdtype", "_room", "lacking")

    def __init__(
        self, client: IPv4Address | IPv6Address, answers: Mapping[Question, Answer]
    ) -> None:
        self._answers = answers
        self._number = int(client)
        self._bits = client.max_prefixlen
        self._family = 0 if client.version == 4 else 1  # noqa: PLR2004 - IP version
        self._rdtype = AAAA if self._family else A
        self._room = _MAX_LOOKUPS
        self.lacking: dict[Question, None] = {}

    def evaluate(self, policy: str, domain: str) -> bool | None:
        """Tell whether the policy passes the client; None if the evaluation ends with it."""
        for term in _terms(policy):
            if term.kind == "net":
                if self._matches(term, term.number):
                    return term.passes
                continue
            if term.kind == "redirect":
                return self._included(term.name) if self._spend() else None
            matched = term.kind == "all" or self._looked_up(term, term.name or domain)
            if matched is None:
                return None
            if matched:
                return term.passes
        return False

    def _spend(self) -> bool:
        self._room -= 1
        return self._room >= 0

    def _looked_up(self, term: _Term, name: str) -> bool | None:
        """Tell whether a mechanism that needs the DNS matches; None if all ends here."""
        if not self._spend():
            return None
        if term.kind == "opaque":
            return False
        if term.kind == "include":
            return self._included(name)
        return self._hosts(name, term) if term.kind == "mx" else self._resolves(name, term)

    def _matches(self, term: _Term, number: int) -> bool:
        bits = term.bits[self._family]
        return bits is not None and not (self._number ^ number) >> (self._bits - bits)

    def _known(self, name: str, rdtype: int) -> Answer | None:
        question = Question(name, rdtype)
        answer = self._answers.get(question)
        if answer is None:
            self.lacking[question] = None
        return answer

    def _included(self, name: str) -> bool | None:
        answer = self._known(name, TXT)
        if answer is None:
            return False
        found = policies(answer.records)
        if len(found) != 1 or not found[0].isascii():
            return None  # temperror or permerror
        return self.evaluate(found[0].decode("ascii"), name)

    def _hosts(self, name: str, term: _Term) -> bool | None:
        answer = self._known(name, MX)
        if answer is None:
            return False
        if answer.status not in SETTLED or len(answer.records) > _MAX_LOOKUPS:
            return None
        hosts = [host for _, host in cast("tuple[tuple[int, str], ...]", answer.records)]
        # All of them: pyspf fetches the addresses of all hosts before it compares any.
        matches = [self._resolves(host, term) for host in hosts if host != _NULL_MX]
        return None if None in matches else True in matches

    def _resolves(self, name: str, term: _Term) -> bool | None:
        exists = term.kind == "exists"
        answer = self._known(name, A if exists else self._rdtype)
        if answer is None:
            return False
        if answer.status not in SETTLED:
            return None
        addresses = cast("tuple[str, ...]", answer.records)
        return any(exists or self._matches(term, _number(address)) for address in addresses)


def _terms(policy: str) -> tuple[_Term, ...]:
    return _kept(policy) if len(policy) <= _MAX_KEPT else _parse(policy)


@lru_cache(maxsize=512)
def _kept(policy: str) -> tuple[_Term, ...]:
    return _parse(policy)


def _parse(policy: str) -> tuple[_Term, ...]:
    """Return the terms of a policy, redirect last; none at all if one cannot be read."""
    terms = []
    redirect = None
    try:
        for text in filter(None, policy.split(" ")[1:]):
            modifier = _MODIFIER.fullmatch(text)
            if modifier is None:
                terms.append(_term(text))
            elif modifier[1].lower() == "redirect":
                redirect = modifier[2]
        if redirect is not None and "%" not in redirect:  # it is last, so nothing follows it
            terms.append(_Term("redirect", name=_owner(redirect)))
    except (ValueError, OSError, WireError):
        return ()  # pyspf will say what is wrong with it
    return tuple(terms)


def _term(text: str) -> _Term:
    match = _TERM.fullmatch(text)
    if match is None:
        if _WITH_MACRO.fullmatch(text):
            return _Term("opaque")
        raise ValueError(text)
    qualifier, mechanism, argument, bits4, bits6 = match.groups()
    passes = qualifier in {"", "+"}
    kind = _KINDS[mechanism.lower()]
    if kind == "net":
        four = mechanism.endswith("4")
        width = 32 if four else 128
        bits = _bits(bits4, width)
        return _Term(
            kind, passes, "", (bits, None) if four else (None, bits), _number(argument or "")
        )
    name = _owner(argument) if argument else ""
    return _Term(kind, passes, name, (_bits(bits4, 32), _bits(bits6, 128)))


def _bits(text: str | None, width: int) -> int:
    bits = width if text is None else int(text)
    if bits > width:
        raise ValueError(text)
    return bits


def _owner(name: str) -> str:
    return normalise(name.replace("\\", "\\\\"))


def _number(address: str) -> int:
    return int.from_bytes(inet_pton(AF_INET6 if ":" in address else AF_INET, address))
