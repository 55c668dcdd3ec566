from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import InputError, UsageError
from auditor.targets.excludes import Excludes
from auditor.targets.spans import Span
from auditor.wire.addresses import parse_address

if TYPE_CHECKING:
    from pathlib import Path

SPANS = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 40)).map(lambda p: Span(4, p[0], sum(p))),
    max_size=12,
)


def has(excludes: Excludes, address: str) -> bool:
    found = parse_address(address)
    assert found is not None
    return excludes.has_address(*found)


@given(SPANS, st.integers(0, 350))
def test_membership_is_that_of_the_spans_one_by_one(spans: list[Span], number: int) -> None:
    expected = any(first <= number <= last for _, first, last in spans)
    assert expected == Excludes(spans).has_address(4, number)
    assert not Excludes(spans).has_address(6, number)


@given(SPANS, st.integers(0, 300), st.integers(0, 60))
def test_what_remains_of_a_span_is_every_address_that_is_not_excluded(
    spans: list[Span], first: int, more: int
) -> None:
    excludes = Excludes(spans)
    span = Span(4, first, first + more)
    expected = [n for n in range(first, first + more + 1) if not excludes.has_address(4, n)]
    parts = list(excludes.remaining(span))
    assert expected == [n for part in parts for n in range(part.first, part.last + 1)]
    assert len(expected) == span.size - excludes.count_excluded(span)
    assert all(part.size > 0 for part in parts)


def test_addresses_prefixes_and_ranges_are_excluded() -> None:
    excludes = Excludes.parse(
        ["198.51.100.7", "203.0.113.0/25", "192.0.2.10-20", "2001:db8::/32", "::ffff:10.0.0.0/104"]
    )
    inside = ["198.51.100.7", "203.0.113.127", "192.0.2.20", "2001:db8:ffff::", "10.255.255.255"]
    outside = ["198.51.100.8", "203.0.113.128", "192.0.2.21", "2001:db9::", "11.0.0.0"]
    assert [has(excludes, text) for text in inside] == [True] * 5
    assert [has(excludes, text) for text in outside] == [False] * 5


def test_an_ipv6_prefix_may_be_of_any_size() -> None:
    excludes = Excludes.parse(["::/0"])
    assert has(excludes, "2001:db8::1")
    assert not has(excludes, "198.51.100.1")


def test_a_domain_stands_for_itself_and_everything_below_it() -> None:
    excludes = Excludes.parse(["Example.NET."])
    assert excludes.has_name("example.net")
    assert excludes.has_name("a.b.example.net")
    assert not excludes.has_name("badexample.net")
    assert not excludes.has_name("net")
    assert not Excludes().has_name("example.net")


def test_a_file_has_one_exclude_a_line(tmp_path: Path) -> None:
    path = tmp_path / "not.txt.gz"
    path.write_bytes(
        gzip.compress(b"\xef\xbb\xbf# ours\r\n198.51.100.0/24 # lab\r\n\r\nexample.net")
    )
    excludes = Excludes.parse([f"@{path}", "192.0.2.1"])
    assert has(excludes, "198.51.100.0")
    assert has(excludes, "192.0.2.1")
    assert excludes.has_name("example.net")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("198.51.100.7/24", "exclude: '198.51.100.7/24' has host bits set"),
        ("localhost", "exclude: 'localhost' is a single label"),
        ("", "exclude: '' is empty"),
        ("a b", "exclude: 'a b' has more than one item"),
    ],
)
def test_a_wrong_exclude_is_a_usage_error(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=f"^{complaint}"):
        Excludes.parse([text])


@pytest.mark.parametrize("line", [b"what?", b"\xff\xfe\x00", b"x" * 100_000, b"a\0b"])
def test_a_wrong_line_in_a_file_is_a_usage_error_that_names_it(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "not.txt"
    path.write_bytes(b"192.0.2.1\n" + line + b"\n")
    with pytest.raises(UsageError, match=r"^exclude: .*not\.txt line 2: ") as caught:
        Excludes.parse([f"@{path}"])
    assert str(caught.value).isprintable()


def test_an_exclude_file_that_cannot_be_read_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        Excludes.parse([f"@{tmp_path}/none.txt"])


def test_a_set_is_true_if_it_has_a_member() -> None:
    assert not Excludes()
    assert not Excludes.parse([])
    assert Excludes.parse(["192.0.2.1"])
    assert Excludes.parse(["2001:db8::1"])
    assert Excludes.parse(["example.net"])
