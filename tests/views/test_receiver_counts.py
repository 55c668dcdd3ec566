"""What receivers do, counted over results: in the summary, and in the report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.reports import address_record
from views.making import lines

from auditor.findings.receivers import facts_of, receivers, select_receivers
from auditor.views.reader.results import Chunk
from auditor.views.receiver_counts import EFFECTS, ReceiverCounts
from auditor.views.summary.line_classes import LineClasses
from auditor.views.summary.summary import Summary

if TYPE_CHECKING:
    from auditor.views.receiver_counts import ReceiverCount


def _counted(*names: str, records: list[dict[str, Any]]) -> dict[str, ReceiverCount]:
    counts = ReceiverCounts(select_receivers(names))
    for record in records:
        counts.count_record(record)
    return {row.key: row for row in counts.rows()}


def test_an_address_counts_for_the_strictest_that_is_published() -> None:
    missing = address_record("192.0.2.5", "PTR_MISSING")
    softfail = address_record("192.0.2.6", names=["mx.example.net"])
    softfail["spf"] = [{"identity": "mailfrom", "domain": "example.net", "result": "softfail"}]
    found = _counted("gmail", "proofpoint", "postfix", records=[missing, missing, softfail])
    assert found["gmail"].counts == {**dict.fromkeys(EFFECTS, 0), "refuse": 2, "depends": 1}
    assert found["proofpoint"].counts == {**dict.fromkeys(EFFECTS, 0), "junk": 2}
    assert found["postfix"].counts == {**dict.fromkeys(EFFECTS, 0), "depends": 2}
    assert [row.total for row in found.values()] == [3, 2, 2]
    assert list(found) == ["gmail", "proofpoint", "postfix"]


def test_a_rule_for_ipv6_is_counted_for_ipv6_alone() -> None:
    records = [address_record(text, "PTR_MISSING") for text in ("192.0.2.5", "2001:db8::5")]
    assert _counted("exchange-online", records=records)["exchange-online"].counts["defer"] == 1


@settings(max_examples=examples(150))
@given(st.lists(lines, max_size=8))
def test_a_summary_counts_what_records_one_by_one_give(some: list[bytes]) -> None:
    """By classes of lines, from which the target is cut out, but not its family."""
    chosen = tuple(receivers().values())
    one_by_one = ReceiverCounts(chosen)
    for line in some + some:
        one_by_one.count_record(json.loads(line))
    summary = Summary(receivers=chosen)
    classes = LineClasses(summary.counts, summary.count_record, summary.facts)
    for at in range(0, 2 * len(some), 3):
        classes.count_chunk(Chunk((some + some)[at : at + 3], "test", at + 1))
    classes.flush()
    assert summary.as_json(1)["receivers"] == one_by_one.as_json()


def test_domains_and_wrong_lines_are_not_counted() -> None:
    counts = ReceiverCounts(tuple(receivers().values()))
    counts.count_record({"kind": "domain", "ptr": None, "iprev": None})
    assert counts.addresses == 0
    assert facts_of({"kind": "domain", "ptr": None, "iprev": None}) == frozenset()
