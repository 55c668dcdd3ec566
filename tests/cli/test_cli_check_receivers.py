"""`auditor check` ends with the receivers that have published a rule for such an address.

Also tests `check_json.py` and `receivers_options.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cli.driving import records
from support.fleet import FLEET

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.driving import Ended

_ZONES = FLEET / "zones"


def test_receiver_rules_are_grouped_by_what_is_wrong_and_by_what_is_done(
    call: Callable[..., Ended],
) -> None:
    shown = call("check", "--zones", _ZONES, "198.51.100.50").out
    rules = " ".join(shown.partition("Receiver rules that apply, as published")[2].split())
    assert "no PTR name has the address (FCrDNS fails): refused by Gmail" in rules
    assert "Orange, Wanadoo (code 107)" in rules
    assert "deferred by Postfix (450 4.7.25; with reject_unknown_client_hostname)" in rules
    assert "counted by rspamd (2.5 of 6 points; HFILTER_HOSTNAME_UNKNOWN)" in rules


def test_nobody_minds_an_address_in_order_and_nothing_is_said_of_domains(
    call: Callable[..., Ended],
) -> None:
    assert "Receiver rules" not in call("check", "--zones", _ZONES, "198.51.100.16").out
    assert "Receiver rules" not in call("check", "--zones", _ZONES, "example.net").out


def test_json_has_what_is_shown(call: Callable[..., Ended]) -> None:
    found = json.loads(call("check", "--json", "--zones", _ZONES, "198.51.100.50").out)
    assert (found["target"], found["verdict"]) == ("198.51.100.50", "fail")
    assert found["headline"].startswith("Gmail refuses mail from this address (550 5.7.25): gone.")
    (scanned,) = records(call("scan", "-q", "--zones", _ZONES, "198.51.100.50").out)
    assert found["record"] == scanned
    assert found["findings"][0]["publish"] == ["gone.example.net. IN A 198.51.100.50"]
    rules = {entry["receiver"]: entry for entry in found["receivers"]}
    assert rules["gmail"]["reply"] == "550 5.7.25"
    assert rules["gmail"]["when"] == ["unconfirmed"]
    assert found["reverse_zone"] == {
        "zone": "100.51.198.in-addr.arpa",
        "servers": ["ns1.example.net", "ns2.example.net"],
        "contact": "hostmaster@example.net",
        "exact": True,
        "lifetimes": [
            {"name": "50.100.51.198.in-addr.arpa", "type": "PTR", "seconds": 3600},
            {"name": "gone.example.net", "type": "A", "seconds": 300},
        ],
    }


def test_json_of_domains_and_of_what_no_file_covers(call: Callable[..., Ended]) -> None:
    lines = call("check", "--json", "--zones", _ZONES, "example.net", "192.0.2.25").out.splitlines()
    domain, outside = map(json.loads, lines)
    assert (domain["headline"], domain["receivers"]) == ("No problems found.", [])
    assert domain["reverse_zone"] is None
    assert outside["headline"].startswith("Undetermined: no zone file covers")
    assert list(outside["outside"]) == ["25.2.0.192.in-addr.arpa"]


_OWN = """\
[home]
name = "Home"
source = "https://example.net/"
published = "2026"
seen = 2026-01-31
sure = "read"
rules = [{ when = ["generic-name", "spf-softfail"], effect = "refuse", reply = "550 no" }]
"""


@pytest.mark.parametrize(
    ("receiver", "generic", "unconfirmed"),
    [("gmail", "pass", "fail"), ("gmx", "fail", "pass"), ("gmail,GMX", "fail", "fail")],
)
def test_a_receiver_makes_verdict_and_exit_code(
    call: Callable[..., Ended], receiver: str, generic: str, unconfirmed: str
) -> None:
    for target, verdict in (("198.51.100.44", generic), ("198.51.100.50", unconfirmed)):
        given = ("--zones", _ZONES, "--receiver", receiver, "--fail-on", "error", target)
        scanned, checked = call("scan", "-q", *given), call("check", "--json", *given)
        assert records(scanned.out)[0]["verdict"] == verdict
        assert json.loads(checked.out)["record"] == records(scanned.out)[0]
        assert scanned.code == checked.code == (1 if verdict == "fail" else 0)


def test_check_tells_only_of_the_receivers_that_were_chosen(call: Callable[..., Ended]) -> None:
    shown = call("check", "--zones", _ZONES, "--receiver", "orange", "198.51.100.50").out
    shown = " ".join(shown.split())
    assert "Orange refuses mail from this address (code 107): gone.example.net has no A" in shown
    assert "refused by Orange, Wanadoo (code 107)" in shown
    assert "refused by Gmail" not in shown


def test_rules_of_ones_own_stand_beside_the_others(call: Callable[..., Ended], here: Path) -> None:
    (here / "own.toml").write_text(_OWN)
    given = ("--zones", _ZONES, "--receivers-file", "own.toml", "--receiver", "home")
    found = records(call("scan", "-q", *given, "198.51.100.44").out)[0]
    assert (found["verdict"], found["findings"][0]["severity"]) == ("pass", "notice")
    softfail = call("scan", "-q", *given, "--mail-from", "softfail.example.org", "198.51.100.44")
    assert records(softfail.out)[0]["verdict"] == "fail"
    checked = call("check", *given, "--mail-from", "softfail.example.org", "198.51.100.44").out
    assert "Home refuses mail from this address (550 no)" in checked


def test_the_end_of_a_scan_counts_by_severity_and_resuming_knows_it(
    call: Callable[..., Ended],
) -> None:
    """A rule for IPv6 only makes one code two severities."""
    given = ("scan", "--zones", _ZONES, "--receiver", "exchange-online", "--fail-on", "error")
    targets = ("198.51.100.8", "2001:db8:100:99::1", "-o", "out.ndjson")
    ended = call(*given, *targets)
    assert ended.code == 1
    found = [line.split()[:3] for line in ended.err.splitlines() if "PTR_MISSING" in line]
    assert found == [["1", "error", "PTR_MISSING"], ["1", "notice", "PTR_MISSING"]]
    assert call(*given, *targets, "--resume").code == 1


@pytest.mark.parametrize("command", ["scan", "check"])
def test_an_unknown_receiver_and_a_broken_file_are_told_before_anything_is_asked(
    call: Callable[..., Ended], here: Path, command: str
) -> None:
    ended = call(command, "--receiver", "gmial", "192.0.2.1")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("auditor: receiver: none is called 'gmial'; expected one of ")
    (here / "own.toml").write_text("[home]")
    ended = call(command, "--receivers-file", "own.toml", "192.0.2.1")
    assert ended == (2, "", "auditor: own.toml: home: needs a name and a list of rules\n")


@pytest.fixture
def fleet(call: Callable[..., Ended], here: Path) -> Path:
    """Return records of 198.51.100.0/25, and write rules of one's own beside them."""
    (here / "own.toml").write_text(_OWN.replace('"spf-softfail"', '"generic-name"'))
    call("scan", "-q", "--zones", _ZONES, "198.51.100.0/25", "-o", "fleet.ndjson")
    return here / "fleet.ndjson"


