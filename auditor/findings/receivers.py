"""Published rules of mail receivers, from `receivers.toml`, and those that apply to a record.

A rule joins facts of a record ("no PTR", "over IPv6") to an effect (refused, deferred) and to
the reply that the sender sees. Rules are data; a file of the user's own replaces receivers of
the same key and adds others.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, NoReturn, TypeAlias, get_args

from auditor.errors import UsageError
from auditor.quoting import printable, quoted
from auditor.settings_values import read_toml
from auditor.wire.codes import NOERROR, SETTLED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = [
    "FACTS",
    "Effect",
    "Receiver",
    "Rule",
    "facts_of",
    "matching_rules",
    "receivers",
    "rule_data",
    "select_receivers",
]

Effect: TypeAlias = Literal["refuse", "defer", "junk", "score"]
Sure: TypeAlias = Literal["read", "quoted"]

#: Facts that rules depend on, with their meanings.
FACTS: Final[Mapping[str, str]] = {
    "no-ptr": "the address has no PTR record",
    "unconfirmed": "no PTR name has the address (FCrDNS fails)",
    "generic-name": "the PTR name looks made from the address, or like that of a pool",
    "temporary": "a reverse or forward lookup failed",
    "ipv6": "the address is an IPv6 address",
    "spf-fail": "SPF result fail",
    "spf-softfail": "SPF result softfail",
    "spf-none": "the MAIL FROM domain has no SPF record",
    "spf-permerror": "SPF result permerror",
    "helo-not-fqdn": "the HELO name is no fully qualified host name",
    "helo-unresolvable": "the HELO name has no address",
    "helo-mismatch": "the HELO name does not have the address",
}

#: The findings that correspond to each fact.
CODES_OF_FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "no-ptr": ("PTR_MISSING", "PTR_ALIAS_TO_HOST"),
    "unconfirmed": ("FORWARD_MISSING", "FORWARD_MISMATCH", "PTR_DOT_MISSING", "PTR_IN_ARPA"),
    "generic-name": ("PTR_GENERIC",),
    "temporary": ("PTR_UNDETERMINED", "FORWARD_UNDETERMINED", "PTR_BOGUS", "FORWARD_BOGUS"),
    "ipv6": (),
    "spf-fail": ("SPF_FAIL",),
    "spf-softfail": ("SPF_SOFTFAIL",),
    "spf-none": ("SPF_NONE",),
    "spf-permerror": ("SPF_PERMERROR", "SPF_MULTIPLE_RECORDS"),
    "helo-not-fqdn": ("HELO_NOT_FQDN",),
    "helo-unresolvable": ("HELO_UNRESOLVABLE",),
    "helo-mismatch": ("HELO_MISMATCH",),
}

_SPF_FACTS: Final = {"fail": "spf-fail", "softfail": "spf-softfail", "permerror": "spf-permerror"}
_RULE_KEYS: Final = {
    *("when", "effect", "reply", "points", "threshold", "option", "unless"),
    *("source", "published", "seen", "sure"),
}
_RECEIVER_KEYS: Final = {"name", "rules", "source", "published", "seen", "sure"}


class Rule(NamedTuple):
    """The effect of a receiver's rule if all facts of `when` hold, with its source.

    `reply` is an SMTP reply or the name of a symbol, "" if unknown; `points` count towards
    `threshold` if the effect is a score (else both are 0). `option`: the setting without
    which the rule does not apply; `unless`: a condition under which it does not apply. `sure`:
    the source was "read", or is "quoted" by others; `seen` is the date of that.
    """

    when: frozenset[str]
    effect: Effect
    reply: str
    points: float
    threshold: float
    option: str
    unless: str
    source: str
    published: str
    seen: dt.date
    sure: Sure

    @property
    def is_certain(self) -> bool:
        """Whether it applies without further conditions, as published."""
        return not (self.unless or self.option)


class Receiver(NamedTuple):
    """A receiver, or a filter that receivers run, with its published rules."""

    key: str
    name: str
    rules: tuple[Rule, ...]


@cache
def _built_in() -> Mapping[str, Receiver]:
    text = files("auditor.findings").joinpath("receivers.toml").read_text("utf-8")
    return _read(tomllib.loads(text), "receivers.toml")


def receivers(own: Path | None = None) -> Mapping[str, Receiver]:
    """Return the receivers by key: the built-in ones, those of the file `own` over them.

    Raises UsageError if `own` cannot be read or has an invalid rule.
    """
    if own is None:
        return _built_in()
    return {**_built_in(), **_read(read_toml(own), str(own))}


def select_receivers(names: Iterable[str], own: Path | None = None) -> list[Receiver]:
    """Return the receivers with the keys `names`, in that order; all without any.

    Raises UsageError for an unknown key.
    """
    known = receivers(own)
    chosen = [name.strip().lower() for name in names if name.strip()]
    for name in chosen:
        if name not in known:
            raise UsageError(
                f"receiver: none is called {quoted(name)}; expected one of "
                f"{', '.join(sorted(known))}"
            )
    return [known[name] for name in chosen] if chosen else list(known.values())


def facts_of(record: Mapping[str, Any]) -> frozenset[str]:
    """Return which of `FACTS` hold for the record of an address; none for other kinds."""
    ptr, iprev = record["ptr"], record["iprev"]
    if ptr is None or iprev is None:
        return frozenset()
    facts = [*_reverse_facts(ptr, iprev["result"]), *_spf_facts(record["spf"])]
    if any(finding["code"] == "PTR_GENERIC" for finding in record["findings"]):
        facts.append("generic-name")
    if ":" in record["target"]:
        facts.append("ipv6")
    helo = record.get("helo")
    if helo is not None:
        facts += _helo_facts(helo)
    return frozenset(facts)


def _reverse_facts(ptr: Mapping[str, Any], iprev: str) -> list[str]:
    if iprev == "temperror" or not (ptr["names"] or ptr["status"] in SETTLED):
        return ["temporary"]
    if not ptr["names"]:
        return ["no-ptr"]
    return ["unconfirmed"] if iprev in {"fail", "permerror"} else []


def _spf_facts(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the facts about SPF: those of MAIL FROM where it was checked, else those of HELO."""
    if all(check["result"] == "pass" for check in results):  # as most are
        return []
    pairs = {(check["identity"], check["result"]) for check in results}
    sender = {result for identity, result in pairs if identity == "mailfrom"}
    counting = sender or {result for _, result in pairs}
    facts = [_SPF_FACTS[result] for result in counting if result in _SPF_FACTS]
    # Most HELO names have no policy, and need none.
    return [*facts, "spf-none"] if "none" in sender else facts


