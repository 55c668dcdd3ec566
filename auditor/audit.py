"""One target through all stages: questions out, answers in, a record at the end.

Still without I/O: who drives the generator (`pipeline`, `check`) decides where answers
come from and how many targets go abreast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.checks.address import check_address
from auditor.checks.domain import check_domain
from auditor.checks.ptr import Wildcards
from auditor.checks.steps import together
from auditor.express import Express
from auditor.findings.judge import judge_domain, judge_invalid, judge_ip, verdict
from auditor.output.record import domain_record, invalid_record, ip_record
from auditor.spf.evaluate import check_host, sender_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import IprevFact, SpfFact, Steps
    from auditor.findings.judge import Ruling
    from auditor.output.record import Record
    from auditor.settings import Settings
    from auditor.targets.target import Target

__all__ = ["Auditor"]

#: The HELO name for a policy's macros where neither the input nor a PTR name gives one.
_NO_HELO = "unknown"


class Auditor:
    """Audits targets the same way for a whole run.

    `helo` and `mail_from` are the SPF identities for targets whose line gives none, `spf`
    is whether SPF is checked at all.
    """

    def __init__(self, settings: Settings, ruling: Ruling) -> None:
        self._helo = settings.helo
        self._mail_from = settings.mail_from
        self._spf = settings.spf
        self._ruling = ruling
        self._wildcards = Wildcards()

    def express(self) -> Express:
        """Return the short way for targets that give no occasion for more."""
        plain = self._helo is None and not self._mail_from
        return Express(self._ruling, self._wildcards, plain=plain, spf=self._spf)

    def audit(self, target: Target) -> Steps[Record]:
        """Return the stages of one target as one generator; it returns the record."""
        if target.kind == "ip":
            return self._address(target)
        if target.kind == "domain":
            return self._domain(target)
        return self._invalid(target)

    def _address(self, target: Target) -> Steps[Record]:
        ptr, iprev = yield from check_address(target.text, target.version, self._wildcards)
        helo = target.origin.helo or self._helo
        mail_from = target.origin.mail_from or self._mail_from
        spf: Sequence[SpfFact] = ()
        if self._spf:
            spf = yield from self._identities(target, iprev, helo, mail_from)
        findings = judge_ip(
            target.text,
            target.version,
            ptr,
            iprev,
            spf,
            given_identities=helo is not None or bool(mail_from),
            ruling=self._ruling,
        )
        return ip_record(target, verdict(findings), findings, ptr=ptr, iprev=iprev, spf=spf)

    def _identities(
        self, target: Target, iprev: IprevFact, helo: str | None, mail_from: Sequence[str]
    ) -> Steps[list[SpfFact]]:
        """Check the identities given, or the confirmed PTR names as HELO without any."""
        confirmed = [name.name for name in iprev.names if name.confirms]
        helos = [helo] if helo else [] if mail_from else confirmed
        stages = [check_host(target.text, "helo", "", name) for name in helos]
        if mail_from:
            spoken = helo or (confirmed[0] if confirmed else _NO_HELO)
            stages += [
                check_host(target.text, "mailfrom", sender_of(sender), spoken)
                for sender in sorted(set(mail_from))
            ]
        if not stages:
            return []
        return (yield from together(stages))

    def _domain(self, target: Target) -> Steps[Record]:
        fact = yield from check_domain(target.text, self._wildcards)
        findings = judge_domain(target.text, fact, self._ruling)
        return domain_record(target, verdict(findings), findings, fact)

    def _invalid(self, target: Target) -> Steps[Record]:
        yield from ()
        findings = judge_invalid(target, self._ruling)
        return invalid_record(target, verdict(findings), findings)
