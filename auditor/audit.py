"""One target through all stages: questions out, answers in, a record at the end.

Still without I/O: who drives the generator (`pipeline`, `check`) decides where answers
come from and how many targets go abreast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.checks.address import check_address
from auditor.checks.domain import check_domain
from auditor.checks.ptr import Wildcards
from auditor.checks.spf import Policies, given_identities, identities_of
from auditor.express import Express
from auditor.findings.judge import judge_domain, judge_invalid, judge_ip, verdict
from auditor.output.record import domain_record, invalid_record, ip_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import SpfFact, Steps
    from auditor.checks.spf import Identity
    from auditor.findings.judge import Ruling
    from auditor.output.record import Record
    from auditor.settings import Settings
    from auditor.targets.target import Target

__all__ = ["Auditor"]


class Auditor:
    """Audits targets the same way for a whole run.

    `helo` and `mail_from` are the SPF identities for targets whose line gives none, `spf`
    is whether SPF is checked at all.
    """

    def __init__(self, settings: Settings, ruling: Ruling) -> None:
        self._given = given_identities(settings.helo, settings.mail_from)
        self._helo = settings.helo
        self._mail_from = settings.mail_from
        self._spf = settings.spf
        self._ruling = ruling
        self._wildcards = Wildcards()
        self._policies = Policies()

    def prepare(self) -> Steps[None]:
        """Look up what every address of the run will be held against."""
        if self._spf and self._given:
            yield from self._policies.prepare(self._given)

    def express(self) -> Express | None:
        """Return the short way for targets that give no occasion for more, if there is one."""
        if self._spf and not all(self._policies.has(identity) for identity in self._given):
            return None
        return Express(self._ruling, self._wildcards, self._policies, self._given, spf=self._spf)

    def audit(self, target: Target) -> Steps[Record]:
        """Return the stages of one target as one generator; it returns the record."""
        if target.kind == "ip":
            return self._address(target)
        if target.kind == "domain":
            return self._domain(target)
        return self._invalid(target)

    def _address(self, target: Target) -> Steps[Record]:
        ptr, iprev = yield from check_address(target.text, target.version, self._wildcards)
        given = self._given_for(target)
        spf: Sequence[SpfFact] = ()
        if self._spf:
            identities = identities_of(given, iprev)
            spf = yield from self._policies.check(target.text, target.version, identities)
        findings = judge_ip(
            target.text,
            target.version,
            ptr,
            iprev,
            spf,
            given_identities=bool(given),
            ruling=self._ruling,
        )
        return ip_record(target, verdict(findings), findings, ptr=ptr, iprev=iprev, spf=spf)

    def _given_for(self, target: Target) -> Sequence[Identity]:
        """Return the identities that the target's line or else the settings give."""
        helo, mail_from = target.origin.helo, target.origin.mail_from
        if helo is None and not mail_from:
            return self._given
        return given_identities(helo or self._helo, mail_from or self._mail_from)

    def _domain(self, target: Target) -> Steps[Record]:
        fact = yield from check_domain(target.text, self._wildcards)
        findings = judge_domain(target.text, fact, self._ruling)
        return domain_record(target, verdict(findings), findings, fact)

    def _invalid(self, target: Target) -> Steps[Record]:
        yield from ()
        findings = judge_invalid(target, self._ruling)
        return invalid_record(target, verdict(findings), findings)
