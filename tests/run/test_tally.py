"""What a run counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from auditor.run.tally import Tally

if TYPE_CHECKING:
    from auditor.output.record import Record


def _record(kind: str, verdict: str, codes: dict[str, str], status: str | None) -> Record:
    return cast(
        "Record",
        {
            "kind": kind,
            "verdict": verdict,
            "findings": [
                {"code": code, "severity": severity, "subject": "x"}
                for code, severity in codes.items()
            ],
            "ptr": None if status is None else {"status": status, "names": [], "chain": []},
        },
    )


def test_records_are_counted_by_all_that_is_asked_of_them() -> None:
    tally = Tally()
    tally.note(_record("ip", "fail", {"PTR_MISSING": "error"}, "NXDOMAIN"))
    tally.note(_record("ip", "warn", {"PTR_GENERIC": "warning", "SPF_NONE": "notice"}, "NOERROR"))
    tally.note(_record("domain", "pass", {}, None))
    tally.note(_record("invalid", "fail", {"TARGET_INVALID": "error"}, None))
    assert tally.records == 4
    assert tally.kinds == {"ip": 2, "domain": 1, "invalid": 1}
    assert tally.verdicts == {"fail": 2, "warn": 1, "pass": 1}
    assert tally.codes == {
        "PTR_MISSING": 1,
        "PTR_GENERIC": 1,
        "SPF_NONE": 1,
        "TARGET_INVALID": 1,
    }
    assert tally.severities == {"error": 2, "warning": 1, "notice": 1}
    assert tally.statuses == {"NXDOMAIN": 1, "NOERROR": 1}


def test_alike_records_counted_together_count_as_one_by_one() -> None:
    single, together = Tally(), Tally()
    for _ in range(5):
        single.note(_record("ip", "warn", {"PTR_GENERIC": "warning"}, "NOERROR"))
    together.count("ip", "warn", [("PTR_GENERIC", "warning")], "NOERROR", 5)
    for name in Tally.__slots__:
        assert getattr(together, name) == getattr(single, name), name
