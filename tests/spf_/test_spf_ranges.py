"""Ranges: at every address what `check_host` says, in as many parts as there are answers.

Also tests `range_evaluator.py` and `policy_memo.py`.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.spf_answers import Given, Zone, check
from support.spf_worlds import OWNERS, answerer, finish, world

from auditor.resolve.answer import Answer, Question
from auditor.spf.ranges import RangeResult, check_range, decided_by, range_table
from auditor.wire.codes import AAAA, MX, NOERROR, TXT, A

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Steps
    from auditor.spf.ranges import RangeTable

_DOMAIN = OWNERS[0]
_SEEDS = st.integers(0, 2**32 - 1)
_SENDERS = (None, f"me@{_DOMAIN}", f"@{_DOMAIN}", f".@{_DOMAIN}")
_HELOS = (None, "mail.b.example", "")


def _text(version: int, number: int) -> str:
    return str(IPv4Address(number) if version == 4 else IPv6Address(number))


def _assert_equal_to_check_host(
    table: RangeTable,
    answer: Callable[[Question], Answer],
    rnd: Random,
    sender: str,
    helo: str,
) -> None:
    """Compare the boundaries of every range, and an address inside of it."""
    for part in table.results:
        for number in {part.first, part.last, rnd.randint(part.first, part.last)}:
            address = ip_address(_text(table.version, number))
            if isinstance(address, IPv6Address) and address.ipv4_mapped:
                continue
            fact = check(answer, str(address), helo, sender).fact
            assert table.lookup(number) == part
            assert table.fact(number, "mailfrom") in {None, fact}
            if part.decided:
                same = (part.result, part.mechanism, part.lookups, part.voids)
                assert same == (fact.result, fact.mechanism, fact.lookups, fact.voids)


def _assert_partition(table: RangeTable) -> None:
    ends = [(part.first, part.last) for part in table.results]
    assert ends[0][0] == 0
    assert ends[-1][1] == 2 ** (32 if table.version == 4 else 128) - 1
    pairs = list(pairwise(table.results))
    assert all(low.last + 1 == high.first for low, high in pairs)
    assert all(
        low._replace(first=0, last=0) != high._replace(first=0, last=0) for low, high in pairs
    )


@given(_SEEDS)
@settings(max_examples=examples(250))
def test_all_addresses_get_what_check_host_gives_them(seed: int) -> None:
    rnd = Random(seed)
    answer = answerer(world(rnd, macros=False))
    table = finish(range_table(_DOMAIN, rnd.choice((4, 6))), answer)

    _assert_partition(table)
    for part in table.results:
        # Where an mx decides, verifiers may differ: then there is more to say of the address.
        by_mx = any("mx" in (term or "").lower() for _, term in part.path)
        assert by_mx or (part.decided and part.explained)
    _assert_equal_to_check_host(table, answer, rnd, f"anyone@{_DOMAIN}", "helo.example")


@given(_SEEDS)
@settings(max_examples=examples(250))
def test_what_is_decided_equals_check_host_whatever_the_policies_depend_on(seed: int) -> None:
    rnd = Random(seed)
    answer = answerer(world(rnd))
    sender, helo = rnd.choice(_SENDERS), rnd.choice(_HELOS)
    table = finish(range_table(_DOMAIN, rnd.choice((4, 6)), sender=sender, helo=helo), answer)

    _assert_partition(table)
    _assert_equal_to_check_host(
        table,
        answer,
        rnd,
        f"anyone@{_DOMAIN}" if sender is None else sender,
        "helo.example" if helo is None else helo,
    )


def _ranges(
    policy: str, *networks: str, known: dict[str, str] | None = None, **names: dict[str, Given]
) -> list[tuple[Any, ...]]:
    """Return (first, last, result, mechanism, lookups, voids) of the networks' parts."""
    apex: dict[str, Given] = {"TXT": policy, **names.pop("apex", {})}
    steps = check_range([ip_network(text) for text in networks], "example.net", **(known or {}))
    return [
        (
            _text(part.version, part.first).removeprefix("192.0.2"),
            _text(part.version, part.last).removeprefix("192.0.2"),
            part.result,
            part.mechanism,
            part.lookups,
            part.voids,
        )
        for part in finish(steps, Zone.of(apex=apex, **names).answer)
    ]


def test_a_network_is_split_where_the_policy_splits_it() -> None:
    policy = "v=spf1 -ip4:192.0.2.8/30 ip4:192.0.2.0/28 a:x.example.net/31 ~all"

    assert _ranges(policy, "192.0.2.0/25", x={"A": "192.0.2.101"}) == [
        (".0", ".7", "pass", "ip4:192.0.2.0/28", 0, 0),
        (".8", ".11", "fail", "-ip4:192.0.2.8/30", 0, 0),
        (".12", ".15", "pass", "ip4:192.0.2.0/28", 0, 0),
        (".16", ".99", "softfail", "~all", 1, 0),
        (".100", ".101", "pass", "a:x.example.net/31", 1, 0),
        (".102", ".127", "softfail", "~all", 1, 0),
    ]


