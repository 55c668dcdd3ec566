"""Parser: a policy as terms with their places, and its syntax errors (RFC 7208 §4.6.1, §12).

As strict as `check_host` (a property test compares them): a policy with a problem is a
permerror wherever it is evaluated, one without is not for its syntax. But here every
problem is found, not only the first, with its place.
"""

from __future__ import annotations

import re
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from auditor.spf.macros import Macro, MacroString, SpfSyntaxError, domain_spec, macro_string
from auditor.spf.policy_memo import PolicyMemo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Rdata

__all__ = [
    "LOOKUP_TERMS",
    "MAX_PROBLEMS",
    "MECHANISMS",
    "Policy",
    "SyntaxProblem",
    "Term",
    "parse_policy",
    "parse_term",
    "parsed",
    "without_modifiers",
]

#: The mechanisms of RFC 7208 §5. All else that has no `=` is a syntax error.
MECHANISMS: Final = frozenset({"all", "include", "a", "mx", "ptr", "exists", "ip4", "ip6"})

#: The terms that count against the limit of ten lookups (§4.6.4).
LOOKUP_TERMS: Final = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})

#: Problems of one policy that are noted: a record of 64 KiB has room for thousands.
MAX_PROBLEMS: Final = 100

_MAX_KEPT_CHARACTERS: Final = 2048  # characters of a policy
_MAX_SHOWN_CHARACTERS: Final = 64  # characters of a term in a message
_MAX_MESSAGE_CHARACTERS: Final = 200

_VERSION: Final = "v=spf1"
_WORD: Final = re.compile(r"[^ ]+")
_UNPRINTABLE: Final = re.compile(r"[^ -~]+")
_MODIFIER: Final = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE)
_PREFIX_LENGTH: Final = re.compile(r"0|[1-9][0-9]*")
_ADDRESS: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_QUALIFIERS: Final = frozenset("+-?~")

_WITH_SPEC: Final = frozenset({"include", "a", "mx", "ptr", "exists"})
_WITH_DUAL_CIDR: Final = frozenset({"a", "mx"})  # §5.3, §5.4
_HINTS: Final = {
    "prt": "ptr",
    "ip": "ip4",
    "ipv4": "ip4",
    "ipv6": "ip6",
    "al": "all",
    "any": "all",
    "includes": "include",
    "inc": "include",
    "exist": "exists",
    "host": "a",
    "spf": "include",
}


