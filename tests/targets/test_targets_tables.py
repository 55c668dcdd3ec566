from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import InputError
from auditor.targets.sources import Source
from auditor.targets.stream import TargetStream
from auditor.targets.tables import csv_entries, ndjson_entries
from auditor.targets.target import Origin, Target

if TYPE_CHECKING:
    from pathlib import Path

    from auditor.targets.parse import Entry

SOURCE = Source("list", "list", live=False, form="csv", packed="")


def from_csv(text: str | bytes) -> list[Entry | None]:
    data = text.encode() if isinstance(text, str) else text
    lines = data.removesuffix(b"\n").split(b"\n")
    return list(csv_entries(iter((lines,)), SOURCE))


def from_json(*lines: bytes) -> list[Entry | None]:
    return list(ndjson_entries(iter((list(lines),)), SOURCE))


def the_target(entries: list[Entry | None]) -> Target:
    (entry,) = entries
    assert isinstance(entry, Target)
    return entry


def errors(entries: list[Entry | None]) -> list[tuple[int, str]]:
    found = []
    for entry in entries:
        assert isinstance(entry, Target)
        assert entry.kind == "invalid"
        assert entry.error
        assert entry.error.isprintable()
        found.append((entry.origin.line, entry.error))
    return found


def test_csv_carries_identities_and_labels() -> None:
    entry = the_target(
        from_csv(
            "site,IP,helo,mail_from,Owner\n"
            "ams,198.51.100.7,Mail.Example.NET,a@example.net; b.example,ACME\n"
        )
    )
    origin = Origin(
        "list",
        2,
        "mail.example.net",
        ("a@example.net", "b.example"),
        {"site": "ams", "Owner": "ACME"},
    )
    assert entry == Target("198.51.100.7", "ip", 4, origin)


def test_csv_labels_keep_the_order_of_the_columns() -> None:
    entry = the_target(from_csv("z,target,a,m\n1,192.0.2.1,2,3\n"))
    assert list(entry.origin.labels.items()) == [("z", "1"), ("a", "2"), ("m", "3")]


def test_csv_without_labels_or_identities_is_fine() -> None:
    entry = the_target(from_csv("target,helo,mail_from\nexample.net,,\n"))
    assert entry == Target("example.net", "domain", 0, Origin("list", 2))


def test_target_comes_before_ip_which_is_then_a_label() -> None:
    entry = the_target(from_csv("ip,target\n192.0.2.1,192.0.2.2\n"))
    assert (entry.text, entry.origin.labels) == ("192.0.2.2", {"ip": "192.0.2.1"})


def test_a_column_without_a_name_is_called_by_its_number() -> None:
    entry = the_target(from_csv("ip,,\n192.0.2.1,x,y\n"))
    assert entry.origin.labels == {"column2": "x", "column3": "y"}


def test_csv_line_numbers_count_line_ends_within_quotes() -> None:
    entries = from_csv('ip,note\r\n192.0.2.1,"two\r\nlines, ""quoted"""\r\n\r\nwrong,x\r\n')
    assert [entry.origin.line for entry in entries if entry] == [2, 5]
    first = entries[0]
    assert first is not None
    assert first.origin.labels == {"note": 'two\r\nlines, "quoted"'}


def test_csv_blank_rows_and_comment_lines_are_left_out() -> None:
    entries = from_csv("# made by hand\n\nip,note\n\n,\n# a comment\n#192.0.2.9,x\n192.0.2.1,#1\n")
    entry = the_target(entries)
    assert (entry.text, entry.origin.line) == ("192.0.2.1", 8)


