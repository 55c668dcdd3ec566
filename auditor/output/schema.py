"""The JSON Schema (2020-12) of a record, for `auditor schema` and for anyone's validator."""

from __future__ import annotations

from typing import Any, Final

from auditor.findings.catalogue import ENTRIES
from auditor.findings.judge import SEVERITIES, VERDICTS

__all__ = ["record_schema"]

_TEXT: Final = {"type": "string"}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": "integer", "minimum": 0}
_MAYBE_COUNT: Final = {"type": ["integer", "null"], "minimum": 0}
_STATUS: Final = {
    "type": "string",
    "pattern": "^[A-Z][A-Z0-9]*$",
    "description": "What DNS said: NOERROR, NODATA, NXDOMAIN, SERVFAIL, TIMEOUT, ...",
}
_AUTHORISED: Final = "That pass; null: no policy, or a lookup for it failed"
_SPF_RESULTS: Final = [
    "none",
    "neutral",
    "pass",
    "fail",
    "softfail",
    "temperror",
    "permerror",
]


def _object(described: str, **properties: object) -> dict[str, Any]:
    """Return the schema of an object whose keys are all there, and no others."""
    return {
        "type": "object",
        "description": described,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(of: object, described: str) -> dict[str, Any]:
    return {"type": "array", "items": of, "description": described}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _ptr() -> dict[str, Any]:
    return _object(
        "The PTR lookup of the address",
        status=_STATUS,
        names=_list(_TEXT, "All PTR targets, sorted"),
        chain=_list(_TEXT, "CNAME owners on the way (RFC 2317), in order"),
    )


def _iprev() -> dict[str, Any]:
    return _object(
        "Forward confirmation (RFC 8601 section 2.7.3); permerror: there is no PTR",
        result={"enum": ["pass", "fail", "temperror", "permerror"]},
        names=_list(
            _object(
                "A PTR name looked up forwards",
                name=_TEXT,
                status=_STATUS,
                addresses=_list(_TEXT, "A or AAAA, whichever the target is, sorted"),
                confirms={"type": "boolean"},
            ),
            "The first ten PTR names",
        ),
    )


def _spf() -> dict[str, Any]:
    return _object(
        "One check_host() (RFC 7208)",
        identity={"enum": ["helo", "mailfrom"]},
        domain=_TEXT,
        result={"enum": _SPF_RESULTS},
        mechanism={**_MAYBE_TEXT, "description": "The term that decided, as published"},
        lookups={**_COUNT, "description": "Terms evaluated that cause DNS lookups"},
        voids={**_COUNT, "description": "Lookups without an answer (section 4.6.4)"},
        record={**_MAYBE_TEXT, "description": "The policy of the domain, as published"},
        explanation={
            **_MAYBE_TEXT,
            "description": "For fail the text of exp=; for an error what went wrong",
        },
    )


def _domain() -> dict[str, Any]:
    address = _object("An address", address=_TEXT, ptr=_ptr(), iprev=_iprev())
    return _object(
        "What a domain target publishes",
        addresses=_object("A and AAAA", status=_STATUS, list=_list(address, "A, then AAAA")),
        mx=_object(
            "MX",
            status=_STATUS,
            hosts=_list(
                _object(
                    "An MX host",
                    preference=_COUNT,
                    name=_TEXT,
                    status=_STATUS,
                    addresses=_list(address, "A, then AAAA"),
                ),
                "By preference, then name",
            ),
        ),
        spf=_object(
            "The SPF record; what is wrong with it stands in the findings",
            status=_STATUS,
            record=_MAYBE_TEXT,
            lookups={**_MAYBE_COUNT, "description": "Of the longest path; null: no policy"},
            voids={**_MAYBE_COUNT, "description": "Of the longest path; null: no policy"},
            addresses_v4={**_MAYBE_COUNT, "description": _AUTHORISED},
            addresses_v6={
                **_MAYBE_COUNT,
                "description": f"{_AUTHORISED}; from 2^63 on rounded to 53 bits",
            },
        ),
    )


def _trace() -> dict[str, Any]:
    return _list(
        _object(
            "One lookup",
            name=_TEXT,
            type=_TEXT,
            status=_STATUS,
            server=_TEXT,
            transport=_TEXT,
            attempts=_COUNT,
            rtt_ms={"type": ["number", "null"], "minimum": 0},
            ttl=_MAYBE_COUNT,
            ede=_list(_object("RFC 8914", code=_COUNT, text=_TEXT), "Extended DNS errors"),
            cached={"type": "boolean"},
        ),
        "How the answers were obtained; volatile, only with --trace",
    )


def record_schema() -> dict[str, Any]:
    """Return the schema of one line of output."""
    finding = _object(
        "A judgement on the facts; `auditor explain CODE` says more",
        code={"enum": [entry.code for entry in ENTRIES]},
        severity={"enum": list(SEVERITIES)},
        subject={**_TEXT, "description": "The name, address or domain that it is about"},
    )
    record = _object(
        "One audited target",
        target=_TEXT,
        kind={"enum": ["ip", "domain", "invalid"]},
        verdict={"enum": list(VERDICTS)},
        findings=_list(finding, "Sorted by code and subject"),
        ptr=_or_null(_ptr()),
        iprev=_or_null(_iprev()),
        spf=_list(_spf(), "Of an address: one entry per identity and domain, sorted"),
        domain=_or_null(_domain()),
        labels={"type": "object", "additionalProperties": _TEXT},
        error=_MAYBE_TEXT,
    )
    record["properties"]["trace"] = _trace()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "auditor record",
        **record,
    }
