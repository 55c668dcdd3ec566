"""What a plan holds: only what is known, together with what confirms it, and nothing else.

Also tests `fix/changes.py`, `decide.py`, `holders.py`, `letters.py` and `prove.py`.
"""

from __future__ import annotations

from typing import Final

import pytest
from fix.fleets import applied, audited, lines_of, planned, proven, zone_data

from auditor.fix.decide import Planner, ZoneParty
from auditor.fix.files import plan_files
from auditor.fix.prove import Promises
from auditor.fix.zone_faults import undelegated_zones

REVERSE: Final = "2.0.192.in-addr.arpa"
NET: Final = "example.net"


def _plan(
    reverse: str,
    net: str,
    target: str = "192.0.2.7",
    *,
    helo: str = "",
    names: dict[str, str] | None = None,
    own: tuple[str, ...] = (REVERSE, NET),
) -> tuple[list[str], list[str]]:
    zones = zone_data({REVERSE: reverse, NET: net}, own)
    plan = planned(zones, audited(zones, [target], helo), names)
    return lines_of(plan), [each.why for each in plan.undecided]


def test_an_address_gets_the_one_name_of_ones_own_that_has_it() -> None:
    assert _plan("", "mail A 192.0.2.7\n") == (
        [f"add 7.{REVERSE} PTR mail.example.net."],
        [],
    )


def test_of_two_names_that_have_an_address_a_person_chooses() -> None:
    lines, undecided = _plan("", "mail A 192.0.2.7\nold A 192.0.2.7\n")
    assert lines == []
    (why,) = undecided
    assert why.startswith("several names have it: mail.example.net, old.example.net; --names ")


def test_the_table_of_names_decides_between_several() -> None:
    zone = "mail A 192.0.2.7\nold A 192.0.2.7\n"
    lines, undecided = _plan("", zone, names={"192.0.2.7": "old.example.net"})
    assert (lines, undecided) == ([f"add 7.{REVERSE} PTR old.example.net."], [])


def test_a_name_from_the_table_gets_the_address_that_it_lacks() -> None:
    lines, _ = _plan("", "", names={"192.0.2.7": "new.example.net"})
    assert lines == [
        f"add 7.{REVERSE} PTR new.example.net.",
        "add new.example.net A 192.0.2.7",
    ]


def test_a_helo_name_of_ones_own_gets_ptr_record_and_address() -> None:
    lines, _ = _plan("", "", helo="out.example.net")
    assert lines == [
        f"add 7.{REVERSE} PTR out.example.net.",
        "add out.example.net A 192.0.2.7",
    ]


def test_the_name_of_a_mail_host_is_known_from_the_record_of_its_domain() -> None:
    """Whatever the order of the records, and though its zone is somebody else's."""
    world = zone_data({REVERSE: "", NET: "@ MX 10 mail\nmail A 192.0.2.7\n"})
    for targets in ([NET, "192.0.2.7"], ["192.0.2.7", NET]):
        plan = planned(zone_data({REVERSE: ""}), audited(world, targets))
        assert lines_of(plan) == [f"add 7.{REVERSE} PTR mail.example.net."]


def test_where_no_name_is_known_nothing_is_invented() -> None:
    assert _plan("", "") == ([], [])


def test_a_missing_final_dot_is_mended_together_with_the_address_of_the_name() -> None:
    lines, _ = _plan("7 PTR mail.example.net\n", "")
    assert lines == [
        f"delete 7.{REVERSE} PTR mail.example.net.{REVERSE}.",
        f"add 7.{REVERSE} PTR mail.example.net.",
        "add mail.example.net A 192.0.2.7",
    ]


def test_a_name_that_another_host_has_does_not_get_the_address_as_well() -> None:
    lines, undecided = _plan("7 PTR www.example.net.\n", "www A 192.0.2.80\n")
    assert lines == []
    assert undecided == [
        "www.example.net has 192.0.2.80: give it 192.0.2.7 if that is the same host"
    ]


def test_an_alias_gets_no_address_and_what_it_leads_to_becomes_the_ptr_name() -> None:
    lines, _ = _plan("7 PTR www.example.net.\n", "www CNAME mail\nmail A 192.0.2.7\n")
    assert lines == [
        f"delete 7.{REVERSE} PTR www.example.net.",
        f"add 7.{REVERSE} PTR mail.example.net.",
    ]


def test_a_name_under_a_wildcard_is_not_given_records_that_end_it() -> None:
    lines, undecided = _plan("7 PTR new.example.net.\n", "* MX 10 mail\nmail A 192.0.2.9\n")
    assert lines == []
    assert undecided == ["new.example.net is an alias, or has its records from a wildcard"]


