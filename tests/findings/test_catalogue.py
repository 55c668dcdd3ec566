from __future__ import annotations

import re
import subprocess
import sys

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from auditor.findings.catalogue import ENTRIES, entry, nearest, zone_lines
from auditor.findings.entry import SEVERITIES

#: Every code, so that none comes or goes unnoticed.
CODES = {
    *("PTR_MISSING", "PTR_UNDETERMINED", "PTR_MULTIPLE", "PTR_TOO_MANY", "PTR_GENERIC"),
    *("PTR_INVALID_NAME", "PTR_UNKNOWN_TLD", "PTR_WILDCARD", "PTR_UNEXPECTED"),
    *("PTR_DOT_MISSING", "PTR_IN_ARPA", "PTR_ALIAS_TO_HOST"),
    *("FORWARD_MISSING", "FORWARD_MISMATCH", "FORWARD_UNDETERMINED", "FORWARD_CNAME"),
    "FORWARD_PARTIAL",
    *("HELO_NOT_FQDN", "HELO_UNRESOLVABLE", "HELO_MISMATCH", "HELO_NOT_PTR"),
    *("SPF_NONE", "SPF_FAIL", "SPF_SOFTFAIL", "SPF_NEUTRAL", "SPF_PERMERROR"),
    *("SPF_UNDETERMINED", "SPF_MULTIPLE_RECORDS"),
    *("SPF_SYNTAX", "SPF_NOT_ASCII", "SPF_TOO_MANY_LOOKUPS", "SPF_TOO_MANY_VOIDS"),
    *("SPF_TOO_MANY_VOIDS_V6", "SPF_TOO_MANY_MX", "SPF_INCLUDE_WITHOUT_RECORD"),
    *("SPF_INCLUDE_LOOP", "SPF_PASS_ALL", "SPF_NO_ALL", "SPF_NEUTRAL_ALL"),
    *("SPF_TERM_AFTER_ALL", "SPF_REDIRECT_IGNORED", "SPF_PTR_MECHANISM", "SPF_WIDE_RANGE"),
    *("SPF_DUPLICATE_TERM", "SPF_TERM_COVERED", "SPF_TERM_RESOLVES_TO_NOTHING"),
    *("SPF_STRINGS_JOINED", "SPF_UNKNOWN_MODIFIER", "SPF_ODD_MACRO", "SPF_EXP_WITHOUT_TEXT"),
    *("SPF_RECORD_TOO_LONG", "SPF_ANSWER_NEEDS_TCP", "SPF_TYPE_99"),
    *("SPF_NEAR_MISS", "SPF_HOST_BITS", "SPF_TOTAL_WIDE", "SPF_VERIFIERS_DIFFER"),
    *("TARGET_NOT_GLOBAL", "TARGET_INVALID", "SERVER_LAME", "SERVERS_DISAGREE"),
    *("DELEGATION_MISSING", "DELEGATION_PARTIAL", "ZONE_UNSERVED", "SERVER_SILENT"),
    *("SERVER_WITHOUT_ADDRESS", "NS_MISMATCH", "NS_TOO_MANY", "SERIALS_DIFFER"),
    "ANCESTOR_NXDOMAIN",
    *("ADDRESS_MISSING", "ADDRESS_UNDETERMINED", "ADDRESS_UNCONFIRMED"),
    *("MX_MISSING", "MX_NULL", "MX_UNRESOLVABLE", "MX_CNAME", "MX_UNDETERMINED"),
    *("MX_INVALID_NAME", "MX_UNDERSCORE", "MX_UNCONFIRMED"),
    *("PTR_BOGUS", "FORWARD_BOGUS", "SPF_BOGUS", "ADDRESS_BOGUS", "MX_BOGUS"),
}

FACTS = {
    "address": "198.51.100.7",
    "name": "mail.example.net",
    "host": "mx.example.net",
    "domain": "example.net",
    "zone": "100.51.198.in-addr.arpa",
    "server": "ns.example.net",
}


def test_every_code_of_this_issue_is_there_once() -> None:
    codes = [known.code for known in ENTRIES]
    assert sorted(CODES) == sorted(codes)
    assert all(entry(code).code == code for code in codes)


def test_an_unknown_code_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        entry("PTR_NOTHING")
    with pytest.raises(KeyError):
        zone_lines("PTR_NOTHING")


def test_undetermined_is_what_the_code_says_and_never_an_error_by_default() -> None:
    for known in ENTRIES:
        assert known.undetermined is known.code.endswith("_UNDETERMINED")
        assert known.severity in SEVERITIES
        assert not (known.undetermined and known.severity == "error")


