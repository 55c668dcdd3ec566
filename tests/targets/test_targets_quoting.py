from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.targets.quoting import printable, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mail.example.net", "mail.example.net"),
        ("büro.example", "büro.example"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\0b\nc", "a\\x00b\\x0ac"),
        ("\u202eevil", "\\u202eevil"),
        ("\U000e0001", "\\U000e0001"),
        (b"\xff\xfe".decode(errors="surrogateescape"), "\\xff\\xfe"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_does_not_print_is_escaped_and_the_rest_is_kept(text: str, shown: str) -> None:
    assert shown == printable(text)


def test_a_long_text_is_cut_and_says_so() -> None:
    assert printable("a" * 21, 20) == "a" * 17 + "..."
    assert printable("a" * 20, 20) == "a" * 20


@given(st.text())
def test_the_result_is_always_printable_and_bounded(text: str) -> None:
    shown = printable(text, 50)
    assert shown.isprintable()
    assert len(shown) <= 50
    shown.encode()


def test_a_quoted_text_stays_short() -> None:
    assert quoted("x" * 1000) == "'" + "x" * 77 + "...'"
