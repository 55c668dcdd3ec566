"""The reader of master files against dnspython, named-checkzone, and itself without short cuts.

Also tests `common_lines.py`, `lazy_lines.py` and `rdata.py`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.zone_oracle import record_sets

from auditor.errors import ZoneFileError
from auditor.resolve.zones import lazy_lines, reader
from auditor.resolve.zones.common_lines import Context, ParsedLines, parse_lines
from auditor.resolve.zones.rdata import READ_TYPES, UnreadRdata, wire_rdata
from auditor.resolve.zones.reader import MasterFile, read_zone
from auditor.wire.codes import PTR, TXT

if TYPE_CHECKING:
    from random import Random

    from support.zone_oracle import Sets

SOA: Final = "@ 300 SOA ns host 1 2 3 4 5\n"

_OWNERS: Final = st.sampled_from(
    [
        "",
        "@",
        "a",
        "B",
        "a.b",
        "*.w",
        "X.example.",
        "0/25",
        r"a\.b",
        r"\101\032",
        "_x._y",
        "example",
    ]
)
_WORDS: Final = st.sampled_from(["", "60", "IN", "IN 60", "90 in", "1h", "1h30m", "1D IN"])
_RDATA: Final = st.sampled_from(
    [
        *("A 192.0.2.1", "a 192.0.2.9", "AAAA 2001:DB8::1", "AAAA ::ffff:192.0.2.1"),
        *("PTR Host.Example.NET.", "ptr host", "PTR .", r"PTR a\.b.c.", f"PTR {'x' * 63}."),
        *("MX 10 mail", "MX 10 Mail.example.", "MX 0 .", 'SPF "v=spf1 a"'),
        *('TXT "v=spf1 -all"', 'TXT "a;b" c', "TXT unquoted", r'TXT "a\"b\065\\"', 'TXT ""'),
        *("SRV 0 0 25 mail", 'CAA 0 issue "ca.example"', "TYPE65280 \\# 2 0a0b"),
        *("TYPE1 \\# 4 C0000201", "A ( 192.0.2.2 )", "MX ( 10\n mail ; preferred\n )"),
    ]
)
_BROKEN: Final = st.sampled_from(
    [
        *("A 192.0.2", "A 192.0.2.01", "A 256.0.0.1", "A", "A 192.0.2.3 )", "AAAA 2001:db8::g"),
        *("AAAA ::1 ::2", "PTR a..b", "PTR a b", f"PTR {'x' * 64}.", "MX 70000 mail", "MX mail"),
        *("TXT", 'TXT "not ended', f"TXT {'y' * 256}", r'TXT "\999"', "TXT ( a"),
        *("TYPE1 \\# 2 0a0b", "IN IN A 192.0.2.1", "60 60 A 192.0.2.1", "CH A 192.0.2.1"),
        *("", "60", "IN", '"A" 192.0.2.1', "SRV 0 0 mail"),
    ]
)
_ENDS: Final = st.sampled_from(["\n", " \n", "\t; comment\n", ";x\n", "\r\n"])
_RECORDS: Final = st.builds(
    lambda owner, words, rdata, end: f"{owner}\t{words} {rdata}{end}",
    _OWNERS,
    _WORDS,
    _RDATA,
    _ENDS,
)
_OTHERS: Final = st.sampled_from(
    [
        *("\n", "; comment\n", "  \n", "  ; comment\n", "$ORIGIN sub\n", "$ORIGIN example.\n"),
        *("$TTL 90\n", "$TTL 2h ; comment\n", "$ORIGIN sub.example.\n"),
        *("$GENERATE 1-3 g$ A 192.0.2.$\n", "$GENERATE 1-9/4 ${0,2} 60 PTR h${-1,3,x}.example.\n"),
        *("$GENERATE 0-2 n$.m$ TXT t$\n", "$GENERATE 8-18 ${0,3,n}.i A 192.0.2.${0,1,d}\n"),
    ]
)
_SOUND: Final = st.lists(_RECORDS | _RECORDS | _OTHERS, max_size=8).map("".join)
_FAULTS: Final = st.builds(lambda owner, rdata: f"{owner} {rdata}\n", _OWNERS, _BROKEN) | (
    st.sampled_from(
        [
            *(
                "$TTL\n",
                "$TTL x\n",
                "$NOTHING 1\n",
                "$ORIGIN a..b\n",
                "$GENERATE 3-1 $ A 192.0.2.$\n",
            ),
            *("$GENERATE 1-3 $ A 192.0.$\n", "a..b A 192.0.2.1\n", '"a" A 192.0.2.1\n'),
        ]
    )
)


def _ours(text: str) -> Sets | None:
    """Return what the project's own reader reads; what a server would not load is left out."""
    try:
        zone = read_zone(MasterFile("label", "server", "example", text.encode()))
    except ZoneFileError:
        return None
    found: Sets = {}
    for name, node in zone.nodes.items():
        for rdtype, held in node.items():
            ttl, records = cast("tuple[int, tuple[Any, ...]]", held)
            wires = [
                wire_rdata(-rdtype, record) if isinstance(record, UnreadRdata) else record
                for record in records
            ]
            if None in wires:
                return None
            found[name, abs(rdtype)] = (ttl, tuple(sorted(set(wires))))
    for owner, rdtype, ttl, records in zone.record_sets(READ_TYPES):
        found[owner, rdtype] = (ttl, records)
    return found