def test_a_host_out_of_a_wildcard_gets_no_ptr_record_that_ends_its_address() -> None:
    lines, undecided = _plan("7 CNAME host.example.net.\n", "* A 192.0.2.7\n")
    assert lines == []
    (why,) = undecided
    assert why == (
        "host.example.net is made by a wildcard or $GENERATE, an alias or a DNAME: not changed"
    )


def test_a_name_with_its_domain_twice_becomes_no_ptr_name() -> None:
    assert _plan("", "mail.example.net A 192.0.2.7\n") == ([], [])


def test_pools_are_left_alone() -> None:
    reverse = "* PTR pool.example.net.\n"
    assert _plan(reverse, "") == ([], [])
    assert _plan("7 PTR host-192-0-2-7.dyn.example.net.\n", "") == ([], [])
    generated = "$GENERATE 1-200 $ PTR host-192-0-2-$.dyn.example.net.\n"
    assert _plan(generated, "$GENERATE 1-200 host-192-0-2-$.dyn A 192.0.2.$\n") == ([], [])


def test_what_generate_has_made_is_not_changed_even_if_the_name_is_known() -> None:
    reverse = "$GENERATE 1-200 $ PTR host-192-0-2-$.dyn.example.net.\n"
    lines, undecided = _plan(reverse, "mail A 192.0.2.7\n")
    assert lines == []
    assert undecided == [
        f"7.{REVERSE} is made by a wildcard or $GENERATE, an alias or a DNAME: not changed"
    ]


def test_an_address_out_of_a_wildcard_gets_a_record_of_its_own() -> None:
    lines, _ = _plan("* PTR pool.example.net.\n", "mail A 192.0.2.7\n")
    assert lines == [f"add 7.{REVERSE} PTR mail.example.net."]


@pytest.mark.parametrize(
    "name", [r"a\;b.example.net.", "mail_gw.example.net.", r"m\195\188.example.net."]
)
def test_names_of_no_host_go_to_people(name: str) -> None:
    lines, undecided = _plan(f"7 PTR {name}\n", "")
    assert lines == []
    (why,) = undecided
    assert why.startswith("no host name is known for it; its PTR records have ")


def test_of_several_ptr_names_those_that_lead_elsewhere_go() -> None:
    lines, _ = _plan(
        "7 PTR mail.example.net.\n7 PTR old.example.net.\n", "mail A 192.0.2.7\nold A 192.0.2.9\n"
    )
    assert lines == [f"delete 7.{REVERSE} PTR old.example.net."]


def test_of_several_confirmed_ptr_names_none_is_deleted_unless_somebody_says_which() -> None:
    reverse = "7 PTR a.example.net.\n7 PTR b.example.net.\n"
    net = "a A 192.0.2.7\nb A 192.0.2.7\n"
    lines, undecided = _plan(reverse, net)
    assert lines == []
    assert undecided == [
        "has several PTR names, a.example.net, b.example.net: --names says which one stays"
    ]
    lines, undecided = _plan(reverse, net, names={"192.0.2.7": "b.example.net"})
    assert (lines, undecided) == ([f"delete 7.{REVERSE} PTR a.example.net."], [])


def test_a_name_whose_own_policy_refuses_the_address_is_left_to_people_unless_asked_for() -> None:
    generic = f"host-192-0-2-7.dyn.{NET}"
    zones = (
        f"7 PTR {generic}.\n",
        'host-192-0-2-7.dyn A 192.0.2.7\nmail A 192.0.2.7\nmail TXT "v=spf1 -all"\n',
    )
    lines, undecided = _plan(*zones)
    assert lines == []
    assert undecided == [
        "its PTR name might be mail.example.net, whose SPF policy gives it fail: change that first"
    ]
    change = [f"delete 7.{REVERSE} PTR {generic}.", f"add 7.{REVERSE} PTR mail.example.net."]
    assert _plan(*zones, names={"192.0.2.7": "mail.example.net"}) == (change, [])
    authorised = (zones[0], zones[1].replace("v=spf1", "v=spf1 a"))
    assert _plan(*authorised) == (change, [])


def test_a_name_whose_policy_refuses_is_better_than_none() -> None:
    lines, undecided = _plan("", 'mail A 192.0.2.7\nmail TXT "v=spf1 -all"\n')
    assert (lines, undecided) == ([f"add 7.{REVERSE} PTR mail.example.net."], [])


