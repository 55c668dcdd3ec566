"""Advice that breaks nothing: aliases, wildcards, names in use, and policies that were meant.

Also tests `advice_domain.py`, `advice_policy.py` and `spf/lint/correction.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.advised import advised
from support.reports import address_record
from support.stepping import driven
from support.zone_texts import zones

from auditor.findings.advice import Advice, advise, advise_policy
from auditor.spf.lint.correction import correct
from auditor.spf.lint.policy import lint

if TYPE_CHECKING:
    from auditor.resolve.zones.engine import ZoneFileEngine


def _of(engine: ZoneFileEngine, target: str, **given: Any) -> dict[str, Advice]:
    """Return the advice about one target by code."""
    return {code: advice for code, _, advice in advised(engine.answer, target, **given)[target]}


_NET = "mail A 192.0.2.5\n    AAAA 2001:db8::5\nwww CNAME mail\n"
_REVERSE = "2.0.192.in-addr.arpa"


def _zones(reverse: str, net: str = _NET, **more: str) -> ZoneFileEngine:
    return zones(**{"2__0__192__in-addr__arpa": reverse, "example__net": net, **more})


# --- Owners that nothing may be published at, and names that something else hangs on


@pytest.mark.parametrize("target", ["www.example.net", "x.sub.example.net"])
def test_behind_an_alias_a_policy_goes_where_the_alias_leads(target: str) -> None:
    net = "host A 192.0.2.9\nwww CNAME host\nsub DNAME other\nx.other CNAME host\n"
    advice = _of(_zones("", net), target)["SPF_NONE"]
    assert advice.lines == ('host.example.net. IN TXT "v=spf1 a ~all"',)
    assert any(target in note and "CNAME" in note for note in advice.notes)


def test_behind_an_alias_mx_records_and_corrected_policies_go_where_it_leads() -> None:
    net = (
        'news CNAME real\nreal TXT "v=spf1 ipv4:192.0.2.7 -all"\n'
        'twice CNAME both\nboth TXT "v=spf1 a -all"\nboth TXT "v=spf1 mx -all"\n'
        'gone CNAME nowhere\n@ MX 10 gone\n@ TXT "v=spf1 -all"\n'
    )
    engine = _zones("9 PTR mail.example.net.\n", _NET + net)
    found = _of(engine, "news.example.net")
    assert found["ADDRESS_MISSING"].drafts == ("; real.example.net. IN MX 10 <host>.",)
    assert found["SPF_SYNTAX"].lines == ('real.example.net. IN TXT "v=spf1 ip4:192.0.2.7 -all"',)
    sender = {"mail_from": ("news.example.net",)}
    assert _of(engine, "192.0.2.9", **sender)["SPF_PERMERROR"] == found["SPF_SYNTAX"]
    assert _of(engine, "twice.example.net")["SPF_MULTIPLE_RECORDS"].lines == (
        'both.example.net. IN TXT "v=spf1 a mx -all"',
    )
    assert _of(engine, "example.net")["MX_UNRESOLVABLE"].drafts == (
        "; nowhere.example.net. IN A <address>",
    )


def test_the_name_that_was_meant_without_its_dot_may_be_an_alias() -> None:
    found = _of(_zones("9 PTR www.example.net\n"), "192.0.2.9")
    assert found["PTR_DOT_MISSING"].lines == (
        f"9.{_REVERSE}. IN PTR mail.example.net.",
        "mail.example.net. IN A 192.0.2.9",
    )


def test_an_alias_that_leads_to_itself_is_published_nowhere() -> None:
    net = f"{_NET}a CNAME b\nb CNAME a\n@ MX 10 a\n"
    (draft,) = _of(_zones("", net), "example.net")["MX_CNAME"].drafts
    assert draft == "; example.net. IN MX 10 <what the alias leads to>."
    found = _of(_zones("9 PTR a.example.net\n", net), "192.0.2.9")
    assert found["PTR_DOT_MISSING"].drafts[0] == f"; 9.{_REVERSE}. IN PTR <host>."


def test_the_ptr_record_replaces_the_alias_in_the_reverse_tree_and_no_other() -> None:
    engine = _zones("8 CNAME 8.0/28\n8.0/28 CNAME www.example.net.\n9 CNAME www.example.net.\n")
    for address, owner in (("192.0.2.8", f"8.0/28.{_REVERSE}"), ("192.0.2.9", f"9.{_REVERSE}")):
        (note, _) = _of(engine, address)["PTR_ALIAS_TO_HOST"].notes
        assert f"in place of the CNAME record at {owner}, a PTR record with mail" in note


def test_a_record_alone_does_not_say_that_a_domain_is_no_alias() -> None:
    engine = _zones("5 PTR mail.example.net.\n")
    sender = ("mail.example.net",)
    ((_, _, advice),) = advised(engine.answer, "192.0.2.5", mail_from=sender)["192.0.2.5"]
    assert not any("alias" in note for note in advice.notes)
    record = address_record("192.0.2.5", "SPF_NONE", names=["mail.example.net"])
    told = advise(record, {"code": "SPF_NONE", "subject": "mail.example.net"})
    assert any("alias" in note for note in told.notes)
    record = address_record("192.0.2.9", "PTR_INVALID_NAME", names=["a_b.example.net"])
    record = {**record, "helo": {"name": "mx.example.net", "status": "NODATA", "addresses": []}}
    told = advise(record, {"code": "PTR_INVALID_NAME", "subject": "a_b.example.net"})
    assert any("mx.example.net is an alias" in note for note in told.notes)


@pytest.mark.parametrize("helo", ["mail.example.net", "none.example.net", "gone.example.net"])
def test_a_confirmed_name_stays_whatever_the_helo_name_is(helo: str) -> None:
    net = _NET + "host A 192.0.2.9\nold CNAME host\ngone CNAME nowhere\n"
    advice = _of(_zones("9 PTR old.example.net.\n", net), "192.0.2.9", helo=helo)["FORWARD_CNAME"]
    assert advice.lines == (f"9.{_REVERSE}. IN PTR host.example.net.",)


def test_a_ptr_record_is_never_published_without_what_confirms_it() -> None:
    net = _NET + "old CNAME mail\n"
    found = _of(_zones("9 PTR old.example.net.\n", net), "192.0.2.9")
    assert found["FORWARD_CNAME"] == found["FORWARD_MISMATCH"]
    assert found["FORWARD_CNAME"].lines == (
        f"9.{_REVERSE}. IN PTR mail.example.net.",
        "mail.example.net. IN A 192.0.2.9",
    )
    assert any("192.0.2.5 already" in note for note in found["FORWARD_CNAME"].notes)


def test_a_name_out_of_a_wildcard_is_told_what_else_it_needs() -> None:
    net = "* A 192.0.2.9\n* MX 10 mail\nmail A 192.0.2.9\n"
    engine = _zones("9 PTR mail.example.net.\n", net)
    for found in (
        _of(engine, "192.0.2.9", mail_from=("shop.example.net",)),
        _of(engine, "shop.example.net"),
    ):
        assert any("*.example.net" in note for note in found["SPF_NONE"].notes)
        assert found["SPF_NONE"].lines[1:] == (
            "shop.example.net. IN A 192.0.2.9",
            "shop.example.net. IN MX 10 mail.example.net.",
        )
    told = _of(engine, "192.0.2.9", mail_from=("mail.example.net",))["SPF_NONE"].notes
    assert not any("*.example.net" in note for note in told)


def test_a_ptr_record_at_a_host_out_of_a_wildcard_goes_with_what_the_wildcard_gives() -> None:
    net = "* A 192.0.2.9\n* MX 10 mail\nmail A 192.0.2.5\n"
    found = _of(_zones("9 CNAME host.example.net.\n", net), "192.0.2.9")["PTR_ALIAS_TO_HOST"]
    assert found.lines == (
        "host.example.net. IN PTR host.example.net.",
        "host.example.net. IN A 192.0.2.9",
        "host.example.net. IN MX 10 mail.example.net.",
    )
    assert any("*.example.net, which then no longer counts" in note for note in found.notes)


def test_an_address_for_a_name_out_of_a_wildcard_goes_with_what_the_wildcard_gives() -> None:
    engine = _zones("9 PTR new.example.net.\n", "* MX 10 mail\nmail A 192.0.2.5\n")
    assert _of(engine, "192.0.2.9")["FORWARD_MISSING"].lines == (
        "new.example.net. IN A 192.0.2.9",
        "new.example.net. IN MX 10 mail.example.net.",
    )


@pytest.mark.parametrize("name", ["x.example.net.example.net.", "x.example.net.example.net"])
def test_a_name_with_its_domain_twice_is_given_to_no_host(name: str) -> None:
    """It lacks its final dot wherever it was entered."""
    for advice in _of(_zones(f"9 PTR {name}\n"), "192.0.2.9").values():
        assert advice.drafts == (f"; 9.{_REVERSE}. IN PTR <host>.", "; <host>. IN A 192.0.2.9")


@pytest.mark.parametrize(
    ("exchange", "address"),
    [
        ("192.0.2.9", "A 192.0.2.9"),
        ("192.0.2.9.", "A 192.0.2.9"),
        ("2001:db8::9", "AAAA 2001:db8::9"),
        ("2001:db8::9.", "AAAA 2001:db8::9"),
    ],
)
def test_an_address_in_place_of_a_mail_host_gets_a_name(exchange: str, address: str) -> None:
    net = f'sub MX 20 {exchange}\nsub TXT "v=spf1 -all"\n'
    (advice,) = {
        advice
        for code, advice in _of(_zones("", net), "sub.example.net").items()
        if code in {"MX_UNRESOLVABLE", "MX_INVALID_NAME"}
    }
    assert advice.drafts == ("; sub.example.net. IN MX 20 <host>.", f"; <host>. IN {address}")


def test_a_mail_host_that_was_meant_without_its_dot_may_be_an_alias() -> None:
    net = f'{_NET}@ MX 10 www.example.net\n@ TXT "v=spf1 -all"\n'
    (line,) = _of(_zones("", net), "example.net")["MX_UNRESOLVABLE"].lines
    assert line == "example.net. IN MX 10 mail.example.net."


def test_a_null_mx_record_beside_others_goes() -> None:
    found = _of(
        _zones("5 PTR mail.example.net.\n", _NET + "@ MX 0 .\n@ MX 10 mail\n"), "example.net"
    )
    assert found["MX_INVALID_NAME"].lines == found["MX_INVALID_NAME"].drafts == ()
    assert "Delete" in found["MX_INVALID_NAME"].notes[0]


# --- Policies that were meant


def _corrected(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the lines and drafts of `auditor spf` about a TXT record, without their owner."""
    engine = _zones("", f'@ A 192.0.2.5\n@ TXT {text}\n{_NET}all TXT "v=spf1 +all"\n')
    report, _ = driven(lint("example.net"), engine.answer)
    found: list[tuple[str, ...]] = [(), ()]
    for problem in report.problems:
        if problem.domain == "example.net":
            given = correct(report, "example.net")
            advice = advise_policy(problem.code, "example.net", given, "example.net")
            found = [
                tuple(dict.fromkeys((*a, *b)))
                for a, b in zip(found, (advice.lines, advice.drafts), strict=True)
            ]
    return tuple(  # type: ignore[return-value]
        tuple(line.partition(' TXT "')[2].removesuffix('"') for line in lines) for lines in found
    )


