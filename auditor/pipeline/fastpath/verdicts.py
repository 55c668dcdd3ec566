"""Memoised verdicts and SPF outcomes that many records of the fast path share.

Verdicts and findings as they go into a record, and the outcome of a policy for any client that has
an address of the name that publishes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from auditor.findings.judge import Finding, judge_spf, verdict, weigh
from auditor.pipeline.fastpath.json_lines import NO_POLICY, fact_json
from auditor.wire.codes import NOERROR

if TYPE_CHECKING:
    from auditor.findings.rules import RuleSet
    from auditor.resolve.answer import Rdata
    from auditor.spf.result import SpfFact

__all__ = [
    "CLEAN_KEY",
    "NO_POLICY_OUTCOME",
    "FindingWeigher",
    "HeloOutcome",
    "SharedOutcomes",
    "TallyKey",
    "helo_outcome",
]

#: Key by which a tally counts records: verdict, (code, severity) of each finding, PTR status,
#: status of a name's lookup that failed.
TallyKey: TypeAlias = tuple[str, tuple[tuple[str, str], ...], str, str]
CLEAN_KEY: Final[TallyKey] = ("pass", (), NOERROR, "")

#: Outcome of the policy of a HELO name: the JSON of the fact after the name, and the code of a
#: finding or "".
HeloOutcome: TypeAlias = tuple[str, str]
NO_POLICY_OUTCOME: Final[HeloOutcome] = (NO_POLICY, "")
_MAX_SHARED_OUTCOMES: Final = 1024

_FINDING: Final = '{"code":"%s","severity":"%s","subject":"%s"}'


class FindingWeigher:
    """Weighs the findings about an address by the rules of a run."""

    def __init__(self, rule_set: RuleSet) -> None:
        self._rule_set = rule_set
        #: For an only finding: verdict, code and severity, and the beginning of its JSON.
        self._alone = {
            code: (
                verdict([Finding(code, severity, "")]),
                ((code, severity),),
                f'{{"code":"{code}","severity":"{severity}","subject":"',
            )
            for code, severity in rule_set.severities.items()
        }

    def __call__(
        self, pairs: list[tuple[str, str]]
    ) -> tuple[str, tuple[tuple[str, str], ...], str]:
        """Return the verdict, code and severity of each finding, and the findings as JSON."""
        if len(pairs) == 1:
            code, subject = pairs[0]
            alone = self._alone.get(code)
            if alone is None:
                return "pass", (), ""
            overall, codes, start = alone
            return overall, codes, f'{start}{subject}"}}'
        findings = weigh(pairs, self._rule_set)
        counted = tuple([(code, severity) for code, severity, _ in findings])
        # Codes are plain, subjects addresses, names and checked domains: no escapes.
        return verdict(findings), counted, ",".join([_FINDING % finding for finding in findings])


class SharedOutcomes(dict["tuple[Rdata, ...]", "HeloOutcome | None"]):
    """SPF outcomes, by TXT records, for all clients that have an address of the HELO name.

    Computed on demand; None if the outcome depends on the client. `version`: of the clients'
    addresses, 0 if they differ: then the outcome is always None.
    """

    def __init__(self, version: int) -> None:
        super().__init__()
        self._version = version

    def __missing__(self, records: tuple[Rdata, ...]) -> HeloOutcome | None:
        from auditor.pipeline.fastpath.helo_spf import shared_fact  # noqa: PLC0415 - seldom needed

        if len(self) >= _MAX_SHARED_OUTCOMES:
            self.clear()
        fact = shared_fact(records, self._version) if self._version else None
        outcome = self[records] = helo_outcome(fact) if fact else None
        return outcome


def helo_outcome(fact: SpfFact) -> HeloOutcome:
    """Return the outcome of the SPF fact of a HELO name that was not given."""
    codes: list[tuple[str, str]] = []
    if fact.result != "pass":
        judge_spf(fact, codes)
    return fact_json(fact), codes[0][0] if codes else ""
