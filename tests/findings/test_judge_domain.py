from __future__ import annotations

from typing import NamedTuple

import pytest

from auditor.checks.facts import AddressFact, DomainFact, IprevFact, MxHost, PtrFact, SpfPolicyFact
from auditor.findings.catalogue import ENTRIES
from auditor.findings.judge import judge_domain
from auditor.findings.rules import RuleSet
from auditor.wire.reverse import reverse_name

OWN = "example.net"


def address(text: str, result: str = "pass", status: str = "NOERROR") -> AddressFact:
    names = ("mail.example.net",) if status == "NOERROR" else ()
    return AddressFact(text, PtrFact(status, names, (), reverse_name(text)), IprevFact(result, ()))


def host(name: str = "mx.example.net", *addresses: AddressFact, alias: str = "") -> MxHost:
    return MxHost(10, name, "NOERROR" if addresses else "NODATA", addresses, alias)


class Domain(NamedTuple):
    """The facts of a domain, all well unless said otherwise."""

    status: str = "NOERROR"
    addresses: tuple[AddressFact, ...] = (address("192.0.2.80"),)
    mx_status: str = "NOERROR"
    mx: tuple[MxHost, ...] = (host("mx.example.net", address("192.0.2.25")),)
    spf: SpfPolicyFact = SpfPolicyFact("NOERROR", "v=spf1 mx -all", 1)

    def codes(self) -> list[tuple[str, str]]:
        fact = DomainFact(self.status, self.addresses, self.mx_status, self.mx, self.spf)
        findings = judge_domain(OWN, fact, RuleSet())
        return [(code, subject) for code, _, subject in findings]


def only(*hosts: MxHost) -> Domain:
    """Return the facts of a domain with just these MX hosts and no address of its own."""
    return Domain(status="NODATA", addresses=(), mx=hosts)