def test_a_first_label_with_a_hash_is_no_comment() -> None:
    entry = the_target(from_csv("note,ip\n#1,192.0.2.1\n"))
    assert entry.origin.labels == {"note": "#1"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name,address\n192.0.2.1,x\n", "list line 1: the CSV header has no target or ip column"),
        ("ip;helo\n", "the CSV header has no target or ip column; found 'ip;helo'"),
        ("", "list: no CSV header; expected one with a target or ip column"),
        ("\n\n", "list: no CSV header"),
        ("ip,note,note\n", "the CSV header has the column 'note' twice"),
        ("ip,helo,HELO\n", "the CSV header has the column 'helo' twice"),
        ("IP,ip\n", "the CSV header has the column 'ip' twice"),
        ('ip,"x\n', "list line 1: not a CSV header: "),
        (b"ip,\xff\n", "list line 1: not a CSV header: .*not UTF-8"),
    ],
)
def test_a_wrong_header_is_an_input_error(text: str | bytes, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        from_csv(text)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("192.0.2.1,a.example", "2 columns in this row; expected 3 as in the header"),
        ("192.0.2.1,a.example,b.example,c", "4 columns in this row"),
        ("192.0.2.1,mail,", "helo: 'mail' is a single label"),
        ("192.0.2.1,,user@", "mail_from: '' is empty"),
        ("192.0.2.0/24,a b,", "helo: 'a b' has ' ' in it"),
        ("192.0.2.1/24,,", "has host bits set"),
        (",a.example,", "is empty; expected an address"),
        ('192.0.2.1,"a"b,', "not a CSV row: "),
        ("192.0.2.1,a\rb,", "not a CSV row: "),
        (b"192.0.2.1,\xff,", "not a CSV row: not UTF-8"),
        (b"192.0.2.1,a\0b.example,", "has '\\x00' in it"),
        (b"192.0.2.1," + b"x" * 70_000 + b",", "not a CSV row: longer than 65,536 octets"),
    ],
)
def test_a_wrong_row_is_an_invalid_target_and_the_others_go_on(
    row: str | bytes, complaint: str
) -> None:
    raw = row.encode() if isinstance(row, str) else row
    entries = from_csv(b"ip,helo,mail_from\n" + raw + b"\n192.0.2.2,,\n")
    ((line, error),) = errors(entries[:1])
    assert line == 2
    assert complaint in error
    last = the_target(entries[1:])
    assert (last.text, last.origin.line) == ("192.0.2.2", 3)


def test_an_invalid_row_keeps_its_labels() -> None:
    entry = the_target(from_csv("ip,helo,site\n192.0.2.1,mail,ams\n"))
    assert (entry.kind, entry.text, entry.origin.labels) == (
        "invalid",
        "192.0.2.1",
        {"site": "ams"},
    )


@pytest.mark.parametrize("following", [1, 62, 63, 64, 500])
def test_a_forgotten_quote_costs_its_own_line_only(following: int) -> None:
    rows = [f"192.0.2.{n % 256},x" for n in range(following)]
    entries = from_csv("\n".join(["ip,note", '10.0.0.1,"oops', *rows]))
    ((line, error),) = errors(entries[:1])
    assert line == 2
    assert "not a CSV row" in error
    assert rows == [f"{entry.text},x" for entry in entries[1:] if isinstance(entry, Target)]
    assert list(range(3, 3 + following)) == [entry.origin.line for entry in entries[1:] if entry]


def test_forgotten_quotes_on_every_line_give_one_target_a_line() -> None:
    assert len(errors(from_csv("ip\n" + '"192.0.2.1""\n' * 2000))) == 2000


def test_a_long_field_over_several_lines_is_bounded() -> None:
    entries = from_csv('ip,note\n192.0.2.1,"' + ("x" * 40_000 + "\n") * 3 + '"\n')
    assert errors(entries)[0][0] == 2


def test_csv_tells_of_a_wait_between_rows() -> None:
    batches = iter(([b"ip,note"], [], [b"192.0.2.1,x", b'192.0.2.2,"y'], [], [b'z"'], []))
    found = [entry and entry.origin.line for entry in csv_entries(batches, SOURCE)]
    assert found == [None, 2, 3, None]


def test_ndjson_carries_identities_and_labels() -> None:
    entry = the_target(
        from_json(
            b'{"z":"1","target":"198.51.100.7","helo":"Mail.Example.NET","n":5,"f":1.5,"t":true,'
            b'"mail_from":["a@example.net","B.example"],"none":null,"deep":{"b":[1,2],"a":"\xc3\xbc"}}'
        )
    )
    origin = entry.origin
    assert (entry.text, entry.kind) == ("198.51.100.7", "ip")
    assert (origin.helo, origin.mail_from) == ("mail.example.net", ("a@example.net", "b.example"))
    assert list(origin.labels.items()) == [
        ("z", "1"),
        ("n", "5"),
        ("f", "1.5"),
        ("t", "true"),
        ("none", "null"),
        ("deep", '{"b":[1,2],"a":"ü"}'),
    ]