@settings(max_examples=examples(300))
@given(_SOUND)
def test_records_are_those_that_dnspython_reads(text: str) -> None:
    expected = record_sets((SOA + text).replace("\r", ""), "example")
    assert expected is not None
    assert _ours(SOA + text) == expected


@settings(max_examples=examples(200))
@given(_SOUND, _FAULTS, _SOUND)
def test_what_dnspython_refuses_is_refused(before: str, fault: str, after: str) -> None:
    text = SOA + before + fault + after
    assert _ours(text) == record_sets(text.replace("\r", ""), "example")


#: What makes a difference to lines that are read in runs, or later.
_LONG: Final = ".".join(["x" * 63, "y" * 63, "z" * 62])
_TOO_LONG: Final = f"{_LONG}.{'w' * 55}"
_NEIGHBOURS: Final = st.builds(
    lambda owner, words, rdata, end: f"{owner} {words} {rdata}{end}",
    st.sampled_from(["a", "a", "A.example.", "b", "", "*.c", "d.c", "$x", _LONG, _TOO_LONG]),
    st.sampled_from(["", "60", "60", "60 IN", "IN 60", "1h", "999999999", "9999999999", "60 60"]),
    st.sampled_from(
        [
            *("A 192.0.2.1", "A 192.0.2.2", "PTR b", "MX 10 b", "MX 65536 b", 'TXT "a CNAME b"'),
            *("CNAME b", "CNAME B.example.", "cname c", "NS ns", "DNAME elsewhere.", "SRV 1 2 3 b"),
            *(f"PTR {_LONG}", f"MX 1 {_TOO_LONG}", f"CNAME {_LONG}.example.", f'TXT "{"t" * 250}"'),
            *("NSEC b A TXT", "TYPE65280 \\# 2 0a0b", "NOTHING b"),
        ]
    )
    | st.text("01fF:", max_size=12).map("AAAA {}".format)
    | st.ip_addresses(v=6).map("AAAA {}".format),
    _ENDS,
)
_CLOSE: Final = st.lists(_NEIGHBOURS | _NEIGHBOURS | _OTHERS, max_size=12).map("".join)
#: Lines that differ in owner and RDATA only, and some that are nearly so.
_ALIKE: Final = st.builds(
    lambda words, lines: "".join(line.replace("=", words) for line in lines),
    st.sampled_from(["60 IN PTR", "60 IN PTR", "0 PTR", "IN 60 CNAME", "60 IN A"]),
    st.lists(
        st.builds(
            "{} = {}\n".format,
            st.sampled_from(
                ["a", "b", "C", "*.d", "e.f", "g.example.", "h.example", "h..i", "x" * 64]
            ),
            st.sampled_from(["j", "K.test.", "l.example.", "192.0.2.1", "192.0.2.1.", "m..n"]),
        )
        | st.sampled_from(
            [" = b\n", " IN = b\n", "a = b ; = c\n", "60 = IN A = b\n", "\n", "", ""]
        ),
        min_size=1,
        max_size=8,
    ),
)


