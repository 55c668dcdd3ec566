"""Twelve situations of a postmaster: what `auditor check` says, in `situations.txt`.

Somebody who has not seen the program before has to learn within a minute what to change: the
first line says it in plain words, and what to publish stands further down. A change of the texts
shows in that file; it is written anew with WRITE_SITUATIONS=1.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.fake_engine import FakeEngine
from support.zone_texts import zones

from auditor.resolve.answer import Answer
from auditor.resolve.cache import Cache
from auditor.resolve.resolver import CachingResolver
from auditor.run import scan
from auditor.wire.codes import REFUSED, SERVFAIL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cli.driving import Ended

    from auditor.resolve.answer import Question
    from auditor.settings import Settings

_OUTPUTS: Final = Path(__file__).with_name("situations.txt")
_MARK: Final = "=== "

#: Each with the rest of the command line, and what the first lines have to say.
_SITUATIONS: Final = {
    "no PTR record": ("8.8.0.1", "Gmail refuses mail from this address (550 5.7.25): it has no"),
    "a generic name": ("8.8.0.2", "GMX refuses mail from this address: the PTR name host-8-8-0-2"),
    "a name without an address": ("8.8.0.3", "(550 5.7.25): gone.example.net has no A record."),
    "a name with another address": ("8.8.0.4", "mail.example.net leads to 8.8.0.20, and not back"),
    "several names": ("8.8.0.5", "The address has several PTR names."),
    "a delegation as of RFC 2317": ("8.8.0.65", "it has no PTR record."),
    "a reverse zone that fails": ("8.8.1.6", "its PTR record cannot be looked up (SERVFAIL)."),
    "a lame delegation": ("8.8.2.7", "its PTR record cannot be looked up (REFUSED)."),
    "a policy with an error": (
        "--mail-from broken.example.net 8.8.0.20",
        "the SPF record of broken.example.net has an error.",
    ),
    "an MX host over IPv6": ("--mail-from v6.example.net 2001:4860::25", "does not authorise it"),
    "a HELO name that differs": (
        "--helo www.example.net --mail-from example.net 8.8.0.20",
        "SPF of www.example.net does not authorise it (fail).",
    ),
    "softfail": (
        "--mail-from soft.example.net 8.8.0.20",
        "Orange refuses mail from this address: SPF of soft.example.net does not authorise it",
    ),
}

_ZONES: Final = zones(
    **{
        "0__8__8__in-addr__arpa": """
            @ NS ns.isp.net.
            2 PTR host-8-8-0-2.dsl.isp.net.
            3 PTR gone.example.net.
            4 PTR mail.example.net.
            5 PTR one.example.net.
            5 PTR two.example.net.
            20 PTR mail.example.net.
            64/26 NS ns.example.net.
            65 CNAME 65.64/26.0.8.8.in-addr.arpa.
        """,
        "64/26__0__8__8__in-addr__arpa": "@ NS ns.example.net.\n",
        "0__6__8__4__1__0__0__2__ip6__arpa": """
            @ NS ns.isp.net.
            5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 PTR mail6.example.net.
        """,
        "isp__net": "host-8-8-0-2.dsl A 8.8.0.2\n",
        "example__net": """
            @ MX 10 mail
            @ TXT "v=spf1 mx -all"
            mail A 8.8.0.20
            mail TXT "v=spf1 a -all"
            mail6 AAAA 2001:4860::25
            one A 8.8.0.5
            two A 8.8.0.5
            www A 8.8.0.80
            www TXT "v=spf1 a -all"
            broken TXT "v=spf1 ip4:8.8.0.20/99 -all"
            v6 MX 10 mail6
            v6 TXT "v=spf1 ip4:8.8.0.20 -all"
            soft TXT "v=spf1 ip4:8.8.0.5 ~all"
        """,
    }
)


def _answer(question: Question) -> Answer:
    """Answer as the world would; a reverse zone fails, and another one is not served."""
    if question.name.endswith("1.8.8.in-addr.arpa"):
        return Answer(SERVFAIL)
    if question.name.endswith("2.8.8.in-addr.arpa"):
        return Answer(REFUSED)
    return _ZONES.answer(question)


@pytest.fixture
def check(call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    @asynccontextmanager
    async def world(_settings: Settings) -> AsyncIterator[CachingResolver]:
        yield CachingResolver(FakeEngine(_answer, at_once=True), Cache(1000))

    monkeypatch.setattr(scan, "open_resolver", world)

    def checked(line: str) -> str:
        ended = call("check", *line.split())
        assert (ended.code, ended.err) == (0, "")
        return ended.out

    return checked


def _known() -> dict[str, str]:
    """Return the outputs of the file, by situation."""
    parts = _OUTPUTS.read_text("utf-8").split(_MARK)[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


@pytest.mark.parametrize("situation", _SITUATIONS)
def test_the_first_sentence_says_it_in_plain_words(
    check: Callable[[str], str], situation: str
) -> None:
    line, said = _SITUATIONS[situation]
    sentence = check(line).partition("\n\n")[0].partition("\n")[2]
    assert said in " ".join(sentence.split())


def test_the_outputs_are_those_that_were_read(check: Callable[[str], str]) -> None:
    shown = {
        name: f"$ auditor check {line}\n{check(line)}\n" for name, (line, _) in _SITUATIONS.items()
    }
    if os.environ.get("WRITE_SITUATIONS"):
        text = "".join(f"{_MARK}{name}\n{output}" for name, output in shown.items())
        _OUTPUTS.write_text(text, "utf-8")
    assert shown == _known()
