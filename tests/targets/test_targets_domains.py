from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import TargetError
from auditor.targets.domains import (
    helo_identity,
    mail_from_identities,
    mail_from_identity,
    parse_domain,
    plain_domain,
)

LONG_LABEL = "a" * 63


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("example.net", "example.net"),
        ("Mail.EXAMPLE.net.", "mail.example.net"),
        ("_spf.example.net", "_spf.example.net"),
        ("a_b.example.net", "a_b.example.net"),
        ("203.0.113.7-static.example.net", "203.0.113.7-static.example.net"),
        ("1.2.3.4.example.net", "1.2.3.4.example.net"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.Example.", "xn--bcher-kva.example"),
        ("_dmarc.bücher.example", "_dmarc.xn--bcher-kva.example"),
        ("bücher。example", "xn--bcher-kva.example"),
        ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        (f"{LONG_LABEL}.example", f"{LONG_LABEL}.example"),
        (f"{LONG_LABEL}.{LONG_LABEL}.{LONG_LABEL}.{'a' * 57}.net",) * 2,
    ],
)
def test_a_domain_is_written_in_lower_case_a_labels(text: str, domain: str) -> None:
    assert domain == parse_domain(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("localhost", "is a single label; expected a domain such as"),
        ("localhost.", "is a single label"),
        (".", "has an empty label"),
        ("a..example.net", "has an empty label"),
        (".example.net", "has an empty label"),
        ("example.net..", "has an empty label"),
        ("1.2.3.4.5", "ends in a number and is no IPv4 address"),
        ("300.1.2.3", "ends in a number and is no IPv4 address"),
        ("198.51.100.07", "ends in a number and is no IPv4 address"),
        ("\uff11.\uff12.\uff13.\uff14", "ends in a number"),
        ("*.example.net", "has '*' in it"),
        ("exa mple.net", "has ' ' in it"),
        ("a\0b.example.net", "has '\\x00' in it"),
        ("-a.example.net", "has a label that starts or ends with a hyphen"),
        ("a-.example.net", "has a label that starts or ends with a hyphen"),
        ("example.7z", "has no top-level domain"),
        (f"a{LONG_LABEL}.example", "has a label over 63 octets"),
        (f"{LONG_LABEL}.{LONG_LABEL}.{LONG_LABEL}.{'a' * 58}.net", "longer than a domain can be"),
        ("ü" * 5000, "longer than a domain can be"),
        ("☃\u202e.example", "is not an internationalised domain"),
        ("ü-.example", "is not an internationalised domain"),
        ("\ud800.example", "is not an internationalised domain"),
    ],
)
def test_what_is_no_domain_is_told_why(text: str, complaint: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_domain(text)
    message = str(caught.value)
    assert complaint in message
    assert "expected" in message
    assert message.isprintable()
    assert len(message) < 500


@given(st.text())
def test_any_text_is_a_domain_or_a_target_error(text: str) -> None:
    try:
        found = parse_domain(text)
    except TargetError as error:
        assert str(error).isprintable()  # noqa: PT017 - either outcome is fine, others are not
    else:
        assert found == parse_domain(found) == plain_domain(found)
        assert found.isascii()


def test_idna_is_imported_only_for_a_name_that_needs_it() -> None:
    program = (
        "import sys; from auditor.targets.domains import parse_domain;"
        "parse_domain('mail.example.net'); print('idna' in sys.modules);"
        "parse_domain('b\\xfccher.example'); print('idna' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout.split() == [b"False", b"True"]


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        (" Mail.Example.NET ", "mail.example.net"),
        ("bücher.example.", "xn--bcher-kva.example"),
        ("[192.0.2.5]", "[192.0.2.5]"),
        ("[IPv6:2001:db8::6]", "[IPv6:2001:db8::6]"),
        ("MAILSRV", "MAILSRV"),
        ("192.0.2.5", "192.0.2.5"),
        ("", ""),
        ("\udcfc.example", "\\udcfc.example"),
    ],
)
def test_a_helo_is_a_domain_or_stays_as_it_is(text: str, identity: str) -> None:
    assert identity == helo_identity(text)


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("example.net", "example.net"),
        ("Bounce+x=1@Example.NET.", "Bounce+x=1@example.net"),
        ("news@bücher.example", "news@xn--bcher-kva.example"),
        ("<news@example.net>", "news@example.net"),
        ("@Example.net", "@example.net"),
        ("<>", "<>"),
        ("", "<>"),
        ("user@", "user@"),
        ("user@[192.0.2.1]", "user@[192.0.2.1]"),
        ("user@localhost", "user@localhost"),
        ('"a b"@Example.net', '"a b"@example.net'),
        ('"a@b"@Example.net', '"a@b"@example.net'),
    ],
)
def test_a_mail_from_is_a_domain_or_an_address_or_stays_as_it_is(text: str, identity: str) -> None:
    assert identity == mail_from_identity(text)


@given(st.text())
def test_any_text_is_an_identity_that_stays_the_same(text: str) -> None:
    for identity_of in (helo_identity, mail_from_identity):
        identity = identity_of(text)
        identity.encode()
        assert len(identity) < 600 * 7
        if len(identity) < 200:
            assert identity_of(identity) == identity


def test_several_mail_froms_are_separated_by_spaces_or_semicolons() -> None:
    assert mail_from_identities(" a@example.net;b.example  c.example ; ") == (
        "a@example.net",
        "b.example",
        "c.example",
    )
    assert mail_from_identities("") == ()
    assert mail_from_identities('"a b"@example.net <>;"odd') == (
        '"a b"@example.net',
        "<>",
        '"odd',
    )
