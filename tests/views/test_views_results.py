"""Reading results: all the forms they come in, and what is no result at all.

Also tests `remote.py`, `validate.py` and `reader/json_lines.py`.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from views.making import address, domain, invalid, lines, records, write

from auditor.errors import InputError, UsageError
from auditor.output.record import trace_entry
from auditor.output.schema import record_schema
from auditor.resolve.answer import Answer, Provenance, Question
from auditor.views.reader import results as module
from auditor.views.reader.results import Results, parse_record
from auditor.views.reader.validate import records_fault
from auditor.wire.codes import PTR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SOME = [address("192.0.2.1", "pass", "a.example.net"), domain("example.net"), invalid("spam")]


def _targets(*paths: Path | str) -> list[str]:
    return [record["target"] for record in Results(paths).records()]


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".ndjson", bytes),
        (".ndjson.gz", lambda data: gzip.compress(data[:99]) + gzip.compress(data[99:])),
        (
            ".ndjson.zst",
            lambda data: b"".join(map(zstandard.compress, (data[:99], data[99:]))),
        ),
        (".ndjson.xz", lambda data: lzma.compress(data[:99]) + lzma.compress(data[99:])),
        (".whatever", gzip.compress),
    ],
)
def test_compressed_results_are_read_as_they_are(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(pack(write(tmp_path / "plain", SOME).read_bytes()))
    assert _targets(path) == ["192.0.2.1", "example.net", "spam"]


def test_several_are_read_one_after_the_other_and_as_often_as_wanted(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.ndjson", [address(f"192.0.2.{n}")]) for n in range(3)]
    results = Results(paths)
    assert [record["target"] for record in results.records()] == _targets(*paths)
    assert len(list(results.records())) == 3


def test_standard_input_is_one_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.ndjson", SOME)
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(path.read_bytes())))
    )
    assert _targets("-", path) == ["192.0.2.1", "example.net", "spam"] * 2
    with pytest.raises(UsageError, match="named twice"):
        Results(["-", path, "-"])


def test_lines_keep_their_places_across_chunks(tmp_path: Path) -> None:
    some = [address(f"10.0.{n >> 8}.{n & 255}", "pass", f"h{n}.example.net") for n in range(2000)]
    path = write(tmp_path / "x.ndjson", some)
    chunks = list(Results([path]).chunks())
    assert len(chunks) > 3
    assert b"\n".join(line for chunk in chunks for line in chunk) + b"\n" == path.read_bytes()
    assert [chunk.first for chunk in chunks[:1]] == [1]
    last = chunks[-1]
    assert str(last.wrong(len(last) - 1, "bad")) == f"{path} line 2000: bad"


def test_a_long_record_is_put_together_and_an_endless_line_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = address("192.0.2.1", labels={"note": "x" * 500_000})
    path = write(tmp_path / "x.ndjson", [SOME[0], long, SOME[0]])
    assert [len(record["labels"]) for record in Results([path]).records()] == [0, 1, 0]
    monkeypatch.setattr(module, "MAX_RECORD_OCTETS", 100_000)
    with pytest.raises(InputError, match="line 2: longer than a record can be"):
        list(Results([path]).chunks())


def test_a_last_line_without_its_end_is_read_if_it_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "x.ndjson", SOME)
    path.write_bytes(path.read_bytes()[:-1])
    assert len(_targets(path)) == 3
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"x\.ndjson line 3: cut off; the file is not complete"):
        list(Results([path]).chunks())


def test_no_records_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    path.touch()
    assert list(Results([path]).chunks()) == []


# --- Folders of parts


def test_a_folder_is_read_in_the_order_of_its_manifest(tmp_path: Path) -> None:
    for n in range(3):
        write(tmp_path / f"part-{n}.ndjson", [address(f"192.0.2.{n}")])
    assert _targets(tmp_path) == ["192.0.2.0", "192.0.2.1", "192.0.2.2"]
    names = ["part-2.ndjson", "part-0.ndjson"]
    (tmp_path / "manifest.json").write_text(json.dumps({"parts": names}))
    assert _targets(tmp_path) == ["192.0.2.2", "192.0.2.0"]


def test_what_lies_beside_records_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "a.ndjson", [address("192.0.2.1")])
    (tmp_path / "b.ndjson.gz").write_bytes(
        gzip.compress(write(tmp_path / "b", [address("192.0.2.2")]).read_bytes())
    )
    (tmp_path / "a.ndjson.run.json").write_text("{}")
    (tmp_path / "c.ndjson.partial").write_text("half a li")
    assert _targets(tmp_path) == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, r"no results \(\*\.ndjson\) in this folder"),
        ("[]", 'no list of names under "parts"'),
        ('{"parts":[1]}', 'no list of names under "parts"'),
        ("<html>", "not JSON; expected the manifest of a run in parts"),
        ('{"parts":["/dev/zero"]}', "'/dev/zero' is not the name of a part"),
        (
            '{"parts":["a.ndjson","/dev/zero.ndjson"]}',
            "'/dev/zero.ndjson' is not the name of a part",
        ),
        ('{"parts":["../a.ndjson"]}', "'../a.ndjson' is not the name of a part"),
        ('{"parts":["sub/a.ndjson"]}', "'sub/a.ndjson' is not the name of a part"),
        ('{"parts":["passwd"]}', "'passwd' is not the name of a part"),
        ('{"parts":["-"]}', "'-' is not the name of a part"),
        ('{"parts":["a\\u0000.ndjson"]}', "is not the name of a part"),
        ('{"parts":["gone.ndjson"]}', r"gone\.ndjson: cannot be read: No such file"),
    ],
)
def test_a_folder_without_parts_is_refused(
    tmp_path: Path, manifest: str | None, message: str
) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(InputError, match=message):
        Results([tmp_path])


def test_a_part_is_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").symlink_to("/dev/zero")
    (tmp_path / "manifest.json").write_text('{"parts":["a.ndjson"]}')
    with pytest.raises(InputError, match=r"a\.ndjson: not a regular file"):
        Results([tmp_path])


# --- What is no record


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("target,verdict\n192.0.2.1,pass\n", r"line 1: not JSON \("),
        ("<!doctype html>\n<p>\n", r"line 1: not JSON \("),
        ('{\n  "auditor": "0.1.0"\n}\n', r"line 1: not JSON \("),
        ('{"auditor":"0.1.0"}\n', 'line 1: no record: "target" is missing'),
        ('{"auditor":"0.1.0"}', 'line 1: no record: "target" is missing'),
        ("[]\n", "line 1: no JSON object"),
        ("\n", r"line 1: not JSON \("),
        ("\x1b[31mred\n", r"line 1: not JSON \("),
        ("PK\x03\x04", r"line 1: not JSON \("),
    ],
)
def test_another_file_is_refused_at_its_first_line(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "x"
    path.write_text(content)
    with pytest.raises(InputError, match=f"x {message}.*; expected the NDJSON of `auditor scan`"):
        list(Results([path]).chunks())


def test_a_blank_line_is_no_record(tmp_path: Path) -> None:
    path = write(tmp_path / "x", SOME)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(InputError, match="x line 4: blank"):
        list(Results([path]).chunks())


def test_a_torn_archive_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson.gz"
    path.write_bytes(gzip.compress(write(tmp_path / "plain", SOME).read_bytes())[:-12])
    with pytest.raises(InputError, match=r"x\.ndjson\.gz: the gzip data ends too early"):
        list(Results([path]).records())


def test_a_missing_file_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone: cannot be read: No such file"):
        Results([write(tmp_path / "x", SOME), tmp_path / "gone"])


@pytest.mark.parametrize(
    ("record", "path"),
    [
        ({**SOME[0], "ptr": None}, "ptr"),
        ({**SOME[1], "domain": None}, "domain"),
        ({**SOME[0], "kind": "cidr"}, "kind"),
        ({**SOME[0], "kind": ["ip"]}, "kind"),
        ({**SOME[0], "labels": {"n": 1}}, "labels"),
        ({**SOME[0], "findings": [{"code": "X", "severity": "awful", "subject": ""}]},
         "findings.severity"),
        ({**SOME[0], "spf": {}}, "spf"),
        ({**SOME[0], "trace": 1}, "trace"),
    ],
)  # fmt: skip
def test_a_record_of_another_shape_is_refused(record: dict[str, Any], path: str) -> None:
    with pytest.raises(ValueError, match=f'"{path}" is not what a record holds'):
        parse_record(json.dumps(record).encode())


def test_a_trace_with_extended_errors_is_read_back() -> None:
    question, how = Question("7.2.0.192.in-addr.arpa", PTR), Provenance(ede=((22, "lame"), (0, "")))
    entry: dict[str, Any] = {**trace_entry(question, Answer("SERVFAIL", how=how))}
    assert entry["ede"] == [{"code": 22, "text": "lame"}, {"code": 0, "text": ""}]
    record = {**SOME[0], "trace": [entry]}
    assert parse_record(json.dumps(record).encode())["trace"] == [entry]
    entry["ede"][0]["code"] = "lame"
    with pytest.raises(ValueError, match=r'"trace\.ede\.code" is not what a record holds'):
        parse_record(json.dumps(record).encode())


def test_what_a_newer_version_may_write_is_read() -> None:
    found = {"code": "FROM_THE_FUTURE", "severity": "error", "subject": ""}
    record = {**SOME[0], "findings": [found], "more": {"keys": 1}}
    assert parse_record(json.dumps(record).encode()) == record


@settings(max_examples=examples(60))
@given(lines)
def test_whatever_program_wrote_a_record_it_is_read(line: bytes) -> None:
    record = json.loads(line)
    ptr = record["ptr"] and {"owner": None, "zone": None} | record["ptr"]
    assert parse_record(line) == {"helo": None} | record | {"ptr": ptr}


_SINCE_1_0 = {"helo", "owner", "zone"}


def _loosened(schema: Any) -> Any:
    """Return a schema without what is not looked at: patterns, bounds, keys of version 1.0."""
    if isinstance(schema, list):
        return list(map(_loosened, schema))
    if not isinstance(schema, dict):
        return schema
    loose = {
        key: _loosened(inner) for key, inner in schema.items() if key not in {"pattern", "minimum"}
    }
    if isinstance(loose.get("required"), list):
        loose["required"] = [key for key in loose["required"] if key not in _SINCE_1_0]
    return loose


_VALIDATOR = jsonschema.Draft202012Validator(_loosened(record_schema()))
_JUNK: st.SearchStrategy[Any] = st.sampled_from(
    (None, 1, 2.0, True, "x", [], {}, [[]], [{}], {"a": "b"})
)


@st.composite
def _spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """Return a record in which one value, somewhere, was put in place of another."""
    record: dict[str, Any] = json.loads(json.dumps(draw(records)))
    spot: Any = record
    while True:
        key = draw(st.sampled_from(sorted(spot) if isinstance(spot, dict) else range(len(spot))))
        deeper = spot[key]
        if not isinstance(deeper, dict | list) or not deeper or draw(st.booleans()):
            spot[key] = draw(_JUNK)
            return record
        spot = deeper


@settings(max_examples=examples(150))
@given(_spoilt())
def test_the_shape_is_that_of_the_schema(record: dict[str, Any]) -> None:
    assert bool(records_fault([record])) != _VALIDATOR.is_valid(record)


def test_what_an_earlier_version_did_not_say_is_unknown() -> None:
    record = json.loads(json.dumps(SOME[1]))
    host = {"preference": 10, "name": "mx.example.net", "status": "NOERROR", "addresses": []}
    ptr = {"status": "NXDOMAIN", "names": [], "chain": []}
    iprev = {"result": "permerror", "names": []}
    nested = {"address": "192.0.2.1", "ptr": ptr, "iprev": iprev}
    record["domain"]["addresses"]["list"] = [nested]
    record["domain"]["mx"]["hosts"] = [{**host, "addresses": [nested]}]
    del record["helo"]
    found = parse_record(json.dumps(record).encode())
    assert found["helo"] is None
    for each in (
        found["domain"]["addresses"]["list"],
        found["domain"]["mx"]["hosts"][0]["addresses"],
    ):
        assert each[0]["ptr"] == {**ptr, "owner": None, "zone": None}
