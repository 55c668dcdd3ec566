"""`auditor check`: what a person is told about a target.

Also tests `check_text.py`, `advice_text.py` and `checked.py`.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from cli.driving import ZONES, Ended, at_terminal
from support.fleet import FLEET

from auditor.errors import NoServerError
from auditor.resolve.cache import Cache
from auditor.resolve.resolver import CachingResolver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    import pytest

    from auditor.errors import AuditorError
    from auditor.resolve.answer import AnswerCallback, Question
    from auditor.settings import Settings

CHECK = ("check", "--zones", ZONES)

PARTIAL = """\
198.51.100.53  WARN
  One of several PTR names does not lead back to the address
  (half-b.example.net).

  Evidence
    PTR    NOERROR: half-a.example.net, half-b.example.net
    FCrDNS pass (iprev)
           half-a.example.net -> 198.51.100.53: points back
           half-b.example.net -> 198.51.100.8: does not point back
    SPF    helo half-a.example.net: pass by a (1 lookup, 0 void)
           v=spf1 a -all
    Zone   100.51.198.in-addr.arpa, run by ns1.example.net, ns2.example.net;
           contact hostmaster@example.net
    TTL    PTR 1 h, A of half-a.example.net 1 h, A of half-b.example.net 1 h:
           changes take up to 1 h

  FORWARD_PARTIAL warning: half-b.example.net
    One of several PTR names does not lead back to the address.
    Why it matters: Another name of the address does, or could not be looked up.
    Receivers that look at one name only take whichever comes first in the
    answer, so mail is refused now and then, without a pattern.
    Remedy: Give this name the address as well, or remove its PTR record. One
    confirmed name is all an address needs.
    Keep half-a.example.net, and delete the PTR record with half-b.example.net.
"""

DOMAIN = """\
mx-gone.example.org  FAIL
  The MX host has no address (gone.example.net).

  Evidence
    A/AAAA NOERROR
      198.51.100.65
        PTR    NOERROR: relay-1.example.org
               alias: 65.100.51.198.in-addr.arpa ->
               65.64-127.100.51.198.in-addr.arpa
        FCrDNS pass (iprev)
               relay-1.example.org -> 198.51.100.65: points back
    MX     NOERROR
      10 relay-1.example.org: NOERROR
        198.51.100.65
          PTR    NOERROR: relay-1.example.org
                 alias: 65.100.51.198.in-addr.arpa ->
                 65.64-127.100.51.198.in-addr.arpa
          FCrDNS pass (iprev)
                 relay-1.example.org -> 198.51.100.65: points back
      20 gone.example.net: NXDOMAIN
"""

INVALID = """\
198.51.100.300  FAIL
  - line 1: '198.51.100.300' ends in a number and is no IPv4 address; expected
    an address, a prefix, a range a-b or a domain such as mail.example.net

  TARGET_INVALID error: 198.51.100.300
    The input line is not a target.