def test_an_entry_says_what_why_and_what_to_do_in_whole_sentences() -> None:
    for known in ENTRIES:
        assert re.fullmatch(r"[A-Z]+(_[A-Z0-9]+)+", known.code)
        assert re.fullmatch(r"[A-Z].{15,84}[^.]", known.title)
        for text in (known.why, known.remedy):
            assert re.fullmatch(r"[A-Z].{20,420}\.", text)
            assert "  " not in text
            assert text.isascii()


def test_an_entry_says_where_its_reason_is_written() -> None:
    for known in ENTRIES:
        assert known.references
        for reference in known.references:
            assert re.match(r"RFC \d+( §\d+(\.\d+)*)?$|[A-Z]\w+: .|draft-", reference), reference
        assert any(reference.startswith("RFC ") for reference in known.references) or (
            known.code == "PTR_GENERIC"  # about names no RFC says anything
        )


def test_zone_lines_are_records_as_a_name_server_reads_them() -> None:
    for known in ENTRIES:
        for line in zone_lines(known.code, **FACTS):
            owner, record_class, record_type, text = line.split(None, 3)
            assert owner.endswith(".")
            assert record_class == "IN"
            kind = dns.rdatatype.from_text(record_type)
            rdata = dns.rdata.from_text(dns.rdataclass.IN, kind, text)
            if "<" not in line:
                assert rdata.to_text() == text


def test_every_field_of_a_zone_line_can_be_filled() -> None:
    for known in ENTRIES:
        fields = set(re.findall(r"{(\w+)}", " ".join(known.zone_lines)))
        assert fields <= {*FACTS, "reverse", "type", "mechanism"}
        if not known.undetermined and known.subject not in {"line", "owner"}:
            # These are cured by taking something away, or on the servers.
            bare = {"TARGET_NOT_GLOBAL", "SERVER_LAME", "SPF_TYPE_99", "SPF_VERIFIERS_DIFFER"}
            bare |= {"SERVER_SILENT", "SERIALS_DIFFER", "ZONE_UNSERVED", "NS_TOO_MANY"}
            # A HELO name is changed on the mail server, signatures are made by a program.
            elsewhere = known.code.startswith("HELO_") or known.code.endswith("_BOGUS")
            assert known.zone_lines or known.code in bare or elsewhere


def test_what_is_not_known_is_shown_as_a_placeholder() -> None:
    assert zone_lines("PTR_MISSING") == (
        "<reverse>. IN PTR <host>.",
        "<host>. IN <type> <address>",
    )


def test_an_address_fills_what_follows_from_it() -> None:
    assert zone_lines("PTR_MISSING", address="198.51.100.7", host="mx.example.net") == (
        "7.100.51.198.in-addr.arpa. IN PTR mx.example.net.",
        "mx.example.net. IN A 198.51.100.7",
    )
    (line,) = zone_lines("SPF_NONE", domain="example.net", address="2001:db8::7")
    assert line == 'example.net. IN TXT "v=spf1 ip6:2001:db8::7 -all"'
    with pytest.raises(ValueError, match="198"):
        zone_lines("PTR_MISSING", address="198.51.100")


@pytest.mark.parametrize(
    ("code", "subject", "address", "lines"),
    [
        (
            "PTR_GENERIC",
            "host-7.dyn.example",
            "192.0.2.7",
            ("7.2.0.192.in-addr.arpa. IN PTR <host>.", "<host>. IN A 192.0.2.7"),
        ),
        (
            "SPF_FAIL",
            "example.net",
            "192.0.2.7",
            ('example.net. IN TXT "v=spf1 ip4:192.0.2.7 <the other terms> -all"',),
        ),
        (
            "MX_UNCONFIRMED",
            "192.0.2.7",
            "",
            ("7.2.0.192.in-addr.arpa. IN PTR <host>.", "<host>. IN A 192.0.2.7"),
        ),
    ],
)
def test_the_subject_of_a_finding_fills_the_field_that_it_is(
    code: str, subject: str, address: str, lines: tuple[str, ...]
) -> None:
    facts = {"address": address} if address else {}
    assert lines == zone_lines(code, subject=subject, **facts)


def test_a_name_with_braces_is_not_a_template() -> None:
    _, line = zone_lines("FORWARD_MISSING", host="{address}{0}", address="192.0.2.1")
    assert line == r"\{address\}\{0\}. IN A 192.0.2.1"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("PTR_GENERI", "PTR_GENERIC"),
        ("ptr_mising", "PTR_MISSING"),
        ("SPF_NON", "SPF_NONE"),
        ("qqqqqq", None),
        ("", None),
    ],
)
def test_the_nearest_code_is_offered_for_a_mistyped_one(text: str, code: str | None) -> None:
    assert code == nearest(text)


def test_loading_the_catalogue_loads_no_library() -> None:
    program = (
        "import sys, auditor; before = set(sys.modules); import auditor.findings.catalogue;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    loaded = {module.partition(".")[0] for module in done.stdout.split()}
    assert loaded - {"auditor"} <= sys.stdlib_module_names