@pytest.mark.parametrize(
    "text",
    [
        '"v=spf1ip4:192.0.2.5 -all"',
        '"v=spf1" "ip4:192.0.2.5 -all"',
        '"v=spf1,ip4:192.0.2.5,-all"',
        r'"v=spf1\; ip4:192.0.2.5\; -all"',
        r'"v=spf1\009ip4:192.0.2.5 -all"',
        r'"v=spf1\194\160ip4:192.0.2.5\194\160-all"',
        r'"\239\187\191v=spf1 ip4:192.0.2.5 -all"',
        r'"\"v=spf1 ip4:192.0.2.5 -all\""',
        r'"\226\128\156v=spf1 ip4:192.0.2.5 \226\128\147all\226\128\157"',
        '" v=spf1 ip4:192.0.2.5 -all"',
        '"spf: v=spf1 ip4:192.0.2.5 -all"',
        '"v = spf1 ip4:192.0.2.5 -all"',
        '"v=spf ipv4:192.0.2.5 -all"',
        '"ip4:192.0.2.5 -all"',
    ],
)
def test_a_record_that_is_nearly_a_policy_is_published_as_it_was_meant(text: str) -> None:
    assert _corrected(text) == (("v=spf1 ip4:192.0.2.5 -all",), ())
    engine = _zones("9 PTR mail.example.net.\n", f"@ A 192.0.2.5\n@ TXT {text}\n{_NET}")
    found = _of(engine, "example.net")
    assert found["SPF_NONE"].lines == ('example.net. IN TXT "v=spf1 ip4:192.0.2.5 -all"',)
    assert found["SPF_NEAR_MISS"].lines == found["SPF_NONE"].lines
    sender = {"mail_from": ("example.net",)}
    assert _of(engine, "192.0.2.9", **sender)["SPF_NONE"].lines == (
        'example.net. IN TXT "v=spf1 ip4:192.0.2.9 ip4:192.0.2.5 -all"',
    )
    assert _of(engine, "192.0.2.5", **sender)["SPF_NONE"].lines == found["SPF_NONE"].lines


