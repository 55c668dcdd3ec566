"""Records made up for tests of views: plain ones by hand, odd ones by hypothesis."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import orjson
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["address", "domain", "finding", "invalid", "lines", "records", "spf", "write"]

Record = dict[str, Any]


def finding(code: str, severity: str = "error", subject: str = "") -> dict[str, str]:
    return {"code": code, "severity": severity, "subject": subject}


def spf(name: str, result: str, identity: str = "helo") -> dict[str, Any]:
    return {
        "identity": identity,
        "domain": name,
        "result": result,
        "mechanism": None,
        "lookups": 0,
        "voids": 0,
        "record": None,
        "explanation": None,
    }


def address(
    target: str,
    verdict: str = "pass",
    *names: str,
    findings: Iterable[dict[str, str]] = (),
    facts: Iterable[dict[str, Any]] = (),
    **more: Any,
) -> Record:
    """Return the record of an address whose names all lead back."""
    confirmed = [
        {"name": name, "status": "NOERROR", "addresses": [target], "confirms": True}
        for name in names[:10]
    ]
    return {
        "target": target,
        "kind": "ip",
        "verdict": verdict,
        "findings": list(findings),
        "ptr": {
            "status": "NOERROR" if names else "NXDOMAIN",
            "names": list(names),
            "chain": [],
            "owner": f"{target}.in-addr.arpa",
            "zone": None if names else "in-addr.arpa",
        },
        "helo": None,
        "iprev": {"result": "pass" if names else "permerror", "names": confirmed},
        "spf": list(facts),
        "domain": None,
        "labels": {},
        "error": None,
        **more,
    }


def domain(target: str, verdict: str = "pass", **more: Any) -> Record:
    return {
        **address(target, verdict),
        "kind": "domain",
        "ptr": None,
        "iprev": None,
        "domain": {
            "addresses": {"status": "NODATA", "list": []},
            "mx": {"status": "NODATA", "hosts": []},
            "spf": {
                "status": "NODATA",
                "record": None,
                "lookups": None,
                "voids": None,
                "addresses_v4": None,
                "addresses_v6": None,
            },
        },
        **more,
    }


def invalid(target: str, error: str = "list line 1: not a target") -> Record:
    found = [finding("TARGET_INVALID", subject=target)]
    return {**domain(target, "fail"), "kind": "invalid", "domain": None, "findings": found} | {
        "error": error
    }


def _helo(name: str, confirms: bool) -> dict[str, Any]:  # noqa: FBT001 - hypothesis passes it so
    return {"name": name, "status": "NOERROR", "addresses": ["192.0.2.1"], "confirms": confirms}


def write(path: Path, records: Iterable[Record]) -> Path:
    """Write records as `auditor scan` does."""
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return path


# --- Odd ones

_TARGETS: Final = (
    *("192.0.2.1", "192.0.2.10", "192.0.2.100", "192.0.3.1", "198.51.100.7", "10.0.0.7"),
    *("2001:db8::1", "2001:db8:0:1::1", "2001:db8:5::", "::1", "::ffff:5", "::192.0.2.1"),
    *("1::2:3:4:5:192.0.2.1", "1::2:3:4:5:6"),
)
_NAMES: Final = (
    *("mail.example.net", "host-1.dyn.example.net", "a.b.example.co.uk", "co.uk", "net"),
    *("nes.akershus.no", "x.nes.akershus.no", "192.0.2.1", "10.0.0.7", "7.0.0.10", "163.com"),
    *(r"odd\.label.example.net", r"a\"b.example.net", "pass", "helo", "ip", "*.example.net"),
    *("192.0.2.1.example.net", "xn--bcher-kva.example", '"],"chain":[]},"', "", "."),
    *("a.163.com", "a.126.com", "b.126.com", "mx.mail.example.net", "\x1b[31m.example.net"),
)
_VERDICTS: Final = ("pass", "warn", "unknown", "fail")
_RESULTS: Final = ("pass", "neutral", "none", "softfail", "fail", "temperror", "permerror")
_name = st.sampled_from(_NAMES)
_finding = st.builds(
    finding,
    st.sampled_from(("PTR_MISSING", "PTR_GENERIC", "FROM_THE_FUTURE", "PTR_UNDETERMINED")),
    st.sampled_from(("info", "notice", "warning", "error")),
    st.one_of(_name, st.sampled_from(_TARGETS)),
)
_spf = st.builds(
    spf,
    st.one_of(_name, st.sampled_from(_TARGETS)),
    st.sampled_from(_RESULTS),
    st.sampled_from(("helo", "mailfrom")),
)
_labels = st.dictionaries(
    st.sampled_from(("customer", "verdict", "kind", "domain", '"labels":{')),
    st.sampled_from(("", "ACME", '","kind":"ip","verdict":"', ',"domain":null,"labels":{}')),
    max_size=2,
)


@st.composite
def _addresses(draw: st.DrawFn) -> Record:
    names = draw(st.lists(_name, max_size=3))
    record = address(
        draw(st.sampled_from(_TARGETS)),
        draw(st.sampled_from(_VERDICTS)),
        *names,
        findings=draw(st.lists(_finding, max_size=2)),
        facts=draw(st.lists(_spf, max_size=2)),
        labels=draw(_labels),
    )
    record["ptr"]["chain"] = draw(st.lists(_name, max_size=1))
    record["ptr"]["owner"] = draw(_name)
    record["ptr"]["zone"] = draw(st.none() | _name)
    record["helo"] = draw(st.none() | st.builds(_helo, _name, st.booleans()))
    record["iprev"]["result"] = draw(st.sampled_from(("pass", "fail", "temperror")))
    if draw(st.booleans()) and draw(st.booleans()):
        record["trace"] = []
    return record


@st.composite
def _earlier(draw: st.DrawFn) -> Record:
    """Return a record as it was before its form had a version: without three of its keys."""
    record = draw(_addresses())
    del record["helo"], record["ptr"]["owner"], record["ptr"]["zone"]
    return record


records = st.one_of(
    _addresses(),
    _earlier(),
    st.builds(domain, st.sampled_from(_NAMES), st.sampled_from(_VERDICTS), labels=_labels),
    st.builds(invalid, st.sampled_from(("", "spam", "192.0.2.1", '","kind":"ip","verdict":"'))),
)


def _ours(record: Record) -> bytes:
    return orjson.dumps(record)


def _spaced(record: Record) -> bytes:
    return json.dumps(record).encode()


def _sorted(record: Record) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def _reversed(record: Record) -> bytes:
    return orjson.dumps(dict(reversed(record.items())))


def _escaped(record: Record) -> bytes:
    """Write the target as JSON may as well."""
    text = _ours(record)
    return text.replace(b'{"target":"1', b'{"target":"\\u0031', 1)


#: Lines as `auditor scan` writes them, and as other programs may.
lines = st.builds(
    lambda record, form: form(record),
    records,
    st.sampled_from((_ours, _ours, _ours, _spaced, _sorted, _reversed, _escaped)),
)
