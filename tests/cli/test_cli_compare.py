"""`auditor compare` without servers: what it shows of files, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cli.driving import ZONES

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.driving import Ended


def test_from_zone_files_nobody_is_asked(call: Callable[..., Ended]) -> None:
    ended = call("compare", "--zones", ZONES, "example.net")
    assert (ended.code, ended.err) == (0, "")
    first = "example.net 2026010101  ns1.example.net 198.51.100.2: not asked"
    assert ended.out.splitlines()[0] == first
    lines = call("compare", "--zones", ZONES, "example.net", "--json").out.splitlines()
    assert {json.loads(line)["alike"] for line in lines} == {None}


def test_a_zone_must_be_named(call: Callable[..., Ended]) -> None:
    message = "auditor: no zone to compare: give the name of one\n"
    assert call("compare", "--zones", ZONES) == (2, "", message)
