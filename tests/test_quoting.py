from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditor.quoting import printable, printable_json, printable_line, quoted


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


@given(st.recursive(st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner)))
@example({"\x9b31m\u202e": "\x7f\u2028\U000e0001\U0001f600 \u00fc"})
def test_json_is_spelt_so_that_it_prints_and_means_the_same(value: object) -> None:
    for indent in (None, 2):
        plain = json.dumps(value, ensure_ascii=False, indent=indent)
        shown = printable_json(plain)
        assert json.loads(shown) == value
        assert shown.replace("\n", "").isprintable()
        assert plain != shown or plain.replace("\n", "").isprintable()
        line = plain.encode("utf-8", "surrogatepass") + b"\n"
        assert printable_line(line) == shown.encode() + b"\n"