def _helo_facts(helo: Mapping[str, Any]) -> list[str]:
    status = helo["status"]
    if status is None:
        return ["helo-not-fqdn"]
    if status == NOERROR:
        return [] if helo["confirms"] else ["helo-mismatch"]
    return ["helo-unresolvable"] if status in SETTLED else []


def matching_rules(
    record: Mapping[str, Any], chosen: Iterable[Receiver]
) -> list[tuple[Receiver, Rule]]:
    """Return the rules that hold for a record, in the order of the receivers."""
    facts = facts_of(record)
    return [
        (receiver, rule) for receiver in chosen for rule in receiver.rules if rule.when <= facts
    ]


def rule_data(rule: Rule) -> dict[str, Any]:
    """Return a rule as plain values for JSON."""
    return {**rule._asdict(), "when": sorted(rule.when), "seen": rule.seen.isoformat()}


def _read(table: Mapping[str, Any], where: str) -> dict[str, Receiver]:
    receivers = {}
    for key, entry in table.items():
        place = f"{printable(where)}: {printable(key)}"
        if not isinstance(entry, dict):
            raise UsageError(f"{place}: expected a table with name, source, seen and rules")
        _no_other_keys(entry, _RECEIVER_KEYS, place)
        rules = entry.get("rules")
        if not isinstance(entry.get("name"), str) or not isinstance(rules, list):
            raise UsageError(f"{place}: needs a name and a list of rules")
        defaults = {name: entry[name] for name in entry.keys() - {"name", "rules"}}
        receivers[key.lower()] = Receiver(
            key.lower(),
            printable(entry["name"]),
            tuple(
                _rule(rule, defaults, f"{place}, rule {number}")
                for number, rule in enumerate(rules, 1)
            ),
        )
    return receivers


def _rule(own: Any, defaults: Mapping[str, Any], place: str) -> Rule:
    if not isinstance(own, dict):
        _wrong(f"{place}: expected a table")
    given = {**defaults, **own}
    _no_other_keys(given, _RULE_KEYS, place)
    when, effect = given.get("when"), given.get("effect")
    if not isinstance(when, list) or not when or not set(map(str, when)) <= FACTS.keys():
        _wrong(f"{place}: `when` must list facts out of {', '.join(FACTS)}")
    if effect is None or effect not in get_args(Effect):
        _wrong(f"{place}: `effect` must be one of {', '.join(get_args(Effect))}")
    if (effect == "score") != ("points" in given and "threshold" in given):
        _wrong(f"{place}: `points` and `threshold` belong to the effect score, and only to it")
    if not all(type(given.get(name, 0)) in {int, float} for name in ("points", "threshold")):
        _wrong(f"{place}: `points` and `threshold` must be numbers")
    if given.get("sure") not in get_args(Sure):
        _wrong(f"{place}: `sure` must be one of {', '.join(get_args(Sure))}")
    texts = {name: given.get(name, "") for name in ("reply", "option", "unless", "published")}
    if not all(isinstance(text, str) for text in (*texts.values(), given.get("source"))):
        _wrong(f"{place}: needs a `source`, and texts for reply, option, unless and published")
    if not isinstance(given.get("seen"), dt.date):
        _wrong(f"{place}: `seen` must be a date, such as 2026-11-28")
    return Rule(
        when=frozenset(when),
        effect=effect,
        points=float(given.get("points", 0)),
        threshold=float(given.get("threshold", 0)),
        source=printable(given["source"]),
        seen=given["seen"],
        sure=given["sure"],
        **{name: printable(text) for name, text in texts.items()},
    )


def _no_other_keys(given: Mapping[str, Any], known: set[str], place: str) -> None:
    if other := sorted(given.keys() - known):
        _wrong(f"{place}: unknown key {quoted(other[0])}; expected {', '.join(sorted(known))}")


def _wrong(message: str) -> NoReturn:
    raise UsageError(message)
