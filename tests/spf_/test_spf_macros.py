"""Macro-strings, taken apart and put to use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.spf.macros import Macro, SpfSyntaxError, domain_spec, fit_domain, macro_string


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        # RFC 7208 section 7.4
        ("%{s}", "strong-bad@email.example.com", "strong-bad@email.example.com"),
        ("%{d4}", "email.example.com", "email.example.com"),
        ("%{d2}", "email.example.com", "example.com"),
        ("%{d1}", "email.example.com", "com"),
        ("%{dr}", "email.example.com", "com.example.email"),
        ("%{d2r}", "email.example.com", "example.email"),
        ("%{l}", "strong-bad", "strong-bad"),
        ("%{l-}", "strong-bad", "strong.bad"),
        ("%{lr}", "strong-bad", "strong-bad"),
        ("%{lr-}", "strong-bad", "bad.strong"),
        ("%{l1r-}", "strong-bad", "strong"),
        # Joined by dots whatever it was split at (7.3), letters in any case (4.6.1)
        ("%{h-}", "a-b.example", "a.b.example"),
        ("%{o1+-,/_=.}", "a+b-c,d/e_f=g.h", "h"),
        ("%{D2R}", "email.example.com", "example.email"),
        ("%{L}", "a b%c~d-e_f.g/h", "a%20b%25c~d-e_f.g%2Fh"),
        ("%{i999}", "a.b", "a.b"),
    ],
)
def test_a_value_is_split_turned_cut_and_joined(text: str, value: str, expected: str) -> None:
    macro = macro_string(text)[1]

    assert isinstance(macro, Macro)
    assert macro.transform(value) == expected


def test_literals_and_macros_stand_in_order() -> None:
    assert macro_string("a%%b%_c%-%{d}e") == (
        *("a", "%", "b", " ", "c", "%20", ""),
        Macro("d", 0, backwards=False, delimiters="", escaped=False),
        "e",
    )


@pytest.mark.parametrize(
    "text",
    ["%", "a%", "%a", "%{", "%{d", "%{}", "%{x}", "%{d0}", "%{d00r}", "%{dd}", "%%%", "%{d;}"],
)
def test_what_is_no_macro_is_an_error(text: str) -> None:
    with pytest.raises(SpfSyntaxError, match="%"):
        macro_string(text)


@pytest.mark.parametrize(
    "text", ["a.b", "a.b.", ".b", "a.1b", "a.b-c", "%{d}", "a%{d}", "%{d}.b", "a%_", "x/y:z.com"]
)
def test_a_domain_spec_ends_in_a_top_label_or_a_macro(text: str) -> None:
    assert domain_spec(text) == macro_string(text)


@pytest.mark.parametrize(
    "text", ["", "a", "a.", "a.1", "a.-b", "a.b-", "a..", "%{d}a", "%{d}.", "a.b/24", "%{r}.net"]
)
def test_anything_else_is_no_domain_spec(text: str) -> None:
    with pytest.raises(SpfSyntaxError):
        domain_spec(text)


@given(st.lists(st.integers(1, 70), min_size=1, max_size=40), st.sampled_from(["", "."]))
def test_a_name_is_cut_to_the_longest_suffix_of_labels_that_fits(
    lengths: list[int], dot: str
) -> None:
    labels = ["x" * length for length in lengths]
    name = ".".join(labels)
    suffixes = [".".join(labels[start:]) for start in range(len(labels))]

    assert fit_domain(name + dot) == next(text for text in suffixes if len(text) <= 253)
