"""The proof of a plan: the targets audited again, with the changes made in the zones, in memory.

Questions outside of the loaded zones are answered as the scan recorded them: PTR records, and the
addresses of their names and of HELO names. A target for which that is not enough keeps its record,
unless the plan changes something for it.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from auditor.errors import UsageError
from auditor.findings.judge import Finding, verdict
from auditor.findings.rules import RuleSet
from auditor.fix.zone_text import with_files
from auditor.output.record import with_findings
from auditor.pipeline.target import TargetAuditor
from auditor.resolve.answer import Answer, Question, make_answer
from auditor.resolve.cache import Cache
from auditor.resolve.resolver import CachingResolver
from auditor.resolve.steps import answer_steps
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.resolve.zones.reader import read_zone
from auditor.run.manifest import manifest_path, read_manifest
from auditor.settings import Settings
from auditor.targets.target import Origin, Target
from auditor.wire.addresses import V4, V6
from auditor.wire.codes import AAAA, NODATA, NOERROR, NXDOMAIN, PTR, REFUSED, SETTLED, TXT, A
from auditor.wire.master_file import MAX_STRING
from auditor.wire.names import parent_of
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

    from auditor.fix.changes import Plan
    from auditor.fix.zone_data import ZoneData
    from auditor.output.record_types import Record
    from auditor.resolve.answer import Steps

__all__ = ["Engines", "Judging", "Promises", "audit_again", "changed_zones", "judging_of"]

T = TypeVar("T")


class Judging(NamedTuple):
    """The settings of the scan that decide findings."""

    spf: bool = True
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severities: Mapping[str, str] = {}
    receivers: tuple[str, ...] = ()
    receivers_file: Path | None = None

    @property
    def settings(self) -> Settings:
        """The settings to judge by."""
        return Settings(
            zones=Path(),
            spf=self.spf,
            severities=self.severities,
            receivers=self.receivers,
            receivers_file=self.receivers_file,
        )


def judging_of(results: str) -> Judging:
    """Return those settings from the manifest of a scan; the defaults without one."""
    try:
        settings = read_manifest(manifest_path(Path(results)))["settings"]
        judging = Judging(
            bool(settings["spf"]),
            tuple(settings["select"]),
            tuple(settings["ignore"]),
            dict(settings["severities"]),
            tuple(settings["receivers"]),
            settings["receivers_file"] and Path(settings["receivers_file"]),
        )
        RuleSet(judging.severities, judging.select, judging.ignore)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError):
        return Judging()
    return judging


class Engines(NamedTuple):
    """Engines over the zones with the changes of a plan, and without them."""

    changed: _Recorded
    unchanged: _Recorded


def changed_zones(zones: ZoneData, files: Mapping[str, bytes]) -> Engines:
    """Return engines with the zones of the changed files, and with the present ones.

    Raises ZoneFileError.
    """
    found = {}
    for origin, source in zones.sources.items():
        found[origin] = source.zone
        if origin in zones.own:
            found[origin] = read_zone(with_files(source.file, files))
    return Engines(_Recorded.loaded(found), _Recorded.loaded(zones.zones))


async def audit_again(
    records: Iterable[Mapping[str, Any]],
    engines: Engines,
    plan: Plan,
    judging: Judging,
) -> AsyncIterator[Mapping[str, Any]]:
    """Yield the records of the same targets with the changes of the plan."""
    rule_set = RuleSet(judging.severities, judging.select, judging.ignore)
    settings = judging.settings
    planned = {edit.target for change in plan.own for edit in change.edits}

    async def audited(engine: _Recorded, target: Target, unsettled: set[str]) -> Record:
        # Without a cache: recorded answers are for their own target only.
        resolver = CachingResolver(engine, Cache(0))
        engine.set_record(record)
        steps = _noting_unsettled(TargetAuditor(settings, rule_set).audit(target), unsettled)
        return await answer_steps(steps, resolver.resolve_many)

    for record in records:
        target = _target(record)
        if target is None or _is_undelegated(record):
            yield record
            continue
        unsettled: set[str] = set()
        after = await audited(engines.changed, target, unsettled)
        if unsettled and target.text not in planned:
            yield record
        elif target.origin.mail_from and after["spf"] != record["spf"]:
            before = await audited(engines.unchanged, target, unsettled)
            yield _with_spf(after, record) if before["spf"] == after["spf"] else after
        else:
            yield after


def _with_spf(after: Record, record: Mapping[str, Any]) -> Record:
    """Return a record with the SPF results of another one, if no change caused the difference.

    A scan knows the local parts of senders, on which a policy may depend; its records do not.
    """
    found = [finding for finding in after["findings"] if not finding["code"].startswith("SPF_")]
    found += [finding for finding in record["findings"] if finding["code"].startswith("SPF_")]
    findings = sorted(Finding(**fields) for fields in found)
    return with_findings({**after, "spf": record["spf"]}, verdict(findings), findings)


def _is_undelegated(record: Mapping[str, Any]) -> bool:
    """Tell whether the zone of an address is not delegated: changes in it have no effect."""
    return any(finding["code"] == "DELEGATION_MISSING" for finding in record["findings"])


def _noting_unsettled(steps: Steps[T], names: set[str]) -> Steps[T]:
    """Run the steps; add the names that neither the zones nor the record know enough about."""
    try:
        questions = next(steps)
        while True:
            answers = yield questions
            names.update(
                question.name
                for question, answer in zip(questions, answers, strict=True)
                if answer.status not in SETTLED
            )
            questions = steps.send(answers)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


class Promises:
    """The findings that a plan should fix, and whether it does."""

    def __init__(self, plan: Plan) -> None:
        self._codes: defaultdict[str, set[str]] = defaultdict(set)
        for change in plan.own:
            for edit in change.edits:
                self._codes[edit.target].update(edit.why)
        for change in plan.others:  # not before they have made it
            for edit in change.edits:
                self._codes.pop(edit.target, None)
        #: Findings that are still there, as target and code.
        self.broken: list[tuple[str, str]] = []

    def compare_record(self, record: Mapping[str, Any]) -> None:
        """Take a record of the audit with the plan."""
        if _is_undelegated(record):  # the registry comes before
            return
        codes = self._codes.get(record["target"], set())
        still = {finding["code"] for finding in record["findings"]} & codes
        self.broken += [(record["target"], code) for code in sorted(still)]


class _Recorded(ZoneFileEngine):
    """Answers from zones, and outside of them from what the scan has recorded."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._seen: Mapping[Question, Answer] = {}

    def set_record(self, record: Mapping[str, Any]) -> None:
        """Replace the recorded answers by those of another record."""
        self._seen = dict(_answers(record))

    def answer(self, question: Question) -> Answer:
        """Return the answer of the zones, or the recorded one where they have none."""
        answer = super().answer(question)
        if answer.status == REFUSED and not answer.chain:
            return self._seen.get(question, answer)
        return answer


