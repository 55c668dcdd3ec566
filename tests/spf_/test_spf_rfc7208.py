"""The openspf RFC 7208 suite, every case through `check_host`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.data import missing
from support.spf_answers import Zone, check
from support.spf_suite import CASE_IDS, CASES, MISSING

from auditor.wire.codes import SPF, TXT, type_number

if TYPE_CHECKING:
    from support.spf_suite import Case


def _rdata(rdtype: str, value: Any) -> Any:
    if rdtype in {"SPF", "TXT"}:
        strings = value if isinstance(value, list) else [value]
        return tuple(string.encode("latin-1") for string in strings)
    if rdtype == "MX":
        return (value[0], value[1].lower().removesuffix(".") or ".")
    return value.lower().removesuffix(".")


def _zone(data: dict[str, list[Any]]) -> Zone:
    """Read zone data: SPF records count as TXT too, unless there is any TXT (see the suite)."""
    names: dict[str, dict[int, list[Any]]] = {}
    timeouts = []
    for name, entries in data.items():
        types: dict[int, list[Any]] = {}
        for entry in entries:
            if entry == "TIMEOUT":
                timeouts.append(name)
                continue
            ((rdtype, value),) = entry.items()
            records = types.setdefault(type_number(rdtype), [])
            if value != "NONE":
                records.append(_rdata(rdtype, value))
        types.setdefault(TXT, types.get(SPF, []))
        names[name] = types
    return Zone(names, timeouts)


def test_the_suite_is_whole() -> None:
    if not CASES:
        missing(MISSING)
    assert len(CASES) > 150


@pytest.mark.parametrize("case", CASES, ids=CASE_IDS)
def test_a_case_has_an_acceptable_result(case: Case) -> None:
    zone = _zone(case.zone)
    spec = case.spec
    sender = spec["mailfrom"] or None

    fact = check(zone.answer, spec["host"].lower(), spec["helo"], sender).fact

    accepted = spec["result"] if isinstance(spec["result"], list) else [spec["result"]]
    assert fact.result in accepted
    assert fact.identity == ("mailfrom" if sender else "helo")
    if fact.result == "fail" and "explanation" in spec:
        told = spec["explanation"]
        assert fact.explanation == (None if told == "DEFAULT" else told)


@pytest.mark.parametrize("case", CASES, ids=CASE_IDS)
def test_a_null_sender_means_the_helo_identity(case: Case) -> None:
    zone = _zone(case.zone)
    address, helo = case.spec["host"].lower(), case.spec["helo"]

    as_helo = check(zone.answer, address, helo).fact
    as_sender = check(zone.answer, address, helo, "").fact

    assert as_sender == as_helo._replace(identity="mailfrom")
