"""The JSON Schema (2020-12) of a record, for `auditor schema` and for anyone's validator."""

from __future__ import annotations

from typing import Any, Final

from auditor.findings.catalogue import ENTRIES
from auditor.findings.entry import SEVERITIES
from auditor.findings.judge import VERDICTS
from auditor.output.schema_parts import list_of, object_of, or_null

__all__ = ["RECORD_VERSION", "record_schema"]

#: Version of the record's form: additions raise the minor number, all other changes the major.
RECORD_VERSION: Final = "1.0"

_TEXT: Final = {"type": "string"}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": "integer", "minimum": 0}
_MAYBE_COUNT: Final = {"type": ["integer", "null"], "minimum": 0}
_STATUS: Final = {
    "type": "string",
    "pattern": "^[A-Z][A-Z0-9]*$",
    "description": "Status of the lookup: NOERROR, NODATA, NXDOMAIN, SERVFAIL, TIMEOUT, ...",
}
_AUTHORISED: Final = "Addresses that pass; null: no policy, or a lookup for it failed"
_SPF_RESULTS: Final = ["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"]


def _ptr() -> dict[str, Any]:
    return object_of(
        "The PTR lookup of the address",
        status=_STATUS,
        names=list_of(_TEXT, "All PTR targets, sorted"),
        chain=list_of(_TEXT, "CNAME owners on the way (RFC 2317), in order"),
        owner={
            **_TEXT,
            "description": "Owner of the PTR record, or where one must be: the end of the CNAME "
            "chain, or the reverse name without one",
        },
        zone={
            **_MAYBE_TEXT,
            "description": "Apex of the zone that denied the PTR (SOA of the negative answer); "
            "null: there is a PTR, or it is not known",
        },
    )


def _helo() -> dict[str, Any]:
    return object_of(
        "The lookup of the HELO name that was given; null: none was given",
        name=_TEXT,
        status={
            **_STATUS,
            "type": ["string", "null"],
            "description": "null: not looked up, since it is not a fully qualified host name",
        },
        addresses=list_of(_TEXT, "A or AAAA, whichever the target is, sorted"),
        confirms={"type": "boolean"},
    )


def _iprev() -> dict[str, Any]:
    return object_of(
        "Forward confirmation (RFC 8601 section 2.7.3); permerror: there is no PTR",
        result={"enum": ["pass", "fail", "temperror", "permerror"]},
        names=list_of(
            object_of(
                "The forward lookup of a PTR name",
                name=_TEXT,
                status=_STATUS,
                addresses=list_of(_TEXT, "A or AAAA, whichever the target is, sorted"),
                confirms={"type": "boolean"},
            ),
            "The first ten PTR names",
        ),
    )


def _spf() -> dict[str, Any]:
    return object_of(
        "One check_host() (RFC 7208)",
        identity={"enum": ["helo", "mailfrom"]},
        domain=_TEXT,
        result={"enum": _SPF_RESULTS},
        mechanism={**_MAYBE_TEXT, "description": "The term that decided the result, as published"},
        lookups={**_COUNT, "description": "Terms evaluated that cause DNS lookups"},
        voids={**_COUNT, "description": "Lookups without an answer (section 4.6.4)"},
        record={**_MAYBE_TEXT, "description": "The policy of the domain, as published"},
        explanation={
            **_MAYBE_TEXT,
            "description": "For fail the text of exp=; for an error its cause",
        },
    )


def _domain() -> dict[str, Any]:
    address = object_of("An address", address=_TEXT, ptr=_ptr(), iprev=_iprev())
    return object_of(
        "What a domain target publishes",
        addresses=object_of("A and AAAA", status=_STATUS, list=list_of(address, "A, then AAAA")),
        mx=object_of(
            "MX",
            status=_STATUS,
            hosts=list_of(
                object_of(
                    "An MX host",
                    preference=_COUNT,
                    name=_TEXT,
                    status=_STATUS,
                    addresses=list_of(address, "A, then AAAA"),
                ),
                "By preference, then name",
            ),
        ),
        spf=object_of(
            "The SPF record; problems with it are in the findings",
            status=_STATUS,
            record=_MAYBE_TEXT,
            lookups={**_MAYBE_COUNT, "description": "Of the longest path; null: no policy"},
            voids={**_MAYBE_COUNT, "description": "Of the longest path; null: no policy"},
            addresses_v4={**_MAYBE_COUNT, "description": _AUTHORISED},
            addresses_v6={
                "type": ["number", "null"],
                "minimum": 0,
                "description": f"{_AUTHORISED}; always with a fraction, exact to 2^53",
            },
        ),
    )


def _trace() -> dict[str, Any]:
    return list_of(
        object_of(
            "One lookup",
            name=_TEXT,
            type=_TEXT,
            status=_STATUS,
            server=_TEXT,
            transport=_TEXT,
            attempts=_COUNT,
            rtt_ms={"type": ["number", "null"], "minimum": 0},
            ttl=_MAYBE_COUNT,
            ede=list_of(object_of("RFC 8914", code=_COUNT, text=_TEXT), "Extended DNS errors"),
            cached={"type": "boolean"},
        ),
        "How the answers were obtained; volatile, only with --trace",
    )


def record_schema() -> dict[str, Any]:
    """Return the schema of one line of output."""
    finding = object_of(
        "A judgement on the facts; `auditor explain CODE` says more",
        code={
            **_TEXT,
            "pattern": "^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$",
            "examples": [entry.code for entry in ENTRIES],
            "description": "Finding code of the catalogue; later versions may add some",
        },
        severity={"enum": list(SEVERITIES)},
        subject={**_TEXT, "description": "The name, address or domain that it is about"},
    )
    record = object_of(
        "One audited target",
        target=_TEXT,
        kind={"enum": ["ip", "domain", "invalid"]},
        verdict={"enum": list(VERDICTS)},
        findings=list_of(finding, "Sorted by code and subject"),
        ptr=or_null(_ptr()),
        helo=or_null(_helo()),
        iprev=or_null(_iprev()),
        spf=list_of(_spf(), "Of an address: one entry per identity and domain, sorted"),
        domain=or_null(_domain()),
        labels={"type": "object", "additionalProperties": _TEXT},
        error=_MAYBE_TEXT,
    )
    record["properties"]["trace"] = _trace()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:auditor:record:{RECORD_VERSION}",
        "title": "auditor record",
        "version": RECORD_VERSION,
        **record,
    }
