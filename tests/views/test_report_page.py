"""The page of a report as a file: whole, closed, escaped, the same each time, and its words.

Also tests `headline.py`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.reports import address_record, curve, data_of, domain_record, write_records

from auditor.findings.catalogue import entry
from auditor.views.report.aggregate import AggregateLimits, ScanAggregate
from auditor.views.report.headline import headline, reason, share
from auditor.views.report.page import asset, make_page, origin
from auditor.views.report.ranking import ranked

_RECORDS = [
    address_record("192.0.2.2", "PTR_MISSING"),
    address_record("192.0.2.1", names=["mail.example.net", "mx.example.net"]),
    address_record("2001:db8::1", "PTR_GENERIC", names=["<b>.example.net"], labels={"a": "b"}),
    domain_record("example.net", "SPF_NONE"),
]


@pytest.fixture
def results(tmp_path: Path) -> str:
    return write_records(tmp_path / "scan.ndjson", _RECORDS)


class _Elements(HTMLParser):
    """Notes the elements of a page with their attributes, and what style and script hold."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self._inside = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.raw:
            self.raw[self._inside].append(data)


# --- Closed


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else(results: str) -> None:
    found = _Elements(make_page([results], version="1.2.3"))
    (policy,) = (
        attributes["content"]
        for name, attributes in found.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    digests = {
        kind: base64.b64encode(hashlib.sha256(found.raw[kind][-1].encode()).digest()).decode()
        for kind in ("script", "style")
    }
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'sha256-{digests['script']}'",
        "style-src": f"'sha256-{digests['style']}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    # The policy comes before all that it is about.
    assert [name for name, _ in found.elements[:4]] == ["html", "head", "meta", "meta"]


def test_nothing_in_the_page_names_another_place_or_runs_by_itself(results: str) -> None:
    for name, attributes in _Elements(make_page([results], version="1.2.3")).elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), (name, key)
            assert key not in {"style", "srcset", "action", "src"}, (name, key)
            if key == "href":
                assert value is not None
                assert value.startswith(("#", "data:image/svg+xml,"))


@pytest.mark.parametrize(
    "forbidden",
    [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "fetch",
    ],
)
def test_the_script_makes_text_of_text(forbidden: str) -> None:
    for name in ("hilbert", "data", "table", "tables", "map", "readout", "main"):
        assert forbidden not in asset(f"{name}.js")


# --- The same, and escaped


def test_the_same_results_give_the_same_page(results: str) -> None:
    pages = {make_page([results], [results], version="1.2.3") for _ in range(2)}
    assert len(pages) == 1


def test_what_others_wrote_is_escaped(tmp_path: Path) -> None:
    bad = "</script><script>alert(1)</script>"
    record = address_record("192.0.2.1", "FORWARD_MISSING", names=[bad, "\u2028\u202e\x00"])
    results = write_records(tmp_path / "<script>x", [record])
    page = make_page([results], [results], version=bad)
    found = _Elements(page)
    assert [name for name, _ in found.elements].count("script") == 2
    assert bad.encode() not in page
    assert b"&lt;script&gt;x" in page
    # In the data names stand as they are, but for what does not print.
    assert data_of(page)["names"] == [[bad, "\\u2028\\u202e\\x00"]]


def test_names_are_of_bounded_length_and_number(tmp_path: Path) -> None:
    names = ["x" * 5000, *(f"{n}.example.net" for n in range(9))]
    page = make_page(
        [write_records(tmp_path / "x", [address_record("192.0.2.1", names=names)])], version="1"
    )
    (shown,) = data_of(page)["names"]
    assert [len(name) for name in shown] == [1024, 13, 13, 10]
    assert shown[3] == "and 7 more"


# --- What it holds


def test_the_data_hold_every_target_addresses_first_and_in_order(results: str) -> None:
    data = data_of(make_page([results], version="1.2.3"))
    assert data["runs"] == [0xC0000201, 2]
    assert data["texts"] == ["2001:db8::1", "example.net"]
    assert data["names"] == [["mail.example.net", "mx.example.net"], 0, "<b>.example.net", 0]
    shapes = [data["shapes"][number] for number in data["shape"]]
    assert [shape[1] for shape in shapes] == [0, 3, 1, 1]
    codes = [[data["codes"][code][0] for code in shape[2]] for shape in shapes]
    assert codes == [[], ["PTR_MISSING"], ["PTR_GENERIC"], ["SPF_NONE"]]
    assert data["label_texts"] == ["a: b"]
    assert data["labels"] == [[2], [0]]
    assert data["blocks"] == [["192.0.2.0/24", 0xC0000200, 24, 32, [1, 0, 0, 1]]]
    assert [prefix[0] for prefix in data["prefixes"]] == ["192.0.2.0/24", "2001:db8::/48"]


def test_the_words_are_those_of_the_catalogue(results: str) -> None:
    text = (
        make_page([results], version="1.2.3").decode().replace("&#34;", '"').replace("&#39;", "'")
    )
    for code in ("PTR_MISSING", "PTR_GENERIC", "SPF_NONE"):
        known = entry(code)
        for words in (known.title, known.why, known.remedy, *known.references):
            assert words in text, code


def test_the_page_says_what_is_new(tmp_path: Path) -> None:
    old = write_records(tmp_path / "old", [address_record("192.0.2.1", "FORWARD_MISSING")])
    new = write_records(tmp_path / "new", [address_record("192.0.2.1"), *_RECORDS[:1]])
    text = make_page([new], [old], version="1").decode()
    assert "Since the last scan 1 got better and 1 appeared." in text
    assert "No longer found: <code>FORWARD_MISSING</code> (1)." in text
    same = make_page([new], [new], version="1").decode()
    assert "Nothing has got better or worse since the last scan." in same


