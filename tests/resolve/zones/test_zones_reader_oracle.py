"""The reader of master files against dnspython, named-checkzone, and itself without short cuts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.zone_oracle import record_sets

from auditor.errors import ZoneFileError
from auditor.resolve.zones import reader
from auditor.resolve.zones.rdata import READ_TYPES, UnreadRdata, wire_rdata
from auditor.resolve.zones.reader import MasterFile, read_zone

if TYPE_CHECKING:
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


@settings(max_examples=examples(300))
@given(_SOUND, _FAULTS | st.just(""), _SOUND)
def test_lines_taken_in_runs_are_read_like_all_others(before: str, fault: str, after: str) -> None:
    text = SOA + before + fault + after
    in_runs = _read(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "run_end", lambda _text, position: position)
        one_by_one = _read(text)
    assert in_runs == one_by_one


def _read(text: str) -> object:
    try:
        zone = read_zone(MasterFile("label", "server", "example", text.encode()))
    except ZoneFileError as error:
        return str(error)
    return zone.nodes, list(zone.record_sets(READ_TYPES))
