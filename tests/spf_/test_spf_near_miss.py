"""Records that are nearly SPF are shown with what keeps them from counting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spf_answers import Zone
from support.spf_worlds import finish

from auditor.spf.lint.near_miss import near_miss
from auditor.spf.lint.policy import LintReport, lint
from auditor.spf.records import policies
from auditor.wire.codes import TXT

POLICY = b"v=spf1 ip4:192.0.2.5 -all"


@pytest.mark.parametrize(
    ("text", "wrong", "note"),
    [
        (b" " + POLICY, b" ", "a blank stands before v=spf1"),
        (b"\t\n" + POLICY, b"\t\n", "a blank stands before v=spf1"),
        (b'"' + POLICY + b'"', b'"', "a quotation mark stands before v=spf1"),
        (b"'" + POLICY + b"'", b"'", "a quotation mark stands before v=spf1"),
        ("\u201c".encode() + POLICY, b"\xe2\x80\x9c", "a quotation mark stands before v=spf1"),
        (b"\x93" + POLICY, b"\x93", "a quotation mark stands before v=spf1"),
        (b"\xef\xbb\xbf" + POLICY, b"\xef\xbb\xbf", "a byte order mark stands before v=spf1"),
        (b'\\"' + POLICY, b'\\"', "a backslash stands before v=spf1"),
        (b"SPF: " + POLICY, b"SPF: ", "other text stands before v=spf1"),
        (b"v=spf1; ip4:192.0.2.5", b"v=spf1;", "';' stands after v=spf1, where only a space may"),
        (b"v=spf1\tmx", b"v=spf1\t", "a tab stands after v=spf1, where only a space may"),
        (b"V=SPF1\xa0mx", b"V=SPF1\xa0", "octet 160 stands after v=spf1, where only a space may"),
        (b"v=spf1mx -all", b"v=spf1m", "there is no space after v=spf1"),
        (b"v=spf1-all", b"v=spf1-", "there is no space after v=spf1"),
        (b"v = spf1 mx", b"v = spf1", "the version has to be written v=spf1"),
        (b"spf1 mx -all", b"spf1", "the version has to be written v=spf1"),
        (b"v=sfp1 mx -all", b"v=sfp1", "the version has to be written v=spf1"),
        (b"v:spf1 mx -all", b"v:spf1", "the version has to be written v=spf1"),
        (b"v=spf2 mx -all", b"v=spf2", "the version has to be v=spf1"),
        (b"v=spf10 -all", b"v=spf10", "the version has to be v=spf1"),
        (b"v=spf mx -all", b"v=spf", "the version has to be v=spf1"),
        (b"v=spf1.0 -all", b"v=spf1.0", "the version has to be v=spf1"),
        (b"spf2.0/pra -all", b"spf2.0/pra", "it is for Sender ID (RFC 4406)"),
        (b"ip4:192.0.2.5 a -all", b"ip4:192.0.2.5", "v=spf1 is missing before the first term"),
    ],
)
def test_what_keeps_a_record_from_counting_is_named(text: bytes, wrong: bytes, note: str) -> None:
    miss = near_miss([(text,)])

    assert policies([(text,)]) == []
    assert miss is not None
    assert miss.record == text
    assert text[miss.start : miss.end] == wrong
    assert miss.note.startswith(note)


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"",
            b"a",
            b"all",
            b"google-site-verification=spf",
            b"v=DMARC1; p=none",
            b"v=STSv1; id=1",
        ),
        *(b"spf is fine", b"v=spam", b"our mx is at all times -all", b"v=DKIM1; p=v=spf17"),
    ],
)
def test_other_records_are_not_taken_for_policies(text: bytes) -> None:
    assert near_miss([(text,)]) is None


def test_the_nearest_record_is_shown() -> None:
    records = [(b"v=spf2 a",), (b"other",), (b" " + POLICY,), (b"spf2.0/pra a",)]

    miss = near_miss(records)

    assert miss is not None
    assert miss.record == b" " + POLICY


@given(st.lists(st.lists(st.binary(max_size=40), min_size=1).map(tuple)))
def test_any_records_are_judged(records: list[tuple[bytes, ...]]) -> None:
    miss = near_miss(records)
    assert miss is None or 0 <= miss.start <= miss.end <= len(miss.record)


def _lint(*strings: bytes) -> LintReport:
    return finish(lint("example.net"), Zone({"example.net": {TXT: [strings]}}).answer)


def test_the_record_is_shown_beside_the_finding_that_there_is_none() -> None:
    none, near = _lint(b" " + POLICY).problems

    assert none.code == "SPF_NONE"
    assert (near.code, near.start, near.end) == ("SPF_NEAR_MISS", 0, 1)
    assert near.note == "a blank stands before v=spf1:  v=spf1 ip4:192.0.2.5 -all"


def test_strings_that_run_together_behind_the_version_are_named_as_such() -> None:
    problems = _lint(b"v=spf1", b"ip4:192.0.2.5 -all").problems

    assert [problem.code for problem in problems] == [
        *("SPF_NONE", "SPF_NEAR_MISS", "SPF_STRINGS_JOINED")
    ]
    assert problems[1].note.startswith("its first string ends with the version")