def test_no_records_give_a_page_that_says_so(tmp_path: Path) -> None:
    page = make_page([write_records(tmp_path / "none", [])], version="1")
    assert b"<h1>Nothing was audited.</h1>" in page
    assert b"from 0 records. A target" in page
    assert data_of(page)["blocks"] == []


# --- The manifest


def _manifest(results: str, **values: Any) -> None:
    Path(f"{results}.run.json").write_bytes(orjson.dumps(values))


def test_when_and_how_a_scan_ended_is_told_by_its_manifest(results: str) -> None:
    assert origin([results]) == ("scan.ndjson", "", "")
    times = {"started": "2026-11-23T01:00:00.5+02:00", "ended": "2026-11-23T03:10:00+00:00"}
    _manifest(results, **times, how="interrupted <b>")
    found = origin([results])
    assert found == ("scan.ndjson", "2026-11-22 23:00 to 2026-11-23 03:10 UTC", "interrupted <b>")
    assert b"The scan did not finish: interrupted &lt;b&gt;." in make_page([results], version="1")
    _manifest(results, started=times["ended"], ended=times["ended"], how="finished")
    assert origin([results]) == ("scan.ndjson", "2026-11-23 03:10 to 03:10 UTC", "")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"started":1}', b'{"started":"x","ended":"y"}'])
def test_a_manifest_that_is_none_is_done_without(results: str, content: bytes) -> None:
    Path(f"{results}.run.json").write_bytes(content)
    assert origin([results]) == ("scan.ndjson", "", "")


def test_several_results_and_standard_input_have_names() -> None:
    assert origin(["a/x.ndjson", "b/y.ndjson"]).name == "x.ndjson and 1 more"
    assert origin(["-"]).name == "standard input"


# --- Words


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({}, "Nothing was audited."),
        ({"fail": 1, "pass": 1}, "1 of 2 addresses fails."),
        ({"fail": 1000, "pass": 234}, "1,000 of 1,234 addresses fail."),
        ({"unknown": 3, "pass": 5}, "None of 8 addresses fails; 3 could not be looked up."),
        ({"warn": 3, "pass": 5}, "None of 8 addresses fails; 3 have warnings."),
        ({"pass": 5}, "All 5 addresses pass."),
        ({"pass": 1}, "The one address passes."),
    ],
)
def test_the_headline_says_how_things_stand(verdicts: dict[str, int], expected: str) -> None:
    gathered = ScanAggregate()
    gathered.now.records = sum(verdicts.values())
    gathered.now.verdicts = Counter(verdicts)
    gathered.now.kinds["ip"] = gathered.now.records
    assert headline(gathered) == expected


def test_only_nothing_is_0_and_only_everything_100_per_cent() -> None:
    assert [share(part, 100_000) for part in (0, 1, 200, 12_345, 50_000, 99_999, 100_000)] == [
        "0 %",
        "under 0.1 %",
        "0.2 %",
        "12 %",
        "50 %",
        "99.9 %",
        "100 %",
    ]


def test_a_reason_begins_in_lower_case_unless_it_is_an_acronym() -> None:
    gathered = ScanAggregate()
    gathered.add_record(address_record("192.0.2.1", "PTR_MISSING"))
    (finding,) = ranked(gathered, compared=False)
    assert reason(gathered, [finding]) == (
        "The most frequent reason: the address has no PTR record (1)."
    )
    other = reason(gathered, [finding._replace(title="MX records fail")])
    assert other == "The most frequent reason: MX records fail (1)."
    assert reason(gathered, [finding._replace(severity="warning")]) == ""


def test_the_manual_names_the_limit_in_force() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "results.md"
    assert f"Up to {AggregateLimits().rows:,} targets are listed" in page.read_text("utf-8")


# --- Colours and curve


def _luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_verdicts_are_told_apart_by_lightness_alone(theme: int) -> None:
    found = dict(re.findall(r"--([\w-]+): light-dark\((#\w+, #\w+)\)", asset("page.css")))
    colours = {name: pair.split(", ")[theme] for name, pair in found.items()}
    steps = [_luminance(colours[name]) for name in ("pass", "warn", "unknown", "fail")]
    for one, other in pairwise(sorted(steps)):
        assert (other + 0.05) / (one + 0.05) > 1.15
    for verdict, mark in (("warn", "warn-mark"), ("unknown", "mark"), ("fail", "mark")):
        dark, light = sorted((_luminance(colours[verdict]), _luminance(colours[mark])))
        assert (light + 0.05) / (dark + 0.05) > 3, verdict
    for name in ("ink", "soft", "link"):
        back, text = sorted((_luminance(colours["ground"]), _luminance(colours[name])))
        assert (text + 0.05) / (back + 0.05) > 4.5, name


@pytest.mark.parametrize("order", range(6))
def test_the_curve_of_the_tests_is_one(order: int) -> None:
    cells, side = curve(order), 1 << order
    assert sorted(cells) == [(x, y) for x in range(side) for y in range(side)]
    assert all(abs(a - c) + abs(b - d) == 1 for (a, b), (c, d) in pairwise(cells))
    assert (cells[0], cells[-1]) == ((0, 0), (0, side - 1))
    # The first half is the upper one.
    assert all(row < max(side // 2, 1) for _, row in cells[: side * side // 2])
