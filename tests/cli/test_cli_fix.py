"""`auditor fix` as a person and a program meet it.

Also tests `zone_data.py`, `zone_faults.py` and `located.py`.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from cli.driving import ZONES
from fix.fleets import head
from views.making import address, finding, write

from auditor.cli.app import run as run_command
from auditor.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.driving import Ended

REVERSE: Final = "2.0.192.in-addr.arpa"
NET: Final = "example.net"
OWN: Final = ("--own", REVERSE, "--own", NET)


@pytest.fixture
def results(here: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """Scan two addresses, whose zones are in `zones`."""
    zones = here / "zones"
    zones.mkdir()
    (zones / "reverse").write_text(
        head(REVERSE) + "7 PTR mail.example.net\n8 PTR w_w.example.net.\n"
    )
    (zones / "net").write_text(head(NET) + "www A 192.0.2.80\n")
    arguments = ["192.0.2.7-192.0.2.8", "--zones", "zones", "-q", "-o", "r.ndjson"]
    assert run_command(["scan", *arguments]) == 0
    capfd.readouterr()
    return "r.ndjson"


def _plan(here: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (here / "plan/plan.ndjson").read_text().splitlines()]


def test_it_writes_the_plan_the_changed_zones_and_their_diff(
    results: str, here: Path, call: Callable[..., Ended]
) -> None:
    code, out, err = call("fix", results, "--zones", "zones", *OWN, "-o", "plan/")
    assert (code, out) == (0, "")
    assert err == "plan: 2 changes of your own zones, 0 for others, 1 to decide\n"
    assert [(line["op"], line["owner"]) for line in _plan(here)] == [
        ("delete", f"7.{REVERSE}"),
        ("add", f"7.{REVERSE}"),
        ("add", "mail.example.net"),
    ]
    assert (here / "plan/undecided.txt").read_text() == (
        "192.0.2.8: no host name is known for it; its PTR records have w_w.example.net\n"
    )
    assert "7 PTR mail.example.net.\n" in (here / "plan/mine.zones/reverse").read_text()
    diff = (here / "plan/mine.diff").read_text()
    assert "-7 PTR mail.example.net\n+7 PTR mail.example.net.\n" in diff
    assert "+mail.example.net. 3600 IN A 192.0.2.7\n" in diff
    # What was there is not touched.
    assert "mail.example.net.\n" not in (here / "zones/reverse").read_text()


def test_the_proof_shows_what_gets_better(results: str, call: Callable[..., Ended]) -> None:
    code, out, _ = call("fix", results, "--zones", "zones", *OWN, "--prove", "-o", "plan/")
    assert code == 0
    assert out.startswith("1  got better: 1 fail → pass\n1  did not change\n")


def test_applied_twice_nothing_is_left_to_change(
    results: str, here: Path, call: Callable[..., Ended]
) -> None:
    call("fix", results, "--zones", "zones", *OWN, "-o", "plan/")
    for name in ("reverse", "net"):
        (here / "zones" / name).write_bytes((here / "plan/mine.zones" / name).read_bytes())
    call("scan", "192.0.2.7", "--zones", "zones", "-q", "-o", "again.ndjson")
    for records in (results, "again.ndjson"):
        assert (
            call("fix", records, "--zones", "zones", *OWN, "-o", "plan/", "--overwrite").code == 0
        )
        assert _plan(here) == []
        assert not (here / "plan/mine.diff").exists()
        assert not (here / "plan/mine.zones").exists()


def test_a_plan_that_makes_a_target_worse_ends_with_1(
    here: Path, call: Callable[..., Ended]
) -> None:
    (here / "net").write_text(
        head(NET) + 'mail A 192.0.2.7\n  TXT "v=spf1 -all"\n@ A 192.0.2.7\n@ TXT "v=spf1 a -all"\n'
    )
    (here / "reverse").write_text(head(REVERSE) + "7 PTR example.net.\n")
    (here / "names.csv").write_text("target,expected\n192.0.2.7,mail.example.net\n")
    call("scan", "-i", "names.csv", "--zones", ".", "-q", "-o", "r.ndjson")
    ended = call(
        *("fix", "r.ndjson", "--zones", ".", *OWN, "--names", "names.csv"), "--prove", "-o", "plan/"
    )
    assert ended.code == 1
    assert "1  got worse: 1 warn → fail" in ended.out
    assert "auditor: the plan makes 1 target worse\n" in ended.err


def test_a_zone_of_ones_own_may_be_given_as_a_file_alone(
    results: str, here: Path, call: Callable[..., Ended]
) -> None:
    ended = call("fix", results, "--own", "zones/reverse", "-o", "plan/")
    assert ended.code == 0
    lines = _plan(here)
    assert [(line["owner"], line["mends"]["party"]) for line in lines] == [
        ("mail.example.net", "customer"),
        (f"7.{REVERSE}", "own"),
        (f"7.{REVERSE}", "own"),
    ]
    assert "mail.example.net. 3600 IN A 192.0.2.7" in (here / "plan/for-unknown.txt").read_text()


def test_others_get_a_mail_with_just_their_lines(
    results: str, here: Path, call: Callable[..., Ended]
) -> None:
    call("fix", results, "--zones", "zones", "--own", NET, "-o", "plan/")
    mail = (here / "plan/for-hostmaster@example.net.txt").read_text()
    assert mail.startswith("To: hostmaster@example.net\nSubject: ")
    assert (
        f"Delete (zone {REVERSE}):\n    7.{REVERSE}. IN PTR mail.example.net.{REVERSE}.\n" in mail
    )
    assert "IN A " not in mail


@pytest.mark.parametrize("parent", ["192.in-addr.arpa", None, {"no": "name"}])
def test_delegations_that_are_missing_are_for_the_registry(
    parent: object, results: str, here: Path, call: Callable[..., Ended]
) -> None:
    fact = {
        "zone": REVERSE,
        "parent": parent,
        "soa": None,
        "servers": [],
        "addresses": 2,
        "findings": [finding("DELEGATION_MISSING", subject=REVERSE)],
        "mends": "rir",
    }
    provider = {**fact, "mends": "isp"}
    (here / f"{results}.zones.ndjson").write_text(f"{json.dumps(fact)}\n{json.dumps(provider)}\n")
    call("fix", results, "--zones", "zones", *OWN, "-o", "plan/")
    assert (
        (here / "plan/rir.txt")
        .read_text()
        .startswith(
            f"domain:         {REVERSE}\nnserver:        ns1.example.net\n% DELEGATION_MISSING: "
        )
    )


def test_nsupdate_gets_one_update_a_record_set_with_its_prerequisites(
    results: str, here: Path, call: Callable[..., Ended]
) -> None:
    call("fix", results, "--zones", "zones", *OWN, "--format", "nsupdate", "-o", "plan/")
    assert (here / "plan/mine.nsupdate").read_text() == (
        "zone example.net.\n"
        "prereq nxrrset mail.example.net. IN A\n"
        "prereq nxrrset mail.example.net. IN CNAME\n"
        "update add mail.example.net. 3600 IN A 192.0.2.7\n"
        "send\n"
        f"zone {REVERSE}.\n"
        f"prereq yxrrset 7.{REVERSE}. IN PTR mail.example.net.{REVERSE}.\n"
        f"update delete 7.{REVERSE}. IN PTR mail.example.net.{REVERSE}.\n"
        f"update add 7.{REVERSE}. 3600 IN PTR mail.example.net.\n"
        "send\n"
    )


def test_powerdns_gets_record_sets_to_replace(
    results: str, here: Path, call: Callable[..., Ended]
) -> None:
    call("fix", results, "--zones", "zones", *OWN, "--format", "powerdns", "-o", "plan/")
    body = json.loads((here / f"plan/mine.powerdns/{REVERSE}.json").read_text())
    assert body == {
        "rrsets": [
            {
                "name": f"7.{REVERSE}.",
                "type": "PTR",
                "changetype": "REPLACE",
                "ttl": 3600,
                "records": [{"content": "mail.example.net.", "disabled": False}],
            }
        ]
    }


def test_keys_for_octodns_are_in_its_order(here: Path, call: Callable[..., Ended]) -> None:
    (here / "reverse").write_text(
        head(REVERSE) + "7 PTR a.example.net\n10 PTR b.example.net\n9 PTR c.example.net\n"
    )
    (here / "net").write_text(head(NET))
    call("scan", "192.0.2.7-192.0.2.10", "--zones", ".", "-q", "-o", "r.ndjson")
    call("fix", "r.ndjson", "--zones", ".", *OWN, "--format", "octodns", "-o", "plan/")
    zone = json.loads((here / f"plan/mine.octodns/{REVERSE}.yaml").read_text())
    assert list(zone) == ["7", "9", "10"]
    assert list(zone["7"][0]) == ["ttl", "type", "values"]


def test_octodns_and_dnscontrol_get_names_relative_to_their_zones(
    results: str, here: Path, call: Callable[..., Ended]
) -> None:
    call("fix", results, "--zones", "zones", *OWN, "--format", "octodns", "-o", "plan/")
    zone = json.loads((here / "plan/mine.octodns/example.net.yaml").read_text())
    assert zone == {"mail": [{"type": "A", "ttl": 3600, "values": ["192.0.2.7"]}]}
    call(
        *("fix", results, "--zones", "zones", *OWN, "--format", "dnscontrol"),
        *("-o", "plan/", "--overwrite"),
    )
    text = (here / "plan/mine.dnscontrol.js").read_text()
    assert text == (
        f'// Take out of "{REVERSE}": PTR("7", "mail.example.net.{REVERSE}.", TTL(3600))\n'
        f'D_EXTEND("{REVERSE}",\n  PTR("7", "mail.example.net.", TTL(3600))\n);\n'
        'D_EXTEND("example.net",\n  A("mail", "192.0.2.7", TTL(3600))\n);\n'
    )
    assert not (here / "plan/mine.octodns").exists()


def test_a_table_is_safe_for_spreadsheets(here: Path, call: Callable[..., Ended]) -> None:
    (here / "reverse").write_text(head(REVERSE) + "7 PTR =cmd.example.net.\n")
    (here / "net").write_text(head(NET) + "mail A 192.0.2.7\n")
    call("scan", "192.0.2.7", "--zones", ".", "-q", "-o", "r.ndjson")
    call("fix", "r.ndjson", "--zones", ".", *OWN, "--format", "csv", "-o", "plan/")
    with (here / "plan/mine.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["op"], row["value"]) for row in rows] == [
        ("delete", "'=cmd.example.net."),
        ("add", "mail.example.net."),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--own", "example.org"], "--own 'example.org': neither a zone that is loaded nor a file"),
        ([], "missing --own"),
    ],
)
def test_zones_that_are_not_there_are_refused(
    results: str, call: Callable[..., Ended], arguments: list[str], message: str
) -> None:
    ended = call("fix", results, "--zones", "zones", *arguments, "-o", "plan/")
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_a_folder_of_something_else_stays_as_it_is(
    results: str, here: Path, call: Callable[..., Ended]
) -> None:
    ended = call("fix", results, "--zones", "zones", *OWN, "-o", "zones", "--overwrite")
    assert ended.code == 2
    assert "zones: holds something else; expected a new folder for the plan" in ended.err
    assert sorted(path.name for path in (here / "zones").iterdir()) == ["net", "reverse"]


def test_a_file_is_no_folder_for_a_plan(
    results: str, here: Path, call: Callable[..., Ended]
) -> None:
    (here / "plan").write_text("mine\n")
    ended = call("fix", results, "--zones", "zones", *OWN, "-o", "plan", "--overwrite")
    assert ended == (2, "", "auditor: plan: is a file; expected a folder for the plan\n")


def test_an_earlier_plan_is_replaced_only_if_that_is_said(
    results: str, here: Path, call: Callable[..., Ended]
) -> None:
    call("fix", results, "--zones", "zones", *OWN, "-o", "plan/")
    (here / "plan/notes.md").write_text("mine\n")
    ended = call("fix", results, "--zones", "zones", *OWN, "-o", "plan/")
    assert ended.code == 2
    assert "plan: holds a plan already; --overwrite replaces it" in ended.err
    assert call("fix", results, "--zones", "zones", *OWN, "-o", "plan/", "--overwrite").code == 0
    assert (here / "plan/notes.md").exists()


def test_the_proof_needs_results_that_can_be_read_twice(call: Callable[..., Ended]) -> None:
    ended = call("fix", "-", *OWN, "--prove", "-o", "plan/")
    assert ended.code == 2
    assert ended.err == ("auditor: --prove reads RESULTS twice: give a file, not standard input\n")


def test_hostile_contacts_cannot_leave_the_folder(here: Path, call: Callable[..., Ended]) -> None:
    record = address("192.0.2.7", "fail", findings=[finding("PTR_MISSING", subject="192.0.2.7")])
    record["ptr"]["owner"] = f"7.{REVERSE}"
    write(here / "r.ndjson", [record])
    rname = r"\.\./\.\./x.example.net."
    (here / "net").write_text(head(NET) + "mail A 192.0.2.7\n")
    (here / "reverse").write_text(head(REVERSE).replace("hostmaster.example.net.", rname))
    assert call("fix", "r.ndjson", "--zones", ".", "--own", NET, "-o", "plan/").code == 0
    names = sorted(path.relative_to(here).as_posix() for path in here.rglob("*.txt"))
    (name,) = names
    assert name == "plan/for-=22..=2F..=2Fx=22@example.net.txt"
    assert (here / name).read_text().startswith('To: "../../x"@example.net\nSubject: ')


def test_the_plan_for_the_example_fleet_makes_nothing_worse(
    call: Callable[..., Ended],
) -> None:
    call("demo", "-o", "d/")
    own = ["100.51.198.in-addr.arpa", "example.net", "example.org"]
    ended = call(
        *("fix", "d/fleet.ndjson", "--zones", ZONES),
        *(word for name in own for word in ("--own", name)),
        *("--prove", "-o", "plan/"),
    )
    assert ended.code == 0, ended.err
    assert "got worse" not in ended.out
    assert " 15  got better: 10 fail → pass, 5 warn → pass\n" in ended.out


def test_the_proof_judges_by_the_receivers_that_the_scan_has_judged_by(
    here: Path, call: Callable[..., Ended]
) -> None:
    (here / "own.toml").write_text(
        '[mine]\nname = "Mine"\nsource = "x"\nseen = 2026-01-31\nsure = "read"\n'
        'rules = [{ when = ["generic-name"], effect = "refuse" }]\n'
    )
    own = ("--own", "100.51.198.in-addr.arpa", "--own", NET)
    scan = ("scan", "-q", "--zones", ZONES, "198.51.100.40-60", "198.51.100.140")
    for number, names in enumerate(("gmail", "mailcow,gmx", "mine")):
        out = ("-o", "r.ndjson", "--overwrite")
        call(*scan, *out, "--receiver", names, "--receivers-file", "own.toml")
        ended = call("fix", "r.ndjson", "--zones", ZONES, *own, "--prove", "-o", f"plan{number}/")
        assert ended.code == 0, ended.err
        assert "got worse" not in ended.out


def test_the_proof_promises_nothing_of_a_zone_that_is_not_delegated(
    here: Path, call: Callable[..., Ended]
) -> None:
    """What is entered in it nobody sees before the zone above delegates it."""
    child = "0-7.2.0.192.in-addr.arpa"
    (here / "zones").mkdir()
    (here / "zones/reverse").write_text(head(REVERSE) + f"3 CNAME 3.{child}.\n")
    (here / "net").write_text(head(NET) + "mail A 192.0.2.3\n")
    (here / "child").write_text(head(child))
    call("scan", "-q", "192.0.2.3", "--zones", "zones", "--own", child, "-o", "r.ndjson")
    own = ("--own", "child", "--own", "net")
    ended = call("fix", "r.ndjson", "--zones", "zones", *own, "--prove", "-o", "plan/")
    assert [(line["op"], line["value"]) for line in _plan(here)] == [("add", f"mail.{NET}.")]
    assert (ended.code, ended.out) == (0, "1 target, and none has changed\n")


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        (address("192.0.2.300", "fail", findings=[finding("PTR_MISSING")]), "192.0.2.300"),
        (address("192.0.2.1", "pass", "\u00fcber.example.net"), "\u00fcber.example.net"),
        (address("192.0.2.1", "pass", "a..b"), "a..b"),
    ],
)
def test_a_record_whose_names_are_none_is_named(
    results: str, here: Path, call: Callable[..., Ended], record: Any, fault: str
) -> None:
    write(here / results, [address("192.0.2.9"), record])
    message = f"no record: {quoted(fault)} is no name or address"
    for command in (
        ("fix", results, "--zones", "zones", "--own", NET, "-o", "plan/"),
        ("senders", "--zones", "zones", "--results", results, NET),
    ):
        assert call(*command) == (
            *(2, ""),
            f"auditor: r.ndjson line 2: {message}; expected the NDJSON of `auditor scan`\n",
        )


def test_the_proof_takes_the_local_part_of_a_sender_for_no_fault_of_the_plan(
    here: Path, call: Callable[..., Ended]
) -> None:
    """Records tell the domain of a sender only, and a policy may depend on the rest."""
    (here / "net").write_text(
        head(NET) + 'mail A 192.0.2.7\n@ TXT "v=spf1 exists:%{l}.known.%{d} -all"\n'
        "me.known A 127.0.0.2\n"
    )
    (here / "reverse").write_text(head(REVERSE) + "7 PTR mail.example.net\n")
    sender = ("--mail-from", f"me@{NET}")
    call("scan", "-q", "192.0.2.7", "--zones", ".", *sender, "-o", "r.ndjson")
    ended = call("fix", "r.ndjson", "--zones", ".", *OWN, "--prove", "-o", "plan/")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("1  got better: 1 fail → pass\n")
    assert "SPF" not in ended.out


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("192.0.2.7,a.example.net\n192.0.2.700,b.example.net", "line 3: '192.0.2.700' ends in"),
        ("example.net,a.example.net", "line 2: 'example.net' is not an address"),
        ("192.0.2.7,not a host", "line 2: 'not a host' is no host name"),
        (
            "192.0.2.7,a.example.net\n192.0.2.7,b.example.net",
            "line 3: another name for 192.0.2.7, after a.example.net",
        ),
        ("192.0.2.7,", "names no PTR record; expected the columns target and expected"),
    ],
)
def test_a_table_of_names_is_read_whole_or_not_at_all(
    results: str, here: Path, call: Callable[..., Ended], rows: str, message: str
) -> None:
    (here / "names.csv").write_text(f"target,expected\n{rows}\n")
    ended = call("fix", results, "--zones", "zones", *OWN, "--names", "names.csv", "-o", "plan/")
    assert (ended.code, ended.out) == (2, "")
    assert "auditor: names.csv" in ended.err
    assert message in ended.err
    assert not (here / "plan").exists()


@pytest.mark.parametrize("name", ["mail.lan", "pool-192-0-2-7.example.net"])
def test_in_place_of_a_name_that_is_asked_for_no_other_one_is_planned(
    results: str, here: Path, call: Callable[..., Ended], name: str
) -> None:
    (here / "names.csv").write_text(f"target,expected\n192.0.2.7,{name}\n")
    call("fix", results, "--zones", "zones", *OWN, "--names", "names.csv", "-o", "plan/")
    assert _plan(here) == []
    assert (
        (here / "plan/undecided.txt")
        .read_text()
        .startswith(f"192.0.2.7: is to have {name}, which is no public host name\n")
    )