class Term(NamedTuple):
    """One directive or modifier of a policy (RFC 7208 §4.6.1).

    `kind` is the name of a mechanism, `redirect`, `exp`, or `unknown` for any other modifier;
    `name` is the name as published, in lower case. `text` is the whole term as published,
    `start` and `end` are the offsets of its first octet and of the one after its last.
    `qualifier` is one of `+-?~`, `+` where none is written, "" for modifiers.

    `spec` is the domain-spec (for `unknown` the macro-string) as published, None where the
    domain of the policy is implied, and `pieces` are its literals and macros. `address` and
    `bits`: for ip4 and ip6 the address as published (host bits not cleared) and the prefix
    length; for a and mx, `bits` and `bits6` are the prefix lengths for IPv4 and IPv6.
    """

    kind: str
    name: str
    text: str
    start: int
    end: int
    qualifier: str = ""
    spec: str | None = None
    pieces: MacroString = ()
    address: int = 0
    bits: int = 32
    bits6: int = 128

    @property
    def result(self) -> str:
        """The result where the mechanism matches (§4.6.2), "" for modifiers."""
        return _RESULTS.get(self.qualifier, "")

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last address of an ip4 or ip6 network."""
        host_bits = (32 if self.kind == "ip4" else 128) - self.bits
        first = self.address >> host_bits << host_bits
        return first, first | (1 << host_bits) - 1

    def networks_around(self, version: int, addresses: Sequence[Rdata]) -> list[tuple[int, int]]:
        """Return the networks of a or mx around addresses (§5.3, §5.4), in order."""
        is_v4 = version == 4  # noqa: PLR2004 - IP version
        family, host_bits = (AF_INET, 32 - self.bits) if is_v4 else (AF_INET6, 128 - self.bits6)
        numbers = [
            int.from_bytes(inet_pton(family, address))
            for address in cast("Sequence[str]", addresses)
        ]
        firsts = {number >> host_bits << host_bits for number in numbers}
        return [(first, first | (1 << host_bits) - 1) for first in sorted(firsts)]

    @property
    def macros(self) -> frozenset[str]:
        """The letters of the macros that it uses, in lower case."""
        return frozenset(piece.letter for piece in self.pieces if isinstance(piece, Macro))


_RESULTS: Final = {"+": "pass", "-": "fail", "?": "neutral", "~": "softfail"}


class SyntaxProblem(NamedTuple):
    """A syntax error in a policy: its offset in octets, its text, and a message."""

    position: int
    text: str
    message: str


class Policy(NamedTuple):
    """A parsed SPF record.

    `text` is the record, one character an octet (as in Latin-1). `terms` are all terms that
    can be read, in the order published, `mechanisms` those of them that are evaluated (§4.6.2);
    `redirect` and `exp` are those modifiers, also among the terms. Only without `problems` is
    there anything to evaluate.
    """

    text: str
    terms: tuple[Term, ...]
    problems: tuple[SyntaxProblem, ...]
    redirect: Term | None
    exp: Term | None
    mechanisms: tuple[Term, ...]


class _BadTermError(ValueError):
    """A text that is no valid term; the message says why."""


def parse_policy(text: bytes | str) -> Policy:
    """Take an SPF record apart, its strings joined (RFC 7208 §3.3). Nothing is raised.

    Time and memory are linear in its length.
    """
    octets = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    record = octets.decode("latin-1")
    terms: list[Term] = []
    problems: list[SyntaxProblem] = []
    known: dict[str, Term] = {}
    words = _WORD.finditer(record)
    if record[: len(_VERSION)].lower() == _VERSION and record[len(_VERSION) :][:1] in {"", " "}:
        next(words)
    else:
        problems.append(
            SyntaxProblem(0, record[:_MAX_SHOWN_CHARACTERS], f"does not start with {_VERSION}")
        )
    for word in words:
        try:
            term = parse_term(word[0], word.start())
            if term.kind in {"redirect", "exp"} and known.setdefault(term.kind, term) is not term:
                raise _BadTermError(f"{term.kind}= more than once")  # noqa: TRY301 - noted below
        except (_BadTermError, SpfSyntaxError) as error:
            if len(problems) < MAX_PROBLEMS:
                problems.append(
                    SyntaxProblem(word.start(), word[0], str(error)[:_MAX_MESSAGE_CHARACTERS])
                )
        else:
            terms.append(term)
    return Policy(
        record,
        tuple(terms),
        tuple(problems),
        known.get("redirect"),
        known.get("exp"),
        tuple([term for term in terms if term.qualifier]),
    )


_POLICIES: Final[PolicyMemo[bytes, Policy]] = PolicyMemo(parse_policy)


def parsed(text: bytes) -> Policy:
    """Return a parsed policy as `parse_policy` does, kept if it is short."""
    return _POLICIES(text)


def parse_term(text: str, start: int = 0) -> Term:
    """Parse one term. Raises ValueError for an invalid one, with the reason."""
    strange = _UNPRINTABLE.search(text)
    if strange is not None:  # §12: only visible characters of ASCII, and space
        octet = ord(strange[0][0])
        description = "a control character" if octet < 0x80 else "an octet outside ASCII"  # noqa: PLR2004 - ASCII
        raise _BadTermError(f"{description} (\\{octet:03d}) in a term")
    modifier = _MODIFIER.fullmatch(text)
    if modifier is None:
        return _mechanism(text, start)
    name = modifier[1].lower()
    value = modifier[2]
    if name not in {"redirect", "exp"}:  # §6: unknown modifiers are ignored, but must parse
        return Term("unknown", name, text, start, start + len(text), "", value, macro_string(value))
    return Term(name, name, text, start, start + len(text), "", value, _domain_spec(value))


def without_modifiers(policy: str) -> tuple[str, str | None, str | None]:
    """Return a policy of the mechanisms alone, and the domain-specs of redirect= and exp=.

    Raises SpfSyntaxError for a modifier that is none (§6), or one of these two given twice.
    """
    # What a hostile zone can make long is not kept.
    return _kept_parts(policy) if len(policy) <= _MAX_KEPT_CHARACTERS else _parted(policy)


@lru_cache(maxsize=512)
def _kept_parts(policy: str) -> tuple[str, str | None, str | None]:
    return _parted(policy)


def _parted(policy: str) -> tuple[str, str | None, str | None]:
    if _UNPRINTABLE.search(policy):
        raise SpfSyntaxError("a control character in the SPF record")
    version, *words = policy.split(" ")
    mechanisms = [version]
    known: dict[str, str] = {}
    for word in words:
        if _MODIFIER.fullmatch(word) is None:
            mechanisms.append(word)
            continue
        try:
            term = parse_term(word)
        except ValueError as error:
            raise SpfSyntaxError(f"{error}: {word}") from error
        if term.kind != "unknown" and term.spec is not None:
            if term.kind in known:
                raise SpfSyntaxError(f"{term.kind}= more than once: {word}")
            known[term.kind] = term.spec
    return " ".join(mechanisms), known.get("redirect"), known.get("exp")


def _mechanism(text: str, start: int) -> Term:
    """Return a directive. Raises as `parse_term` does."""
    if text[-1] == ",":
        raise _BadTermError("a comma at its end: terms are separated by spaces alone")
    qualified = text[0] in _QUALIFIERS
    body, bits, bits6 = _without_cidr(text[1:] if qualified else text)
    name, colon, argument = body.partition(":")
    kind = name.lower()
    if kind not in MECHANISMS:
        raise _BadTermError(_why_unknown(name, colon, argument))
    qualifier = text[0] if qualified else "+"
    end = start + len(text)
    if kind in {"ip4", "ip6"}:
        address, length = _network(kind, argument, bits, bits6)
        return Term(kind, kind, text, start, end, qualifier, None, (), address, length)
    if kind not in _WITH_DUAL_CIDR and (bits is not None or bits6 is not None):
        raise _BadTermError(f"{kind} takes no prefix length")
    length, length6 = _checked(bits, 32), _checked(bits6, 128)
    if colon:
        if kind not in _WITH_SPEC:
            raise _BadTermError("all takes no argument")
        pieces = _domain_spec(argument)
        return Term(kind, kind, text, start, end, qualifier, argument, pieces, 0, length, length6)
    if kind in {"include", "exists"}:
        raise _BadTermError(f"{kind} needs a domain: {kind}:DOMAIN")
    return Term(kind, kind, text, start, end, qualifier, None, (), 0, length, length6)


def _without_cidr(body: str) -> tuple[str, str | None, str | None]:
    """Split the prefix lengths off a directive (§12, dual-cidr-length); they are digits."""
    bits = bits6 = None
    head, slash, digits = body.rpartition("/")
    if slash and head.endswith("/") and _PREFIX_LENGTH.fullmatch(digits):
        body, bits6 = head[:-1], digits
        head, slash, digits = body.rpartition("/")
    if slash and _PREFIX_LENGTH.fullmatch(digits):
        body, bits = head, digits
    return body, bits, bits6


def _checked(digits: str | None, width: int) -> int:
    if digits is None:
        return width
    bits = int(digits) if len(digits) <= len("128") else width + 1
    if bits > width:
        version = "IPv4" if width == 32 else "IPv6"  # noqa: PLR2004 - bits of IPv4
        raise _BadTermError(f"a prefix length of {_cut(digits)}: {version} has {width} bits")
    return bits


def _network(kind: str, text: str, bits: str | None, bits6: str | None) -> tuple[int, int]:
    """Return address and prefix length of ip4 or ip6 (§5.6)."""
    if not text:
        raise _BadTermError(f"{kind} needs an address: {kind}:ADDRESS")
    if bits6 is not None:
        raise _BadTermError(f"{kind} takes one prefix length, after one slash")
    family, width = (AF_INET, 32) if kind == "ip4" else (AF_INET6, 128)
    try:
        address = int.from_bytes(inet_pton(family, text))
    except (OSError, ValueError):
        raise _BadTermError(_why_no_address(kind, text)) from None
    return address, _checked(bits, width)


def _domain_spec(spec: str) -> MacroString:
    if not spec:
        raise _BadTermError("no domain where one is expected")
    try:
        return domain_spec(spec)
    except SpfSyntaxError:
        if _ADDRESS.fullmatch(spec):
            raise _BadTermError("an address where a domain is expected: use ip4:") from None
        raise


def _why_no_address(kind: str, text: str) -> str:
    version, other = ("IPv4", "ip6") if kind == "ip4" else ("IPv6", "ip4")
    if "/" in text:
        return f"not an {version} network: {_cut(text)}"
    other_family = AF_INET6 if other == "ip6" else AF_INET
    try:
        inet_pton(other_family, text)
    except (OSError, ValueError):
        return f"not an {version} address: {_cut(text)}"
    return f"not an {version} address: use {other}:"


def _why_unknown(name: str, colon: str, argument: str) -> str:
    """Return the error of a term with an unknown name, with a suggestion."""
    lowered = name.lower()
    if not name:
        return "no mechanism: a qualifier or colon alone"
    if _ADDRESS.fullmatch(name):
        return "an address without its mechanism: use ip4:"
    if lowered[1:] in MECHANISMS and not lowered[0].isalnum():
        return f"{_cut(name[0])} is no qualifier: use one of + - ? ~"
    hint = _HINTS.get(lowered) or ("ip6" if colon and ":" in argument else "")
    meant = f": did you mean {hint}?" if hint else ""
    return f"unknown mechanism {_cut(name)}{meant}"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}..."
