"""Evaluates with pyspf over answers already fetched; corrects it where RFC 7208 differs.

The only file that imports pyspf, and with it dnspython; nothing here or there asks the
DNS. pyspf parses mechanisms, evaluates them in order and counts; this file gives it the
answers, and replaces what it gets wrong, each time with the section that says so:

- modifiers are read here: their names in any case, unknown ones as often as they like (§6),
  `redirect` counted when it is followed and not when it is read (§4.6.4), `exp` looked up
  once, after a fail, and never counted (§6.2);
- a domain-spec is checked and expanded as §7 says (`macros`), an implied one is not;
- an include of the domain itself is an endless loop when it is reached, no syntax error;
- a failing lookup does not fail `ptr` (§5.5) or `%{p}` (§7.3);
- the hosts of an mx are compared in order, and a match ends the lookups (§5.4); the void
  lookups of a `ptr` count as those of one term (§4.6.4). Where pyspf's own way, which other
  verifiers share, has another result, the outcome says so.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from auditor.resolve.answer import Question
from auditor.spf.macros import (
    Macro,
    SpfSyntaxError,
    domain_spec,
    encodable,
    fit_domain,
    macro_string,
    owner_of,
)
from auditor.spf.parser import without_modifiers
from auditor.spf.records import mail_hosts, policies, shown
from auditor.spf.result import Outcome, with_difference
from auditor.wire.addresses import number_of
from auditor.wire.codes import AAAA, MX, NOERROR, PTR, SETTLED, TXT, A, type_name

with warnings.catch_warnings():
    # pyspf 2.0.14 has escapes in its docstrings that Python warns of whenever it compiles
    # them: on every run where bytecode cannot be kept. Users can do nothing about it.
    warnings.simplefilter("ignore")
    import spf

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from ipaddress import IPv4Address, IPv6Address

    from auditor.resolve.answer import Answer, Rdata

__all__ = ["PyspfQuery", "evaluate"]

_TYPES: Final = {"A": A, "AAAA": AAAA, "MX": MX, "PTR": PTR, "TXT": TXT}
_ROOT: Final = "."

_INCLUDE: Final = re.compile(r"[-+?~]?include:(.+)", re.IGNORECASE)

# Terms without macros mean the same for every client of one IP version. All that is kept
# is bounded in number and length: who publishes policies decides on it.
_TERMS: dict[tuple[str, str, str], tuple[Any, ...]] = {}
_MAX_TERMS: Final = 8192
_MAX_TERM_CHARACTERS: Final = 255


class _Hosts(tuple[str, ...]):
    """The hosts of an mx, whose addresses are not compared yet."""

    __slots__ = ()


class _MissingAnswersError(Exception):
    """An answer is missing; its question is in `PyspfQuery.lacking`."""


def evaluate(
    client: IPv4Address | IPv6Address,
    sender: str,
    helo: str,
    policy: str,
    answers: Mapping[Question, Answer],
) -> Outcome | list[Question]:
    """Return the outcome of a policy for a client, or the questions without an answer yet.

    `sender` is local-part and domain, `policy` the SPF record of that domain, in ASCII.
    Nothing is raised: whatever pyspf stumbles over is a permerror.
    """
    query = PyspfQuery(client, sender, helo, answers)
    outcome = query.evaluate(policy)
    if outcome is None:
        return list(query.lacking)
    if query.skipped_void:
        eager = PyspfQuery(client, sender, helo, answers, eager=True).evaluate(policy)
        if eager is not None:
            return with_difference(outcome, eager.result)
    return outcome


class PyspfQuery(spf.query):  # type: ignore[misc] # pyspf has no type information
    """One run of pyspf: it ends in a result, or in `_MissingAnswersError` if an answer is missing.

    Attributes of one small letter belong to pyspf: they are the values of the macros.
    """

    def __init__(
        self,
        client: IPv4Address | IPv6Address,
        sender: str,
        helo: str,
        answers: Mapping[Question, Answer],
        *,
        eager: bool = False,
    ) -> None:
        super().__init__(client, encodable(sender), encodable(helo))
        # A quoted local-part may contain an @ (RFC 5321 §4.1.2).
        self.l, _, self.o = self.s.rpartition("@")
        self.d = self.o
        self.t = "0"  # a clock would make the same answers give different records
        self.answers = answers
        self.lacking: dict[Question, None] = {}
        self.prob = ""
        self.explanation: str | None = None
        self.names: list[str] | None = None
        self.counting = True
        self.implied = False
        self.eager = eager
        self.skipped_void = False
        #: In a ptr, whether a void lookup of it has been counted.
        self.void_counted: bool | None = None

    def set_ip(self, i: IPv4Address | IPv6Address) -> None:
        """Take the client's address; pyspf does so from text, and slowly."""
        self.iplist = False
        self.ipaddr = i
        self.number = int(i)
        self.c = str(i)
        self.cidrmax = i.max_prefixlen
        if i.version == 4:  # noqa: PLR2004 - IP version
            self.i, self.v, self.A, self.rdtype = self.c, "in-addr", "A", A
        else:
            self.i, self.v, self.A, self.rdtype = (
                ".".join(f"{self.number:032X}"),
                "ip6",
                "AAAA",
                AAAA,
            )

    def evaluate(self, policy: str) -> Outcome | None:
        """Return the outcome of a policy, None if an answer is missing."""
        try:
            result, _, _ = self.check(policy)
        except _MissingAnswersError:
            return None
        except Exception as error:  # noqa: BLE001 - hostile text; see the function `evaluate`
            return self.outcome("permerror", f"cannot be evaluated: {error!r}")
        return self.outcome(result, self.explanation)

    def outcome(self, result: str, explanation: str | None) -> Outcome:
        """Return the facts of a finished run."""
        failed = result in {"permerror", "temperror"}
        if failed and explanation is None:
            explanation = ": ".join([self.prob, *self.mech])
        mechanism = None if failed else self.mechanism
        shown_explanation = explanation and shown(explanation)
        return Outcome(result, mechanism, self.lookups, self.void_lookups, shown_explanation)

    # The record: RFC 7208 §4.6 and §6

    def check0(self, spf_text: str | None, recursion: int) -> tuple[str, int, str]:
        """Evaluate the terms of one policy; `recursion` is 0 unless it is included."""
        if not spf_text:
            return ("none", 250, "")
        try:
            mechanisms, redirect, exp = without_modifiers(spf_text)
        except SpfSyntaxError as error:
            raise spf.PermError(str(error)) from error
        # Each level is evaluated as the outermost, so that pyspf reports the term that matched.
        outcome: tuple[str, int, str] = super().check0(mechanisms, 0)
        if self.mechanism is None and redirect is not None:
            self.check_lookups()
            target = self.expand_spec(redirect)
            policy = self.dns_spf(target)
            if not policy:
                raise spf.PermError("no SPF record to redirect to", f"redirect={redirect}")
            return cast("tuple[str, int, str]", self.check1(policy, target, recursion))
        if exp is not None and outcome[0] == "fail" and not recursion:
            self.explanation = self.explain(exp)
        return outcome

    def explain(self, spec: str) -> str | None:
        """Return the text that exp= leads to; with any trouble there is none (§6.2)."""
        self.counting = False
        try:
            owner = owner_of(self.expand_spec(spec))
            texts = self.lookup(owner, TXT) if owner else ()
            if len(texts) == 1:
                text = spf.to_ascii(b"".join(cast("tuple[bytes, ...]", texts[0])))
                return self.expand(text, stripdot=False)
        except (spf.PermError, spf.TempError):
            pass
        return None

    def validate_mechanism(self, mech: str) -> tuple[Any, ...]:
        """Parse a mechanism, or find it parsed."""
        self.implied = ":" not in mech
        if len(mech) > _MAX_TERM_CHARACTERS or "%" in mech:
            return self._parsed(mech)
        key = (mech, self.v, self.d if self.implied else "")
        term = _TERMS.get(key)
        if term is None:
            term = self._parsed(mech)
            if len(_TERMS) >= _MAX_TERMS:
                _TERMS.clear()
            _TERMS[key] = term
        return term

    def _parsed(self, mech: str) -> tuple[Any, ...]:
        if self.implied and mech.lstrip("+-?~").lower() == "exists":
            raise spf.PermError("implicit exists not allowed", mech)  # §5.7
        try:
            return cast("tuple[Any, ...]", super().validate_mechanism(mech))
        except ValueError as error:  # more digits than int() takes
            raise spf.PermError("Invalid CIDR length", mech) from error
        except spf.PermError:
            # §4.6.4 bounds loops, and an address that matched before gets its result.
            include = _INCLUDE.fullmatch(mech)
            if include is None or self.expand_spec(include[1]) != self.d:
                raise
            return mech, "include", self.d, self.cidrmax, spf.RESULTS.get(mech[0], "pass")

    # Macros: RFC 7208 §7

    def expand_domain(self, arg: str) -> str:
        """Return the name that a mechanism is about; `<domain>` needs no expansion (§4.8)."""
        return arg if self.implied else self.expand_spec(arg)

    def expand_spec(self, spec: str) -> str:
        """Return the name that a domain-spec stands for."""
        try:
            domain_spec(spec)
        except SpfSyntaxError as error:
            raise spf.PermError(str(error)) from error
        return self.expand(spec)

    def expand(self, s: str, stripdot: bool = True) -> str:  # noqa: FBT001, FBT002 - pyspf's own
        """Return text with its macros expanded; `stripdot` tells a name from an explanation."""
        try:
            pieces = macro_string(s)
        except SpfSyntaxError as error:
            raise spf.PermError(str(error)) from error
        text = "".join([self._value(p) if isinstance(p, Macro) else p for p in pieces])
        return fit_domain(text) if stripdot else text

    def _value(self, macro: Macro) -> str:
        value = self.getp() if macro.letter == "p" else getattr(self, macro.letter)
        return macro.transform(value)

    def getp(self) -> str:
        """Return the validated name of the client that is nearest to the domain (§7.3)."""
        names = self.names
        if names is None:
            counting, self.counting = self.counting, False  # %{p} is no term of its own
            names = self.names = self.validated_ptrs()
            self.counting = counting
        domain = self.d.lower()
        for name in names:
            if name == domain:
                return name
        for name in names:
            if name.endswith(f".{domain}"):
                return name
        return names[0] if names else "unknown"

    # Answers: RFC 7208 §4.4, §4.6.4, §5

    def dns(self, name: str, qtype: str, *_: Any, **__: Any) -> Sequence[Rdata]:
        """Return the RRset of a name as pyspf writes it; none for text that is no name (§4.8)."""
        owner = owner_of(name)
        return self.lookup(owner, _TYPES[qtype]) if owner else ()

    def dns_spf(self, domain: str) -> str | None:
        """Return the policy of a domain, None without one (§4.5)."""
        owner = owner_of(domain)
        texts = policies(self.lookup(owner, TXT)) if owner else []
        if len(texts) > 1:
            raise spf.PermError(f"{len(texts)} SPF records at {owner}, expected one")
        return cast("str", spf.to_ascii(texts[0])) if texts else None

    def dns_mx(self, domainname: str) -> Sequence[Rdata] | _Hosts:
        """Return the MX hosts (§5.4), ten at most (§4.6.4); if eager their addresses."""
        names = mail_hosts(self.dns(domainname, "MX"))
        if names is None:
            raise spf.PermError(f"more than {spf.MAX_MX} MX records", f"MX of {domainname}")
        self.gather(names)
        if not self.eager:
            return _Hosts(names)
        return [address for name in names for address in self.lookup(name, self.rdtype)]

    def validated_ptrs(self) -> list[str]:
        """Return the names among the first ten PTR names that lead back to the client (§5.5)."""
        self.void_counted = None if self.eager else False
        try:
            ptr_names = cast("Sequence[str]", self.dns_ptr(self.i))
            names = [name for name in ptr_names[: spf.MAX_PTR] if name != _ROOT]
            self.gather(names)
            return [name for name in names if self._leads_back(name)]
        except spf.TempError:
            return []
        finally:
            self.void_counted = None

    def _leads_back(self, name: str) -> bool:
        try:
            return self.cidrmatch(self.lookup(name, self.rdtype), self.cidrmax)
        except spf.TempError:
            return False  # "that domain name is skipped" (§5.5)

    def cidrmatch(self, ipaddrs: Iterable[Rdata] | _Hosts, n: int) -> bool:
        """Tell whether the client is in the same network of `n` bits as any of the addresses."""
        if isinstance(ipaddrs, _Hosts):
            return self._matches_host(ipaddrs, n)
        shift = self.cidrmax - n
        wanted = self.number >> shift
        for address in ipaddrs:  # noqa: SIM110 - any() doubles the cost of an ip4
            if _number(cast("str", address)) >> shift == wanted:
                return True
        return False

    def _matches_host(self, hosts: _Hosts, n: int) -> bool:
        """Tell whether the client is an MX host: the first that matches ends the lookups."""
        for place, name in enumerate(hosts):
            if self.cidrmatch(self.lookup(name, self.rdtype), n):
                statuses = {
                    self.answers[Question(other, self.rdtype)].status
                    for other in hosts[place + 1 :]
                }
                self.skipped_void |= any(s != NOERROR and s in SETTLED for s in statuses)
                return True
        return False

    def gather(self, names: Iterable[str]) -> None:
        """Note all missing addresses at once, rather than one a run."""
        wanted = [Question(name, self.rdtype) for name in names]
        self.lacking.update(dict.fromkeys(q for q in wanted if q not in self.answers))
        if self.lacking:
            raise _MissingAnswersError

    def lookup(self, owner: str, rdtype: int) -> Sequence[Rdata]:
        """Return the records of an answer, () if there are none, and count it if so (§4.6.4)."""
        answer = self.answers.get(Question(owner, rdtype))
        if answer is None:
            self.lacking[Question(owner, rdtype)] = None
            raise _MissingAnswersError
        if answer.status == NOERROR:
            return answer.records
        lookup_text = f"{type_name(rdtype)} of {owner}"
        if answer.status not in SETTLED:
            raise spf.TempError(f"{lookup_text}: {answer.status}")
        if self.counting and self.void_counted:
            self.skipped_void = True
        elif self.counting:
            self.void_counted = None if self.void_counted is None else True
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError(f"more than {spf.MAX_VOID_LOOKUPS} void lookups", lookup_text)
        return ()


@lru_cache(maxsize=16384)
def _number(address: str) -> int:
    try:
        return number_of(address)
    except OSError as error:
        raise spf.PermError("not an IP address", address) from error