def test_the_summary_counts_what_receivers_do(call: Callable[..., Ended], fleet: Path) -> None:
    assert json.loads(call("summary", "--json", fleet).out)["receivers"] is None
    given = ("summary", "--receivers", "--receivers-file", "own.toml", fleet)
    counted = json.loads(call(*given, "--json").out)["receivers"]
    assert counted["addresses"] == 128
    rows = {row["receiver"]: row for row in counted["receivers"]}
    assert rows["home"]["refuse"] == 3
    assert rows["gmail"]["refuse"] == 39
    lines = [" ".join(line.split()) for line in call(*given).out.splitlines()]
    assert "receiver, as published refused deferred spam counted depends" in lines
    assert "Home 3 - - - -" in lines
    assert call("summary", "--receivers-file", "own.toml", fleet) == (
        2,
        "",
        "auditor: --receivers-file is for --receivers\n",
    )


def test_the_report_has_a_table_of_receivers(call: Callable[..., Ended], fleet: Path) -> None:
    page = call("report", "--receivers-file", "own.toml", fleet, "-o", "-").out
    table = page.partition('<section id="receivers"')[2].partition("</section>")[0]
    assert '<td class="long">Home</td><td class="number" data-name="Refused">3</td>' in table
    assert "Gmail, Google Workspace" in table


def test_explain_knows_receivers_of_ones_own(call: Callable[..., Ended], here: Path) -> None:
    (here / "own.toml").write_text(_OWN.replace("550 no", "550 5.7.25"))
    shown = call("explain", "--receivers-file", "own.toml", "5.7.25").out
    assert "Gmail, Google Workspace; Home" in " ".join(shown.split())
