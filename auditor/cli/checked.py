"""Result of `auditor check` for a target: the record, and what was looked up besides."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from auditor.checks.follow_up import FollowUpFacts
from auditor.cli.check_zones import split_findings
from auditor.findings.plain_words import headline
from auditor.findings.receivers import CODES_OF_FACTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.checks.reverse_zone import ReverseZone
    from auditor.checks.server_agreement import ServerAnswers
    from auditor.findings.receivers import Receiver
    from auditor.output.record_types import Record

__all__ = ["Checked"]


class Checked(NamedTuple):
    """A record with what was looked up for it.

    `known`: what the advice needs. `zone`: that of the PTR record, None where there is no finding.
    `outside`: names that no zone file covers, with the texts of their answers. `errors`: failed
    lookups with their extended errors. `server_answers`: the answers of several servers.
    """

    record: Record
    known: FollowUpFacts = FollowUpFacts()
    zone: ReverseZone | None = None
    outside: Mapping[str, str] = MappingProxyType({})
    errors: Mapping[str, str] = MappingProxyType({})
    server_answers: Sequence[ServerAnswers] = ()

    def headline(self, chosen: Sequence[Receiver]) -> str:
        """Return the result in a sentence; `chosen`: the receivers that count."""
        if self.record["error"]:
            return self.record["error"]
        findings, lacking = split_findings(self.record, self.outside)
        if lacking and not findings:
            return "Undetermined: no zone file covers a name that had to be looked up."
        return headline({**self.record, "findings": findings}, self.applicable(chosen))

    def applicable(self, chosen: Sequence[Receiver]) -> Sequence[Receiver]:
        """Return the receivers without rules about failed lookups that have not failed.

        A name that is in no zone file is no failed lookup.
        """
        _, lacking = split_findings(self.record, self.outside)
        if {finding["code"] for finding in lacking}.isdisjoint(CODES_OF_FACTS["temporary"]):
            return chosen
        return [
            receiver._replace(
                rules=tuple(rule for rule in receiver.rules if "temporary" not in rule.when)
            )
            for receiver in chosen
        ]
