"""A block of PTR names at once: whom nobody needs to look at, nothing is found about."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples

from auditor.findings import plain_names
from auditor.findings.generic_names import cut
from auditor.findings.judge import judge_name
from auditor.findings.plain_names import perhaps_judged

_LABELS = st.one_of(
    st.sampled_from(
        [
            *("mx", "mail-1", "-x", "x-", "a_b", "dyn", "dsl7", "cable", "host-7", "x" * 63),
            *("20-30-0-7", "7-0-30-20", "141e0007", "001e07", "fe", "0-7", "7", "30007", "\\008"),
        ]
    ),
    st.text("abcdef0123456789-", min_size=1, max_size=9),
)
_RESTS = st.sampled_from(
    [
        *("isp.net", "dyn.isp.net", "0.30.20.isp.net", "isp.invalid", "net", "a_b.isp.net", ""),
        *("cable.isp.co.uk", "1", "x" * 60 + ".net", "-isp.net", "isp-.net", "isp.-net", "x..net"),
        *("isp.1", "7.30.20.in-addr.arpa", "isp.arpa", "isp.home.arpa", "éisp.net", "xn--e1a.net"),
    ]
)
_NAMES = st.builds("{}.{}".format, _LABELS, _RESTS).map(lambda name: name.strip("."))
_V4 = st.builds("20.30.0.{}".format, st.integers(0, 255))
_ADDRESSES = st.one_of(
    _V4,
    st.builds("10.{}.{}.{}".format, *[st.integers(0, 255)] * 3),
    st.sampled_from(["2001:db8::7", "2001:db8:141e:7::fe", "::ffff:20.30.0.7"]),
)


@given(
    st.one_of(
        st.lists(st.tuples(_NAMES, _V4), max_size=8),
        st.lists(st.tuples(_NAMES, _ADDRESSES), max_size=8),
        _RESTS.flatmap(
            lambda rest: st.lists(
                st.tuples(_LABELS.map(lambda head: f"{head}.{rest}".strip(".")), _V4), max_size=8
            )
        ),
    )
)
@settings(max_examples=examples(600))
def test_of_names_in_no_doubt_nothing_is_found(pairs: list[tuple[str, str]]) -> None:
    doubts = perhaps_judged([name for name, _ in pairs], [address for _, address in pairs])

    assert len(doubts) == len(pairs)
    for doubt, (name, address) in zip(doubts, pairs, strict=True):
        found: list[tuple[str, str]] = []
        judge_name(name, address, found)
        assert doubt or not found


def test_what_is_remembered_of_parents_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_names, "_MAX_KNOWN_PARENTS", 10)
    for number in range(40):
        names = [f"mx.isp-{number}.net", f"mx.dyn-{number}.net", "mx.isp.net"]
        assert perhaps_judged(names, ["20.30.99.77"] * 3) == [False, True, False]
    assert len(plain_names._known_parents) <= 10


def test_names_of_mail_servers_are_in_no_doubt_whatever_stands_beside_them() -> None:
    names = ["mx.isp.net", "mail-12.isp.net", "dyn.isp.net", "x.lan", "smtp.eu.isp.net"]
    addresses = [f"20.30.0.{last}" for last in range(40, 45)]

    assert perhaps_judged(names, addresses) == [False, False, True, True, False]


@pytest.mark.parametrize(
    ("names", "heads", "rests"),
    [
        (["a.x.net", "b.x.net"], ["a", "b"], ["x.net", "x.net"]),
        (["a.x.net", "b.y.x.net"], ["a", "b"], ["x.net", "y.x.net"]),
        (["a.x.net", "x.net"], ["a", "x"], ["x.net", "net"]),
        (["a.x.net", "b.x.net.x.net"], ["a", "b"], ["x.net", "x.net.x.net"]),
        (["localhost", "a.x.net"], ["localhost", "a"], ["", "x.net"]),
    ],
)
def test_first_labels_are_cut_off(names: list[str], heads: list[str], rests: list[str]) -> None:
    assert list(map(list, cut(names))) == [heads, rests]