def test_networks_may_overlap_and_come_in_any_order() -> None:
    networks = ["2001:db8::/127", "192.0.2.4/30", "192.0.2.0/29", "::ffff:192.0.2.8/125"]

    assert _ranges("v=spf1 ip4:192.0.2.0/24 ?all", *networks) == [
        (".0", ".15", "pass", "ip4:192.0.2.0/24", 0, 0),
        ("2001:db8::", "2001:db8::1", "neutral", "?all", 0, 0),
    ]
    assert _ranges("v=spf1 -all") == []


def test_the_path_leads_through_includes_and_redirects() -> None:
    zone = Zone.of(
        apex={"TXT": "v=spf1 ?include:One.example.net redirect=two.example.net"},
        one={"TXT": "v=spf1 redirect=deep.example.net"},
        deep={"TXT": "v=spf1 ip4:192.0.2.1 -ip4:192.0.2.2 -all"},
        two={"TXT": "v=spf1 a:x.example.net"},
        x={"A": "192.0.2.2"},
    )
    parts = finish(check_range([ip_network("192.0.2.0/30")], "example.net"), zone.answer)

    to_one = ("example.net", "?include:One.example.net")
    to_two = ("example.net", "redirect=two.example.net")
    deep = (("One.example.net", "redirect=deep.example.net"), ("deep.example.net", "ip4:192.0.2.1"))
    assert [(part.mechanism, part.path, part.lookups) for part in parts] == [
        (None, (to_two, ("two.example.net", None)), 4),
        ("?include:One.example.net", (to_one, *deep), 2),
        ("a:x.example.net", (to_two, ("two.example.net", "a:x.example.net")), 4),
        (None, (to_two, ("two.example.net", None)), 4),
    ]


def test_who_matches_early_is_spared_the_limit_that_others_run_into() -> None:
    spent = " ".join(["a:x.example.net"] * 9)
    policy = f"v=spf1 ip4:192.0.2.0 include:i.example.net {spent} -all"
    inner = "v=spf1 -ip4:192.0.2.1 a:x.example.net"

    assert _ranges(policy, "192.0.2.0/30", i={"TXT": inner}, x={"A": "198.51.100.1"}) == [
        (".0", ".0", "pass", "ip4:192.0.2.0", 0, 0),
        (".1", ".1", "fail", "-all", 10, 0),
        (".2", ".3", "permerror", None, 11, 0),
    ]


def test_void_lookups_are_those_of_the_ip_version() -> None:
    policy = "v=spf1 a a:x.example.net a:y.example.net -all"
    host: dict[str, Given] = {"A": "198.51.100.1"}

    assert _ranges(policy, "192.0.2.0/32", "2001:db8::/128", apex=host, x=host, y=host) == [
        (".0", ".0", "fail", "-all", 3, 0),
        ("2001:db8::", "2001:db8::", "permerror", None, 3, 3),
    ]


def test_an_error_ends_only_those_who_reach_it_and_is_put_into_words() -> None:
    zone = Zone.of(apex={"TXT": "v=spf1 ip4:192.0.2.0 mx -all", "MX": "SERVFAIL"})
    good, bad = finish(check_range([ip_network("192.0.2.0/31")], "example.net"), zone.answer)

    assert (good.result, good.explanation) == ("pass", None)
    assert (bad.result, bad.explanation) == ("temperror", "MX of example.net: SERVFAIL")
    assert (bad.decided, bad.path) == (True, (("example.net", "mx"),))


@pytest.mark.parametrize(
    ("policy", "known", "results"),
    [
        ("exists:%{i}.example.net -all", {}, ["pass", None]),
        ("ptr -all", {}, ["pass", None]),
        ("exists:%{l}.%{d} -all", {}, ["pass", None]),
        ("exists:%{l}.%{d} -all", {"sender": "me@example.net"}, ["pass", "fail"]),
        ("a:%{h} -all", {"helo": "x.example.net"}, ["pass", "pass"]),
        ("exists:%{v}.%{d2} -all", {}, ["pass", "fail"]),
        ("include:%{l}.%{d} -all", {"sender": "x@example.net"}, ["pass", "permerror"]),
        # What may be no name at all is a permerror before anything else.
        ("exists:%{h} -all", {}, [None]),
        ("exists:%{h} -all", {"helo": "."}, ["permerror"]),
    ],
)
def test_what_depends_on_more_is_decided_only_where_that_is_known(
    policy: str, known: dict[str, str], results: list[str | None]
) -> None:
    parts = _ranges(
        f"v=spf1 ip4:192.0.2.0 {policy}", "192.0.2.0/31", known=known, x={"A": "192.0.2.1"}
    )

    assert [result for _, _, result, _, _, _ in parts] == results


