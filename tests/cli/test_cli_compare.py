"""`auditor compare` without servers: what it shows of files, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cli.driving import ZONES, at_terminal

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


def test_lines_fit_into_a_narrow_terminal() -> None:
    arguments = ("compare", "--zones", ZONES, "example.net")
    with at_terminal(*arguments, on=("stdout",), columns=60) as (_, terminal):
        lines = terminal.read_all().splitlines()
    first = ["example.net 2026010101  ns1.example.net 198.51.100.2: not", "  asked"]
    assert lines[:2] == first


def test_a_zone_must_be_named(call: Callable[..., Ended]) -> None:
    message = "auditor: no zone to compare: give the name of one\n"
    assert call("compare", "--zones", ZONES) == (2, "", message)


def test_only_options_that_change_something_are_offered(call: Callable[..., Ended]) -> None:
    code, _, message = call("compare", "--authority=every", "example.net")
    assert (code, "no option --authority; " in message) == (2, True)
