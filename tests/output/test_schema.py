"""The record and its schema say the same: every kind, with a trace and without.

Also tests `schema_parts.py` and `record_types.py`.
"""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from jsonschema import Draft202012Validator
from support.fleet import FLEET

from auditor.findings.catalogue import ENTRIES
from auditor.output.schema import record_schema
from auditor.run.scan import Scan
from auditor.settings import Settings
from auditor.targets.stream import TargetStream
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The order of the keys of a record.
_RECORD = [
    "target",
    "kind",
    "verdict",
    "findings",
    "ptr",
    "helo",
    "iprev",
    "spf",
    "domain",
    "labels",
    "error",
]
_KEYS = {
    "findings": ["code", "severity", "subject"],
    "ptr": ["status", "names", "chain", "owner", "zone"],
    "helo": ["name", "status", "addresses", "confirms"],
    "iprev": ["result", "names"],
    "iprev.names": ["name", "status", "addresses", "confirms"],
    "spf": [
        "identity",
        "domain",
        "result",
        "mechanism",
        "lookups",
        "voids",
        "record",
        "explanation",
    ],
    "domain": ["addresses", "mx", "spf"],
    "domain.addresses": ["status", "list"],
    "domain.addresses.list": ["address", "ptr", "iprev"],
    "domain.mx": ["status", "hosts"],
    "domain.mx.hosts": ["preference", "name", "status", "addresses"],
    "domain.mx.hosts.addresses": ["address", "ptr", "iprev"],
    "domain.spf": ["status", "record", "lookups", "voids", "addresses_v4", "addresses_v6"],
    "trace": [
        "name",
        "type",
        "status",
        "server",
        "transport",
        "attempts",
        "rtt_ms",
        "ttl",
        "ede",
        "cached",
    ],
}

_TARGETS = [
    "198.51.100.300",
    "nothing like a target",
    "no-such-domain.example.org",
    "192.0.2.1",
]


def _records(*, trace: bool) -> list[dict[str, Any]]:
    """Scan the whole example fleet and some lines that are wrong."""
    stream = TargetStream(_TARGETS, [str(FLEET / "targets.txt"), str(FLEET / "targets.csv")])
    stream.check_inputs()
    lines: list[bytes] = []

    async def write(chunk: bytes) -> None:
        lines.extend(chunk.splitlines())

    settings = Settings(zones=FLEET / "zones", trace=trace)
    asyncio.run(Scan(stream, settings).audit_targets(write))
    return [orjson.loads(line) for line in lines]


@pytest.fixture(scope="module")
def plain() -> list[dict[str, Any]]:
    return _records(trace=False)


