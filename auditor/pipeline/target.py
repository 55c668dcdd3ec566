"""Audits one target: all stages as one generator that yields questions and returns the record.

Without I/O: the caller (`pipeline`, `check`) decides where answers come from and how many
targets run at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.checks.address import OwnZones, Wildcards, check_address
from auditor.checks.domain import check_domain
from auditor.checks.helo import check_helo, helo_question
from auditor.checks.spf import SpfChecker, given_identities, identities_of
from auditor.findings.judge import judge_domain, judge_invalid, judge_ip, verdict
from auditor.output.record import domain_record, invalid_record, ip_record, with_findings
from auditor.pipeline.fastpath.fast_path import FastPath
from auditor.pipeline.fastpath.given import GivenFacts
from auditor.pipeline.fastpath.run_facts import RunFacts
from auditor.wire.addresses import V4, V6
from auditor.wire.codes import SETTLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.spf import SpfIdentity
    from auditor.findings.receiver_rules import ReceiverRulings
    from auditor.findings.rules import RuleSet
    from auditor.output.record_types import Record
    from auditor.pipeline.fastpath.fast_path import LineHelos
    from auditor.resolve.answer import Answer, Steps
    from auditor.settings import Settings
    from auditor.spf.result import SpfFact
    from auditor.targets.target import Target

__all__ = ["TargetAuditor"]


class TargetAuditor:
    """Audits targets the same way for a whole run.

    `helo` and `mail_from` are the SPF identities for targets whose line gives none, `spf`
    is whether SPF is checked at all.
    """

    def __init__(self, settings: Settings, rule_set: RuleSet) -> None:
        self._given = given_identities(settings.helo, settings.mail_from)
        self._helo = settings.helo
        self._mail_from = settings.mail_from
        self._spf = settings.spf
        # Zone files are not servers: a name outside of them is not a lame delegation.
        self._rule_set = rule_set.without("SERVER_LAME") if settings.zones is not None else rule_set
        self._by_receivers = _by_receivers(settings, self._rule_set)
        self._own = OwnZones(settings.own)
        self._wildcards = Wildcards()
        self._policies = SpfChecker()
        #: Answers about the HELO name of the settings, by IP version.
        self._helo_answers: dict[int, Answer] = {}

    def look_up_shared(self) -> Steps[None]:
        """Look up what is the same for every address of the run: HELO name and policies."""
        if self._helo is not None and helo_question(self._helo, V4) is not None:
            versions = (V4, V6)
            asked = [helo_question(self._helo, version) for version in versions]
            answers = yield [question for question in asked if question is not None]
            self._helo_answers = dict(zip(versions, answers, strict=True))
        if self._spf and self._given:
            yield from self._policies.build_tables(self._given)

    def fast_path(self) -> FastPath | None:
        """Return the fast path for common targets, if these settings allow one."""
        given = self._given if self._spf else []
        if not all(self._policies.has(identity) for identity in given):
            return None
        answers = self._helo_answers
        if self._helo is not None and (
            not answers or any(answer.status not in SETTLED for answer in answers.values())
        ):
            return None
        rulings = dict.fromkeys((V4, V6), self._rule_set)
        if self._by_receivers is not None:
            helo_given = any(identity.kind == "helo" for identity in given)
            if not self._by_receivers.are_simple(helo_given=helo_given):
                return None
            rulings = {version: self._by_receivers.of_confirmed(version) for version in rulings}
        are_ptr_names = self._spf and not self._given
        facts = GivenFacts(given, self._policies, self._helo, answers, are_ptr_names=are_ptr_names)
        run = RunFacts(
            rulings,
            self._wildcards,
            facts,
            self._own,
            for_confirmed_only=self._by_receivers is not None,
        )
        return FastPath(run, self._line_helos())

    def _line_helos(self) -> LineHelos:
        """Return what the fast path does with HELO names that lines give."""
        if self._by_receivers is not None and not self._by_receivers.are_simple(
            helo_given=self._spf
        ):
            return "none"
        if not self._spf:
            return "lookup"
        return "none" if self._mail_from else "spf"

    def audit(self, target: Target) -> Steps[Record]:
        """Return the stages of one target as one generator; it returns the record."""
        if target.kind == "ip":
            return self._address(target)
        if target.kind == "domain":
            return self._domain(target)
        return self._invalid(target)

    def _address(self, target: Target) -> Steps[Record]:
        ptr, iprev = yield from check_address(target.text, target.version, self._wildcards)
        undelegated = self._own.undelegated(ptr.owner, ptr.zone)
        given = self._given_for(target)
        name = self._helo if target.origin.helo is None else target.origin.helo
        helo = None
        if name is not None:
            helo = yield from check_helo(name, target.text, target.version)
        spf: Sequence[SpfFact] = ()
        if self._spf:
            identities = identities_of(given, iprev)
            spf = yield from self._policies.spf_facts(target.text, target.version, identities)
        findings = judge_ip(
            target.text,
            target.version,
            ptr,
            iprev,
            spf,
            helo=helo,
            expected=target.origin.expected,
            undelegated=undelegated,
            rule_set=self._rule_set,
        )
        record = ip_record(
            target, verdict(findings), findings, ptr=ptr, helo=helo, iprev=iprev, spf=spf
        )
        if self._by_receivers is None or not findings:
            return record
        severities = self._by_receivers.of_record(record).severities
        findings = [finding._replace(severity=severities[finding.code]) for finding in findings]
        return with_findings(record, verdict(findings), findings)

    def _given_for(self, target: Target) -> Sequence[SpfIdentity]:
        """Return the identities that the target's line or else the settings give."""
        helo, mail_from = target.origin.helo, target.origin.mail_from
        if helo is None and not mail_from:
            return self._given
        return given_identities(self._helo if helo is None else helo, mail_from or self._mail_from)

    def _domain(self, target: Target) -> Steps[Record]:
        fact = yield from check_domain(target.text, self._wildcards)
        findings = judge_domain(target.text, fact, self._rule_set)
        return domain_record(target, verdict(findings), findings, fact)

    def _invalid(self, target: Target) -> Steps[Record]:
        yield from ()
        findings = judge_invalid(target, self._rule_set)
        return invalid_record(target, verdict(findings), findings)


def _by_receivers(settings: Settings, rule_set: RuleSet) -> ReceiverRulings | None:
    """Return the rulings of the receivers that the settings select, None without any."""
    if not settings.receivers:
        return None
    from auditor.findings.receiver_rules import ReceiverRulings  # noqa: PLC0415 - for few runs
    from auditor.findings.receivers import select_receivers  # noqa: PLC0415 - the same

    chosen = select_receivers(settings.receivers, settings.receivers_file)
    return ReceiverRulings(chosen, rule_set, settings.severities)