DOMAINS = [
    (Domain(), []),
    (Domain(status="NODATA", addresses=()), []),
    # Addresses
    (
        Domain(status="NODATA", addresses=(), mx_status="NODATA", mx=()),
        [("ADDRESS_MISSING", OWN)],
    ),
    (
        Domain("NXDOMAIN", (), "NXDOMAIN", (), SpfPolicyFact("NXDOMAIN", None, 0)),
        [("ADDRESS_MISSING", OWN), ("SPF_NONE", OWN)],
    ),
    (Domain(status="SERVFAIL", addresses=()), [("ADDRESS_UNDETERMINED", OWN)]),
    (
        Domain(status="REFUSED", addresses=()),
        [("ADDRESS_UNDETERMINED", OWN), ("SERVER_LAME", OWN)],
    ),
    (
        Domain(status="TIMEOUT", addresses=(), mx_status="NODATA", mx=()),
        [("ADDRESS_UNDETERMINED", OWN)],
    ),
    (Domain(addresses=(address("192.0.2.80", "fail"),)), [("ADDRESS_UNCONFIRMED", "192.0.2.80")]),
    (
        Domain(addresses=(address("192.0.2.80", "permerror", "NXDOMAIN"),)),
        [("ADDRESS_UNCONFIRMED", "192.0.2.80")],
    ),
    (Domain(addresses=(address("192.0.2.80", "temperror", "TIMEOUT"),)), []),
    (
        Domain(addresses=(address("10.0.0.80", "permerror", "NXDOMAIN"),)),
        [("TARGET_NOT_GLOBAL", "10.0.0.80")],
    ),
    # MX
    (Domain(mx_status="NODATA", mx=()), [("MX_MISSING", OWN)]),
    (
        Domain(mx_status="NODATA", mx=(), addresses=(address("192.0.2.80", "fail"),)),
        [("MX_MISSING", OWN), ("MX_UNCONFIRMED", "192.0.2.80")],
    ),
    (Domain(mx_status="TIMEOUT", mx=()), [("MX_UNDETERMINED", OWN)]),
    (Domain(mx_status="BOGUS", mx=()), [("MX_BOGUS", OWN)]),
    (Domain(status="BOGUS", addresses=()), [("ADDRESS_BOGUS", OWN)]),
    (Domain(spf=SpfPolicyFact("BOGUS", None, 0)), [("SPF_BOGUS", OWN)]),
    (
        only(host("mx.example.net", address("192.0.2.25", "temperror", "BOGUS"))),
        [("PTR_BOGUS", "192.0.2.25")],
    ),
    (
        Domain(status="NODATA", addresses=(), mx_status="NOTAUTH", mx=()),
        [("MX_UNDETERMINED", OWN), ("SERVER_LAME", OWN)],
    ),
    (only(host(".")), [("MX_NULL", OWN)]),
    (
        only(host("."), host("mx.example.net", address("192.0.2.25"))),
        [("MX_INVALID_NAME", ".")],
    ),
    (only(host("192.0.2.25")), [("MX_INVALID_NAME", "192.0.2.25")]),
    (
        only(host("_dc-mx.1a2b.example.net", address("192.0.2.25"))),
        [("MX_UNDERSCORE", "_dc-mx.1a2b.example.net")],
    ),
    (only(host("mx_1.example.7")), [("MX_INVALID_NAME", "mx_1.example.7")]),
    (
        only(host("_mx.example.net")),
        [("MX_UNDERSCORE", "_mx.example.net"), ("MX_UNRESOLVABLE", "_mx.example.net")],
    ),
    (only(host("mx.example.net")), [("MX_UNRESOLVABLE", "mx.example.net")]),
    (
        only(MxHost(10, "mx.example.net", "NXDOMAIN", ())),
        [("MX_UNRESOLVABLE", "mx.example.net")],
    ),
    (
        only(MxHost(10, "mx.example.net", "SERVFAIL", ())),
        [("MX_UNDETERMINED", "mx.example.net")],
    ),
    (
        only(MxHost(10, "mx.example.net", "REFUSED", ())),
        [("MX_UNDETERMINED", "mx.example.net"), ("SERVER_LAME", "mx.example.net")],
    ),
    (
        only(host("mx.example.net", address("192.0.2.25"), alias="real.example.net")),
        [("MX_CNAME", "mx.example.net")],
    ),
    (
        only(host("mx.example.net", alias="gone.example.net")),
        [("MX_CNAME", "mx.example.net"), ("MX_UNRESOLVABLE", "mx.example.net")],
    ),
    (
        only(host("mx.example.net", address("2001:db8::25", "fail"), address("192.0.2.25"))),
        [("MX_UNCONFIRMED", "2001:db8::25")],
    ),
    (
        only(host("mx.example.net", address("192.0.2.25", "permerror", "NODATA"))),
        [("MX_UNCONFIRMED", "192.0.2.25")],
    ),
    (
        only(host("mx.example.net", address("192.0.2.25", "temperror", "TIMEOUT"))),
        [("PTR_UNDETERMINED", "192.0.2.25")],
    ),
    (
        only(host("mx.example.net", address("192.0.2.25", "temperror"))),
        [("FORWARD_UNDETERMINED", "192.0.2.25")],
    ),
    (
        only(host("mx.example.net", address("fd00::25", "permerror", "NXDOMAIN"))),
        [("TARGET_NOT_GLOBAL", "fd00::25")],
    ),
    # SPF
    (Domain(spf=SpfPolicyFact("NOERROR", None, 0)), [("SPF_NONE", OWN)]),
    (Domain(spf=SpfPolicyFact("NODATA", None, 0)), [("SPF_NONE", OWN)]),
    (Domain(spf=SpfPolicyFact("NOERROR", None, 2)), [("SPF_MULTIPLE_RECORDS", OWN)]),
    (Domain(spf=SpfPolicyFact("SERVFAIL", None, 0)), [("SPF_UNDETERMINED", OWN)]),
    (
        Domain(spf=SpfPolicyFact("REFUSED", None, 0)),
        [("SERVER_LAME", OWN), ("SPF_UNDETERMINED", OWN)],
    ),
]


@pytest.mark.parametrize(("facts", "expected"), DOMAINS)
def test_facts_of_a_domain_show_these_findings(
    facts: Domain, expected: list[tuple[str, str]]
) -> None:
    assert expected == facts.codes()


def test_every_code_that_only_a_domain_can_have_is_shown_by_some_facts_above() -> None:
    shown = {code for _, expected in DOMAINS for code, _ in expected}
    assert shown >= {known.code for known in ENTRIES if known.code.startswith(("ADDRESS_", "MX_"))}


def test_what_is_not_selected_is_not_found() -> None:
    fact = DomainFact("NXDOMAIN", (), "NXDOMAIN", (), SpfPolicyFact("NXDOMAIN", None, 0))
    assert [found.code for found in judge_domain(OWN, fact, RuleSet(select=["SPF"]))] == [
        "SPF_NONE"
    ]