@pytest.mark.parametrize("published", ["new A 192.0.2.8", "old CNAME new"])
def test_a_name_with_other_uses_gets_no_address_before_the_ptr_record_of_somebody_else(
    published: str,
) -> None:
    """What leads to the name today would lead to the address tomorrow."""
    used = published.split(maxsplit=1)[0]
    zones = zone_data({REVERSE: f"8 PTR {used}.{NET}.\n", NET: f"{published}\n"}, [NET])
    records = audited(zones, ["192.0.2.7", "192.0.2.8"])
    plan = planned(zones, records, {"192.0.2.7": f"new.{NET}"})
    assert [line for line in lines_of(plan) if " A " in line] == []
    assert plan.undecided[-1].why.startswith(f"new.{NET} has other uses: add the A record when the")


def test_an_address_that_nobody_sees_is_left_alone() -> None:
    zones = zone_data({"2.0.10.in-addr.arpa": "", NET: "mail A 10.0.2.7\n"})
    assert lines_of(planned(zones, audited(zones, ["10.0.2.7"]))) == []


def test_ipv6_gets_the_same() -> None:
    origin = "8.b.d.0.1.0.0.2.ip6.arpa"
    zones = zone_data({origin: "", NET: "mail AAAA 2001:db8::7\n"})
    (line,) = lines_of(planned(zones, audited(zones, ["2001:db8::7"])))
    assert line.startswith("add 7.0.0.")
    assert line.endswith(f".{origin} PTR mail.example.net.")


def test_the_ptr_record_goes_to_the_end_of_a_classless_delegation() -> None:
    part = f"0/26.{REVERSE}"
    zones = zone_data(
        {
            REVERSE: f"7 CNAME 7.{part}.\n0/26 NS ns.example.net.\n",
            part: "",
            NET: "mail A 192.0.2.7\n",
        },
        [part, NET],
    )
    assert lines_of(planned(zones, audited(zones, ["192.0.2.7"]))) == [
        f"add 7.{part} PTR mail.example.net."
    ]


def test_every_line_says_what_the_zone_must_hold_and_whose_it_is() -> None:
    zones = zone_data({REVERSE: "7 PTR mail.example.net\n", NET: ""})
    plan = planned(zones, audited(zones, ["192.0.2.7"]))
    delete, _, address = [line for change in plan.changes for line in change.lines()]
    assert delete == {
        "zone": REVERSE,
        "owner": f"7.{REVERSE}",
        "op": "delete",
        "type": "PTR",
        "value": f"mail.example.net.{REVERSE}.",
        "ttl": 3600,
        "prerequisite": [f"yxrrset 7.{REVERSE}. IN PTR mail.example.net.{REVERSE}."],
        "why": ["FORWARD_MISSING", "PTR_DOT_MISSING"],
        "target": "192.0.2.7",
        "mends": {"party": "own", "zone": REVERSE, "contact": "hostmaster@example.net"},
    }
    assert address["prerequisite"] == [
        "nxrrset mail.example.net. IN A",
        "nxrrset mail.example.net. IN CNAME",
    ]


def test_what_others_have_to_do_names_them() -> None:
    lines = []
    for own in ((NET,), (REVERSE,)):
        zones = zone_data({REVERSE: "", NET: ""}, own)
        plan = planned(zones, audited(zones, ["192.0.2.7"], "out.example.net"))
        lines.append(
            [
                (line["owner"], line["mends"]["party"])
                for change in plan.changes
                for line in change.lines()
            ]
        )
    # A PTR record of one's own is not published before the address is there.
    assert lines == [
        [(f"7.{REVERSE}", "isp"), ("out.example.net", "own")],
        [("out.example.net", "customer")],
    ]


def test_zone_facts_say_who_runs_a_zone_that_is_not_loaded() -> None:
    zones = zone_data({NET: "mail A 192.0.2.7\n"})
    record = audited(zone_data({REVERSE: "", NET: "mail A 192.0.2.7\n"}), ["192.0.2.7"])[0]
    planner = Planner(zones, {}, {REVERSE: ZoneParty("customer", "dns@example.org")})
    planner.note_record(record)
    (change,) = planner.plan().changes
    assert change.responsible == ("customer", REVERSE, "dns@example.org")


def test_results_of_yesterday_do_not_undo_what_has_been_mended_since() -> None:
    before = zone_data({REVERSE: "7 PTR mail.example.net\n", NET: ""})
    records = audited(before, ["192.0.2.7"])
    after = applied(before, planned(before, records))
    assert lines_of(planned(after, records)) == []


