"""Lines counted by template: what they are record by record, whatever the records hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.reports import address_record, spf_fact
from support.tables import fleet_lines
from views.making import records as odd_records

from auditor.findings.receivers import select_receivers
from auditor.views.reader.line_template import MARKS, LineFolder, fold
from auditor.views.reader.results import Chunk, parse_record
from auditor.views.report.aggregate import AggregateLimits, ScanAggregate
from auditor.views.report.encode import page_data
from auditor.views.report.lines import LineCounter
from auditor.views.report.maps import blocks
from auditor.views.report.ranking import no_longer_found, ranked
from auditor.wire.addresses import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_RECEIVERS = select_receivers((), None)


def _page(gathered: ScanAggregate) -> tuple[Any, ...]:
    """Return all that the page says of a scan."""
    maps, others = blocks(gathered)
    data = page_data(gathered, maps, others=others, compared=True)
    # Patterns are found in the names of a prefix that come together: here all, there one by one.
    data.pop("naming")
    counts = gathered.receivers.rows(), gathered.now.verdicts, gathered.now.kinds
    return orjson.dumps(data), ranked(gathered, compared=True), no_longer_found(gathered), *counts


def _by_line(lines: Sequence[bytes], limits: AggregateLimits) -> ScanAggregate:
    gathered = ScanAggregate(limits, _RECEIVERS)
    for before in (False, True):
        counter = LineCounter(gathered, before=before)
        for first in range(0, len(lines), 5):
            counter.count_chunk(Chunk(lines[first : first + 5], "x", first + 1))
        counter.flush()
    return gathered


def _by_record(lines: Sequence[bytes], limits: AggregateLimits) -> ScanAggregate:
    gathered = ScanAggregate(limits, _RECEIVERS)
    for record in map(parse_record, lines):
        gathered.add_record(record)
    for record in map(parse_record, lines):
        where = parse_address(record["target"]) if record["kind"] == "ip" else None
        gathered.past(record, where)
    return gathered


def _is_same(lines: Sequence[bytes], **limits: int) -> bool:
    bounds = AggregateLimits(**limits)
    return _page(_by_line(lines, bounds)) == _page(_by_record(lines, bounds))


#: Names and addresses that are the same as others of a record, or as its constant texts.
_NAMES = st.sampled_from(
    ("a.example.net", "b.example.net", "mx.example.org", "192.0.2.1", "a", "net", "x.y:z.example",
     "1.0.[mark]", "2.[mark]", 'a"b.c', "a\\.b.c", MARKS[2], "mail.lan", "%b.example.net")
)  # fmt: skip
_TARGETS = st.sampled_from(
    (
        "192.0.2.1",
        "192.0.2.77",
        "192.0.3.1",
        "198.51.100.7",
        "2001:db8::1",
        "::1",
        "::ffff:192.0.2.1",
        "a.b",
    )
)
_CODES = st.sampled_from([(), ("PTR_GENERIC",), ("PTR_MISSING",), ("FORWARD_MISSING", "SPF_NONE")])


@st.composite
def _twisted(draw: Callable[..., Any]) -> dict[str, Any]:
    """Draw a record of one of few forms, in which texts are alike or not."""
    names = draw(st.lists(_NAMES, max_size=5))
    record = address_record(draw(_TARGETS), *draw(_CODES), names=names)
    facts = [spf_fact("helo", name, "pass") for name in names[:2]]
    facts.append(spf_fact("mailfrom", draw(st.sampled_from(("mail.lan", "a.example.net"))), "fail"))
    record["spf"] = facts[draw(st.integers(0, 2)) :]
    if draw(st.integers(0, 5)) == 0:
        record["labels"] = {draw(_NAMES): draw(_NAMES)}
        record["ptr"]["owner"] = draw(_NAMES)
    return record


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.one_of(_twisted(), odd_records), max_size=12), st.randoms())
def test_a_page_by_lines_says_what_a_page_by_records_says(
    made: list[dict[str, Any]], order: Any
) -> None:
    lines = [*map(orjson.dumps, made)] * 4
    order.shuffle(lines)
    assert _is_same(lines)
    assert _is_same(lines, rows=7, problems=5, prefixes=2, domains=3)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.one_of(_twisted(), odd_records), max_size=8), st.randoms())
def test_a_line_is_the_line_again_whichever_lines_were_folded_before(
    made: list[dict[str, Any]], order: Any
) -> None:
    lines = [*map(orjson.dumps, made)] * 4
    order.shuffle(lines)
    folder = LineFolder()
    folded_lines = [*folder.fold_lines(lines[:5]), *folder.fold_lines(lines[5:])]
    for line, (folded, texts) in zip(lines, folded_lines, strict=True):
        again = folded
        for mark, text in zip(MARKS, texts, strict=False):
            again = again.replace(mark.encode(), text)
        assert again == line


@pytest.mark.parametrize("names", [["a"], ["a", "b"]])
@pytest.mark.parametrize("label", ["mx", "n" * 300, "n" * 1020, "n" * 1100])
def test_a_row_is_cut_where_its_record_would_be(names: list[str], label: str) -> None:
    record = address_record(
        "192.0.2.1", "FORWARD_MISSING", names=[f"{name}.{label}.example" for name in names]
    )
    record["findings"][0]["subject"] = record["ptr"]["names"][-1]
    record["spf"] = [spf_fact("helo", name, "none") for name in record["ptr"]["names"]]
    assert _is_same([orjson.dumps(record)] * 4)


@pytest.mark.parametrize("alike", ["mx.example.net", "3.2.0.192.in-addr.arpa", "192.0.2.3"])
def test_a_text_that_stands_elsewhere_in_its_line_is_replaced_there(alike: str) -> None:
    lines = []
    for host in range(5):
        name = alike if host == 3 else f"h{host}.example.net"
        record = address_record(f"192.0.2.{host}", names=[name])
        record["ptr"]["owner"] = f"{host}.2.0.192.in-addr.arpa"
        record["spf"] = [spf_fact("mailfrom", "mx.example.net", "pass")]
        lines.append(orjson.dumps(record))
    folder = LineFolder()
    folder.fold_lines(lines[:2])
    assert folder.fold_lines(lines[2:]) == [fold(line) for line in lines[2:]]


@pytest.mark.parametrize("target", ["::1", "::ffff:192.0.2.1", "odd", "two words.example"])
def test_what_names_an_odd_target_again_is_taken_for_it(target: str) -> None:
    record = address_record(target, "PTR_MISSING")
    record["findings"][0]["subject"] = target
    assert _is_same([orjson.dumps(record)] * 4)


def test_a_page_of_the_fleet_by_lines_says_what_a_page_by_records_says() -> None:
    lines = [line.strip() for line in fleet_lines("targets.txt", "targets.csv")]
    assert _is_same(lines * 3)
