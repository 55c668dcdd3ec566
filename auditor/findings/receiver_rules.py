"""Severities by the published rules of the chosen receivers (`--receiver`).

A finding for which a receiver refuses or defers mail is an error; one that it counts, files as
spam, or acts on under a condition is a warning. No receiver has published rules about the others,
so they are notices at most. Undetermined findings stay undetermined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auditor.findings.catalogue import entry
from auditor.findings.receivers import CODES_OF_FACTS, FACTS, facts_of
from auditor.wire.addresses import V6

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from auditor.findings.entry import Severity
    from auditor.findings.receivers import Receiver
    from auditor.findings.rules import RuleSet

__all__ = ["ReceiverRulings"]

_IPV6: Final = "ipv6"
#: Facts that exclude both addresses without a name and those whose names lead back.
_OF_OTHERS: Final = frozenset({"unconfirmed", "temporary"})
_SEVERE: Final = frozenset({"warning", "error"})
#: Effects without further conditions.
_CERTAIN: Final = frozenset({"refuse", "defer"})
#: Facts of each code of a finding; some codes belong to none.
_FACTS_OF_CODE: Final = {code: fact for fact, codes in CODES_OF_FACTS.items() for code in codes}
_SENDER_FACTS: Final = frozenset(fact for fact in FACTS if fact.startswith("spf-"))


class ReceiverRulings:
    """Rulings for addresses, by what `receivers` have published.

    `rule_set` has the selected codes and their other severities; severities of `overridden`
    codes do not change.
    """

    def __init__(
        self, receivers: Sequence[Receiver], rule_set: RuleSet, overridden: Iterable[str]
    ) -> None:
        self._rules = [rule for receiver in receivers for rule in receiver.rules]
        self._rule_set = rule_set
        self._overridden = {code.upper() for code in overridden}
        self._by_facts: dict[frozenset[str], RuleSet] = {}

    def of_facts(self, facts: frozenset[str]) -> RuleSet:
        """Return the rules for an address of which these facts hold."""
        rule_set = self._by_facts.get(facts)
        if rule_set is None:  # bounded by the number of sets of facts, which are few
            rule_set = self._by_facts[facts] = self._made(dict.fromkeys(facts, facts))
        return rule_set

    def of_record(self, record: Mapping[str, Any]) -> RuleSet:
        """Return the rules for the address of a record."""
        return self.of_facts(facts_of(record))

    def of_confirmed(self, version: int) -> RuleSet:
        """Return the rules for addresses without a name or with names that lead back.

        For rules of one fact each, see `are_simple`: then the code of a finding decides.
        """
        common = {_IPV6} if version == V6 else set()
        facts = FACTS.keys() - _OF_OTHERS
        return self._made({fact: frozenset({fact, *common}) for fact in facts})

    def are_simple(self, *, helo_given: bool) -> bool:
        """Tell whether no rule needs several facts, but for the IP version.

        `helo_given`: SPF is checked for a HELO name that was given. A finding does not tell
        whether it is about that name, whose results are no facts if there is a MAIL FROM.
        """
        return all(
            len(rule.when - {_IPV6}) == 1 and not (helo_given and rule.when & _SENDER_FACTS)
            for rule in self._rules
        )

    def _made(self, facts: Mapping[str, frozenset[str]]) -> RuleSet:
        """Return the rules by facts that may hold, each with all that hold beside it."""
        severities = {fact: self._severity(fact, beside) for fact, beside in facts.items()}
        weights: dict[str, Severity] = {}
        for code, default in self._rule_set.severities.items():
            weights[code] = default
            if code not in self._overridden and not _is_kept(code):
                published = severities.get(_FACTS_OF_CODE.get(code, ""))
                weights[code] = published or ("notice" if default in _SEVERE else default)
        return self._rule_set.with_severities(weights)

    def _severity(self, fact: str, facts: frozenset[str]) -> Severity | None:
        """Return the severity that rules give a fact, None if none does."""
        rules = [rule for rule in self._rules if fact in rule.when and rule.when <= facts]
        if any(rule.effect in _CERTAIN and rule.is_certain for rule in rules):
            return "error"
        return "warning" if rules else None


def _is_kept(code: str) -> bool:
    """Tell whether rules do not change a finding: it is undetermined, or about an invalid line."""
    return entry(code).undetermined or code == "TARGET_INVALID"
