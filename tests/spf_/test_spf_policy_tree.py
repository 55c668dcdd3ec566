"""Summaries: the tree with its running counts, and how many addresses pass."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Never, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.spf_answers import Given, Zone
from support.spf_worlds import OWNERS, answerer, finish, world

from auditor.spf import policy_tree
from auditor.spf.policy_tree import PolicySummary, policy_summary
from auditor.wire.codes import TXT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.spf.policy_tree import TreePolicy


def _summary(policy: str, **names: dict[str, Given]) -> PolicySummary:
    apex: dict[str, Given] = {"TXT": policy, **names.pop("apex", {})}
    return finish(policy_summary("example.net"), Zone.of(apex=apex, **names).answer)


def _drawn(tree: TreePolicy | None, depth: int = 0) -> list[str]:
    """Return the lines of a tree: lookups, voids, a mark if not reached, term, trouble."""
    lines = []
    for entry in tree.terms if tree else ():
        mark = "" if entry.reached else "! "
        trouble = f" ({entry.trouble})" if entry.trouble else ""
        counts = f"{entry.lookups} {entry.voids[0]}/{entry.voids[1]}"
        lines.append(f"{'  ' * depth}{counts} {mark}{entry.term.text}{trouble}")
        lines += _drawn(entry.policy, depth + 1)
    return lines


def test_the_tree_shows_where_lookups_and_voids_come_from() -> None:
    summary = _summary(
        "v=spf1 ip4:192.0.2.0 include:i.example.net mx a:none.example.net redirect=r.example.net",
        apex={"MX": [(1, "h.example.net"), (2, "none.example.net")]},
        i={"TXT": "v=spf1 a:h.example.net include:j.example.net -all"},
        j={"TXT": "v=spf1 exists:%{i}.example.net ptr ~all"},
        h={"A": "192.0.2.1"},
        r={"TXT": "v=spf1 a:h.example.net -all"},
    )

    assert _drawn(summary.tree) == [
        "5 0/1 include:i.example.net",
        "  2 0/1 a:h.example.net",
        "  5 0/1 include:j.example.net",
        "    4 0/1 exists:%{i}.example.net",
        "    5 0/1 ptr",
        "6 1/3 mx",
        "7 2/4 a:none.example.net (no addresses)",
        "9 2/5 redirect=r.example.net",
        "  9 2/5 a:h.example.net",
    ]
    assert (summary.lookups, summary.voids, summary.complete) == (9, (2, 5), True)


@pytest.mark.parametrize(
    ("policy", "v4", "v6"),
    [
        ("v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.128/25 ip6:2001:db8::/64 -all", 256, 2**64),
        ("v=spf1 -ip4:192.0.2.0/25 ip4:192.0.2.0/24 ~all", 128, 0),
        ("v=spf1 +all", 2**32, 2**128),
        ("v=spf1 a/24//120", 256, 256),
        ("v=spf1 ip4:0.0.0.0/1 moo", 0, 0),
    ],
)
def test_the_addresses_that_pass_are_counted(policy: str, v4: int, v6: int) -> None:
    summary = _summary(policy, apex={"A": "192.0.2.7", "AAAA": "2001:db8::7"})

    assert (summary.addresses_v4, summary.addresses_v6) == (v4, v6)
    assert (summary.undecided_v4, summary.undecided_v6) == (0, 0)


def test_addresses_that_only_check_host_can_tell_about_are_counted_apart() -> None:
    summary = _summary("v=spf1 ip4:192.0.2.0/24 -ip6:::/1 exists:%{i}.example.net -all")

    assert (summary.addresses_v4, summary.undecided_v4) == (256, 2**32 - 256)
    assert (summary.addresses_v6, summary.undecided_v6) == (0, 2**127)


def test_counts_go_on_beyond_the_limits() -> None:
    summary = _summary("v=spf1 " + "a:none.example.net " * 14 + "-all")

    assert (summary.lookups, summary.voids) == (14, (14, 14))
    assert summary.addresses_v4 == 0


def test_a_loop_is_shown_once_and_costs_all_that_is_left() -> None:
    summary = _summary(
        "v=spf1 include:i.example.net a -all", i={"TXT": "v=spf1 include:Example.net. -all"}
    )

    assert summary.lookups == 11
    assert [line.strip() for line in _drawn(summary.tree)] == [
        "11 0/0 include:i.example.net",
        "11 0/0 include:Example.net. (loop)",
        "11 0/0 ! a (no addresses)",
    ]


@pytest.mark.parametrize(
    ("term", "trouble", "beyond"),
    [
        ("include:none.example.net", "no policy", "!"),
        ("include:two.example.net", "several policies", "!"),
        ("include:odd.example.net", "not ASCII", "!"),
        ("include:bad.example.net", "SERVFAIL", "!"),
        ("include:a..net", "no name", "!"),
        ("a:none.example.net", "no addresses", ""),
        ("a:bad.example.net", "SERVFAIL", "!"),
        ("a:a..net", "no name", ""),
        ("mx:many.example.net", "too many hosts", "!"),
        ("mx:null.example.net", "no addresses", ""),
        ("exists:none.example.net", None, ""),
        ("exists:%{i}.example.net", None, ""),
    ],
)
def test_trouble_is_named_and_what_lies_behind_an_error_is_not_reached(
    term: str, trouble: str | None, beyond: str
) -> None:
    summary = _summary(
        f"v=spf1 {term} a:ok.example.net",
        two={"TXT": ["v=spf1", "v=spf1 a"]},
        odd={"TXT": "v=spf1 \xff"},
        bad={"TXT": "SERVFAIL", "A": "SERVFAIL", "AAAA": "SERVFAIL"},
        many={"MX": [(i, "ok.example.net") for i in range(11)]},
        null={"MX": (0, ".")},
        ok={"A": "192.0.2.1", "AAAA": "2001:db8::1"},
    )

    assert summary.tree is not None
    first, last = summary.tree.terms
    assert first.trouble == trouble
    assert last.reached is (beyond == "")
    assert last.lookups == (2 if last.reached else 1)


def test_a_term_that_matches_everything_ends_a_policy() -> None:
    summary = _summary(
        "v=spf1 include:i.example.net a redirect=none.example.net",
        i={"TXT": "v=spf1 ?exists:x.example.net all"},
        x={"A": "192.0.2.1"},
    )
    passing = _summary(
        "v=spf1 include:i.example.net a redirect=none.example.net",
        i={"TXT": "v=spf1 a redirect=x.example.net"},
        x={"TXT": "v=spf1 +all", "A": "192.0.2.1"},
    )

    assert summary.lookups == 4
    assert _drawn(passing.tree)[-2:] == ["3 1/1 ! a", "3 1/1 ! redirect=none.example.net"]
    assert passing.addresses_v4 == 2**32


def test_syntax_errors_leave_nothing_reached_but_the_tree_is_there() -> None:
    summary = _summary("v=spf1 include:i.example.net moo -all", i={"TXT": "v=spf1 a -all"})

    assert summary.tree is not None
    assert [problem.text for problem in summary.tree.policy.problems] == ["moo"]
    assert _drawn(summary.tree) == [
        "0 0/0 ! include:i.example.net",
        "  0 0/0 ! a (no addresses)",
    ]
    assert summary.lookups == 0


def test_without_a_policy_the_status_and_the_reason_remain() -> None:
    none, two, bad = (
        finish(
            policy_summary(name),
            Zone.of(two={"TXT": ["v=spf1", "v=spf1 a"]}, bad={"TXT": "SERVFAIL"}).answer,
        )
        for name in ("example.net", "two.example.net", "bad.example.net")
    )

    assert (none.status, none.explanation, none.tree) == ("NXDOMAIN", None, None)
    assert (two.status, two.explanation) == (
        "NOERROR",
        "2 SPF records at two.example.net, expected one",
    )
    assert (bad.status, bad.settled, bad.addresses_v4) == ("SERVFAIL", False, 0)
    assert finish(policy_summary("localhost"), Zone.of().answer).status is None


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(600))
def test_the_counts_of_the_tree_are_those_of_a_partition(seed: int) -> None:
    rnd = Random(seed)
    names = world(rnd, macros=rnd.random() < 0.5)
    if rnd.random() < 0.7:  # as most policies are: what they list passes, the rest does not
        for types in names.values():
            texts = cast("Sequence[tuple[bytes, ...]]", types[TXT].records)
            plain = tuple((_listing(b"".join(text), rnd),) for text in texts)
            types[TXT] = types[TXT]._replace(records=plain)
    answer = answerer(names)
    summary = finish(policy_summary(OWNERS[0]), answer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy_tree._TreeBuilder, "is_union", False)
        wanted = finish(policy_summary(OWNERS[0]), answer)

    for field in ("addresses_v4", "addresses_v6", "undecided_v4", "undecided_v6"):
        assert getattr(summary, field) == getattr(wanted, field), field


def _listing(text: bytes, rnd: Random) -> bytes:
    """Return a policy with qualifiers at all alone."""
    words = [word.lstrip(b"+-~?") for word in text.split(b" ") if not word.endswith(b"all")]
    return b" ".join([*words[: rnd.randrange(2, 6)], rnd.choice((b"-all", b"~all"))])


def test_most_real_policies_are_counted_without_a_partition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> Never:
        raise AssertionError("partitioned")

    monkeypatch.setattr(policy_tree, "passing_numbers", refuse)
    summary = _summary(
        "v=spf1 ip4:192.0.2.0/25 mx include:i.example.net exists:%{i}.example.net a ?all",
        apex={"A": "192.0.2.200", "MX": [(1, "h.example.net"), (2, "gone.example.net")]},
        h={"A": "192.0.2.201", "AAAA": "2001:db8::7"},
        i={"TXT": "v=spf1 ip4:192.0.2.96/27 ip4:192.0.2.208/28 redirect=j.example.net"},
        j={"TXT": "v=spf1 ip6:2001:db8::/126 -all ip4:198.51.100.0/24"},
    )

    assert (summary.addresses_v4, summary.addresses_v6) == (128 + 1 + 16, 4 + 1)
    assert summary.undecided_v4 == 2**32 - 145
    assert summary.undecided_v6 == 2**128 - 5
