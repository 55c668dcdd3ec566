"""What is said of many addresses alike, worked out once: findings weighed, plain policies.

For `express`: verdicts and findings as they go into a record, and what a policy says of
whoever has an address of the name that publishes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from auditor.findings.judge import Finding, judge_spf, verdict, weigh
from auditor.output.lines import NO_POLICY, outcome
from auditor.wire.codes import NOERROR

if TYPE_CHECKING:
    from auditor.checks.facts import SpfFact
    from auditor.findings.ruling import Ruling
    from auditor.resolve.answer import Rdata

__all__ = ["CLEAN", "UNTOLD", "Alike", "Scales", "Shared", "Told", "told_of"]

#: What the records of a run's findings have in common: verdict, (code, severity) of each
#: finding, PTR status.
Alike: TypeAlias = tuple[str, tuple[tuple[str, str], ...], str]
CLEAN: Final[Alike] = ("pass", (), NOERROR)

#: Of the policy of a HELO name: its fact as JSON but for the name, the finding's code or "".
Told: TypeAlias = tuple[str, str]
UNTOLD: Final[Told] = (NO_POLICY, "")
#: Policies of which it is kept what they say of all alike.
_MOST_KNOWN: Final = 1024

_FINDING: Final = '{"code":"%s","severity":"%s","subject":"%s"}'


class Scales:
    """Weighs what was found about an address by a run's `ruling`."""

    def __init__(self, ruling: Ruling) -> None:
        self._ruling = ruling
        #: Of a finding that is the only one: verdict, code and severity, its JSON's beginning.
        self._alone = {
            code: (
                verdict([Finding(code, severity, "")]),
                ((code, severity),),
                f'{{"code":"{code}","severity":"{severity}","subject":"',
            )
            for code, severity in ruling.severities.items()
        }

    def __call__(
        self, found: list[tuple[str, str]]
    ) -> tuple[str, tuple[tuple[str, str], ...], str]:
        """Return the verdict, code and severity of each finding, and the findings as JSON."""
        if len(found) == 1:
            code, subject = found[0]
            alone = self._alone.get(code)
            if alone is None:
                return "pass", (), ""
            overall, codes, start = alone
            return overall, codes, f'{start}{subject}"}}'
        findings = weigh(found, self._ruling)
        counted = tuple([(code, severity) for code, severity, _ in findings])
        # Codes are plain, subjects addresses, names and checked domains: no escapes.
        return verdict(findings), counted, ",".join([_FINDING % finding for finding in findings])


class Shared(dict["tuple[Rdata, ...]", "Told | None"]):
    """What TXT records say of any client that has an address of their name, as it is wanted.

    None where they do not say it of all alike. `version`: of the clients' addresses, 0 if
    they differ: then it is always None.
    """

    def __init__(self, version: int) -> None:
        super().__init__()
        self._version = version

    def __missing__(self, records: tuple[Rdata, ...]) -> Told | None:
        from auditor.checks.helos import shared_fact  # noqa: PLC0415 - as in `Rounds`

        if len(self) >= _MOST_KNOWN:
            self.clear()
        fact = shared_fact(records, self._version) if self._version else None
        told = self[records] = told_of(fact) if fact else None
        return told


def told_of(fact: SpfFact) -> Told:
    """Return what there is to be told of the fact of a HELO name that was not given."""
    found: list[tuple[str, str]] = []
    if fact.result != "pass":
        judge_spf(fact, given=False, found=found)
    return outcome(fact), found[0][0] if found else ""