def test_an_undecided_part_says_which_term_is_why_and_what_was_spent_before() -> None:
    zone = Zone.of(
        apex={"TXT": "v=spf1 a:none.example.net include:i.example.net -all"},
        i={"TXT": "v=spf1 exists:%{i}.example.net"},
    )
    (part,) = finish(check_range([ip_network("192.0.2.0/24")], "example.net"), zone.answer)

    path = (("example.net", "include:i.example.net"), ("i.example.net", "exists:%{i}.example.net"))
    assert part == RangeResult(0xC0000200, 0xC00002FF, 4, None, None, path, 3, 1, decided=False)


def test_addresses_asked_one_by_one_are_merged_again() -> None:
    listed: dict[str, Given] = {"A": "127.0.0.2"}
    zone = Zone.of(apex={"TXT": "v=spf1 exists:%{i}.example.net -all"}, **{"192.0.2.6": listed})
    (part,) = finish(check_range([ip_network("192.0.2.4/30")], "example.net"), zone.answer)
    facts = [
        check(zone.answer, _text(4, n), "example.net").fact
        for n in range(part.first, part.last + 1)
    ]

    parts = decided_by(part, facts)

    assert [(_text(4, p.first)[-1], _text(4, p.last)[-1], p.result, p.voids) for p in parts] == [
        ("4", "5", "fail", 1),
        ("6", "6", "pass", 0),
        ("7", "7", "fail", 1),
    ]


def test_a_fail_with_an_explanation_is_decided_but_the_fact_is_left_to_check_host() -> None:
    zone = Zone.of(
        apex={"TXT": "v=spf1 ip4:192.0.2.0 exp=why.%{d} include:i.example.net -all"},
        i={"TXT": "v=spf1 exp=why.%{d} -all"},
    )
    table = finish(range_table("example.net", 4), zone.answer)
    passed, failed = 0xC0000200, 0xC0000201

    assert table.fact(passed, "helo") == check(zone.answer, "192.0.2.0", "example.net").fact
    assert (table.lookup(failed).result, table.lookup(failed).explained) == ("fail", False)
    assert table.fact(failed, "helo") is None


@pytest.mark.parametrize(
    "domain",
    ["", "localhost", "192.0.2.1", "none.example.net", "two.example.net", "bad.example.net"],
)
def test_without_one_policy_there_is_one_range_with_the_fact_of_check_host(domain: str) -> None:
    zone = Zone.of(two={"TXT": ["v=spf1 a", "v=spf1 mx"]}, bad={"TXT": "SERVFAIL"})
    table = finish(range_table(domain, 6), zone.answer)

    (part,) = table.results
    assert (part.first, part.last, part.path) == (0, 2**128 - 1, ())
    assert table.fact(77, "helo") == check(zone.answer, "2001:db8::1", domain).fact


def test_a_table_tells_whether_and_for_how_long_it_may_be_kept() -> None:
    answers = {
        Question("example.net", TXT): Answer(NOERROR, ((b"v=spf1 a mx:x.example.net",),), ttl=300),
        Question("example.net", A): Answer(NOERROR, ("192.0.2.1",), ttl=60),
        Question("x.example.net", MX): Answer("NXDOMAIN"),
        Question("example.net", AAAA): Answer("SERVFAIL"),
    }
    four, six = (
        finish(range_table("example.net", version), answers.__getitem__) for version in (4, 6)
    )

    assert (four.settled, four.ttl) == (True, 60)
    assert (six.settled, six.ttl) == (False, 300)


def test_a_tree_of_policies_takes_a_round_a_level() -> None:
    zone = Zone.of(
        apex={
            "TXT": "v=spf1 include:a.example.net include:b.example.net mx -all",
            "MX": (1, "h.example.net"),
        },
        a={"TXT": "v=spf1 include:c.example.net a:h.example.net"},
        b={"TXT": "v=spf1 a:h.example.net"},
        c={"TXT": "v=spf1 ip4:192.0.2.0/24"},
        h={"A": "198.51.100.1"},
    )
    rounds: list[int] = []

    finish(_counted(range_table("example.net", 4), rounds), zone.answer)

    assert len(rounds) == 3


def _counted(steps: Steps[RangeTable], rounds: list[int]) -> Steps[RangeTable]:
    """Pass steps on, and note the number of questions of each round."""
    answers: Sequence[Answer] | None = None
    try:
        while True:
            questions = next(steps) if answers is None else steps.send(answers)
            rounds.append(len(questions))
            answers = yield questions
    except StopIteration as end:
        table: RangeTable = end.value
        return table
