"""Master files: what a record becomes, and what is refused in which words.

Also tests `builder.py`, `zones/entry.py` and `rrsets.py`.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.zone_texts import ask, zones

from auditor.errors import ZoneFileError
from auditor.resolve.answer import Answer, Soa
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.resolve.zones.reader import MasterFile, read_zone
from auditor.wire.codes import (
    AAAA,
    MX,
    NODATA,
    NOERROR,
    NXDOMAIN,
    SOA,
    TXT,
    A,
)


def test_records_are_canonical_sorted_and_without_duplicates() -> None:
    engine = zones(
        example=r"""
        @ 90 MX 20 B.Example.
        @ MX 10 a\046b\032C
        @ MX 20 b
        t TXT one "t\119o \200"
        v TYPE1 \# 4 C0000201
        v AAAA 2001:DB8:0:0::0:1
        odd TYPE65280 \# 3 0a0B0c
        """
    )

    soa = Soa("ns.example", "host.example", 1, 3600, 600, 86400, 60)
    assert Answer(NOERROR, (soa,), ttl=600) == ask(engine, "example", SOA)
    mail = ((10, r"a\.b\032c.example"), (20, "b.example"))
    assert Answer(NOERROR, mail, ttl=90) == ask(engine, "example", MX)
    text = ((b"one", b"two \xc8"),)
    assert Answer(NOERROR, text, ttl=300) == ask(engine, "t.example", TXT)
    assert Answer(NOERROR, ("192.0.2.1",), ttl=300) == ask(engine, "v.example", A)
    assert Answer(NOERROR, ("2001:db8::1",), ttl=300) == ask(engine, "v.example", AAAA)
    assert Answer(NOERROR, (b"\n\x0b\x0c",), ttl=300) == ask(engine, "odd.example", 65280)


def test_names_with_escapes_are_found_and_covered() -> None:
    engine = zones(example='a\\.b TXT "1"\n*.c\\\\ TXT "2"\n\\000\\255 TXT "3"\n')

    assert ask(engine, r"a\.b.example", TXT).records == ((b"1",),)
    assert ask(engine, r"x\.y.c\\.example", TXT).records == ((b"2",),)
    assert ask(engine, r"\000\255.example", TXT).records == ((b"3",),)
    assert Answer(NXDOMAIN, ttl=60, zone="example") == ask(engine, "a.b.example", TXT)


def test_octets_beyond_ascii_stand_for_themselves() -> None:
    data = b'\xef\xbb\xbf@ 9 SOA a b 1 2 3 4 5\r\n; \xff\r\n\\\xe9\xe9 9 TXT "\xe9" "\\\\\xe9"\r\n'
    zone = read_zone(MasterFile("a label", "a file", "example", data))

    assert zone.nodes[r"\233\233.example"] == {TXT: (9, ((b"\xe9", b"\\\xe9"),))}


@pytest.mark.parametrize(("ttl", "minimum"), [(30, 60), (60, 30)])
def test_negative_answers_live_as_long_as_the_soa_record_at_most(ttl: int, minimum: int) -> None:
    engine = ZoneFileEngine.from_texts({"example": f"@ {ttl} SOA ns host 1 2 3 4 {minimum}\n"})

    assert Answer(NODATA, ttl=30, zone="example") == ask(engine, "example", A)
    assert Answer(NXDOMAIN, ttl=30, zone="example") == ask(engine, "a.example", A)


SOA_LINE = "@ 300 SOA ns host 1 2 3 4 5\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": no SOA record; expected one, at the zone's origin"),
        (
            f"{SOA_LINE}\n; comment\nwww 300 A 192.0.2\n\n",
            ":4: expected a resource record or a directive, found 'www 300 A 192.0.2'",
        ),
        (
            f"{SOA_LINE}t 300 TXT (\n  one\n",
            (":2: 't 300 TXT (' cannot be read: unbalanced parentheses"),
        ),
        (
            f"{SOA_LINE}t 300 TXT {'x' * 256}\n",
            (f":2: 't 300 TXT {'x' * 50}...' cannot be read: string too long"),
        ),
        (
            f"{SOA_LINE}$INCLUDE other\n",
            (":2: '$INCLUDE other' cannot be read: a zone that is not from a file includes none"),
        ),
        (
            f"{SOA_LINE}t 300 CH TXT x\n",
            (":2: 't 300 CH TXT x' cannot be read: class CH; expected IN, once"),
        ),
        (
            f"{SOA_LINE}www.test. 300 A 192.0.2.1\n",
            ":2: www.test is out of zone; expected names in example",
        ),
        (
            f"\nwww.test. 300 A 192.0.2.1\n{SOA_LINE}",
            ":2: www.test is out of zone; expected names in example",
        ),
        (
            f"{SOA_LINE}sub 300 SOA ns host 1 2 3 4 5\n",
            ":2: a second zone, sub.example, in the file of example; expected one zone a file",
        ),
        (
            f"{SOA_LINE}@ 300 SOA ns host 2 2 3 4 5\n",
            ":2: a second SOA record at example; expected one",
        ),
        (
            f"{SOA_LINE}a 300 CNAME b\na 300 CNAME c\n",
            ":3: a second CNAME record at a.example; expected one",
        ),
        (
            f"{SOA_LINE}a 300 CNAME b\na 300 A 192.0.2.1\n",
            ":3: a CNAME and other records at a.example; expected the CNAME alone (RFC 1034 3.6.2)",
        ),
        (
            f"{SOA_LINE}@ 300 CNAME b\n",
            ":2: a CNAME and other records at example; expected the CNAME alone (RFC 1034 3.6.2)",
        ),
        (
            f"{SOA_LINE}*.a 300 NS b\n",
            ":2: NS at the wildcard *.a.example; expected none (RFC 4592 4.2, 4.4)",
        ),
    ],
)
def test_a_file_that_is_no_zone_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ZoneFileError) as caught:
        ZoneFileEngine.from_texts({"example": text})

    assert str(caught.value) == f"example{message}"


_PIECES = st.sampled_from(
    [
        *' \n\r\t"()\\;@.*$',
        *("$TTL", "$ORIGIN", "$GENERATE 1-3", "a", "9", "TXT", "MX", "CNAME", "NS"),
        *("SOA a b 1 2 3 4 5", "A 192.0.2.1", "TYPE65280", "\\# 1 00", "\\999", "\xe9", "\0"),
    ]
)


@settings(max_examples=examples(300))
@given(st.lists(_PIECES | st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_text_is_a_zone_or_refused_in_one_line(pieces: list[str]) -> None:
    try:
        engine = ZoneFileEngine.from_texts({"example": SOA_LINE + "".join(pieces)})
    except ZoneFileError as error:
        message = str(error)
    else:
        message = "example: a zone"
        assert ask(engine, "example", SOA).status == NOERROR
    assert message.startswith("example:")
    assert "\n" not in message
