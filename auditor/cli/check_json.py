"""JSON output of `auditor check`: one object a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditor.checks.server_agreement import rdata_text
from auditor.findings.advice import explain_finding
from auditor.findings.receivers import matching_rules, rule_data
from auditor.wire.codes import type_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.reverse_zone import ReverseZone
    from auditor.checks.server_agreement import ServerAnswers
    from auditor.cli.checked import Checked
    from auditor.findings.receivers import Receiver

__all__ = ["check_data"]


def check_data(checked: Checked, chosen: Sequence[Receiver]) -> dict[str, Any]:
    """Return the object of `auditor check --json`; `chosen`: the receivers whose rules are shown.

        {"target","verdict","headline","record",
         "findings":[{"code","severity","subject","title","why","remedy",
                      "publish":[LINE],"drafts":[LINE],"notes":[TEXT]}],
         "receivers":[{"receiver","name","when":[FACT],"effect","reply",...}],
         "reverse_zone":{"zone","servers","contact","exact",
                         "lifetimes":[{"name","type","seconds"}]},
         "outside":{NAME: TEXT},"errors":{LOOKUP: TEXT},
         "disagreements":[{"name","type","answers":{SERVER: {"status","records"}}}]}

    `record` is as in a scan; `reverse_zone` is null for all but addresses with findings.
    """
    record = checked.record
    return {
        "target": record["target"],
        "verdict": record["verdict"],
        "headline": checked.headline(chosen),
        "record": record,
        "findings": [
            explain_finding(record, finding, checked.known)._asdict()
            for finding in record["findings"]
        ],
        "receivers": [
            {"receiver": receiver.key, "name": receiver.name, **rule_data(rule)}
            for receiver, rule in matching_rules(record, checked.applicable(chosen))
        ],
        "reverse_zone": None if checked.zone is None else _zone(checked.zone),
        "outside": dict(checked.outside),
        "errors": dict(checked.errors),
        "disagreements": [
            _disagreement(server_answers)
            for server_answers in checked.server_answers
            if server_answers.differs
        ],
    }


def _zone(zone: ReverseZone) -> dict[str, Any]:
    return {
        "zone": zone.name or None,
        "servers": zone.servers,
        "contact": zone.contact or None,
        "exact": zone.exact,
        "lifetimes": [lifetime._asdict() for lifetime in zone.lifetimes],
    }


def _disagreement(server_answers: ServerAnswers) -> dict[str, Any]:
    return {
        "name": server_answers.question.name,
        "type": type_name(server_answers.question.rdtype),
        "answers": {
            server: {"status": answer.status, "records": list(map(rdata_text, answer.records))}
            for server, answer in server_answers.answers.items()
        },
    }
