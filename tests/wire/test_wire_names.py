"""Names against dnspython, and against what RFC 1035 says of their limits."""

from __future__ import annotations

import time

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import WireError
from auditor.wire.names import (
    MAX_NAME,
    decode_name,
    encode_name,
    is_hostname,
    labels_of,
    mail_address,
    normalise,
    text_of,
)

LABELS = (
    st.lists(st.binary(min_size=1, max_size=63), max_size=20)
    .filter(lambda labels: sum(map(len, labels)) + len(labels) < MAX_NAME)
    .map(tuple)
)

# 63 + 63 + 63 + 61 octets of labels, their lengths and the root: 255.
LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@given(LABELS)
def test_text_and_labels_round_trip_in_lower_case(labels: tuple[bytes, ...]) -> None:
    text = text_of(labels)
    assert labels_of(text) == tuple(label.lower() for label in labels)
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text


@given(LABELS)
def test_wire_form_is_the_one_of_dnspython_both_ways(labels: tuple[bytes, ...]) -> None:
    theirs = dns.name.Name((*labels, b""))
    wire = theirs.to_wire() or b""
    text = text_of(labels)
    assert encode_name(text) == theirs.canonicalize().to_wire()
    assert decode_name(wire, 0) == (text, len(wire))
    assert decode_name(b"\xff" * 7 + wire + b"\xff", 7) == (text, len(wire) + 7)


@given(LABELS)
def test_the_presentation_forms_of_dnspython_are_understood(labels: tuple[bytes, ...]) -> None:
    theirs = dns.name.Name((*labels, b""))
    assert normalise(theirs.to_text()) == text_of(labels)
    assert normalise(theirs.to_text(omit_final_dot=True)) == text_of(labels)
    assert labels_of(theirs.to_text()) == labels


@given(st.text(st.characters(codec="ascii"), max_size=80))
def test_any_text_is_read_as_dnspython_reads_it_or_refused(text: str) -> None:
    try:
        theirs = dns.name.from_text(text)
    except dns.exception.DNSException:
        with pytest.raises(WireError):
            normalise(text)
        with pytest.raises(WireError):
            encode_name(text)
    else:
        if text in {"", "@"}:  # origin marks of master files, not names
            return
        assert labels_of(text) == theirs.labels[:-1]
        assert encode_name(text) == theirs.to_wire()
        assert normalise(text) == text_of(theirs.labels[:-1])


@given(LABELS)
def test_normalised_text_stays_as_it_is(labels: tuple[bytes, ...]) -> None:
    text = text_of(labels)
    assert normalise(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".", "."),
        ("Mail.Example.COM.", "mail.example.com"),
        (r"first\.last.example", r"first\.last.example"),
        (r"a\\b.example", r"a\\b.example"),
        (r"a\032b.example", r"a\032b.example"),
        ("a b.example", r"a\032b.example"),
        (r"\065\(\;\".example", 'a(;".example'),
        (r"\255\000.example", r"\255\000.example"),
        ("0/26.100.51.198.in-addr.arpa", "0/26.100.51.198.in-addr.arpa"),
        ("*.example", "*.example"),
        (LONGEST + ".", LONGEST),
    ],
)
def test_normalise_gives_the_one_canonical_text(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        ".example",
        "a..example",
        "a..",
        "example..",
        "a" * 64,
        "a" * 64 + ".example",
        "example." + "a" * 64,
        LONGEST + "d",
        "x." + LONGEST,
        "a." * 128,
        "a" * 100_000,
        "exämple.net",
        "a\udc80.example",
        "example\\",
        r"a\1.example",
        r"a\12",
        r"a\256.example",
        r"a\1x2.example",
    ],
)
def test_what_is_no_name_is_a_wire_error(text: str) -> None:
    for function in (normalise, labels_of, encode_name):
        with pytest.raises(WireError):
            function(text)


def test_encoding_keeps_the_case_and_takes_a_final_dot() -> None:
    assert encode_name("Ab.cD.") == encode_name("Ab.cD") == b"\2Ab\2cD\0"
    assert encode_name("com") == encode_name("com.") == b"\3com\0"
    assert encode_name(".") == b"\0"


def test_longest_name_is_whole_both_ways() -> None:
    wire = encode_name(LONGEST)
    assert len(wire) == MAX_NAME
    assert decode_name(wire, 0) == (LONGEST, MAX_NAME)
    smallest_labels = ".".join("a" * 127)
    assert decode_name(encode_name(smallest_labels), 0) == (smallest_labels, MAX_NAME)


def test_name_of_256_octets_is_refused_also_when_a_pointer_makes_it_so() -> None:
    wire = encode_name(LONGEST)
    with pytest.raises(WireError, match="more than 255"):
        decode_name(b"\1x" + wire, 0)
    with pytest.raises(WireError, match="more than 255"):
        decode_name(wire + b"\1x\xc0\x00", MAX_NAME)


