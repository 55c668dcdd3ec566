"""`auditor explain` of a bounce, and `auditor receivers`, as they are called."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Final

import pytest

from auditor.findings.catalogue import ENTRIES
from auditor.findings.receivers import receivers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.driving import Ended

_BOUNCE: Final = "550-5.7.26 unauthenticated, from=<a@example.org> [192.0.2.5]"


def test_a_bounce_is_explained_from_arguments_a_file_or_standard_input(
    call: Callable[..., Ended], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "bounce.txt").write_text(_BOUNCE)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(_BOUNCE.encode())))
    output = call("explain", *_BOUNCE.split())
    assert output.out == call("explain", "-i", "bounce.txt").out
    assert output.out == call("explain", "-").out
    assert output.out.splitlines()[-2:] == [
        "  auditor check --mail-from example.org 192.0.2.5",
        "  auditor spf example.org --ip 192.0.2.5",
    ]


def test_the_next_command_has_the_helo_name(call: Callable[..., Ended]) -> None:
    line = (
        "NOQUEUE: reject: RCPT from mx[192.0.2.5]: 504 5.5.2 <mail>: Helo command rejected: need "
        "fully-qualified hostname; from=<a@example.org> proto=ESMTP helo=<mail>"
    )
    assert call("explain", line).out.splitlines()[-1] == "  auditor check --helo mail 192.0.2.5"


@pytest.mark.parametrize(
    ("reply", "commands"),
    [
        (
            "RCPT from mx[192.0.2.5]: 450 4.1.8 <a@example.org>: Sender address rejected: Domain",
            ["auditor check example.org"],
        ),
        ("550 Sender verify failed", ["auditor check DOMAIN    (the text names no sender)"]),
        (
            "550 5.7.27 SPF [example.org] with ip: [192.0.2.5] = did not pass",
            [
                "auditor check --mail-from example.org 192.0.2.5",
                "auditor spf example.org --ip 192.0.2.5",
            ],
        ),
        (
            "504 5.5.2 <mail>: Helo command rejected: need fully-qualified hostname",
            ["auditor check --helo mail ADDRESS    (the text names no sending address)"],
        ),
        (
            "550 5.7.25 no PTR record; from=<a@example.org>",
            ["auditor check ADDRESS    (the text names no sending address)"],
        ),
        ("550 5.1.1 User unknown", []),
    ],
)
def test_the_next_commands_find_what_the_reply_is_about(
    call: Callable[..., Ended], reply: str, commands: list[str]
) -> None:
    assert json.loads(call("explain", "--json", reply).out)["next"] == commands


def test_explain_prints_json(call: Callable[..., Ended]) -> None:
    found = json.loads(call("explain", "--json", "5.7.25").out)
    assert found["findings"] == ["PTR_MISSING", "FORWARD_MISSING", "FORWARD_MISMATCH"]
    assert [line["code"] for line in json.loads(call("explain", "--json").out)] == [
        entry.code for entry in ENTRIES
    ]
    assert json.loads(call("explain", "--json", "spf_none").out)["code"] == "SPF_NONE"


def test_a_bounce_without_a_reply_is_an_error(call: Callable[..., Ended], here: Path) -> None:
    (here / "bounce.txt").write_text("Dear customer,\nhello\n")
    ended = call("explain", "-i", "bounce.txt")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "auditor: bounce.txt: found no SMTP reply that auditor knows\n"


def test_a_hostile_bounce_is_shown_escaped(call: Callable[..., Ended]) -> None:
    shown = call("explain", "550 5.7.25 \x1b[31m no PTR record \u202e").out
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_receivers_are_listed_with_sources(call: Callable[..., Ended]) -> None:
    listed = call("receivers").out
    for receiver in receivers().values():
        assert f"{receiver.key}  {receiver.name}" in listed
    data = json.loads(call("receivers", "--json", "gmx").out)
    assert [entry["receiver"] for entry in data] == ["gmx"]
    assert data[0]["rules"][0]["when"] == ["no-ptr"]


def test_a_file_of_ones_own_is_shown(call: Callable[..., Ended], here: Path) -> None:
    (here / "own.toml").write_text(
        '[home]\nname = "Home"\nsource = "https://example.net/"\npublished = "2026"\n'
        'seen = 2026-01-31\nsure = "read"\nrules = [{ when = ["no-ptr"], effect = "junk" }]\n'
    )
    shown = call("receivers", "--receivers-file", "own.toml", "home").out
    assert "the address has no PTR record: filed as spam" in shown
