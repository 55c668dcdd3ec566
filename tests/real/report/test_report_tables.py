"""The tables of a report, in a browser: search, sorting, pages, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.fleet import expected
from support.reports import address_record, domain_record, spf_fact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.browser import Opened


def test_a_search_narrows_the_table(show: Callable[..., Opened], fleet: Path) -> None:
    opened = show(fleet)
    place = opened.page.locator("#targets")
    place.get_by_label("Show").select_option("All")
    assert opened.status("targets") == "1 to 25 of 383"
    place.get_by_label("Search").fill("RELAY-1 example.org")
    found = opened.column("targets", "Name")
    assert found
    assert all("relay-1" in name for name in found)
    assert 0 < int(opened.status("targets").split()[-1]) < 50
    for word, number in (("198.51.100.64/26", 64), ("ptr_multiple", 2)):
        place.get_by_label("Search").fill(word)
        assert opened.status("targets").endswith(f" of {number}")
    place.get_by_label("Search").fill("no such thing")
    assert opened.column("targets", "Name") == []
    assert opened.status("targets") == "Nothing found"


def test_a_press_on_a_head_sorts_and_another_one_turns_it(
    show: Callable[..., Opened], fleet: Path
) -> None:
    opened = show(fleet)
    place = opened.page.locator("#prefixes")
    for name, number in (("Targets", True), ("Prefix", False)):
        head = place.get_by_role("columnheader", name=name)
        head.get_by_role("button").press("Enter")
        first = opened.column("prefixes", name)
        assert head.get_attribute("aria-sort") == ("descending" if number else "ascending")
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == ("ascending" if number else "descending")
        assert opened.column("prefixes", name) == first[::-1] != first
    # Numbers as numbers, addresses by their value.
    assert first == [
        "10.0.2.0/24",
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8:100::/48",
    ]


def test_long_tables_have_pages(show: Callable[..., Opened], large: tuple[Path, list[str]]) -> None:
    page, verdicts = large
    opened = show(page)
    problems = sum(verdict != "pass" for verdict in verdicts)
    assert opened.status("targets") == f"1 to 25 of {problems:,}"
    first = opened.column("targets", "Target")
    place = opened.page.locator("#targets")
    place.get_by_role("button", name="Next").press("Enter")
    assert opened.status("targets") == f"26 to 50 of {problems:,}"
    assert not set(opened.column("targets", "Target")) & set(first)
    place.get_by_role("button", name="Previous").click()
    assert opened.column("targets", "Target") == first
    # However long the table is, the page is not.
    assert opened.page.locator("tr").count() < 200


def test_findings_maps_and_tables_lead_to_one_another(
    show: Callable[..., Opened], fleet: Path
) -> None:
    opened = show(fleet)
    opened.page.locator('button[data-code="PTR_MISSING"]').click()
    missing = sum("PTR_MISSING" in row.codes for row in expected("targets.txt"))
    assert opened.status("targets") == f"1 to 25 of {missing}"
    opened.page.locator("#targets").get_by_role("button", name="198.51.100.13").click()
    assert opened.title() == "198.51.100.13"
    opened.page.get_by_role("button", name="List 198.51.100.0/24").click()
    assert opened.status("targets") == "1 to 25 of 256"


def test_changes_since_the_scan_before_are_shown(show: Callable[..., Opened], fleet: Path) -> None:
    opened = show(fleet)
    assert "Since the last scan" in opened.page.locator(".lead").inner_text()
    place = opened.page.locator("#targets")
    place.get_by_label("Show").select_option("Changed")
    place.get_by_label("Search").fill("198.51.100.18/32")
    assert opened.column("targets", "Change") == ["was fail"]


def test_spf_coverage_is_told_by_block_and_domain(
    show: Callable[..., Opened], report: Callable[..., Path]
) -> None:
    records = [
        address_record(
            f"192.0.2.{n}",
            names=[f"mx-{n}.example.net"],
            spf=[
                spf_fact("helo", f"mx-{n}.example.net", "pass" if n else "none"),
                spf_fact("mailfrom", "example.org", "pass" if n < 16 else "fail"),
            ],
        )
        for n in range(64)
    ]
    opened = show(report("coverage", records))
    table = [
        opened.column("spf", name)
        for name in ("Domain", "Identity", "Block", "Authorises", "Share")
    ]
    assert list(zip(*table, strict=True)) == [
        ("example.net", "HELO", "192.0.2.0/24", "63", "98.4 %"),
        ("example.org", "MAIL FROM", "192.0.2.0/24", "16", "25.0 %"),
    ]
    results = [text.split("\n")[-1] for text in opened.column("spf", "Results")]
    assert results == ["pass 63, none 1", "pass 16, fail 48"]


def test_results_without_ipv4_have_tables_and_no_map(
    show: Callable[..., Opened], report: Callable[..., Path]
) -> None:
    records = [address_record("2001:db8::1", "PTR_MISSING"), domain_record("example.net")]
    opened = show(report("no-map", records))
    assert opened.page.locator("#map").count() == 0
    assert opened.column("prefixes", "Prefix") == ["2001:db8::/48"]
    opened.page.locator("#targets").get_by_label("Show").select_option("Only domains")
    assert opened.column("targets", "Target") == ["example.net"]
    assert opened.column("targets", "Name") == ["v=spf1 mx -all (1 of 10 lookups)"]
