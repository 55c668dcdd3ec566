"""SPF records among TXT records, and how they are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.spf.records import policies, printable


@pytest.mark.parametrize(
    ("strings", "is_policy"),
    [
        ((b"v=spf1",), True),
        ((b"V=Spf1 -all",), True),
        ((b"v=sp", b"f1 ", b"-all"), True),
        ((b"v=spf1", b"-all"), False),
        ((b"v=spf1\n",), False),
        ((b"v=spf10",), False),
        ((b" v=spf1",), False),
        ((b"",), False),
        ((), False),
    ],
)
def test_a_policy_starts_with_its_version_and_a_space(
    strings: tuple[bytes, ...], *, is_policy: bool
) -> None:
    assert policies([strings]) == ([b"".join(strings)] if is_policy else [])


def test_octets_are_shown_as_in_a_master_file() -> None:
    assert printable(b'a "b"\\c\x00\x7f\xff') == r'a "b"\\c\000\127\255'


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_what_is_shown_is_printable_and_tells_octets_apart(one: bytes, other: bytes) -> None:
    assert printable(one).isascii()
    assert printable(one).isprintable()
    assert (printable(one) == printable(other)) == (one == other)
