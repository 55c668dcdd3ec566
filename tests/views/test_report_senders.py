"""The places of senders, labels and naming templates in a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.reports import address_record, data_of, write_records

from auditor.errors import InputError
from auditor.views.report.aggregate import OTHERS, AggregateLimits, ScanAggregate
from auditor.views.report.encode import page_data
from auditor.views.report.page import make_page

if TYPE_CHECKING:
    from pathlib import Path

_WAY = {
    "term": "include:_spf.example.net",
    "through": [{"domain": "_spf.example.net", "term": "a"}],
}
_NONE = {"count": 0, "first": []}
_HOSTS = {"audited": 9, "without_ptr": {"count": 5, "first": ["192.0.2.1"]}, "generic_ptr": _NONE}
_LINES: list[dict[str, Any]] = [
    {
        "type": "domain",
        "domain": "world.example.net",
        "status": "policy",
        "explanation": None,
        "otherwise": "pass",
        "ipv4": 0,
        "ipv6": 0,
        "through": [],
        "world": [{"term": "+all", "through": []}],
        "undetermined": [],
        "errors": [],
    },
    {
        "type": "range",
        "range": "192.0.2.0/28",
        "first": "192.0.2.0",
        "last": "192.0.2.15",
        "domains": 7,
        "ways": [{**_WAY, "count": 7, "domains": ["<b>a.example.net</b>", "b.example.net"]}],
        "mine": True,
        "hosts": _HOSTS,
    },
    {
        "type": "unauthorised",
        "range": "192.0.2.77",
        "first": "192.0.2.77",
        "last": "192.0.2.77",
        "hosts": 1,
        "ptr": "not_audited",
    },
    {
        "type": "totals",
        "domains": {"all": 8, "policy": 7, "none": 1, "permerror": 0, "temperror": 0, "world": 1}
        | {"undetermined": 0, "errors": 0},
        "otherwise": {"fail": 6, "softfail": 0, "neutral": 0, "pass": 1},
        "includes": {"all": 1, "outside": 0},
        "ranges": 1,
        "ipv4": 16,
        "ipv6": 1 << 44,
        "outside": {"ipv4": 0, "ipv6": 0},
        "hosts": {"authorised": 9, "unauthorised": 1},
        "authorised_hosts": {"audited": 9, "without_ptr": 5, "generic_ptr": 0},
    },
]


def test_a_page_says_who_may_send(tmp_path: Path) -> None:
    results = write_records(tmp_path / "scan.ndjson", [address_record("192.0.2.1")])
    lines = tmp_path / "senders.ndjson"
    lines.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in _LINES))
    page = make_page([results], version="1", senders=lines).decode()
    for text in (
        '<a href="#senders">Senders</a>',
        "7 of 8 domains have an SPF policy; 16 IPv4 and 1.8e+13 IPv6 addresses may send for one of",
        "them, none of them outside of your own space. 1 of the hosts may send for no domain.",
        "Domains that authorise every address",
        '<td class="long">+all</td>',
        '<td class="long">192.0.2.1 and 4 more</td>',
        "&lt;b&gt;a.example.net&lt;/b&gt;, b.example.net and 5 more: include:_spf.example.net",
        '<td class="long">not audited</td>',
    ):
        assert text in page
    assert "Policies that domains include" not in page  # there are none
    assert 'id="senders"' not in make_page([results], version="1").decode()
    lines.write_bytes(orjson.dumps(_LINES[0]) + b"\n")
    with pytest.raises(InputError, match="ends too early, without its totals"):
        make_page([results], version="1", senders=lines)


def test_names_are_grouped_by_template_and_findings_by_prefix(tmp_path: Path) -> None:
    records = [
        address_record(f"192.0.2.{n}", names=[f"h-2-{n}.cust.example.net"]) for n in range(64)
    ]
    records += [address_record(f"192.0.2.{n}", "PTR_MISSING") for n in range(128, 256)]
    page = make_page([write_records(tmp_path / "x", records)], version="1")
    (found,) = data_of(page)["naming"]
    assert found == ["h-{3}-{4}.cust.example.net", "example.net", 64, 64, "192.0.2.0/24"]
    assert b"All addresses audited in 192.0.2.128/25 (128)." in page
    assert b"Of 64 addresses in use, with a name, 0 % fail." in page
    assert b'<a href="#naming">Templates</a>' in page


def test_targets_are_counted_by_label(tmp_path: Path) -> None:
    records = [
        address_record("192.0.2.1", "PTR_MISSING", labels={"customer": "A", "site": ""}),
        address_record("192.0.2.2", labels={"customer": "A"}),
        address_record("192.0.2.3", "PTR_GENERIC", labels={"customer": "B\n"}),
    ]
    data = data_of(make_page([write_records(tmp_path / "x", records * 3)], version="1"))
    codes = [code for code, _, _ in data["codes"]]
    assert data["by_label"] == [
        ["customer", "A", [3, 0, 0, 3], [[codes.index("PTR_MISSING"), 3]]],
        ["customer", "B\\x0a", [0, 3, 0, 0], [[codes.index("PTR_GENERIC"), 3]]],
    ]


def test_values_of_labels_past_the_limit_are_counted_together() -> None:
    gathered = ScanAggregate(AggregateLimits(labels=2))
    for number in range(9):
        gathered.add_record(
            address_record(f"192.0.2.{number}", labels={"a": f"{number}", f"{number}": "b"})
        )
    counts = {key: sum(found.verdicts) for key, found in gathered.labels.items()}
    assert counts.pop(("a", "0")) == counts.pop(("0", "b")) == 1
    assert counts == {("a", OTHERS): 8, ("1", OTHERS): 1, (OTHERS, OTHERS): 7}
    assert page_data(gathered, [], others=0, compared=False)["others"] == OTHERS