@pytest.mark.parametrize(
    "text",
    [
        '"google-site-verification=x"',
        '"spf2.0/pra ip4:192.0.2.5 -all"',
        r'"v=spf1\; all"',
        '"v=spf1, include:a..b what -all"',
        r'"v=spf1,\255 -all"',
    ],
)
def test_without_a_policy_spf_publishes_none_that_shuts_or_opens_the_domain(text: str) -> None:
    lines, drafts = _corrected(text)
    assert lines == ()
    assert drafts == ("v=spf1 <the networks that send> -all",)


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("ip4: 192.0.2.5 -all", "ip4:192.0.2.5 -all"),
        ("include: mail.example.net - all", "include:mail.example.net -all"),
        ("mx-all", "mx -all"),
        ("a:192.0.2.5 mx:192.0.2.6 -all", "ip4:192.0.2.5 ip4:192.0.2.6 -all"),
        ("ip6:192.0.2.5 ip6:[2001:db8::5] -all", "ip4:192.0.2.5 ip6:2001:db8::5 -all"),
        ("redirect:mail.example.net", "redirect=mail.example.net"),
        ("redirect=mail.example.net redirect=mail.example.net", "redirect=mail.example.net"),
        (r"ip4:192.0.2.5\009-all.", "ip4:192.0.2.5 -all"),
        (r"ip4:192.0.2.5/ \\-all", "ip4:192.0.2.5 -all"),
    ],
)
def test_a_term_is_corrected_where_only_one_can_be_meant(text: str, corrected: str) -> None:
    lines, _ = _corrected(f'"v=spf1 {text}"')
    assert lines == (f"v=spf1 {corrected}",)