def test_ndjson_mail_from_may_be_one_string_of_several() -> None:
    entry = the_target(
        from_json(b'{"ip":"192.0.2.1","helo":null,"mail_from":"a.example b.example"}')
    )
    assert entry.origin == Origin("list", 1, None, ("a.example", "b.example"))
    entry = the_target(from_json(b'{"ip":"192.0.2.1","helo":"","mail_from":null}'))
    assert entry.origin == Origin("list", 1)


def test_ndjson_blank_lines_and_comments_are_left_out() -> None:
    entries = from_json(b"", b" # x", b'{"ip":"192.0.2.1"}\r', b"  ")
    assert the_target(entries).origin.line == 3


def test_ndjson_tells_of_a_wait() -> None:
    batches = iter(([], [b'{"ip":"192.0.2.1"}']))
    assert [entry is None for entry in ndjson_entries(batches, SOURCE)] == [True, False]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{", "not a JSON object: "),
        (b"192.0.2.1", "not a JSON object: "),
        (b'"192.0.2.1"', "expected a JSON object with the key target or ip"),
        (b"[]", "expected a JSON object with the key target or ip"),
        (b'["ip"]', "expected a JSON object with the key target or ip"),
        (b'{"helo":"a.example"}', "expected a JSON object with the key target or ip"),
        (b'{"ip":7}', "ip is not a string"),
        (b'{"target":null}', "target is not a string"),
        (b'{"ip":""}', "is empty"),
        (b'{"ip":"192.0.2.1","helo":5}', "helo: expected a string"),
        (b'{"ip":"192.0.2.1","helo":"mail"}', "helo: 'mail' is a single label"),
        (b'{"ip":"192.0.2.1","mail_from":[5]}', "mail_from: expected a string or a list"),
        (b'{"ip":"192.0.2.1","mail_from":["@"]}', "mail_from: '@' has no valid local part"),
        (b'{"ip":"192.0.2.1","mail_from":[""]}', "mail_from: '' is empty"),
        (b'{"ip":"\\ud800"}', "not a JSON object: "),
        (b'{"ip":"\xff"}', "not a JSON object: "),
        (b'{"ip":"a\\u0000b.example"}', "has '\\x00' in it"),
        (b'{"ip":"192.0.2.1","a":' + b"[" * 300 + b"]" * 300 + b"}", "too deeply nested"),
        (b'{"ip":"192.0.2.1","a":' + b"[" * 30000, "not a JSON object: "),
        (b'{"ip":"192.0.2.1","a":"' + b"x" * 70_000 + b'"}', "longer than 65,536 octets"),
    ],
)
def test_a_wrong_object_is_an_invalid_target_and_the_others_go_on(
    line: bytes, complaint: str
) -> None:
    entries = from_json(line, b'{"ip":"192.0.2.2"}')
    ((number, error),) = errors(entries[:1])
    assert number == 1
    assert complaint in error
    assert the_target(entries[1:]).text == "192.0.2.2"


def test_a_target_in_a_table_may_be_a_prefix(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("ip,site\n192.0.2.0/30,ams\n")
    stream = TargetStream([], [str(path)])
    (block,) = stream.blocks()
    assert stream.total == 4
    assert [target.text for target in block] == [f"192.0.2.{n}" for n in range(4)]
    assert {id(target.origin) for target in block} == {id(block[0].origin)}
    assert block[0].origin.labels == {"site": "ams"}


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b'"'))))
def test_garbage_in_csv_gives_targets_with_rising_line_numbers(lines: list[bytes]) -> None:
    entries = list(csv_entries(iter(([b"ip,note", *lines],)), SOURCE))
    numbers = [entry.origin.line for entry in entries if entry]
    assert numbers == sorted(set(numbers))
    assert all(2 <= number <= len(lines) + 1 for number in numbers)


@given(st.binary())
def test_garbage_in_ndjson_gives_one_target_at_most(line: bytes) -> None:
    entries = from_json(line)
    assert len(entries) == int(bool(line.strip()) and not line.strip().startswith(b"#"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["target", "ip", "helo", "mail_from"]) | st.text(max_size=3)


@given(st.dictionaries(KEYS, JSON | st.just("192.0.2.1"), max_size=6))
def test_any_object_gives_one_target_whose_labels_are_strings(
    found: dict[str, object],
) -> None:
    try:
        line = orjson.dumps(found)
    except orjson.JSONEncodeError:  # a lone surrogate cannot be in a file
        return
    (entry,) = from_json(line)
    assert entry is not None
    assert all(isinstance(value, str) for value in entry.origin.labels.values())
