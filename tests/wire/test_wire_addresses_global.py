from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest

from auditor.wire.addresses import is_global

NOT_GLOBAL = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/8",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "4000::/3",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
]


@pytest.mark.parametrize("block", NOT_GLOBAL)
def test_no_address_of_a_special_purpose_block_is_global(block: str) -> None:
    network = ip_network(block)
    for number in (0, 1, network.num_addresses // 2, network.num_addresses - 1):
        assert not is_global(str(network[number]), network.version)


@pytest.mark.parametrize("block", NOT_GLOBAL[2:10])
def test_the_neighbours_of_a_special_purpose_block_are_global(block: str) -> None:
    network = IPv4Network(block)
    for neighbour in (network[0] - 1, network[-1] + 1):
        special = any(neighbour in IPv4Network(other) for other in NOT_GLOBAL[:11])
        assert is_global(str(neighbour), 4) is not special


@pytest.mark.parametrize(
    "address",
    [
        "1.0.0.1",
        "11.0.0.1",
        "100.63.255.255",
        "192.0.1.1",
        "198.17.255.255",
        "223.255.255.255",
        "2000::",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2a00:1450::1",
        "2002:c000:204::1",
        "3ffe::1",
    ],
)
def test_an_address_of_the_public_internet_is_global(address: str) -> None:
    assert is_global(address, 6 if ":" in address else 4)


@pytest.mark.parametrize(
    "block", ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"]
)
def test_documentation_addresses_pass_as_global(block: str) -> None:
    network = ip_network(block)
    assert is_global(str(network[1]), network.version)
    assert is_global(str(network[-1]), network.version)


def test_below_2001_the_second_group_decides() -> None:
    protocols = IPv6Network("2001::/23")
    for second in (0, 1, 2, 0x1FF, 0x200, 0xDB8, 0xFFFF):
        for rest in (0, 1, 1 << 80):
            address = IPv6Address(0x2001 << 112 | second << 96 | rest)
            assert is_global(str(address), 6) is (address not in protocols)
