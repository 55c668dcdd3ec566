"""`$GENERATE`: what rules answer is what unrolled records would, at no cost for their range."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.zone_oracle import record_sets
from support.zone_texts import HEAD, ask, zones

from auditor.errors import ZoneFileError
from auditor.resolve.answer import Answer, Question
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.wire.codes import AAAA, CNAME, MX, NODATA, NOERROR, NXDOMAIN, PTR, SERVFAIL, TXT, A

_OWNERS = st.sampled_from(
    [
        *("$", "h$", "$.a", "a.$", "$.$", "$-$", "h${0,3}", "${1}", "${-2}x", "x${0,2,x}.b", "*.$"),
        *("${0,0,o}", "${0,4,n}ip", "Up${0,2,X}", "p$.example.", "a\\.$", "const", "${-20,4}"),
    ]
)
_RANGES = st.sampled_from(["0-3", "8-11", "2-20/6", "9-9", "98-101", "15-17"])
_RECORDS = st.sampled_from(
    [
        "A 192.0.2.$",
        "60 PTR H$.net.",
        "TXT t${0,3}.$$",
        "AAAA ::${0,2,x}",
        "PTR x",
    ]
)
_EXPLICIT = st.sampled_from(["h1 A 192.0.2.200", "9 TXT t", "10.a PTR p", "2.2 A 192.0.2.1"])
_DIRECTIVES = st.builds("$GENERATE {} {} {}".format, _RANGES, _OWNERS, _RECORDS)
_TYPES = (A, AAAA, PTR, TXT)


@settings(max_examples=examples(200))
@given(st.lists(_DIRECTIVES | _EXPLICIT, max_size=4).map("\n".join))
def test_a_rule_answers_like_its_records_one_by_one(text: str) -> None:
    expected = record_sets(f"{HEAD}{text}\n", "example")
    assert expected is not None
    engine = ZoneFileEngine.from_texts({"example": f"{HEAD}{text}\n"})
    names = {name for name, _ in expected}
    names |= {f"x.{name}" for name in names} | {name.partition(".")[2] or "." for name in names}
    names |= {re.sub("[0-9]+", "7", name) for name in names}
    unrolled = ZoneFileEngine.from_texts({"example": _unrolled(expected)})
    for name in names:
        for rdtype in _TYPES:
            assert ask(engine, name, rdtype) == ask(unrolled, name, rdtype), name
    listed = {
        (found.owner, found.rdtype): (found.ttl, found.records)
        for found in engine.zones["example"].record_sets(_TYPES)
    }
    assert listed == {key: held for key, held in expected.items() if key[1] in _TYPES}


def _unrolled(sets: object) -> str:
    """Return a master file with these record sets."""
    assert isinstance(sets, dict)
    lines = [HEAD]
    for (name, rdtype), (ttl, records) in sets.items():
        if rdtype == 6:
            continue
        for record in records:
            if rdtype == PTR:
                rdata = f"PTR {record}."
            elif rdtype == TXT:
                rdata = "TXT " + " ".join(string.decode() for string in record)
            else:
                rdata = f"{'A' if rdtype == A else 'AAAA'} {record}"
            lines.append(f"{name}. {ttl} {rdata}\n")
    return "".join(lines)


def test_the_widest_range_costs_what_the_narrowest_does() -> None:
    engine = zones(example="$GENERATE 0-16777215 h$ A 192.0.2.1\n$GENERATE 0-9 $ CNAME h$\n")

    assert len(engine.zones["example"].nodes) == 1
    assert ask(engine, "h16777215.example", A).records == ("192.0.2.1",)
    assert ask(engine, "h16777216.example", A).status == NXDOMAIN
    assert ask(engine, "h01.example", A).status == NXDOMAIN
    assert ask(engine, "h1.example", PTR).status == NODATA
    assert ask(engine, "7.example", A).chain == ("7.example",)


@pytest.mark.parametrize(
    "directive",
    [
        "$GENERATE 0-4294967295 $ A 192.0.2.1",
        "$GENERATE 0-99999999999999999999 $ A 192.0.2.1",
        "$GENERATE 0-16777216 $ A 192.0.2.1",
        "$GENERATE 1-65537 $ NS ns$",
        "$GENERATE 1-65537 same A 192.0.2.1",
        "$GENERATE 3-1 $ A 192.0.2.1",
        "$GENERATE 1-3/0 $ A 192.0.2.1",
        "$GENERATE 1-3 ${0,128} A 192.0.2.1",
        "$GENERATE 1-3 ${x} A 192.0.2.1",
        "$GENERATE 1-3 $ WHAT x",
        "$GENERATE 1-3 $ A",
        "$GENERATE 250-260 $ A 192.0.2.$",
        "$GENERATE 1-3 $.elsewhere. A 192.0.2.1",
    ],
)
def test_a_directive_that_makes_no_sense_is_refused(directive: str) -> None:
    with pytest.raises(ZoneFileError, match=r"^example:3: "):
        zones(example=f"{directive}\n")


def test_rdata_of_several_words_may_stand_in_quotes_or_not() -> None:
    engine = zones(example='$GENERATE 1-2 $ MX "1$ m$"\n$GENERATE 3-4 $ MX 1$ m$ ; comment\n')

    found = [ask(engine, f"{number}.example", MX).records for number in (2, 3)]
    assert found == [((12, "m2.example"),), ((13, "m3.example"),)]


def test_names_of_delegations_are_made_one_by_one() -> None:
    engine = zones(example="$GENERATE 0-63 $ NS ns.net.\n$GENERATE 0-255 www.$ A 192.0.2.1\n")

    assert ask(engine, "www.63.example", A).status == SERVFAIL
    assert ask(engine, "www.64.example", A).records == ("192.0.2.1",)


def test_rules_and_records_that_do_not_go_together_leave_the_name_undetermined() -> None:
    engine = zones(example="$GENERATE 1-2 $ CNAME a$\n2 TXT t\n$GENERATE 1-9 a$ A 192.0.2.1\n")

    assert ask(engine, "1.example", A).records == ("192.0.2.1",)
    assert ask(engine, "2.example", A).status == SERVFAIL
    assert ask(engine, "2.example", CNAME).status == SERVFAIL


def test_classless_blocks_are_followed_through_their_rules() -> None:
    engine = ZoneFileEngine.from_texts(
        {
            "2.0.192.in-addr.arpa": f"{HEAD}$GENERATE 0-63 $ CNAME $.0/26\n",
            "0/26.2.0.192.in-addr.arpa": f"{HEAD}$GENERATE 0-63 $ PTR h-$.example.net.\n",
        }
    )

    question = Question("63.2.0.192.in-addr.arpa", PTR)
    expected = Answer(
        *(NOERROR, ("h-63.example.net",), (question.name,), "63.0/26.2.0.192.in-addr.arpa", 300)
    )
    assert expected == ask(engine, *question)


def test_a_range_that_is_partly_out_of_zone_is_refused() -> None:
    with pytest.raises(
        ZoneFileError, match=r"p1\.example or p3\.example is out of zone; expected n"
    ):
        ZoneFileEngine.from_texts({"p1.example": f"{HEAD}$GENERATE 1-3 p$.example. A 192.0.2.$\n"})
