"""What is to be published: by the address, by the domain, by the policy; and never two ways.

Also tests `advice_address.py` and `checks/follow_up.py`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from support.advised import advised
from support.reports import address_record
from support.zone_texts import zones

from auditor.checks.follow_up import FollowUpFacts
from auditor.findings.advice import Advice, advise

if TYPE_CHECKING:
    from auditor.resolve.zones.engine import ZoneFileEngine


def _of(engine: ZoneFileEngine, target: str, **given: Any) -> dict[str, Advice]:
    """Return the advice about one target by code."""
    return {code: advice for code, _, advice in advised(engine.answer, target, **given)[target]}


_NET = "mail A 192.0.2.5\n    AAAA 2001:db8::5\nwww CNAME mail\n"
_REVERSE = "2.0.192.in-addr.arpa"


def _zones(reverse: str, net: str = _NET, **more: str) -> ZoneFileEngine:
    return zones(**{"2__0__192__in-addr__arpa": reverse, "example__net": net, **more})


# --- Addresses


def test_behind_an_alias_the_ptr_goes_where_the_alias_leads() -> None:
    engine = _zones("1 CNAME 1.0/29\n2 CNAME 2.0/29\n2.0/29 PTR bad_name.example.net.\n")
    advice = _of(engine, "192.0.2.1", helo="mail.example.net")["PTR_MISSING"]
    assert advice.lines == (
        f"1.0/29.{_REVERSE}. IN PTR mail.example.net.",
        "mail.example.net. IN A 192.0.2.1",
    )
    drafts = _of(engine, "192.0.2.2")["PTR_INVALID_NAME"].drafts
    assert drafts[0] == f"; 2.0/29.{_REVERSE}. IN PTR <host>."


def test_a_missing_final_dot_is_cured_by_the_name_that_was_meant() -> None:
    found = _of(_zones("5 PTR mail.example.net\n6 PTR mail.example.net\n"), "192.0.2.5")
    assert found["PTR_DOT_MISSING"] == found["FORWARD_MISSING"]
    assert found["PTR_DOT_MISSING"].lines == (f"5.{_REVERSE}. IN PTR mail.example.net.",)


def test_the_helo_name_that_was_given_is_filled_in() -> None:
    found = _of(_zones(""), "192.0.2.7", helo="mx9.example.net", mail_from=("mx9.example.net",))
    assert found["PTR_MISSING"].lines == (
        f"7.{_REVERSE}. IN PTR mx9.example.net.",
        "mx9.example.net. IN A 192.0.2.7",
    )
    assert found["SPF_NONE"].lines == ('mx9.example.net. IN TXT "v=spf1 ip4:192.0.2.7 ~all"',)


def test_a_record_alone_says_which_helo_name_was_given() -> None:
    record = address_record("192.0.2.7", "PTR_MISSING")
    helo = {"name": "mx9.example.net", "status": "NXDOMAIN", "addresses": [], "confirms": False}
    assert advise({**record, "helo": helo}, record["findings"][0]).lines == (
        f"7.{_REVERSE}. IN PTR mx9.example.net.",
        "mx9.example.net. IN A 192.0.2.7",
    )


def test_the_ptr_name_that_was_expected_is_filled_in() -> None:
    record = address_record("192.0.2.7", "PTR_MISSING")
    lines = (
        f"7.{_REVERSE}. IN PTR mail.example.net.",
        "mail.example.net. IN A 192.0.2.7",
    )
    known = FollowUpFacts("mx9.example.net", "mail.example.net")
    assert advise(record, record["findings"][0], known).lines == lines


def test_the_name_of_the_list_takes_the_place_of_another() -> None:
    record = address_record("192.0.2.7", names=["old.example.net"])
    finding = {"code": "PTR_UNEXPECTED", "severity": "warning", "subject": "mail.example.net"}
    advice = advise({**record, "findings": [finding]}, finding)
    assert advice.lines == (
        f"7.{_REVERSE}. IN PTR mail.example.net.",
        "mail.example.net. IN A 192.0.2.7",
    )
    assert advice.notes[0] == "The PTR record takes the place of the record with old.example.net."


@pytest.mark.parametrize("helo", ["", "mx.lan", "192-0-2-7.example.net", "mail_1.example.net"])
def test_a_helo_name_that_no_address_should_have_is_not_filled_in(helo: str) -> None:
    advice = _of(_zones(""), "192.0.2.7", helo=helo)["PTR_MISSING"]
    assert (advice.lines, advice.drafts) == (
        (),
        (f"; 7.{_REVERSE}. IN PTR <host>.", "; <host>. IN A 192.0.2.7"),
    )


def test_an_alias_is_never_published_but_what_it_leads_to() -> None:
    engine = _zones("5 PTR www.example.net.\n6 PTR www.example.net.\n")
    assert _of(engine, "192.0.2.5")["FORWARD_CNAME"].lines == (
        f"5.{_REVERSE}. IN PTR mail.example.net.",
    )
    # The address goes to the end of the alias: beside a CNAME the zone would not load.
    assert _of(engine, "192.0.2.6")["FORWARD_MISMATCH"].lines == (
        f"6.{_REVERSE}. IN PTR mail.example.net.",
        "mail.example.net. IN A 192.0.2.6",
    )
    assert _of(engine, "192.0.2.7", helo="www.example.net")["PTR_MISSING"].lines[0] == (
        f"7.{_REVERSE}. IN PTR mail.example.net."
    )


def test_a_reverse_name_that_is_an_alias_of_a_host_gets_its_ptr_there() -> None:
    advice = _of(_zones("5 CNAME mail.example.net.\n"), "192.0.2.5")["PTR_ALIAS_TO_HOST"]
    assert advice.lines == ("mail.example.net. IN PTR mail.example.net.",)
    assert f"in place of the CNAME record at 5.{_REVERSE}" in advice.notes[0]


@pytest.mark.parametrize(
    "name",
    [
        "host-192-0-2-9.dyn.example.net.",
        "mail_1.example.net.",
        "mail.lan.",
        "mail",
        r"first\.last.example.net.",
        r"a\032b.example.net.",
    ],
)
def test_no_address_is_added_to_a_name_that_is_to_be_replaced(name: str) -> None:
    found = _of(_zones(f"9 PTR {name}\n", lan="mail A 192.0.2.1\n"), "192.0.2.9")
    assert len(found) > 1
    for advice in found.values():
        assert advice.lines == ()
        assert advice.drafts == (f"; 9.{_REVERSE}. IN PTR <host>.", "; <host>. IN A 192.0.2.9")


def test_of_several_names_one_is_kept_and_no_other_gets_an_address() -> None:
    engine = _zones("5 PTR mail.example.net.\n5 PTR other.example.net.\n")
    found = _of(engine, "192.0.2.5")
    assert {code: advice.lines for code, advice in found.items()} == {
        "FORWARD_PARTIAL": (),
        "PTR_MULTIPLE": (),
    }
    note = "Keep mail.example.net, and delete the PTR record with other.example.net."
    assert {advice.notes for advice in found.values()} == {(note,)}


def test_a_name_out_of_a_wildcard_gets_no_address_but_the_address_a_name() -> None:
    engine = _zones("* PTR mail.example.net.\n")
    assert _of(engine, "192.0.2.5")["PTR_WILDCARD"].lines == (
        f"5.{_REVERSE}. IN PTR mail.example.net.",
    )
    found = _of(engine, "192.0.2.6")
    assert [advice.lines for advice in found.values()] == [(), ()]
    assert found["FORWARD_MISMATCH"].drafts[1] == "; <host>. IN A 192.0.2.6"


def test_for_an_address_that_nobody_sees_nothing_is_published() -> None:
    engine = zones(**{"2__0__10__in-addr__arpa": "", "example__net": _NET})
    found = _of(engine, "10.0.2.1", helo="mail.example.net", mail_from=("mail.example.net",))
    assert {"HELO_MISMATCH", "PTR_MISSING", "SPF_NONE", "TARGET_NOT_GLOBAL"} == found.keys()
    assert not any(advice.lines or advice.drafts for advice in found.values())


def test_what_could_not_be_looked_up_is_nothing_to_publish() -> None:
    found = _of(_zones("5 PTR mail.example.com.\n"), "192.0.2.5")
    assert found.keys() == {"FORWARD_UNDETERMINED", "SERVER_LAME"}
    assert {Advice()} == set(found.values())


# --- Domains


def test_the_name_of_a_mail_host_is_filled_in_without_what_it_has() -> None:
    engine = _zones(
        "5 PTR mail.example.net.\n",
        f'@ MX 10 mail\n@ TXT "v=spf1 mx -all"\n{_NET}',
        **{"8__b__d__0__1__0__0__2__ip6__arpa": ""},
    )
    (advice,) = _of(engine, "example.net").values()
    assert len(advice.lines) == 1
    assert advice.lines[0].endswith(".ip6.arpa. IN PTR mail.example.net.")


def test_a_host_name_that_was_typed_as_a_domain_gets_no_mx() -> None:
    engine = _zones("5 PTR mail.example.net.\n", f'{_NET}mail TXT "v=spf1 a -all"\n')
    for name in ("mail.example.net", "gone.example.net"):
        for code, advice in _of(engine, name).items():
            assert not any(" IN MX " in line for line in (*advice.lines, *advice.drafts)), code
    assert "looks like the name of a host" in _of(engine, "mail.example.net")["MX_MISSING"].notes[0]


@pytest.mark.parametrize(
    ("zone", "code", "lines"),
    [
        ("@ A 192.0.2.5\n", "MX_MISSING", ("example.net. IN MX 10 example.net.",)),
        ("@ MX 20 www\n", "MX_CNAME", ("example.net. IN MX 20 mail.example.net.",)),
        ("@ MX 5 mail.example.net\n", "MX_UNRESOLVABLE",
         ("example.net. IN MX 5 mail.example.net.",)),
        ("@ MX 0 .\n", "MX_NULL", ('example.net. IN TXT "v=spf1 -all"',)),
        ("@ MX 0 .\n", "SPF_NONE", ('example.net. IN TXT "v=spf1 -all"',)),
        ("@ MX 10 mail\n", "SPF_NONE", ('example.net. IN TXT "v=spf1 mx ~all"',)),
        ("@ A 192.0.2.5\n", "SPF_NONE", ('example.net. IN TXT "v=spf1 a ~all"',)),
    ],
)  # fmt: skip
def test_a_domain_is_told_whole_records(zone: str, code: str, lines: tuple[str, ...]) -> None:
    assert _of(_zones("", zone + _NET), "example.net")[code].lines == lines


# --- Policies


def _policy(text: str, code: str) -> Advice:
    return _of(_zones("", f"@ MX 10 mail\n@ TXT {text}\n{_NET}"), "example.net")[code]


@pytest.mark.parametrize(
    ("text", "code", "corrected"),
    [
        ('"v=spf1 ipv4:192.0.2.5 mx -all"', "SPF_SYNTAX", "v=spf1 ip4:192.0.2.5 mx -all"),
        ('"v=spf1 192.0.2.5, mx -all"', "SPF_SYNTAX", "v=spf1 ip4:192.0.2.5 mx -all"),
        ('"v=spf1 ip4:2001:db8::5 -all"', "SPF_SYNTAX", "v=spf1 ip6:2001:db8::5 -all"),
        (r'"v=spf1 mx \226\128\147all"', "SPF_NOT_ASCII", "v=spf1 mx -all"),
        ('"v=spf1 mx"', "SPF_NO_ALL", "v=spf1 mx ~all"),
        ('"v=spf1 mx ?all"', "SPF_NEUTRAL_ALL", "v=spf1 mx ~all"),
        ('"v=spf1 mx -all a"', "SPF_TERM_AFTER_ALL", "v=spf1 mx -all"),
        ('"v=spf1 mx mx -all"', "SPF_DUPLICATE_TERM", "v=spf1 mx -all"),
        ('"v=spf1 mx ip4=192.0.2.5 -all"', "SPF_UNKNOWN_MODIFIER", "v=spf1 mx ip4:192.0.2.5 -all"),
        ('"v=spf1 mx" "a -all"', "SPF_STRINGS_JOINED", "v=spf1 mx a -all"),
        ('"v=spf1 mx a:gone.example.net -all"', "SPF_TERM_RESOLVES_TO_NOTHING", "v=spf1 mx -all"),
        # All that is wrong with one record is mended in one record.
        ('"v=spf1 mx mx ipv4:192.0.2.5 ?all"', "SPF_SYNTAX", "v=spf1 mx ip4:192.0.2.5 ~all"),
        ('"v=spf1 mx mx ipv4:192.0.2.5 ?all"', "SPF_DUPLICATE_TERM",
         "v=spf1 mx ip4:192.0.2.5 ~all"),
    ],
)  # fmt: skip
def test_a_policy_is_corrected_where_it_is_plain_how(text: str, code: str, corrected: str) -> None:
    assert _policy(text, code).lines == (f'example.net. IN TXT "{corrected}"',)


@pytest.mark.parametrize(
    ("text", "code", "draft"),
    [
        ('"v=spf1 mx ip4:192.0.2.999 -all"', "SPF_SYNTAX",
         "v=spf1 mx <in place of ip4:192.0.2.999> -all"),
        ('"v=spf1 mx +all"', "SPF_PASS_ALL",
         "v=spf1 mx <the networks that send in place of +all> ~all"),
        ('"v=spf1 a:gone.example.net -all"', "SPF_TERM_RESOLVES_TO_NOTHING",
         "v=spf1 <the networks that send> -all"),
        ('"v=spf1 mx include:gone.example.net -all"', "SPF_INCLUDE_WITHOUT_RECORD",
         "v=spf1 mx <the right name in place of include:gone.example.net> -all"),
    ],
)  # fmt: skip
def test_what_a_person_has_to_decide_stays_a_comment(text: str, code: str, draft: str) -> None:
    advice = _policy(text, code)
    assert (advice.lines, advice.drafts) == ((), (f'; example.net. IN TXT "{draft}"',))


@pytest.mark.parametrize(
    ("records", "merged"),
    [
        (["v=spf1 mx -all", "v=spf1 a mx -all"], "v=spf1 a mx -all"),
        (["v=spf1 mx ~all", "v=spf1 a -all"], "v=spf1 a mx ~all"),
        (["v=spf1 mx -all", "v=spf1 redirect=example.com"], ""),
        (["v=spf1 mx -all", "v=spf1 -ip4:192.0.2.7 a -all"], ""),
        (["v=spf1 mx -all", "v=spf1 +all"], ""),
    ],
)
def test_several_policies_become_one_where_it_is_plain_how(records: list[str], merged: str) -> None:
    text = "\n".join(f'@ TXT "{record}"' for record in records)
    engine = _zones("", f"@ MX 10 mail\n{text}\n{_NET}")
    advice = _of(engine, "example.net")["SPF_MULTIPLE_RECORDS"]
    published = re.findall(r'"(.*)"', "".join(advice.lines))
    assert published == ([merged] if merged else [])
    assert bool(advice.drafts) != bool(merged)


@pytest.mark.parametrize(
    ("end", "code"), [("-all", "SPF_FAIL"), ("~all", "SPF_SOFTFAIL"), ("?all", "SPF_NEUTRAL")]
)
def test_an_address_that_may_not_send_is_told_the_whole_new_record(end: str, code: str) -> None:
    engine = _zones("", f'@ TXT "v=spf1 ip4:192.0.2.1 {end}"\n{_NET}')
    advice = _of(engine, "192.0.2.7", mail_from=("example.net",))[code]
    (line,) = advice.lines
    assert line.startswith('example.net. IN TXT "v=spf1 ip4:192.0.2.7 ip4:192.0.2.1 ')
    assert advice.notes[0].startswith("If 192.0.2.7 is to send for example.net")


def test_a_long_policy_is_published_in_strings_of_255_octets() -> None:
    networks = " ".join(f"ip4:192.0.2.{n}" for n in range(0, 80, 2))
    engine = _zones(
        "", f'@ TXT "v=spf1 {networks[:240]}" "{networks[240:480]}" "{networks[480:]} -all"\n{_NET}'
    )
    advice = _of(engine, "198.51.100.7", mail_from=("example.net",))["SPF_FAIL"]
    (line,) = advice.lines
    strings = re.findall(r'"([^"]*)"', line)
    assert [len(each) for each in strings[:-1]] == [255] * (len(strings) - 1)
    assert "".join(strings) == f"v=spf1 ip4:198.51.100.7 {networks} -all"
