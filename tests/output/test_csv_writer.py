"""Flat tables as CSV: RFC 4180, readable again, and never a formula."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.tables import fleet_records, made_records

from auditor.errors import InputError
from auditor.output.csv_writer import csv_table, guarded, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterable

_FORMULA: Final = tuple("=+-@|%\uff1d\uff0b\uff0d\uff20")
#: What a text is made of that wants to be run.
_EVIL: Final = st.text(st.sampled_from("=+-@%'\"\t\r\n;|, a\uff1d\u00a0\u200b"), max_size=8)


def _written(records: Iterable[dict[str, Any]], **options: Any) -> bytes:
    file = io.BytesIO()
    write_csv(records, file, **options)
    assert not file.closed
    return file.getvalue()


def _rows(data: bytes, delimiter: str = ",") -> list[list[str]]:
    text = data.decode("utf-8")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def _unguarded(text: str) -> str:
    """Return the text in a cell, as the module says it is to be had."""
    return re.sub(r"(^|(?<=[;|\t\r\n]))'", "", text)


@pytest.fixture(scope="module")
def fleet() -> list[dict[str, Any]]:
    return fleet_records()


def _by_name(data: bytes) -> list[dict[str, str]]:
    names, *rows = _rows(data)
    return [{name: _unguarded(cell) for name, cell in zip(names, row, strict=True)} for row in rows]


def test_every_target_has_one_row(fleet: list[dict[str, Any]]) -> None:
    rows = _by_name(_written(fleet))
    assert [row["target"] for row in rows] == [record["target"] for record in fleet]
    for row, record in zip(rows, fleet, strict=True):
        assert row["verdict"] == record["verdict"]
        assert row["codes"].split() == [finding["code"] for finding in record["findings"]]
        assert row["ptr_names"].split() == (record["ptr"] or {"names": []})["names"]
        assert row["spf_results"].split() == [each["result"] for each in record["spf"]]
        assert json.loads(row["labels"]) == record["labels"]
        assert row["error"] == (record["error"] or "")


def test_flat_every_finding_has_one_row_and_a_target_without_any_one_too(
    fleet: list[dict[str, Any]],
) -> None:
    rows = _by_name(_written(fleet, flat=True))
    assert [(row["target"], row["code"], row["subject"]) for row in rows] == [
        (record["target"], finding["code"], finding["subject"])
        for record in fleet
        for finding in record["findings"] or [{"code": "", "subject": ""}]
    ]


def test_numbers_are_numbers(fleet: list[dict[str, Any]]) -> None:
    (row,) = (each for each in _by_name(_written(fleet)) if each["target"][:9] == "spf-world")
    assert int(row["domain_spf_addresses_v4"]) == 1 << 32
    assert float(row["domain_spf_addresses_v6"]) == 2.0**128
    (row,) = (each for each in _by_name(_written(fleet)) if each["target"] == "example.com")
    assert row["domain_spf_addresses_v6"] == "32.0"


def test_the_form_is_that_of_the_rfc(fleet: list[dict[str, Any]]) -> None:
    data = _written([{**fleet[0], "labels": {"a": 'x "y",\nz'}}])
    head, row = data.decode().split("\r\n")[:2]
    assert head.split(",") == [column.name for column in csv_table(flat=False).columns]
    assert row.endswith(',"{""a"":""x \\""y\\"",\\nz""}",,,')
    assert data.endswith(b"\r\n")
    assert data.count(b"\r\n") == 2


@pytest.mark.parametrize("flat", [False, True])
def test_there_is_a_header_without_records(*, flat: bool) -> None:
    (head,) = _rows(_written([], flat=flat))
    assert head == [column.name for column in csv_table(flat=flat).columns]
    assert "address" not in head


# --- Formulas


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-1", "'-1"),
        (" =1", "' =1"),
        ("\u00a0=1", "'\u00a0=1"),
        ("\ufeff\u200b\u2003\x00@A1", "'\ufeff\u200b\u2003\x00@A1"),
        ('" "=1', '\'" "=1'),
        ("|cmd", "'|cmd"),
        ("%0A=1", "'%0A=1"),
        ("a; =b", "a;' =b"),
        ("a||b", "a|'|b"),
        (" a", " a"),
        ("\tx", "'\tx"),
        ("a;=b", "a;'=b"),
        ('a;"=b', "a;'\"=b"),
        ("'a", "''a"),
        ("mail-1.example.net", "mail-1.example.net"),
        ("v=spf1 -all", "v=spf1 -all"),
        ("", ""),
    ],
)
def test_an_apostrophe_stands_before_a_formula(text: str, shown: str) -> None:
    assert guarded(text) == shown


@given(_EVIL)
def test_taking_the_apostrophe_away_gives_back_the_text(text: str) -> None:
    assert _unguarded(guarded(text)) == text


@settings(max_examples=examples(200))
@given(st.lists(_EVIL, min_size=3, max_size=3), st.booleans())
def test_no_cell_is_a_formula_whatever_the_separator(texts: list[str], flat: bool) -> None:  # noqa: FBT001 - hypothesis passes it so
    target, name, label = texts
    record = {
        "target": target,
        "kind": "invalid",
        "verdict": "fail",
        "findings": [{"code": "TARGET_INVALID", "severity": "error", "subject": target}],
        "ptr": {
            "status": "NOERROR",
            "names": [name, target],
            "chain": [],
            "owner": name,
            "zone": target,
        },
        "helo": None,
        "iprev": None,
        "spf": [],
        "domain": None,
        "labels": {label: name},
        "error": label,
    }
    data = _written([record, record], flat=flat)
    for separator in ",;\t|":
        # Some programs drop white space before they look.
        cells = [
            cell.lstrip(" \t\r\n\u00a0\u200b") for row in _rows(data, separator) for cell in row
        ]
        assert not [cell for cell in cells if cell.startswith(_FORMULA)], separator
    row, again = _by_name(data)
    assert row == again
    assert (row["target"], row["error"]) == (target, label)
    assert row["ptr_names"] == f"{name} {target}"
    assert json.loads(row["labels"]) == {label: name}


@settings(max_examples=examples(40))
@given(made_records())
def test_whatever_a_record_may_be_has_its_rows(record: dict[str, Any]) -> None:
    assert [row["target"] for row in _by_name(_written([record]))] == [record["target"]]
    rows = _by_name(_written([record], flat=True))
    assert [row["code"] for row in rows] == [each["code"] for each in record["findings"]] or [""]


# --- What cannot be converted


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"novelty": 1}, "'novelty' is not known to this version"),
        ({"target": "mail.example.net"}, "'mail.example.net' is not an address"),
        ({"ptr": {"names": []}}, "'status' is missing"),
        ({"error": 1}, "expected string"),
    ],
)
def test_what_is_no_record_is_named(
    fleet: list[dict[str, Any]], change: dict[str, Any], why: str
) -> None:
    wrong = {**fleet[1], **change}
    with pytest.raises(InputError) as caught:
        _written([fleet[0], wrong])
    start = f"record 2 ('{wrong['target']}') does not match `auditor schema`: {why}"
    assert str(caught.value).startswith(start)


def test_a_number_that_is_a_text_is_named(fleet: list[dict[str, Any]]) -> None:
    (record,) = [each for each in fleet if each["target"] == "example.com"]
    domain = {**record["domain"], "spf": {**record["domain"]["spf"], "lookups": "=1"}}
    with pytest.raises(InputError, match=r"expected a number, not '=1'$"):
        _written([{**record, "domain": domain}])
