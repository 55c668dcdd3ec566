"""Tests `input_columns.py` and `json_values.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import InputError
from auditor.targets.csv_rows import csv_entries
from auditor.targets.input_columns import InputOptions
from auditor.targets.item import SpanEntry
from auditor.targets.json_values import json_entries, ndjson_entries
from auditor.targets.reader import InputSource
from auditor.targets.stream import TargetStream
from auditor.targets.target import Origin, Target

if TYPE_CHECKING:
    from pathlib import Path

    from auditor.targets.item import Entry

SOURCE = InputSource("list", "list", live=False, form="csv", packed="")


DEFAULTS = InputOptions()


def from_csv(text: str | bytes, options: InputOptions = DEFAULTS) -> list[Entry | None]:
    data = text.encode() if isinstance(text, str) else text
    lines = data.removesuffix(b"\n").split(b"\n")
    return list(csv_entries(iter((lines,)), SOURCE, options))


def from_json(*lines: bytes, options: InputOptions = DEFAULTS) -> list[Entry | None]:
    return list(ndjson_entries(iter((list(lines),)), SOURCE, options))


def from_array(*chunks: bytes, options: InputOptions = DEFAULTS) -> list[Entry | None]:
    return list(json_entries(iter(chunks), SOURCE, options))


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


@pytest.mark.parametrize("column", ["mail-from", "Mail From", "MAIL_FROM"])
def test_identities_are_found_however_their_columns_are_spelt(column: str) -> None:
    rows = from_csv(f"ip-address,HELO,{column}\n192.0.2.5,mx.example.net,a@b.example\n")
    member = f'"{column}":"a@b.example"'.encode()
    found = from_json(b'{"IP-Address":"192.0.2.5","Helo":"mx.example.net",' + member + b"}")
    for entry in (the_target(rows), the_target(found)):
        assert entry.text == "192.0.2.5"
        assert entry.origin.helo == "mx.example.net"
        assert entry.origin.mail_from == ("a@b.example",)
        assert entry.origin.labels == {}


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
        ("name,host\n192.0.2.1,x\n", "list line 1: the CSV header has no column target, ip, "),
        ("a;b\n", "prefix; found 'a;b'; --column NAME takes another"),
        ("192.0.2.5,x\n", "found '192.0.2.5,x'; the first line names the columns, as in ip,cust"),
        ("ip|x\n192.0.2.5|y\n", r"found 'ip\|x'; a line sep=\| before it names the separator"),
        ("", "list: no CSV header; expected one with a column target, ip, ip_address, address or"),
        ("\n\n", "list: no CSV header"),
        ("ip,note,note\n", "the CSV header has the column 'note' twice"),
        ("ip,helo,HELO\n", "the CSV header has the column 'helo' twice"),
        ("IP,ip\n", "the CSV header has the column 'ip' twice"),
        ('ip,"x\n', "list line 1: the CSV header cannot be read: not a CSV row: "),
    ],
)
def test_a_wrong_header_is_an_input_error(text: str | bytes, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        from_csv(text)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("192.0.2.1,a.example,b.example,c", "4 columns in this row"),
        ("192.0.2.1/24,,", "has host bits set"),
        (",a.example,", "is empty; expected an address"),
        ('192.0.2.1,"a"b', "not a CSV row: "),
        ("192.0.2.1,a\rb", "not a CSV row: a carriage return inside it"),
        (b"m\xfcller.example,,", "not UTF-8 text"),
        (b"a\0b.example,,", "has '\\x00' in it"),
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
    entry = the_target(from_csv("ip,helo,site\n192.0.2.,mail,ams\n"))
    assert (entry.kind, entry.text, entry.origin.labels) == (
        "invalid",
        "192.0.2.",
        {"site": "ams"},
    )


@pytest.mark.parametrize("helo", ["[192.0.2.5]", "MAILSRV", "192.0.2.5", "a b", "[IPv6:::1]"])
def test_an_odd_helo_costs_no_address_its_audit(helo: str) -> None:
    for entries in (
        from_csv(f"ip,helo\n192.0.2.5,{helo}\n"),
        from_json(orjson.dumps({"ip": "192.0.2.5", "helo": helo})),
    ):
        entry = the_target(entries)
        assert (entry.kind, entry.text, entry.origin.helo) == ("ip", "192.0.2.5", helo)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"ptr": "Mail.Example.NET."}, "mail.example.net"),
        ({"PTR": "mail.example.net", "expected": "mx.example.net"}, "mx.example.net"),
        ({"Expected": " ", "ptr": "mail.example.net"}, "mail.example.net"),
        ({"ptr": ""}, ""),
        ({"ptr": "no name"}, "no name"),
        ({"ptr_zone": "mail.example.net"}, ""),
    ],
)
def test_a_table_may_give_the_ptr_name_that_is_expected(
    columns: dict[str, str], expected: str
) -> None:
    csv = ",".join(["ip", *columns]) + "\n" + ",".join(["192.0.2.5", *columns.values()]) + "\n"
    for entries in (from_csv(csv), from_json(orjson.dumps({"ip": "192.0.2.5", **columns}))):
        origin = the_target(entries).origin
        assert (origin.expected, origin.labels) == (expected, columns)


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        (b"M\xfcller GmbH", "Müller GmbH"),
        ("Müller".encode(), "Müller"),
        (b"\x80 5", "€ 5"),
        (b"\x81", "\x81"),
    ],
)
def test_a_label_in_another_encoding_is_kept(cell: bytes, label: str) -> None:
    data = b"ip,customer\n192.0.2.5," + cell + b"\n192.0.2.6,Ok\n"
    found = [(e.text, e.origin.labels) for e in from_csv(data) if isinstance(e, Target)]
    assert found == [("192.0.2.5", {"customer": label}), ("192.0.2.6", {"customer": "Ok"})]
    entry = the_target(from_json(b'{"ip":"192.0.2.5","customer":"' + cell + b'"}'))
    assert (entry.text, entry.origin.labels) == ("192.0.2.5", {"customer": label})


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_header_tells_the_separator(separator: str) -> None:
    rows = ["ip,helo,customer", '192.0.2.5,mail.example.net,"A, B; C\tD"']
    text = "\n".join(row.replace(",", separator) if n == 0 else row for n, row in enumerate(rows))
    text = text.replace(
        "192.0.2.5,mail.example.net,", f"192.0.2.5{separator}mail.example.net{separator}"
    )
    entry = the_target(from_csv(text))
    assert entry.text == "192.0.2.5"
    assert entry.origin == Origin("list", 2, "mail.example.net", (), {"customer": "A, B; C\tD"})


def test_a_spreadsheet_may_name_the_separator() -> None:
    entry = the_target(from_csv("sep=;\nip;customer\n192.0.2.5;A,B\n"))
    assert (entry.text, entry.origin.line) == ("192.0.2.5", 3)
    assert entry.origin.labels == {"customer": "A,B"}
    entry = the_target(from_csv("sep=\t\nip\tcustomer\n192.0.2.5\tA,B\n"))
    assert entry.origin.labels == {"customer": "A,B"}


@pytest.mark.parametrize("column", ["address", "IP Address", "ip address", "ip_address"])
def test_an_address_of_an_interface_is_that_address(column: str) -> None:
    entries = from_csv(f"{column},vrf\n192.0.2.5/24,\n192.0.2.0/30,\n2001:db8::5/64,x\n")
    assert [
        entry.text if isinstance(entry, Target) else entry and entry.span.size for entry in entries
    ] == [
        "192.0.2.5",
        4,
        "2001:db8::5",
    ]


def test_a_prefix_column_holds_prefixes() -> None:
    entry, wrong = from_csv("prefix,site\n192.0.2.0/30,ams\n192.0.2.5/24,ams\n")
    assert isinstance(entry, SpanEntry)
    assert entry.span.size == 4
    assert errors([wrong])[0][0] == 3


def test_any_column_may_be_named_to_hold_the_targets() -> None:
    options = InputOptions(column="DNS name")
    entry = the_target(from_csv("ip,dns name\n192.0.2.5,mail.example.net\n", options))
    assert (entry.text, entry.origin.labels) == ("mail.example.net", {"ip": "192.0.2.5"})
    entry = the_target(
        from_json(b'{"ip":"192.0.2.5","DNS name":"mail.example.net"}', options=options)
    )
    assert (entry.text, entry.origin.labels) == ("mail.example.net", {"ip": "192.0.2.5"})
    with pytest.raises(InputError, match="no column DNS name; found 'ip'"):
        from_csv("ip\n192.0.2.5\n", options)


def test_labels_of_the_run_stand_behind_those_of_the_row() -> None:
    options = InputOptions(labels={"site": "all", "run": "1"})
    entry = the_target(from_csv("ip,site\n192.0.2.5,ams\n", options))
    assert entry.origin.labels == {"site": "ams", "run": "1"}


@pytest.mark.parametrize("following", [1, 62, 63, 64, 500])
def test_a_forgotten_quote_costs_its_own_line_only(following: int) -> None:
    rows = [f"192.0.2.{n % 256},x" for n in range(following)]
    entries = from_csv("\n".join(["ip,note,", '10.0.0.1,"oops', *rows]))
    ((line, error),) = errors(entries[:1])
    assert line == 2
    assert "not a CSV row" in error
    assert rows == [f"{entry.text},x" for entry in entries[1:] if isinstance(entry, Target)]
    assert list(range(3, 3 + following)) == [entry.origin.line for entry in entries[1:] if entry]


def test_forgotten_quotes_on_every_line_give_one_target_a_line() -> None:
    assert len(errors(from_csv("ip\n" + '"192.0.2.1""\n' * 2000))) == 2000


def test_a_long_field_over_several_lines_is_bounded() -> None:
    entries = from_csv('ip,note\n192.0.2.1,"' + ("x" * 40_000 + "\n") * 3 + '"\n')
    assert the_target(entries[:1]).origin.labels == {"note": "x" * 40_000}
    assert errors(entries[1:])[0][0] == 3


@pytest.mark.parametrize(
    ("row", "helo", "site"),
    [
        ("192.0.2.5", None, ""),
        ("192.0.2.5,mx.example.net", "mx.example.net", ""),
        ("192.0.2.5,mx.example.net,ams,,", "mx.example.net", "ams"),
        ('192.0.2.5,mx.example.net,"forgotten', "mx.example.net", "forgotten"),
        ('192.0.2.5,mx.example.net,"Pub" Hirsch', "mx.example.net", "Pub Hirsch"),
        ("192.0.2.5,mx.example.net,two\rlines", "mx.example.net", "two lines"),
    ],
)
def test_an_odd_row_costs_no_address_its_audit(row: str, helo: str | None, site: str) -> None:
    first, second = from_csv(f"ip,helo,site\n{row}\n192.0.2.6,,\n")
    origin = the_target([first]).origin
    assert (origin.helo, origin.labels, origin.line) == (helo, {"site": site}, 2)
    assert the_target([second]).text == "192.0.2.6"


def test_a_label_with_half_a_pair_of_surrogates_is_kept_escaped() -> None:
    line = rb'{"ip":"192.0.2.5","a":"x\ud800","b":"\udc00\ud800","c":"\ud83d\ude00","d":"\\ud800"}'
    assert the_target(from_json(line)).origin.labels == {
        "a": r"x\ud800",
        "b": r"\udc00\ud800",
        "c": "\N{GRINNING FACE}",
        "d": r"\ud800",
    }


def test_csv_tells_of_a_wait_between_rows() -> None:
    batches = iter(([b"ip,note"], [], [b"192.0.2.1,x", b'192.0.2.2,"y'], [], [b'z"'], []))
    found = [entry and entry.origin.line for entry in csv_entries(batches, SOURCE, DEFAULTS)]
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
    assert [entry is None for entry in ndjson_entries(batches, SOURCE, DEFAULTS)] == [True, False]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{", "not JSON: "),
        (b"192.0.2.1", "not JSON: "),
        (b"[]", "expected a JSON object with the key target, ip, "),
        (b'["ip"]', "expected a JSON object with the key target, ip, "),
        (b'{"helo":"a.example"}', "expected a JSON object with the key target, ip, "),
        (b'{"count":1,"results":[{"ip":"192.0.2.1"}]}', "there is a list at 'results'"),
        (b'{"ip":7}', "'ip' is not a string"),
        (b'{"target":null}', "'target' is not a string"),
        (b'{"ip":"192.0.2.1","ip":"192.0.2.2"}', "has the key 'ip' twice"),
        (b'{"target":"a.example","x":1,"t\\u0061rget":"b.example"}', "has the key 'target' twice"),
        (b'{"ip":""}', "is empty"),
        (b'{"ip":"\\ud800"}', "has '\\' in it"),
        (b'{"ip":"\\uzzzz"}', "not JSON: "),
        (b'{"ip":"\xff"}', "not UTF-8 text"),
        (b'{"ip":"a\\u0000b.example"}', "has '\\x00' in it"),
        (b'{"ip":"192.0.2.1","a":' + b"[" * 30000, "not JSON: "),
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


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (b"1.10", "1.10"),
        (b"12345678901234567890123", "12345678901234567890123"),
        (b"1e400", "1e400"),
        (b"-0", "-0"),
        (b'{ "a" : [ 1.10, "x \\" }" ] }', '{"a":[1.10,"x \\" }"]}'),
        (b'"a\\nb"', "a\nb"),
        (b"[" * 300 + b"]" * 300, "[" * 300 + "]" * 300),
    ],
)
def test_a_label_keeps_the_text_of_its_value(value: bytes, label: str) -> None:
    entry = the_target(from_json(b'{"ip":"192.0.2.1","n":' + value + b',"z":"1"}'))
    assert entry.origin.labels == {"n": label, "z": "1"}


@pytest.mark.parametrize(
    ("members", "helo", "mail_from"),
    [
        (b'"helo":5', "5", ()),
        (b'"mail_from":[5]', None, ("[5]",)),
        (b'"mail_from":["@",""]', None, ("@", "<>")),
        (b'"mail_from":["a b@x.example"]', None, ("a b@x.example",)),
    ],
)
def test_an_odd_identity_costs_no_object_its_audit(
    members: bytes, helo: str | None, mail_from: tuple[str, ...]
) -> None:
    entry = the_target(from_json(b'{"ip":"192.0.2.1",' + members + b"}"))
    assert entry.kind == "ip"
    assert (entry.origin.helo, entry.origin.mail_from) == (helo, mail_from)


def test_an_array_gives_its_elements() -> None:
    data = b' [{"ip":"192.0.2.5"},\n{"ip": "192.0.2.6",\n "a": [{"b": 1.0}]} , "192.0.2.7"\n]\n'
    entries = from_array(data)
    assert [(e.text, e.origin.line) for e in entries if isinstance(e, Target)] == [
        ("192.0.2.5", 1),
        ("192.0.2.6", 2),
        ("192.0.2.7", 3),
    ]
    assert entries == from_array(*(data[n : n + 1] for n in range(len(data))))


def test_objects_may_stand_beside_each_other() -> None:
    entries = from_array(b'{\n "ip": "192.0.2.5"\n}\n{"ip":"192.0.2.6"}')
    assert [(e.text, e.origin.line) for e in entries if isinstance(e, Target)] == [
        ("192.0.2.5", 1),
        ("192.0.2.6", 4),
    ]


@pytest.mark.parametrize("data", [b"[", b'[{"ip":"192.0.2.5"}', b'[{"ip":"192.0.2.5"},{"ip'])
def test_an_array_that_is_cut_short_is_an_input_error(data: bytes) -> None:
    with pytest.raises(InputError, match=r"the JSON array has no end; is the file cut short\?"):
        from_array(data)


def test_an_element_of_any_length_is_bounded() -> None:
    chunks = (b'[{"ip":"', *[b"x" * 60_000] * 100, b'"},{"ip":"192.0.2.5"}]')
    entries = from_array(*chunks)
    assert errors(entries[:1]) == [(1, "longer than 65,536 octets")]
    assert the_target(entries[1:]).text == "192.0.2.5"


def test_an_array_tells_of_a_wait() -> None:
    found = [entry is None for entry in from_array(b'[{"ip":"192.', b"", b'0.2.1"}]')]
    assert found == [True, False]


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
    entries = list(csv_entries(iter(([b"ip,note", *lines],)), SOURCE, DEFAULTS))
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


@given(st.lists(JSON), st.integers(1, 7))
def test_an_array_of_anything_gives_an_entry_an_element(values: list[object], size: int) -> None:
    try:
        data = orjson.dumps(values, option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:  # a lone surrogate cannot be in a file
        return
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    entries = from_array(*chunks)
    assert len(entries) == len(values)
    lines = [entry.origin.line for entry in entries if entry]
    assert lines == sorted(lines)


@given(st.lists(st.binary(min_size=1, max_size=9)))
def test_garbage_in_an_array_gives_invalid_targets_or_an_input_error(chunks: list[bytes]) -> None:
    try:
        entries = from_array(*chunks)
    except InputError:
        return
    assert all(isinstance(entry, Target) for entry in entries)
