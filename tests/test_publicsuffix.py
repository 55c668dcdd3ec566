from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from auditor.publicsuffix import _section, is_public, registrable


@cache
def _oracle() -> PublicSuffixList:
    return PublicSuffixList(only_icann=True)


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("mail.example.net", "example.net"),
        ("example.net", "example.net"),
        ("a.b.c.example.co.uk", "example.co.uk"),
        ("net", None),
        ("co.uk", None),
        ("localhost", None),
        ("mail.corp.unheard-of", "corp.unheard-of"),
        ("a.b.example.ck", "b.example.ck"),  # *.ck
        ("a.www.ck", "www.ck"),  # !www.ck
        ("a.city.kobe.jp", "city.kobe.jp"),
        ("kobe.jp", None),
        ("mail.example.xn--p1ai", "example.xn--p1ai"),
        ("mail.xn--bcher-kva.xn--vgsy-qoa0j.no", "xn--bcher-kva.xn--vgsy-qoa0j.no"),
        ("alice.dyndns.org", "dyndns.org"),  # a provider's customer is below the provider
        (".", None),
        ("", None),
        ("a..net", None),
        (r"a\.b.example.net", None),
    ],
)
def test_the_registrable_domain_is_the_public_suffix_and_a_label(
    name: str, domain: str | None
) -> None:
    assert domain == registrable(name)


@pytest.mark.parametrize(
    "name",
    [
        "mail.example.net",
        "example.org",
        "net",
        "a.example.za",  # only below rules of two labels
        "mail.example.xn--p1ai",
        "7.100.51.198.in-addr.arpa",
        "nothome.arpa",
    ],
)
def test_a_delegated_top_level_domain_is_public(name: str) -> None:
    assert is_public(name)


@pytest.mark.parametrize(
    "name",
    [
        "mail.example",
        "mail.invalid",
        "mail.test",
        "mail.local",
        "mail.internal",
        "mail.onion",
        "mail.lan",
        "localhost",
        "home.arpa",
        "nas.home.arpa",
        "mail.xn--notatld-xyz",
        "mail.xn--99999999",
        "mail.xn--",
        "mail.// 2LDs",  # a line of the list, but no rule
        "net.",
        ".",
        "",
    ],
)
def test_a_special_use_or_unknown_top_level_domain_is_not_public(name: str) -> None:
    assert not is_public(name)


def test_every_rule_of_the_list_gives_what_its_own_package_says() -> None:
    lines = _section().decode().split("\n")
    rules = {line for line in lines if line and not line.startswith("//")}
    parents = {rule.partition(".")[2] for rule in rules} - {""}
    for suffix in {rule.lstrip("!").replace("*", "any") for rule in rules} | parents:
        name = suffix.encode("idna").decode()
        for below in (name, f"b.{name}", f"c.b.{name}", f"d.c.b.{name}"):
            assert registrable(below) == _oracle().privatesuffix(below)


LABELS = st.sampled_from(["a", "co", "com", "jp", "kobe", "city", "uk", "www", "ck", "net", "x-y"])


@given(st.lists(LABELS, min_size=1, max_size=6))
def test_any_name_gives_what_the_package_says(labels: list[str]) -> None:
    name = ".".join(labels)
    assert registrable(name) == _oracle().privatesuffix(name)


@given(st.text(max_size=255))
def test_text_that_is_no_name_is_neither_an_error_nor_longer_than_it_was(name: str) -> None:
    is_public(name)
    assert (registrable(name) or "") in name


def test_a_name_of_255_octets_is_looked_up_like_any_other() -> None:
    assert registrable("a." * 124 + "co.uk") == "a.co.uk"
