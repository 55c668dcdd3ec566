"""`auditor zones` of files: which zones prefixes are in, however large they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cli.driving import ZONES

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.driving import Ended

_ZONE = "0.0.1.0.8.b.d.0.1.0.0.2.ip6.arpa"


@pytest.mark.parametrize(
    "target",
    [
        "2001:db8:100::/48",
        "2001:db8:100::/62",
        "2001:db8:100::-2001:db8:100:ffff:ffff:ffff:ffff:ffff",
        _ZONE,
    ],
)
def test_an_ipv6_prefix_of_any_size_is_in_the_zone_of_its_reverse_name(
    call: Callable[..., Ended], target: str
) -> None:
    ended = call("zones", "--json", "--zones", ZONES, target)
    assert (ended.code, ended.err) == (0, "")
    (line,) = map(json.loads, ended.out.splitlines())
    assert (line["zone"], line["addresses"]) == (_ZONE, 1)


def test_large_prefixes_stand_beside_other_targets(call: Callable[..., Ended]) -> None:
    ended = call("zones", "--json", "--zones", ZONES, "2001:db8:100::/48", "198.51.100.53")
    zones = [json.loads(line)["zone"] for line in ended.out.splitlines()]
    assert zones == [_ZONE, "100.51.198.in-addr.arpa"]
