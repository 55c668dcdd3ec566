"""Lint over real policies: no traceback, and the counts that independent evaluators agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.spf_worlds import finish

from auditor.findings.catalogue import entry
from auditor.spf.lint.policy import LintReport, lint

if TYPE_CHECKING:
    from auditor.resolve.zones.engine import ZoneFileEngine
    from auditor.spf.policy_tree import TreePolicy

#: The address of each domain's row that is in no policy, and so reaches the end of most.
NOBODY = "192.0.2.1"
AT_THE_END = {"fail", "softfail", "neutral"}


@pytest.fixture(scope="module")
def reports(zones: ZoneFileEngine, rows: list[dict[str, Any]]) -> dict[str, LintReport]:
    return {row["domain"]: finish(lint(row["domain"]), zones.answer) for row in rows}


def test_every_domain_is_linted(reports: dict[str, LintReport]) -> None:
    assert len(reports) in {3065, 307}
    for domain, report in reports.items():
        assert report.summary.domain == domain
        for problem in report.problems:
            assert entry(problem.code).subject == "domain"
            assert (problem.term + problem.note + problem.domain).isprintable()
            assert (problem.term + problem.note + problem.domain).isascii()


def test_lookups_are_those_of_an_address_that_reaches_the_end(
    reports: dict[str, LintReport], rows: list[dict[str, Any]]
) -> None:
    ends = [row for row in rows if row["ip"] == NOBODY and row["result"] in AT_THE_END]
    counted = [row for row in ends if row["lookups"] is not None]

    assert len(counted) > 0.95 * len(reports)
    assert [
        row for row in counted if reports[row["domain"]].summary.lookups != row["lookups"]
    ] == []


def _is_static(tree: TreePolicy) -> bool:
    """Tell whether what a policy looks up is the same for all clients."""
    return all(
        term.target is not None
        and term.term.kind != "ptr"
        and (term.policy is None or _is_static(term.policy))
        for term in tree.terms
        if term.reached
    )


def test_void_lookups_are_too_where_they_do_not_depend_on_the_client(
    reports: dict[str, LintReport], rows: list[dict[str, Any]]
) -> None:
    ends = [row for row in rows if row["ip"] == NOBODY and row["result"] in AT_THE_END]
    counted = []
    for row in ends:
        tree = reports[row["domain"]].summary.tree
        if row["voids"] is not None and tree is not None and _is_static(tree):
            counted.append(row)

    assert len(counted) > 0.65 * len(reports)
    assert [row for row in counted if reports[row["domain"]].summary.voids[0] != row["voids"]] == []


#: What must be found where the truth says permerror.
BREAKING = {
    "SPF_SYNTAX",
    "SPF_NOT_ASCII",
    "SPF_MULTIPLE_RECORDS",
    "SPF_TOO_MANY_LOOKUPS",
    "SPF_TOO_MANY_VOIDS",
    "SPF_TOO_MANY_MX",
    "SPF_INCLUDE_WITHOUT_RECORD",
    "SPF_INCLUDE_LOOP",
}


def test_a_permerror_that_does_not_depend_on_the_client_is_explained(
    reports: dict[str, LintReport], rows: list[dict[str, Any]]
) -> None:
    silent = []
    broken = [row for row in rows if row["result"] == "permerror"]
    for row in broken:
        tree = reports[row["domain"]].summary.tree
        if tree is not None and not _is_static(tree):
            continue
        expected = BREAKING | ({"SPF_TOO_MANY_VOIDS_V6"} if ":" in row["ip"] else set())
        if expected.isdisjoint(code for code, _ in reports[row["domain"]].findings):
            silent.append(row)

    assert len(broken) > len(rows) / 150
    assert silent == []


def test_nothing_that_breaks_is_found_where_the_end_is_reached(
    reports: dict[str, LintReport], rows: list[dict[str, Any]]
) -> None:
    sound = [row["domain"] for row in rows if row["ip"] == NOBODY and row["result"] in AT_THE_END]
    accused = [d for d in sound if BREAKING & {code for code, _ in reports[d].findings}]

    assert len(sound) > 0.93 * len(reports)
    assert accused == []
