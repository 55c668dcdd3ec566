"""The RFC 7208 suite and real policies, evaluated for all addresses at once."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

import pytest
from spf_.test_spf_rfc7208 import _zone
from support.spf_answers import check
from support.spf_suite import CASE_IDS, CASES, MISSING
from support.spf_worlds import finish

from auditor.spf.check_host import sender_of
from auditor.spf.policy_tree import policy_summary
from auditor.spf.ranges import RangeResult, range_table

if TYPE_CHECKING:
    from support.spf_suite import Case

    from auditor.resolve.zones.engine import ZoneFileEngine
    from auditor.spf.ranges import RangeTable
    from auditor.spf.result import SpfFact


def _number(address: str) -> tuple[int, int]:
    """Return version and number of an address; an IPv4-mapped one is IPv4."""
    parsed: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return parsed.version, int(parsed)


def _from_ranges(case: Case) -> tuple[RangeResult, SpfFact | None]:
    sender, helo = case.spec["mailfrom"], case.spec["helo"]
    local, _, domain = sender.rpartition("@") if sender else ("", "", helo)
    version, number = _number(case.spec["host"])
    steps = range_table(domain, version, sender=f"{local}@{domain}", helo=helo)
    table = finish(steps, _zone(case.zone).answer)
    return table.lookup(number), table.fact(number, "mailfrom" if sender else "helo")


@pytest.mark.parametrize("case", CASES, ids=CASE_IDS)
def test_a_case_of_the_suite_comes_out_of_ranges_as_of_check_host(case: Case) -> None:
    spec = case.spec
    accepted = spec["result"] if isinstance(spec["result"], list) else [spec["result"]]
    wanted = check(
        _zone(case.zone).answer, spec["host"].lower(), spec["helo"], spec["mailfrom"] or None
    ).fact

    part, fact = _from_ranges(case)

    assert part.result in {None, *accepted}
    assert fact in {None, wanted}
    # Only what needs the address, or the text of exp=, is left over.
    assert fact or "%{" in str(case.zone) or "ptr" in str(case.zone) or "exp=" in str(case.zone)


@pytest.mark.skipif(not CASES, reason=MISSING)
def test_most_cases_of_the_suite_are_decided_by_ranges() -> None:
    assert sum(_from_ranges(case)[1] is not None for case in CASES) > 0.8 * len(CASES)


def test_every_decided_row_equals_the_truth(
    zones: ZoneFileEngine, rows: list[dict[str, Any]]
) -> None:
    tables: dict[tuple[str, int], RangeTable] = {}
    wrong = []
    decided = 0
    for row in rows:
        domain = row["domain"]
        version, number = _number(row["ip"])
        table = tables.get((domain, version))
        if table is None:
            steps = range_table(domain, version, sender=sender_of(domain), helo=domain)
            table = tables[domain, version] = finish(steps, zones.answer)
        part = table.lookup(number)
        if part.decided:
            decided += 1
            found = {"result": part.result, "lookups": part.lookups, "voids": part.voids}
            if any(row[key] not in {None, value} for key, value in found.items()):
                wrong.append((row, part))

    assert wrong == []
    assert decided > 0.98 * len(rows)


def test_the_facts_of_real_policies_are_those_of_check_host(
    zones: ZoneFileEngine, rows: list[dict[str, Any]]
) -> None:
    for row in rows[::12]:
        sender = sender_of(row["domain"])
        version, number = _number(row["ip"])
        table = finish(range_table(row["domain"], version, sender=sender), zones.answer)
        fact = check(zones.answer, row["ip"], row["domain"], sender).fact

        assert table.fact(number, "mailfrom") in {None, fact}


def test_the_static_counts_are_those_of_an_address_that_gets_to_the_end(
    zones: ZoneFileEngine, rows: list[dict[str, Any]]
) -> None:
    compared = 0
    for row in rows:
        if row["ip"] != "192.0.2.1" or row["lookups"] is None or row["result"] == "permerror":
            continue
        summary = finish(policy_summary(row["domain"]), zones.answer)
        if summary.tree and summary.tree.terms and summary.tree.terms[-1].reached:
            compared += 1
            assert summary.lookups == row["lookups"], row["domain"]

    assert compared > 0.3 * len(rows)