@pytest.fixture(scope="module")
def traced() -> list[dict[str, Any]]:
    return _records(trace=True)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = record_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def _objects(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object below a value with the keys on the way to it."""
    if isinstance(value, list):
        for each in value:
            yield from _objects(each, path)
    elif isinstance(value, dict):
        yield path, value
        if path != "labels":
            for key, each in value.items():
                yield from _objects(each, f"{path}.{key}".strip("."))


def test_every_record_is_valid(
    plain: list[dict[str, Any]], traced: list[dict[str, Any]], validator: Draft202012Validator
) -> None:
    assert {record["kind"] for record in plain} == {"ip", "domain", "invalid"}
    for record in [*plain, *traced]:
        problems = [error.message for error in validator.iter_errors(record)]
        assert problems == [], record["target"]


def test_every_key_is_there_in_the_order_of_the_contract(plain: list[dict[str, Any]]) -> None:
    seen = set()
    for record in plain:
        assert list(record) == _RECORD
        for path, value in _objects(record):
            if path in {"", "labels"}:
                continue
            short = path if path in _KEYS else path.split(".addresses.list.")[-1]
            short = short if short in _KEYS else short.split(".hosts.addresses.")[-1]
            assert list(value) == _KEYS[short], path
            seen.add(short)
    assert seen == set(_KEYS) - {"trace"}


def test_a_trace_is_the_last_key_and_all_that_it_adds(
    plain: list[dict[str, Any]], traced: list[dict[str, Any]]
) -> None:
    assert len(plain) == len(traced)
    for record, other in zip(plain, traced, strict=True):
        assert list(other) == [*_RECORD, "trace"]
        assert {key: other[key] for key in _RECORD} == record
        for entry in other["trace"]:
            assert list(entry) == _KEYS["trace"]
        assert bool(other["trace"]) == (other["kind"] != "invalid")


def test_lists_are_sorted_and_names_are_plain(plain: list[dict[str, Any]]) -> None:
    for record in plain:
        findings = [(each["code"], each["subject"]) for each in record["findings"]]
        assert findings == sorted(set(findings))
        for path, value in _objects(record):
            if path.endswith("ptr"):
                assert value["names"] == sorted(set(value["names"]))
            if path.endswith("hosts"):
                continue
            name = value.get("name")
            if isinstance(name, str) and name != ".":
                assert name == name.lower()
                assert name.isascii()
                assert name.isprintable()
                assert not name.endswith(".")
        spf = [(each["identity"], each["domain"]) for each in record["spf"]]
        assert spf == sorted(spf)


def test_an_invalid_line_says_where_it_stands_and_what_was_expected(
    plain: list[dict[str, Any]],
) -> None:
    invalid = [record for record in plain if record["kind"] == "invalid"]
    assert [record["target"] for record in invalid][:2] == _TARGETS[:2]
    for record in invalid:
        assert ("argument" in record["error"]) or (" line " in record["error"])
        assert [finding["code"] for finding in record["findings"]] == ["TARGET_INVALID"]
        assert (record["ptr"], record["iprev"], record["domain"], record["spf"]) == (
            None,
            None,
            None,
            [],
        )


def test_labels_of_a_table_are_kept_as_they_are(plain: list[dict[str, Any]]) -> None:
    labels = [record["labels"] for record in plain if record["labels"]]
    assert {"ptr": "", "customer": "Example Org", "ticket": "T-1002"} in labels
    assert all(set(each) == {"ptr", "customer", "ticket"} for each in labels)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["kind"], "host"),
        (["verdict"], "good"),
        (["target"], 7),
        (["findings"], None),
        (["findings"], [{"code": "PTR_MISSING", "severity": "error"}]),
        (["findings"], [{"code": "no such", "severity": "error", "subject": "x"}]),
        (["findings"], [{"code": "PTR_MISSING", "severity": "fatal", "subject": "x"}]),
        (["ptr", "status"], "noerror"),
        (["ptr", "names"], "mx.example.net"),
        (["iprev", "result"], "none"),
        (["labels"], {"customer": 7}),
        (["labels"], None),
        (["error"], False),
        (["helo"], {"name": "mx.example.net"}),
        (["ptr", "owner"], None),
        (["trace"], [{}]),
    ],
)
def test_the_schema_refuses_what_is_no_record(
    plain: list[dict[str, Any]], validator: Draft202012Validator, path: list[str], value: object
) -> None:
    record = copy.deepcopy(next(each for each in plain if each["kind"] == "ip"))
    assert validator.is_valid(record)
    *way, key = path
    part = record
    for step in way:
        part = part[step]
    part[key] = value
    assert not validator.is_valid(record)


@pytest.mark.parametrize("key", _RECORD)
def test_the_schema_misses_every_key(
    plain: list[dict[str, Any]], validator: Draft202012Validator, key: str
) -> None:
    for kind in ("ip", "domain", "invalid"):
        record = dict(next(each for each in plain if each["kind"] == kind))
        del record[key]
        assert not validator.is_valid(record)


def test_the_schema_knows_every_finding_and_describes_every_key() -> None:
    schema = record_schema()
    finding = schema["properties"]["findings"]["items"]
    assert finding["properties"]["code"]["examples"] == [entry.code for entry in ENTRIES]
    assert set(schema["required"]) == set(_RECORD)
    assert list(schema["properties"]) == [*_RECORD, "trace"]
    assert orjson.loads(orjson.dumps(schema)) == schema
    assert schema["$id"].endswith(f":{schema['version']}")


@pytest.mark.parametrize("path", [[], ["ptr"], ["iprev"], ["findings", 0]])
def test_the_schema_lets_later_versions_add_keys_and_codes(
    plain: list[dict[str, Any]], validator: Draft202012Validator, path: list[str | int]
) -> None:
    record = copy.deepcopy(next(each for each in plain if each["kind"] == "ip"))
    record["findings"] = [{"code": "NEW_IN_1_1", "severity": "notice", "subject": "x"}]
    part: Any = record
    for step in path:
        part = part[step]
    part["new_in_1_1"] = 1
    assert validator.is_valid(record)


def test_the_zone_of_a_negative_answer_is_in_the_record(plain: list[dict[str, Any]]) -> None:
    ptrs = [value for record in plain for path, value in _objects(record) if path.endswith("ptr")]
    assert {each["zone"] for each in ptrs if each["names"]} == {None}
    denied = {each["zone"] for each in ptrs if each["status"] in {"NXDOMAIN", "NODATA"}}
    assert "100.51.198.in-addr.arpa" in denied
    assert None not in denied


def test_the_owner_of_a_ptr_is_the_end_of_its_chain(plain: list[dict[str, Any]]) -> None:
    for record in plain:
        if record["kind"] != "ip":
            continue
        ptr = record["ptr"]
        start = reverse_name(record["target"])
        assert (ptr["owner"] == start) == (ptr["chain"] == [])
        assert ptr["chain"][:1] in ([], [start])