def _answers(record: Mapping[str, Any]) -> Iterator[tuple[Question, Answer]]:
    """Yield the answers that a record contains."""
    helo = record["helo"]
    if helo is not None and helo["status"] in SETTLED:
        yield _forward(helo["name"], helo, record["target"])
    for fact in record["spf"]:
        text = fact["record"]
        if fact["result"] == "none":
            yield Question(fact["domain"], TXT), make_answer(NODATA)
        elif text is not None and text.isascii() and "\\" not in text:
            strings = tuple(
                text[at : at + MAX_STRING].encode("ascii") for at in range(0, len(text), MAX_STRING)
            )
            yield Question(fact["domain"], TXT), make_answer(NOERROR, (strings,))
    if record["kind"] == "ip":
        yield from _of_address(record)


def _of_address(record: Mapping[str, Any]) -> Iterator[tuple[Question, Answer]]:
    ptr, owner = record["ptr"], reverse_name(record["target"])
    subjects = {finding["code"]: finding["subject"] for finding in record["findings"]}
    wildcard = subjects.get("PTR_WILDCARD", "")
    # The wildcard question that goes with every PTR question.
    yield Question(f"*.{parent_of(owner)}", PTR), make_answer(NXDOMAIN)
    if wildcard:
        yield Question(wildcard, PTR), make_answer(NOERROR, ptr["names"])
    if ptr["chain"] and ptr["owner"]:
        # The end of the alias is asked for by itself: it may be in an own zone.
        yield Question(owner, PTR), make_answer(NOERROR, (), [(owner, ptr["owner"])])
        owner = ptr["owner"]
    zone = ptr["zone"] or ""
    yield Question(owner, PTR), make_answer(ptr["status"], ptr["names"], zone=zone)
    aliases = {
        finding["subject"] for finding in record["findings"] if finding["code"] == "FORWARD_CNAME"
    }
    for name in record["iprev"]["names"]:
        if name["name"] not in aliases:  # where they lead is not recorded
            yield _forward(name["name"], name, record["target"])


def _forward(name: str, fact: Mapping[str, Any], address: str) -> tuple[Question, Answer]:
    question = Question(name, AAAA if ":" in address else A)
    return question, make_answer(fact["status"], fact["addresses"])


def _target(record: Mapping[str, Any]) -> Target | None:
    """Return the target of a record, None for an invalid one."""
    text, kind = record["target"], record["kind"]
    helo = record["helo"]
    senders = tuple(
        f"postmaster@{fact['domain']}" for fact in record["spf"] if fact["identity"] == "mailfrom"
    )
    expected = next(
        (
            finding["subject"]
            for finding in record["findings"]
            if finding["code"] == "PTR_UNEXPECTED"
        ),
        "",
    )
    origin = Origin(
        helo=helo["name"] if helo else None,
        mail_from=senders,
        labels=record["labels"],
        expected=expected,
    )
    version = (V6 if ":" in text else V4) if kind == "ip" else 0
    return None if kind == "invalid" else Target(text, kind, version, origin)