def test_pointers_lead_back_and_the_offset_goes_on_behind_the_first() -> None:
    message = b"\7example\0\4mail\xc0\x00\1x\xc0\x09"
    assert decode_name(message, 9) == ("mail.example", 16)
    assert decode_name(message, 16) == ("x.mail.example", 20)


@pytest.mark.parametrize(
    ("message", "offset"),
    [
        (b"\xc0\x00", 0),  # itself
        (b"\1a\xc0\x00", 0),  # its own start
        (b"\1a\xc0\x01", 0),  # into itself
        (b"\xc0\x02\1a\0", 0),  # forward
        (b"\xc0\x02\xc0\x00", 2),  # two that lead to each other
        (b"\1a\xc0\x04\1b\xc0\x00", 4),  # back, and forward from there
        (b"\xc0", 0),
        (b"\xff\xff", 0),
        (b"\x40", 0),  # reserved label types (RFC 6891 §5, RFC 1035 §4.1.4)
        (b"\x80\0", 0),
        (b"", 0),
        (b"\0", 1),
        (b"\3ab", 0),
        (b"\2ab", 0),
    ],
)
def test_broken_compression_is_a_wire_error_with_its_offset(message: bytes, offset: int) -> None:
    with pytest.raises(WireError) as caught:
        decode_name(message, offset)
    assert 0 <= caught.value.offset <= len(message)


def test_pointers_to_pointers_end_before_they_cost() -> None:
    # 0 at offset 0, then each pointer to the one before it.
    message = b"\0\0" + b"".join((0xC000 | at).to_bytes(2) for at in range(0, 0x3FFE, 2))
    assert decode_name(message, 2 * 127) == (".", 2 * 128)
    with pytest.raises(WireError):
        decode_name(message, 2 * 128)


@given(st.binary(max_size=300), st.integers(0, 320))
def test_random_bytes_are_a_name_or_a_wire_error(message: bytes, offset: int) -> None:
    try:
        text, end = decode_name(message, offset)
    except WireError as error:
        noticed = error.offset
    else:
        noticed = 0
        assert offset < end <= len(message)
        assert normalise(text) == text
        assert len(encode_name(text)) <= MAX_NAME
    assert 0 <= noticed <= len(message)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 120))
def test_dense_pointers_are_followed_as_dnspython_follows_them(
    kinds: list[int], offset: int
) -> None:
    parts = {0: b"\0", 1: b"\1A", 2: b"\xc0\x00", 3: b"\xc0\x07"}
    message = b"".join(parts[kind] for kind in kinds)
    try:
        theirs, used = dns.name.from_wire(message, offset)
    except dns.exception.DNSException:
        with pytest.raises(WireError):
            decode_name(message, offset)
    else:
        assert decode_name(message, offset) == (text_of(theirs.labels[:-1]), offset + used)


@pytest.mark.parametrize(
    "text",
    [
        "mail.example.com",
        "Mail.Example.COM",
        "3com.com",
        "localhost",
        "a-b--c.xn--p1ai",
        "host.7a",
        "a" * 63 + ".example",
        LONGEST,
    ],
)
def test_letters_digits_and_inner_hyphens_make_a_host_name(text: str) -> None:
    assert is_hostname(text)


@pytest.mark.parametrize(
    "text",
    [
        "198.51.100.7",
        "host.7",
        ".",
        "",
        "mail.example.com.",
        "mail..example",
        "-mail.example",
        "mail-.example",
        "mail_1.example",
        "*.example",
        r"a\.b.example",
        "mail.example\n",
        "m\u0101il.example",
        "mail.exampl\u0663",
        "a" * 64 + ".example",
        LONGEST + "d",
    ],
)
def test_anything_else_is_no_host_name(text: str) -> None:
    assert not is_hostname(text)


def test_hostile_length_does_not_make_the_host_name_rule_slow() -> None:
    before = time.process_time()
    for text in ("a-" * 500_000, "a." * 500_000, "-" * 1_000_000, "a" + "-" * 252):
        assert not is_hostname(text)
    assert time.process_time() - before < 1


@pytest.mark.parametrize(
    ("rname", "address"),
    [
        ("hostmaster.example.net", "hostmaster@example.net"),
        ("host\\.master.example.net", "host.master@example.net"),
        (".", ""),
        ("single", ""),
        ("a\\027b.example", ""),
        ("dns+x.example.net", "dns+x@example.net"),
        ("the\\032boss.example.net", '"the boss"@example.net'),
        ("a\\.\\.b.example.net", '"a..b"@example.net'),
        ('a\\"b\\\\c.example.net', '"a\\"b\\\\c"@example.net'),
    ],
)
def test_a_mailbox_is_shown_as_a_mail_address(rname: str, address: str) -> None:
    assert mail_address(rname) == address
