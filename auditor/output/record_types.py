"""The types of a record and all of its parts, as in `auditor schema`.

For programs and their type checkers, and for pydantic, which can make a model of them. A test
compares them with the JSON Schema, which has the descriptions; later versions may add keys.
"""

import sys
from typing import Literal, TypeAlias

from auditor.findings.entry import Severity, Verdict

if sys.version_info >= (3, 12):
    from typing import NotRequired, TypedDict
else:  # pydantic needs this one
    from typing import NotRequired

    from typing_extensions import TypedDict

__all__ = [
    "DomainAddress",
    "DomainAddresses",
    "DomainFacts",
    "DomainMx",
    "DomainSpf",
    "ExtendedError",
    "Finding",
    "ForwardLookup",
    "HeloLookup",
    "Iprev",
    "Lookup",
    "MxHost",
    "PtrLookup",
    "Record",
    "Severity",
    "SpfCheck",
    "SpfResult",
    "Verdict",
]

SpfResult: TypeAlias = Literal[
    "none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"
]


class Finding(TypedDict):
    """A judgement on the facts: a code of the catalogue, and its subject."""

    code: str
    severity: Severity
    subject: str


class PtrLookup(TypedDict):
    """The PTR lookup of an address."""

    status: str
    names: list[str]
    chain: list[str]
    owner: str
    zone: str | None


class HeloLookup(TypedDict):
    """The lookup of the HELO name that was given."""

    name: str
    status: str | None
    addresses: list[str]
    confirms: bool


class ForwardLookup(TypedDict):
    """The forward lookup of a PTR name."""

    name: str
    status: str
    addresses: list[str]
    confirms: bool


class Iprev(TypedDict):
    """Forward confirmation (RFC 8601 §2.7.3)."""

    result: Literal["pass", "fail", "temperror", "permerror"]
    names: list[ForwardLookup]


class SpfCheck(TypedDict):
    """One check_host() (RFC 7208)."""

    identity: Literal["helo", "mailfrom"]
    domain: str
    result: SpfResult
    mechanism: str | None
    lookups: int
    voids: int
    record: str | None
    explanation: str | None


class DomainAddress(TypedDict):
    """An address of a domain or of its MX host."""

    address: str
    ptr: PtrLookup
    iprev: Iprev


class DomainAddresses(TypedDict):
    """A and AAAA of a domain."""

    status: str
    list: list[DomainAddress]


class MxHost(TypedDict):
    """An MX host."""

    preference: int
    name: str
    status: str
    addresses: list[DomainAddress]


class DomainMx(TypedDict):
    """MX of a domain."""

    status: str
    hosts: list[MxHost]


class DomainSpf(TypedDict):
    """The SPF policy of a domain."""

    status: str
    record: str | None
    lookups: int | None
    voids: int | None
    addresses_v4: int | None
    addresses_v6: float | None


class DomainFacts(TypedDict):
    """The records that a domain publishes."""

    addresses: DomainAddresses
    mx: DomainMx
    spf: DomainSpf


class ExtendedError(TypedDict):
    """An extended DNS error (RFC 8914)."""

    code: int
    text: str


class Lookup(TypedDict):
    """One lookup, in `trace`."""

    name: str
    type: str
    status: str
    server: str
    transport: str
    attempts: int
    rtt_ms: float | None
    ttl: int | None
    ede: list[ExtendedError]
    cached: bool


class Record(TypedDict):
    """One audited target. `trace` is present with the setting `trace`."""

    target: str
    kind: Literal["ip", "domain", "invalid"]
    verdict: Verdict
    findings: list[Finding]
    ptr: PtrLookup | None
    helo: HeloLookup | None
    iprev: Iprev | None
    spf: list[SpfCheck]
    domain: DomainFacts | None
    labels: dict[str, str]
    error: str | None
    trace: NotRequired[list[Lookup]]