"""


def test_an_address_is_explained_in_full(call: Callable[..., Ended]) -> None:
    ended = call(*CHECK, "--ignore", "PTR_MULTIPLE", "198.51.100.53")
    assert ended == (0, PARTIAL, "")


def test_a_domain_is_explained(call: Callable[..., Ended]) -> None:
    ended = call(*CHECK, "mx-gone.example.org")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(DOMAIN)


def test_a_line_that_is_no_target_is_explained_beside_others(call: Callable[..., Ended]) -> None:
    ended = call(*CHECK, "-", stdin=b"198.51.100.300\nmx-gone.example.org\n")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(INVALID)
    assert DOMAIN in ended.out


def test_a_target_in_order_says_so(call: Callable[..., Ended]) -> None:
    ended = call(*CHECK, "198.51.100.1")
    assert ended.out.splitlines()[0] == "198.51.100.1  PASS"
    assert ended.out.splitlines()[1] == "  No problems found."


def test_a_finding_is_explained_once(call: Callable[..., Ended]) -> None:
    out = call(*CHECK, "198.51.100.44-45").out
    first, second = out.split("\n\n198.51.100.45  WARN\n")
    assert "Why it matters: " in first
    assert "Why it matters: " not in second
    title, publish = second.split("warning: c633642d.example.net\n")[1].split(
        "    To publish, with the parts in < > filled in:\n"
    )
    assert " ".join(title.split()).endswith(" (explained above).")
    assert publish.splitlines()[0] == "      ; 45.100.51.198.in-addr.arpa. IN PTR <host>."


def test_what_could_not_be_learnt_is_not_called_absent(call: Callable[..., Ended]) -> None:
    lines = call(*CHECK, "192.0.2.25", "198.51.100.40").out.splitlines()
    assert "    PTR    REFUSED: not known" in lines
    assert "    PTR    NXDOMAIN: no name in the zone 100.51.198.in-addr.arpa" in lines


def test_prose_fits_a_terminal(call: Callable[..., Ended]) -> None:
    text = "\n".join(
        call(*CHECK, target).out
        for target in ("198.51.100.0/26", "198.51.100.128/26", "198.51.100.192/26", "example.net")
    )
    long = [line for line in text.splitlines() if len(line) > 80]
    # Names and lines for a zone file stay whole, so that they can be copied.
    assert [line for line in long if " IN " not in line and len(line.split()) > 1] == []


def test_nothing_from_the_dns_reaches_the_terminal_unescaped(call: Callable[..., Ended]) -> None:
    out = "".join(call(*CHECK, f"198.51.100.{part}").out for part in ("0/26", "192/26"))
    assert all(line.isprintable() for line in out.splitlines())
    assert r"\027" in out


def test_standard_input_can_be_checked(call: Callable[..., Ended]) -> None:
    ended = call(*CHECK, "-", stdin=b"198.51.100.1\n# no\nexample.net\n")
    assert ended.code == 0
    heads = [line for line in ended.out.splitlines() if line and not line.startswith(" ")]
    assert heads == ["198.51.100.1  PASS", "example.net  PASS"]
    ended = call(*CHECK, "-", stdin=(FLEET / "targets.txt").read_bytes())
    message = "check explains 64 targets at most: use auditor scan for more"
    assert ended == (2, "", f"auditor: {message}\n")


def test_colours_are_for_terminals(here: Path, call: Callable[..., Ended]) -> None:
    del here
    plain = call(*CHECK, "198.51.100.40")
    assert "\x1b" not in plain.out
    with at_terminal(*CHECK, "198.51.100.40", on=("stdout",)) as (_, terminal):
        shown = terminal.read_all()
    assert "\x1b[1m198.51.100.40\x1b[0m  \x1b[31m\x1b[1mFAIL\x1b[0m" in shown
    no_colour: dict[str, Any] = {"env": {"NO_COLOR": "1"}}
    with at_terminal(*CHECK, "198.51.100.40", on=("stdout",), **no_colour) as (_, terminal):
        # Lines are as wide as the terminal, or 80 columns where there is none.
        assert terminal.read_all().split() == plain.out.split()


class _Gone:
    """An engine whose last server goes when it is asked something."""

    def on_room(self, wake: Callable[[], None]) -> None:
        pass

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        self._fail = fail

    async def start(self) -> None:
        pass

    async def close_engine(self) -> None:
        pass

    def backlog(self) -> int:
        return 0

    def counters(self) -> Mapping[str, int]:
        return {}

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        del questions, deliver
        error = NoServerError("no server answers any more: 127.0.0.1:53 has stopped answering")
        asyncio.get_running_loop().call_soon(self._fail, error)


def test_the_end_of_the_last_server_ends_a_check(
    call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def lookup(_settings: Settings) -> AsyncIterator[CachingResolver]:
        yield CachingResolver(_Gone(), Cache(10))

    monkeypatch.setattr("auditor.run.scan.open_resolver", lookup)
    message = "no server answers any more: 127.0.0.1:53 has stopped answering"
    assert call(*CHECK, "198.51.100.1", "198.51.100.2") == (3, "", f"auditor: {message}\n")


def test_the_name_that_a_table_expects_is_the_one_to_publish(call: Callable[..., Ended]) -> None:
    table = b"ip,expected\n198.51.100.8,mail.example.net\n"
    shown = call(*CHECK, "-", stdin=table).out
    assert "8.100.51.198.in-addr.arpa. IN PTR mail.example.net." in shown


def test_a_name_that_is_to_be_replaced_is_not_told_to_get_an_address(
    tmp_path: Path, call: Callable[..., Ended]
) -> None:
    soa = "$TTL 60\n@ SOA ns.example.net. host.example.net. 1 2 3 4 5\n"
    reverse = f"{soa}5 PTR mail.example.net\n6 PTR gone.example.net.\n"
    (tmp_path / "db.192.0.2").write_text(reverse)
    (tmp_path / "example.net").write_text(f"{soa}mail A 192.0.2.5\n")
    told = call("check", "--no-spf", "--zones", str(tmp_path), "192.0.2.5", "192.0.2.6").out
    first, second = " ".join(told.split()).split("192.0.2.6 FAIL")
    assert "Remedy: that of PTR_DOT_MISSING, since the name is to be replaced." in first
    assert "Add the address record" not in first
    assert "Remedy: Add the address record to the zone of the name" in second
