"""Limits, loops and failing lookups: where an evaluation ends without a match."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.spf_answers import REVERSE, V4, Zone, check, mailed

from auditor.resolve.answer import Question
from auditor.wire.codes import MX, PTR, TXT, A

if TYPE_CHECKING:
    from support.spf_answers import Given


def test_the_eleventh_lookup_is_permerror_unless_a_match_comes_before() -> None:
    terms = " ".join(["a"] * 11)

    too_many = mailed(f"v=spf1 {terms} -all", apex={"A": "198.51.100.1"})
    in_time = mailed(f"v=spf1 ip4:{V4} {terms} -all", apex={"A": "198.51.100.1"})

    assert (too_many.result, too_many.lookups) == ("permerror", 11)
    assert too_many.explanation == "Too many DNS lookups"
    assert (in_time.result, in_time.lookups) == ("pass", 0)


def test_a_redirect_counts_as_a_lookup() -> None:
    terms = " ".join(["a"] * 10)
    fact = mailed(f"v=spf1 {terms} redirect=x.example.net", apex={"A": "198.51.100.1"})

    assert (fact.result, fact.lookups) == ("permerror", 11)


def test_a_redirect_that_is_not_followed_does_not_count() -> None:
    terms = " ".join(["a"] * 10)
    fact = mailed(f"v=spf1 redirect=x.example.net {terms} -all", apex={"A": "198.51.100.1"})

    assert (fact.result, fact.lookups) == ("fail", 10)


def test_the_third_void_lookup_is_permerror() -> None:
    two = mailed("v=spf1 a:x.example.net a:y.example.net -all")
    three = mailed("v=spf1 a:x.example.net a:y.example.net mx -all")

    assert (two.result, two.voids) == ("fail", 2)
    assert (three.result, three.voids) == ("permerror", 3)
    assert three.explanation == "more than 2 void lookups: MX of example.net"


def test_a_target_that_is_no_name_is_no_void_lookup() -> None:
    label = "x" * 64
    fact = mailed(f"v=spf1 a:{label}.example.net a:a..example.net exists:{label}.net -all")

    assert (fact.result, fact.lookups, fact.voids) == ("fail", 3, 0)


@pytest.mark.parametrize(("hosts", "result"), [(10, "pass"), (11, "permerror")])
def test_more_than_ten_mx_records_are_permerror(hosts: int, result: str) -> None:
    names = [f"mx{i:02}.example.net" for i in range(hosts)]
    zone = Zone(
        {
            "example.net": {TXT: [(b"v=spf1 mx -all",)], MX: [(1, name) for name in names]},
            **{name: {A: [V4]} for name in names},
        }
    )

    assert check(zone.answer, V4, "example.net").fact.result == result


def test_only_ten_ptr_names_are_looked_at() -> None:
    names = [f"p{i:02}.example.net" for i in range(12)]
    zone = Zone(
        {
            "example.net": {TXT: [(b"v=spf1 ptr -all",)]},
            REVERSE: {PTR: names},
            **{name: {A: [V4 if name == names[-1] else "198.51.100.1"]} for name in names},
        }
    )

    course = check(zone.answer, V4, "example.net")

    assert course.fact.result == "fail"
    assert [question.name for question in course.rounds[-1]] == names[:10]


@pytest.mark.parametrize("policy", ["redirect=apex.example.net", "include:%{d}", "?include:%{d}"])
def test_a_policy_that_leads_to_itself_is_permerror_at_the_limit(policy: str) -> None:
    fact = mailed(f"v=spf1 {policy.replace('apex.', '')}")

    assert (fact.result, fact.lookups) == ("permerror", 11)


def test_an_address_that_matches_before_a_loop_gets_its_result() -> None:
    policy = "v=spf1 ip4:192.0.2.1 include:example.net -all"

    assert mailed(policy).result == "pass"
    assert mailed(policy, "192.0.2.2").result == "permerror"


def test_an_include_without_a_domain_is_no_loop_but_a_syntax_error() -> None:
    for term in ("include", "-include", "include:", "include/24"):
        fact = mailed(f"v=spf1 ip4:{V4} {term}")

        assert (fact.result, fact.lookups) == ("permerror", 0)


@pytest.mark.parametrize("term", ["include:none.example.net", "redirect=none.example.net"])
@pytest.mark.parametrize("other", [{"TXT": "no policy"}, {"A": V4}])
def test_a_domain_without_a_policy_cannot_be_referred_to(
    term: str, other: dict[str, Given]
) -> None:
    fact = mailed(f"v=spf1 {term}", none=other)

    assert fact.result == "permerror"
    assert fact.explanation is not None
    assert "none.example.net" in fact.explanation


@pytest.mark.parametrize(
    ("policy", "failed"),
    [
        ("v=spf1 include:bad.example.net -all", "TXT of bad.example.net"),
        ("v=spf1 redirect=bad.example.net", "TXT of bad.example.net"),
        ("v=spf1 a:bad.example.net -all", "A of bad.example.net"),
        ("v=spf1 exists:bad.example.net -all", "A of bad.example.net"),
        ("v=spf1 mx:bad.example.net -all", "MX of bad.example.net"),
        ("v=spf1 include:deep.example.net -all", "TXT of bad.example.net"),
    ],
)
def test_a_failing_lookup_is_temperror_and_named(policy: str, failed: str) -> None:
    fact = mailed(
        policy,
        bad={"TXT": "SERVFAIL", "A": "SERVFAIL", "MX": "SERVFAIL"},
        deep={"TXT": "v=spf1 include:bad.example.net"},
    )

    assert (fact.result, fact.explanation) == ("temperror", f"{failed}: SERVFAIL")
    assert fact.mechanism is None


def test_a_failing_lookup_behind_a_match_does_not_matter_and_is_not_asked_for() -> None:
    zone = Zone.of(
        apex={"TXT": "v=spf1 ip4:192.0.2.1 include:bad.example.net -all"}, bad={"TXT": "SERVFAIL"}
    )

    course = check(zone.answer, V4, "example.net")

    assert course.fact.result == "pass"
    assert course.questions == [Question("example.net", TXT)]


def test_a_failing_lookup_asked_for_in_vain_does_not_matter() -> None:
    fact = mailed(
        "v=spf1 a:good.example.net include:bad.example.net -all",
        good={"A": V4},
        bad={"TXT": "SERVFAIL"},
    )

    assert (fact.result, fact.lookups) == ("pass", 1)


@pytest.mark.parametrize("status", ["SERVFAIL", "TIMEOUT"])
def test_ptr_does_not_match_where_the_dns_fails(status: str) -> None:
    zone = Zone({"example.net": {TXT: [(b"v=spf1 ptr -all",)]}, REVERSE: {PTR: status}})

    assert check(zone.answer, V4, "example.net").fact.result == "fail"


def test_ptr_passes_over_a_name_whose_addresses_cannot_be_had() -> None:
    zone = Zone(
        {
            "example.net": {TXT: [(b"v=spf1 ptr -all",)]},
            REVERSE: {PTR: [".", "a.example.net", "b.example.net"]},
            "a.example.net": {A: "SERVFAIL"},
            "b.example.net": {A: [V4]},
        }
    )

    assert check(zone.answer, V4, "example.net").fact.result == "pass"


def test_a_null_mx_has_no_host() -> None:
    fact = mailed("v=spf1 mx ~all", apex={"MX": (0, ".")})

    assert (fact.result, fact.lookups, fact.voids) == ("softfail", 1, 0)
