"""What a run counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from auditor.output.tally import Tally, is_countable

if TYPE_CHECKING:
    from auditor.output.record_types import Record


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
    tally.count_record(_record("ip", "fail", {"PTR_MISSING": "error"}, "NXDOMAIN"))
    tally.count_record(
        _record("ip", "warn", {"PTR_GENERIC": "warning", "SPF_NONE": "notice"}, "NOERROR")
    )
    tally.count_record(_record("domain", "pass", {}, None))
    tally.count_record(_record("invalid", "fail", {"TARGET_INVALID": "error"}, None))
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
        single.count_record(_record("ip", "warn", {"PTR_GENERIC": "warning"}, "NOERROR"))
    together.count_equal_records("ip", "warn", [("PTR_GENERIC", "warning")], "NOERROR", 5)
    for name in Tally.__slots__:
        assert getattr(together, name) == getattr(single, name), name


def test_what_is_taken_back_leaves_no_trace() -> None:
    records = [
        _record("ip", "warn", {"PTR_GENERIC": "warning", "SPF_NONE": "notice"}, "NOERROR"),
        _record("domain", "pass", {}, None),
        _record("ip", "fail", {"PTR_MISSING": "error"}, "NXDOMAIN"),
    ]
    tally, other = Tally(), Tally()
    for record in records:
        tally.count_record(record)
    other.count_record(records[0])
    for record in records[1:]:
        tally.uncount_record(record)
    for name in Tally.__slots__:
        assert _part(tally, name) == _part(other, name), name


def _part(tally: Tally, name: str) -> object:
    """Return a part of a tally; a Counter takes nought for absent, which it is not here."""
    value = getattr(tally, name)
    return value if isinstance(value, int) else dict(value)


_GOOD: dict[str, Any] = {
    "target": "192.0.2.1",
    "kind": "ip",
    "verdict": "fail",
    "findings": [{"code": "PTR_MISSING", "severity": "error", "subject": "192.0.2.1"}],
    "ptr": {"status": "NXDOMAIN"},
}


def test_a_record_can_be_counted() -> None:
    assert is_countable(_GOOD)
    assert is_countable({**_GOOD, "findings": [], "ptr": None})


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {**_GOOD, "target": 5},
        {**_GOOD, "kind": []},
        {**_GOOD, "kind": "ipx"},
        {**_GOOD, "verdict": {}},
        {**_GOOD, "findings": None},
        {**_GOOD, "findings": ["PTR_MISSING"]},
        {**_GOOD, "findings": [{"code": "NO_SUCH", "severity": "error"}]},
        {**_GOOD, "findings": [{"code": "PTR_MISSING", "severity": ["error"]}]},
        {**_GOOD, "ptr": 5},
        {**_GOOD, "ptr": {"status": None}},
        {key: value for key, value in _GOOD.items() if key != "ptr"},
    ],
)
def test_foreign_json_is_not_counted(value: object) -> None:
    assert not is_countable(value)