@pytest.mark.parametrize(
    ("text", "draft"),
    [
        ("ip4:192.0.2.77/24 -all", "<ip4:192.0.2.77 or ip4:192.0.2.0/24> -all"),
        ("?ip6:2001:db8::5/64 -all", "<?ip6:2001:db8::5 or ?ip6:2001:db8::/64> -all"),
        # What stands behind an include of everybody is meant, and the include is the fault.
        (
            "include:all.example.net ip4:192.0.2.5 mx -all",
            "<the networks that send in place of include:all.example.net> ip4:192.0.2.5 mx -all",
        ),
        (
            "include=mail.example.net -all",
            "<include:mail.example.net, if that domain has a policy> -all",
        ),
        # A policy that passes nobody would fail everybody.
        ("?all", "<the networks that send> ~all"),
        ("", "<the networks that send> ~all"),
        ("all.", "<the corrected terms> -all"),
    ],
)
def test_what_would_shut_or_open_a_domain_is_left_to_a_person(text: str, draft: str) -> None:
    lines, drafts = _corrected(f'"v=spf1 {text}"')
    assert lines == ()
    assert drafts == (f"v=spf1 {draft}",)


@pytest.mark.parametrize(
    "term", ["mx" + "-all" * 15_000, "a:" * 20_000, "<" * 60_000, "ip4:" * 9000]
)
def test_a_hostile_term_is_answered(term: str) -> None:
    strings = " ".join(f'"{part}"' for part in _strings(f"v=spf1 {term} -all"))
    assert _corrected(strings)[0] == ()
    strings = " ".join(f'"{part}"' for part in _strings(f"v=spf1,{term},-all"))
    assert _corrected(strings)[0] == ()


def _strings(text: str) -> list[str]:
    return [text[at : at + 255] for at in range(0, len(text), 255)]


def test_a_long_draft_is_cut_between_its_terms() -> None:
    networks = [f"ip4:192.0.2.{n}" for n in range(0, 80, 2)]
    text = f"v=spf1 {' '.join(networks)} ip4:192.0.2.999 -all"
    strings = " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))
    (draft,) = _corrected(strings)[1]
    found = draft.split('" "')
    assert "".join(found) == text.replace("ip4:192.0.2.999", "<in place of ip4:192.0.2.999>")
    assert all(len(each) <= 255 and each.startswith(" ") for each in found[1:])


def test_a_domain_without_mail_is_told_one_policy() -> None:
    found = _of(_zones("", "@ A 192.0.2.5\n@ MX 0 .\n"), "example.net")
    assert found["MX_NULL"].lines == found["SPF_NONE"].lines
    assert found["SPF_NONE"].lines == ('example.net. IN TXT "v=spf1 -all"',)


@pytest.mark.parametrize(
    "records",
    [
        # Nearly a policy, and nobody knows which.
        '@ TXT "v=spf 1 mx -all"',
        '@ TXT "spf2.0/pra ip4:192.0.2.5 -all"',
        # MX hosts of a zone that is not loaded, and of none.
        "@ MX 10 mail.example.com.",
        "@ MX 10 gone",
    ],
)
def test_a_domain_that_may_send_mail_is_told_no_policy_that_refuses_all(records: str) -> None:
    host = f"{records.replace('@', 'sub')}\n{_NET}"
    found = _of(_zones("", host), "sub.example.net")
    for code in {"SPF_NONE", "SPF_NEAR_MISS"} & found.keys():
        assert found[code].lines == ()
        (draft,) = found[code].drafts
        assert draft.endswith('IN TXT "v=spf1 <the networks that send> -all"')
