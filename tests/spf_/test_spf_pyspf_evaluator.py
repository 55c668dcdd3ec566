"""Modifiers, explanations and macros, where pyspf alone would be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.spf_answers import REVERSE, V4, V6, Zone, check, mailed

from auditor.resolve.answer import Question, Rdata
from auditor.wire.codes import PTR, TXT, A

if TYPE_CHECKING:
    from support.spf_answers import Given


@pytest.mark.parametrize("name", ["redirect", "Redirect", "REDIRECT"])
def test_modifiers_are_known_in_any_case(name: str) -> None:
    assert mailed(f"v=spf1 {name}=x.example.net", x={"TXT": "v=spf1 -all"}).result == "fail"


def test_unknown_modifiers_are_ignored_as_often_as_they_stand() -> None:
    assert mailed("v=spf1 x=1 x=2 ra=me x=%{c} -all").result == "fail"


@pytest.mark.parametrize(
    "terms",
    [
        "exp=a.example.net EXP=a.example.net",
        "redirect=a.example.net redirect=a.example.net",
        "exp=",
        "redirect=-all",
        "x=%{z}",
        "exp=%{r}.example.net",
    ],
)
def test_a_wrong_modifier_is_permerror_even_behind_a_match(terms: str) -> None:
    assert mailed(f"v=spf1 ip4:{V4} {terms}").result == "permerror"


def test_a_fail_is_explained_by_the_text_that_the_domain_publishes() -> None:
    fact = mailed(
        "v=spf1 exp=why.%{o} -all",
        why={"TXT": "%{i} is not of %{d}%%%_%-, says %{r} at %{t} to %{S} (%{c})\x07\\"},
    )

    assert fact.explanation == (
        "192.0.2.1 is not of example.net% %20, says unknown at 0 to me%40example.net (192.0.2.1)"
        r"\007\\"
    )


def test_an_explanation_keeps_its_beginning_and_is_bounded() -> None:
    text = "Sentence one. " * 100
    fact = mailed("v=spf1 exp=why.%{o} -all", why={"TXT": text})

    assert fact.explanation == f"{text[:1024]}..."


@pytest.mark.parametrize("qualifier", ["+", "~", "?"])
def test_nothing_but_a_fail_is_explained_and_nothing_is_asked_for_it(qualifier: str) -> None:
    zone = Zone.of(apex={"TXT": f"v=spf1 exp=why.%{{o}} {qualifier}all"}, why={"TXT": "Because."})

    course = check(zone.answer, V4, "example.net")

    assert course.fact.explanation is None
    assert len(course.questions) == 1


@pytest.mark.parametrize(
    "why",
    [
        {"TXT": "SERVFAIL"},
        {"TXT": ["one", "two"]},
        {"TXT": "caf\xe9"},
        {"TXT": "%{q}"},
        {"TXT": "%"},
        {"A": V4},
    ],
)
def test_an_explanation_in_trouble_is_none_and_costs_nothing(why: dict[str, Given]) -> None:
    fact = mailed("v=spf1 a:x.example.net a:y.example.net exp=why.example.net -all", why=why)

    assert (fact.result, fact.explanation, fact.voids) == ("fail", None, 2)


def test_the_explanation_of_an_included_policy_is_not_asked_for() -> None:
    zone = Zone.of(
        apex={"TXT": "v=spf1 include:other.example.net -all"},
        other={"TXT": "v=spf1 exp=why.example.net -all"},
        why={"TXT": "Because."},
    )

    course = check(zone.answer, V4, "example.net")

    assert course.fact.explanation is None
    assert "why.example.net" not in {question.name for question in course.questions}


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("%{ir}.%{v}.%{d}", "1.2.0.192.in-addr.example.net"),
        ("%{l}.%{o}", "me.example.net"),
        ("%{h}.%{d1}.net", "mail.example.net.net.net"),
        ("%{p}.example.net", "unknown.example.net"),
        (r"a\b.%{d}", r"a\\b.example.net"),
        ("x%_y.%{d}", r"x\032y.example.net"),
        ("Upper.%{d}", "upper.example.net"),
    ],
)
def test_names_are_asked_for_in_house_form(spec: str, name: str) -> None:
    zone = Zone.of(apex={"TXT": f"v=spf1 exists:{spec} -all"})

    check(zone.answer, V4, sender="me@example.net")

    assert Question(name, A) in zone.asked


def test_a_name_of_more_than_253_characters_loses_labels_on_its_left() -> None:
    zone = Zone.of(apex={"TXT": "v=spf1 exists:" + "%{l}." * 10 + "%{d} -all"})

    check(zone.answer, V4, sender=f"{'x' * 40}@example.net")

    assert zone.asked[-1].name == f"{'x' * 40}." * 5 + "example.net"


@pytest.mark.parametrize(
    "spec", ["%{d0}", "%{dx}", "%{z}", "%{d", "%", "%%%a.net", "%{d}x", "a%{d}.123", "%{t}", "x"]
)
def test_a_wrong_macro_or_domain_is_permerror_even_behind_a_match(spec: str) -> None:
    fact = mailed(f"v=spf1 ip4:{V4} a:{spec} -all")

    assert (fact.result, fact.lookups) == ("permerror", 0)


def test_the_implied_domain_is_no_macro_string() -> None:
    zone = Zone({"100%.example.net": {TXT: [(b"v=spf1 a -all",)], A: [V4]}})

    assert check(zone.answer, V4, "100%.example.net").fact.result == "pass"


def test_the_validated_name_is_unknown_where_the_dns_fails_and_never_void() -> None:
    text = b"v=spf1 a:%{p}.example.net a:x.example.net -all"
    for reverse in ({PTR: "SERVFAIL"}, {PTR: ["a.example.com", "b.example.com", "c.example.com"]}):
        zone = Zone({"example.net": {TXT: [(text,)]}, REVERSE: reverse})

        fact = check(zone.answer, V4, "example.net").fact

        assert Question("unknown.example.net", A) in zone.asked
        assert (fact.result, fact.voids) == ("fail", 2)


def test_the_validated_name_nearest_to_the_domain_is_taken() -> None:
    names = ["a.example.com", "mail.example.net", "x.mail.example.net"]
    policy = (b"v=spf1 exists:%{p}.ok -all",)
    for domain, name in (
        ("mail.example.net", "mail.example.net"),
        ("example.net", "mail.example.net"),
        ("example.org", "a.example.com"),
    ):
        types: dict[str, dict[int, list[Rdata]]] = {REVERSE: {PTR: [*names]}}
        types |= {owner: {A: [V4], TXT: [policy]} for owner in [*names, domain]}
        zone = Zone(types | {f"{name}.ok": {A: [V4]}})

        assert check(zone.answer, V4, domain).fact.result == "pass"


def test_ipv6_clients_are_matched_by_ipv6() -> None:
    for policy in ("ip6:2001:DB8::/32 -all", "a:six.example.net -all", "mx//48 -all"):
        fact = mailed(
            f"v=spf1 ip4:0.0.0.0/0 {policy}",
            V6,
            apex={"MX": (1, "six.example.net")},
            six={"A": V4, "AAAA": V6},
        )

        assert (fact.result, fact.mechanism) == ("pass", policy.split()[0])