def test_policies_of_ones_own_are_rewritten_where_that_is_certain() -> None:
    net = '@ A 192.0.2.7\n@ MX 10 @\n@ TXT "v=spf1 mx -all ip4:192.0.2.9"\n@ TXT "other"\n'
    zones = zone_data({NET: net, REVERSE: "7 PTR example.net.\n"})
    assert lines_of(planned(zones, audited(zones, [NET]))) == [
        'delete example.net TXT "v=spf1 mx -all ip4:192.0.2.9"',
        'add example.net TXT "v=spf1 mx -all"',
    ]


def test_a_policy_that_would_say_something_else_is_left_to_people() -> None:
    net = '@ A 192.0.2.7\n@ MX 10 @\n@ TXT "v=spf1 mx mx ?all"\n'
    zones = zone_data({NET: net, REVERSE: "7 PTR example.net.\n"})
    assert lines_of(planned(zones, audited(zones, [NET]))) == []


def test_the_proof_audits_with_the_change_and_beyond_the_zones_by_what_was_recorded() -> None:
    world = zone_data(
        {
            REVERSE: "7 PTR mail.example.net\n8 PTR x.example.org.\n",
            NET: "",
            "example.org": "x A 192.0.2.8\n",
        }
    )
    records = audited(world, ["192.0.2.7", "192.0.2.8", "example.org"])
    zones = zone_data({REVERSE: "7 PTR mail.example.net\n8 PTR x.example.org.\n", NET: ""})
    plan = planned(zones, records)
    after = proven(zones, plan, records)
    assert [record["verdict"] for record in records[:2]] == ["fail", "pass"]
    assert [record["verdict"] for record in after[:2]] == ["pass", "pass"]
    assert after[2] == records[2]
    promises = Promises(plan)
    for record in after:
        promises.compare_record(record)
    assert promises.broken == []


def test_a_promise_that_is_not_kept_is_noted() -> None:
    zones = zone_data({REVERSE: "7 PTR mail.example.net\n", NET: ""})
    records = audited(zones, ["192.0.2.7"])
    promises = Promises(planned(zones, records))
    promises.compare_record(records[0])
    assert promises.broken == [("192.0.2.7", "FORWARD_MISSING"), ("192.0.2.7", "PTR_DOT_MISSING")]


def test_delegations_that_records_lack_go_to_the_registry_or_to_whoever_runs_the_zone_above() -> (
    None
):
    child = f"64/26.{REVERSE}"
    zones = zone_data({child: "@ NS ns2.example.net.\n", NET: ""})
    parents = {child: REVERSE, REVERSE: "192.in-addr.arpa"}
    faults = undelegated_zones(parents, (), Planner(zones, {}, {}).contact_of)
    files = plan_files(planned(zones, []), zones, {}, faults, "csv")
    letter = files[f"for-{REVERSE}.txt"].decode()
    assert f"Zone {child}: DELEGATION_MISSING " in letter
    assert f"    {child}. IN NS ns1.example.net.\n    {child}. IN NS ns2.example.net.\n" in letter
    registry = files["rir.txt"].decode()
    assert registry.startswith(f"domain:         {REVERSE}\n")
    assert undelegated_zones({child: REVERSE}, faults, lambda _: "") == []


@pytest.mark.parametrize("is_loaded", [True, False])
def test_a_missing_delegation_is_told_to_the_contact_of_the_zone_above(*, is_loaded: bool) -> None:
    """It is in the zone itself, if that is loaded, or in its facts."""
    child = f"64/26.{REVERSE}"
    zones = zone_data({REVERSE: "", NET: ""} if is_loaded else {NET: ""})
    parties = {} if is_loaded else {REVERSE: ZoneParty("isp", "hostmaster@example.net")}
    planner = Planner(zones, {}, parties)
    (fault,) = undelegated_zones({child: REVERSE}, (), planner.contact_of)
    assert fault.contact == "hostmaster@example.net"
    assert planner.contact_of(f"128/26.{REVERSE}") == ""
    files = plan_files(planned(zones, []), zones, {}, [fault], "csv")
    letter = files["for-hostmaster@example.net.txt"].decode()
    assert letter.startswith("To: hostmaster@example.net\n")


def test_a_planner_learns_of_missing_delegations_from_records() -> None:
    zones = zone_data({NET: ""})
    (record,) = audited(zone_data({REVERSE: "", NET: ""}), ["192.0.2.7"])
    record["findings"].append(
        {"code": "DELEGATION_MISSING", "severity": "error", "subject": f"7.{REVERSE}"}
    )
    planner = Planner(zones, {}, {})
    planner.note_record(record)
    assert planner.undelegated == {f"7.{REVERSE}": REVERSE}