@settings(max_examples=examples(600))
@given(
    _SOUND | _CLOSE | _ALIKE, _FAULTS | st.just(""), _SOUND | _CLOSE | _ALIKE, st.integers(40, 400)
)
@example("a 60 A 192.0.2.1\nA.example. 60 CNAME b\n", "", "", 400)
@example("a 0 IN PTR b\nc 0 IN PTR D.\n", "", "", 40)
@example("a 60 PTR b\n IN 60 PTR c\n", "", "", 400)
@example('a 60 TXT "b CNAME c"\n', "", "", 400)
@example("a 60 NSEC b A TXT\n", "", "", 400)
@example("a 60 PTR b\na 60 PTR c\nd 60 PTR b\n", "", "", 400)
@example("a.Example 60 PTR b\nc 60 PTR b\n", "", "", 400)
@example("$ORIGIN example.example.\na 60 PTR b\nc 60 PTR b\n", "", "", 400)
@example("sub 60 NS (ns.sub)\nns.sub 60 A 192.0.2.1\nb 60 A 192.0.2.1\n", "", "", 400)
@example("$GENERATE 1-2 $.h 60 A 192.0.2.$\nh 60 A 192.0.2.9\nb 60 A 192.0.2.9\n", "", "", 400)
@example("a 60 PTR b\n", "", "a 60 CNAME b\n", 400)
@example("a 60 CNAME b\n", "", "a 60 A 192.0.2.1\n", 20)
@example("a 60 CNAME b\n", "", "a 60 CNAME b\nb 60 A 192.0.2.1\n", 400)
@example("a 60 A 192.0.2.1\n 60 CNAME b\n", "", "", 400)
@example(f"b 60 A 192.0.2.1\n{_TOO_LONG} 60 A 192.0.2.1\n", "", "", 600)
@example(f"b 60 A 192.0.2.1\nc 60 PTR {_TOO_LONG}\n", "", "", 600)
@example("b 60 A 192.0.2.1\nc 60 MX 65536 b\n", "", "", 400)
@example("b 60 A 192.0.2.1\nc 60 AAAA 1:2:3:4::5:6:7:8\n", "", "", 400)
@example("b 60 A 192.0.2.1\nc.example.net. 60 A 192.0.2.1\n", "", "", 400)
@example("b 60 A 192.0.2.1\n 60 A 192.0.2.2\n\nc 60 A 192.0.2.1\n", "", "", 400)
@example("b 90 A 192.0.2.1\n\n", "", "c A 192.0.2.1\nd NS ns\n", 20)
@example("$TTL 90\nb 60 A 192.0.2.1\nc A 192.0.2.1\n", "", "d A 192.0.2.1\n", 400)
def test_lines_taken_in_runs_are_read_like_all_others(
    before: str, fault: str, after: str, size: int
) -> None:
    text = SOA + before + fault + after
    later = _read(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lazy_lines, "_MAX_RUN_CHARACTERS", size)
        later_in_short_runs = _read(text)
        patch.setattr(reader, "find_run", lambda _text, position, _context: (position, (), False))
        in_runs = _read(text)
        patch.setattr(reader, "run_end", lambda _text, position: position)
        one_by_one = _read(text)
    assert later == later_in_short_runs == in_runs == one_by_one


def _read(text: str) -> object:
    """Return what is in a zone and what is warned of, or the error."""
    messages: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        messages.append(record.getMessage())
        return False

    log = logging.getLogger("auditor")
    log.addFilter(keep)
    try:
        zone = read_zone(MasterFile("label", "server", "example", text.encode()))
    except ZoneFileError as error:
        return str(error)
    finally:
        log.removeFilter(keep)
    return zone.nodes, list(zone.record_sets(READ_TYPES)), messages


@settings(max_examples=examples(200))
@given(_SOUND | _CLOSE | _ALIKE, st.integers(40, 400), st.randoms())
def test_names_asked_for_in_any_order_are_what_all_names_together_are(
    text: str, size: int, random: Random
) -> None:
    file = MasterFile("label", "server", "example", (SOA + text).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lazy_lines, "_MAX_RUN_CHARACTERS", size)
        try:
            zone, asked = read_zone(file), read_zone(file)
        except ZoneFileError:
            return
    names = list(zone.nodes)
    random.shuffle(names)
    for name in names:
        assert asked.find(name) == zone.nodes[name]
    assert asked.find("nowhere.a.example") == zone.find("nowhere.a.example")
    assert asked.nodes == zone.nodes


def test_a_name_has_the_records_of_lines_that_nobody_has_looked_at() -> None:
    text = SOA + 'a 60 A (192.0.2.1)\na 60 TXT "b"\n'
    zone = read_zone(MasterFile("label", "server", "example", text.encode()))

    answer = zone.answer("a.example", TXT)
    assert answer is not None
    assert answer.records == ((b"b",),)


def test_only_what_is_near_a_name_asked_for_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(text: str, position: int, end: int, context: Context) -> ParsedLines:
        read.append(end - position)
        return parse_lines(text, position, end, context)

    lines = [f"{fourth}.{third} 60 PTR h.example.\n" for third in range(99) for fourth in range(99)]
    file = MasterFile("label", "server", "example", (SOA + "".join(lines)).encode())
    monkeypatch.setattr(lazy_lines, "parse_lines", counted)
    zone = read_zone(file)
    assert zone.node("50.98.example") == {PTR: (60, ("h.example",))}
    assert zone.node("49.98.example") == {PTR: (60, ("h.example",))}
    assert zone.node("99.98.example") is None
    assert 0 < sum(read) < sum(map(len, lines)) / 10
    assert len(zone.nodes) == 99 * 99 + 99 + 1
