"""Naming templates: found in pools of any scheme, and not where names are given by hand.

Also tests `naming_encodings.py`.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import pytest

from auditor.views.naming_templates import NamingTemplates
from auditor.views.prefixes import split_address
from auditor.wire.addresses import V4, format_address

if TYPE_CHECKING:
    from auditor.views.naming_templates import NamingTemplate

#: Schemes of IPv4 pools: templates, which are formats of Python as well.
SCHEMES: Final = (
    "{1}-{2}-{3}-{4}.dyn.example.net",
    "h-{3}-{4}.cust.example.net",
    "{4}.{3}.{2}.{1}.example.net",
    "ip{4}-{3}.pool7.example.net",
    "{1:03}{2:03}{3:03}{4:03}.example.net",
    "p{3:03}-{4:03}.example.net",
    "x{1:02x}{2:02x}{3:02x}{4:02x}.example.net",
    "{4:x}-{3:x}.example.net",
    "h{1}{2}{3}{4}.example.net",
    "srv{4}.example.net",
    "n{4}.net{3}.example.net",
    "a_{2}_{3}_{4}_z.example.net",
)


def _pool(names: NamingTemplates, network: str, template: str) -> None:
    octets = [int(octet) for octet in network.split(".")[:3]]
    place = split_address(network)
    assert place is not None
    made = [template.format("", *octets, n).encode() for n in range(256)]
    names.add_names(place[0], "example.net", range(256), made)


def _only(names: NamingTemplates) -> NamingTemplate:
    (found,) = names.templates()
    return found


@pytest.mark.parametrize("template", SCHEMES)
@pytest.mark.parametrize("first", [(10, 20), (10, 10), (198, 51)])
def test_the_scheme_of_a_pool_is_found(template: str, first: tuple[int, int]) -> None:
    names = NamingTemplates()
    for third in (10, 100, 7, 51):
        _pool(names, f"{first[0]}.{first[1]}.{third}.0", template)
    found = _only(names)
    assert (found.template, found.kept, found.named) == (template, 1024, 1024)
    assert found.others == ()


@pytest.mark.parametrize(
    "template", ["{1}-{2}-{3}-{4}.dyn.example.net", "{4}.{3}.{2}.{1}.example.net"]
)
def test_equal_octets_do_not_confuse_one_network(template: str) -> None:
    names = NamingTemplates()
    _pool(names, "10.10.10.0", template)
    assert _only(names).template == template


def test_names_that_do_not_keep_to_it_are_told() -> None:
    names = NamingTemplates()
    octets, made = [*range(256)], [f"h-2-{n}.cust.example.net".encode() for n in range(256)]
    for n, name in (
        (1, b"gw.example.net"),
        (7, b"h-2-8.cust.example.net"),
        (9, b"h-2-.example.net"),
    ):
        made[n] = name
    names.add_names((V4, 0xC00002), "example.net", octets, made)
    found = _only(names)
    assert (found.template, found.kept, found.named) == ("h-{3}-{4}.cust.example.net", 253, 256)
    assert [(format_address(*other[:2]), other[2]) for other in found.others] == [
        ("192.0.2.1", "gw.example.net"),
        ("192.0.2.7", "h-2-8.cust.example.net"),
        ("192.0.2.9", "h-2-.example.net"),
    ]


def test_a_number_that_equals_the_third_octet_in_one_network_only_is_no_octet() -> None:
    names = NamingTemplates()
    for third in range(1, 9):
        _pool(names, f"192.0.{third}.0", "rack-5-{4}.example.net")
    assert _only(names).template == "rack-5-{4}.example.net"


def test_two_pools_in_one_network_are_told_apart() -> None:
    names = NamingTemplates()
    made = [f"{'dsl' if n < 128 else 'ftth'}-{n}.example.net".encode() for n in range(256)]
    names.add_names((V4, 0xC00002), "example.net", range(256), made)
    assert {(found.template, found.kept) for found in names.templates()} == {
        ("dsl-{4}.example.net", 128),
        ("ftth-{4}.example.net", 128),
    }


def test_the_order_of_the_names_does_not_matter() -> None:
    names = NamingTemplates()
    pairs = [(n, f"h-2-{n}.example.net".encode()) for n in range(256)]
    random.Random(3).shuffle(pairs)
    for at in range(0, 256, 5):
        octets, made = zip(*pairs[at : at + 5], strict=True)
        names.add_names((V4, 0xC00002), "example.net", octets, made)
    found = _only(names)
    assert (found.template, found.kept, found.named) == ("h-{3}-{4}.example.net", 256, 256)


def test_names_that_have_nothing_to_do_with_their_address_follow_no_template() -> None:
    chance = random.Random(5)
    for made in (
        [f"host{(n * 7 + 13) % 256}.example.net" for n in range(256)],
        [f"{chance.randrange(1 << 32):08x}.example.net" for n in range(256)],
        [f"{chance.choice('abcdefgh')}{chance.randrange(300)}.example.net" for n in range(256)],
        ["mail.example.net"] * 256,
        [f"customer-{n + 1003}.example.net" for n in range(256)],
        [f"host{n + 3}.example.net" for n in range(256)],
    ):
        names = NamingTemplates()
        encoded = [name.encode() for name in made]
        names.add_names((V4, 0xC00002), "example.net", range(256), encoded)
        assert names.templates() == []


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("h-{groups:-}.example.net", "h-2001-0db8-0000-0000-0000-0000-0000-00{:02x}.example.net"),
        ("{address:-}.example.net", "2001-db8--{:x}.example.net"),
        ("{nibbles}.example.net", "200" + "10db8" + "0" * 22 + "{:02x}.example.net"),
        ("v6-{iid:-}.example.net", "v6-0000-0000-0000-00{:02x}.example.net"),
    ],
)
def test_templates_of_ipv6_are_found(template: str, name: str) -> None:
    names = NamingTemplates()
    made = [name.format(n).encode() for n in range(1, 65)]
    names.add_names((6, 0x20010DB80000), "example.net", range(1, 65), made)
    found = _only(names)
    assert (found.template, found.kept) == (template, 64)


def test_both_families_of_one_domain_are_told_apart() -> None:
    names = NamingTemplates()
    v6 = [f"v6-0000-0000-0000-{n:04x}.example.net".encode() for n in range(999, 1063)]
    names.add_names((6, 0x20010DB80000), "example.net", range(999, 1063), v6)
    _pool(names, "192.0.2.0", "srv{4}.example.net")
    names.add_names((6, 0x20010DB80001), "example.net", range(999, 1063), v6)
    assert {found.template for found in names.templates()} == {
        "v6-{iid:-}.example.net",
        "srv{4}.example.net",
    }


def test_nibbles_backwards_are_found() -> None:
    names = NamingTemplates()
    made = [".".join(f"{0x20010DB8 << 96 | n:032x}"[::-1]).encode() for n in range(1, 33)]
    names.add_names((6, 0x20010DB80000), "", range(1, 33), made)
    assert _only(names).template == "{nibbles:.:reversed}"


def test_neighbours_make_a_name_generic_but_not_that_of_a_mail_server() -> None:
    names = NamingTemplates()
    for third, host in ((1, "srv"), (2, "mx"), (3, "h-192-0-3-")):
        made = [f"{host}{n}.example.net".encode() for n in range(40)]
        names.add_names((V4, 0xC00000 + third), "example.net", range(40), made, generic=third == 3)
    assert {found.template: found.generic for found in names.templates()} == {
        "srv{4}.example.net": 40,
        "mx{4}.example.net": 0,
        "h-{1}-{2}-{3}-{4}.example.net": 0,
    }


def test_few_names_and_hostile_ones_follow_none_and_memory_is_bounded() -> None:
    names = NamingTemplates(limit=2)
    names.add_names(
        (V4, 1), "example.net", [1, 2, 3], [b"h1.example.net", b"h2.example.net", b"h3.example.net"]
    )
    odd = [b"", b"\\\\\\", b"9" * 4000, b"{4}-{9}", b"\xff\xfe", b"1" * 255, b"-", b"."]
    names.add_names((V4, 2), "example.net", range(8), odd)
    names.add_names((V4, 3), "example.net", [1, 2], [b"a", b"b"])
    assert names.templates() == []
    assert names.beyond == 2
    braces = NamingTemplates()
    braces.add_names((V4, 2), "", range(8), [b"{x}%d" % n for n in range(8)])
    assert _only(braces).template == "{{x}}{4}"
