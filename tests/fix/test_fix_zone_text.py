"""Changes in master files: as little as can be, and the zone that was meant."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

import pytest
from fix.fleets import head
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples

from auditor.errors import ZoneFileError
from auditor.fix.changes import OWN, Change, Responsible
from auditor.fix.zone_text import changed_files, diff_of, with_files
from auditor.resolve.zones.files import master_files
from auditor.resolve.zones.reader import MasterFile, read_zone
from auditor.wire.codes import AAAA, PTR, SOA, TXT, A
from auditor.wire.names import encode_name

if TYPE_CHECKING:
    from pathlib import Path

    from auditor.resolve.answer import Rdata

ORIGIN: Final = "example.net"


def _change(owner: str, rdtype: int, before: tuple[Rdata, ...], after: tuple[Rdata, ...]) -> Change:
    change = Change(owner, rdtype, before, 300, Responsible(OWN, ORIGIN))
    for value in before:
        if value not in after:
            change.edit("delete", value, (), "")
    for value in after:
        change.edit("add", value, (), "")
    return change


def _changed(text: str | bytes, *changes: Change) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    file = MasterFile("z", "", ORIGIN, data)
    new = changed_files(file, changes)["z"]
    assert read_zone(file._replace(data=new)).origin == ORIGIN
    return new.decode()


def _records(text: str) -> str:
    """Return the lines behind those of the zone's head."""
    lines = text.splitlines(keepends=True)
    return "".join(lines[4:])


def test_a_new_value_takes_the_place_of_the_old_one_comment_and_all() -> None:
    text = head(ORIGIN) + "a  IN A\t192.0.2.1  ; the first\nb A 192.0.2.2\n"
    assert (
        _records(_changed(text, _change("a.example.net", A, ("192.0.2.1",), ("192.0.2.9",))))
        == "a  IN A\t192.0.2.9  ; the first\nb A 192.0.2.2\n"
    )


def test_what_is_added_stands_with_the_records_of_its_name_or_at_the_end() -> None:
    text = head(ORIGIN) + "a A 192.0.2.1\n  TXT x\nb A 192.0.2.2\n"
    changes = (
        _change("a.example.net", AAAA, (), ("2001:db8::1",)),
        _change("c.example.net", A, (), ("192.0.2.3",)),
    )
    assert _records(_changed(text, *changes)) == (
        "a A 192.0.2.1\n  TXT x\na.example.net. 300 IN AAAA 2001:db8::1\nb A 192.0.2.2\n"
        "c.example.net. 300 IN A 192.0.2.3\n"
    )


def test_an_entry_without_an_owner_gets_it_when_the_one_before_goes() -> None:
    text = head(ORIGIN) + "a A 192.0.2.1\n  A 192.0.2.2\n  TXT x\nb A 192.0.2.3\n"
    change = _change("a.example.net", A, ("192.0.2.1", "192.0.2.2"), ())
    assert _records(_changed(text, change)) == "a.example.net.  TXT x\nb A 192.0.2.3\n"


def test_entries_over_several_lines_go_as_a_whole() -> None:
    text = head(ORIGIN) + 'a TXT ( "v=spf1" ; one\n " -all" )\nb A 192.0.2.2\n'
    change = _change("a.example.net", TXT, ((b"v=spf1", b" -all"),), ((b"v=spf1 ~all",),))
    assert _records(_changed(text, change)) == (
        'a.example.net. 300 IN TXT "v=spf1 ~all"\nb A 192.0.2.2\n'
    )


def test_a_text_is_replaced_in_its_line_whatever_is_in_it() -> None:
    text = head(ORIGIN) + 'a TXT "a; \\"b" "(c" ; note\n'
    change = _change("a.example.net", TXT, ((b'a; "b', b"(c"),), ((b"d",),))
    assert _records(_changed(text, change)) == 'a TXT "d" ; note\n'


def test_line_ends_and_other_scripts_in_comments_stay_as_they_are() -> None:
    text = (head(ORIGIN) + "; bücher\na A 192.0.2.1 ; größe\n").replace("\n", "\r\n")
    changes = (
        _change("a.example.net", A, ("192.0.2.1",), ("192.0.2.9",)),
        _change("b.example.net", A, (), ("192.0.2.3",)),
    )
    assert _records(_changed(text, *changes)) == (
        "; bücher\r\na A 192.0.2.9 ; größe\r\nb.example.net. 300 IN A 192.0.2.3\r\n"
    )


@pytest.mark.parametrize(
    ("soa", "expected"),
    [
        ("@ SOA ns1 hostmaster 7 7 7 7 7", "@ SOA ns1 hostmaster 8 7 7 7 7"),
        ("@ 7 IN SOA ns7 h7 ( 7\n 7 7 7 7 )", "@ 7 IN SOA ns7 h7 ( 8\n 7 7 7 7 )"),
        (
            "@ SOA ns1 h (\n ; 7 is old\n 4294967295 ; serial\n 1 1 1 1)",
            "@ SOA ns1 h (\n ; 7 is old\n 0 ; serial\n 1 1 1 1)",
        ),
        ("@ SOA (ns1 h 0042 1 1 1 1) ; größe", "@ SOA (ns1 h 43 1 1 1 1) ; größe"),
    ],
)
def test_the_serial_number_grows_by_one(soa: str, expected: str) -> None:
    rest = "@ NS ns1\n"
    change = _change("a.example.net", A, (), ("192.0.2.1",))
    text = f"$TTL 1\n{soa}\n{rest}"
    assert (
        _changed(text, change) == f"$TTL 1\n{expected}\n{rest}a.example.net. 300 IN A 192.0.2.1\n"
    )


def test_a_file_without_a_line_end_gets_one_before_more_is_added() -> None:
    text = head(ORIGIN) + "a A 192.0.2.1"
    change = _change("b.example.net", A, (), ("192.0.2.3",))
    assert _records(_changed(text, change)) == "a A 192.0.2.1\nb.example.net. 300 IN A 192.0.2.3\n"


def test_hostile_names_are_written_as_they_are_read_back() -> None:
    owner = r"\;a\032.example.net".replace(r"\;", ";")
    change = _change(owner, PTR, (), (r'"x\010.example.net',))
    new = _changed(head(ORIGIN), change)
    zone = read_zone(MasterFile("z", "", ORIGIN, new.encode()))
    assert zone.nodes[owner][PTR][1] == (r'"x\010.example.net',)


def test_files_that_are_included_are_changed_where_the_records_stand(tmp_path: Path) -> None:
    path, part = tmp_path / "example.net.zone", tmp_path / "hosts.inc"
    path.write_text(head(ORIGIN) + "$INCLUDE hosts.inc\nz A 192.0.2.9\n")
    part.write_text("a A 192.0.2.1\n")
    (file,) = master_files(path)
    change = _change("a.example.net", A, ("192.0.2.1",), ("192.0.2.2",))
    new = changed_files(file, [change])
    assert set(new) == {str(path), str(part)}
    assert new[str(part)] == b"a A 192.0.2.2\n"
    zone = read_zone(with_files(file, new))
    assert zone.nodes["a.example.net"][A][1] == ("192.0.2.2",)
    assert zone.nodes[ORIGIN][SOA][1][0].serial == 8  # type: ignore[union-attr]


def test_a_diff_is_one_that_patch_takes() -> None:
    assert b"".join(diff_of("z", b"a\nb\n", b"a\nc\n")) == (
        b"--- a/z\n+++ b/z\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    )


_LINES: Final = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"\n"]), max_size=24)


@settings(max_examples=examples(200), deadline=None)
@given(old=_LINES, new=_LINES, whole=st.booleans())
def test_a_diff_leads_from_any_text_to_any_other(
    old: list[bytes], new: list[bytes], *, whole: bool
) -> None:
    before, after = b"".join(old), b"".join(new)
    if not whole:
        before, after = before.removesuffix(b"\n"), after.removesuffix(b"\n")
    assert _patched(before, b"".join(diff_of("z", before, after))) == after


def _patched(old: bytes, diff: bytes) -> bytes:
    lines, new, done = old.splitlines(keepends=True), b"", 0
    hunks = re.split(rb"^@@ -(\d+),(\d+) \+\d+,\d+ @@\n", diff, flags=re.MULTILINE)[1:]
    for start, size, hunk in zip(hunks[::3], hunks[1::3], hunks[2::3], strict=True):
        first = int(start) - bool(int(size))
        parts: list[bytes] = []
        for line in hunk.splitlines(keepends=True):
            if line.startswith(b"\\"):  # of the line before
                parts[-1] = parts[-1].removesuffix(b"\n")
            else:
                parts.append(line)
        kept = [part[1:] for part in parts if part[:1] in {b" ", b"-"}]
        assert lines[first : first + int(size)] == kept
        new += b"".join(lines[done:first])
        new += b"".join(part[1:] for part in parts if part[:1] in {b" ", b"+"})
        done = first + int(size)
    return new + b"".join(lines[done:])


def test_a_serial_number_in_octets_is_not_changed() -> None:
    names = encode_name("ns1.example.net") + encode_name("h.example.net")
    rdata = names + struct.pack("!5I", 7, 1, 1, 1, 1)
    text = f"@ 60 SOA \\# {len(rdata)} {rdata.hex()}\n@ 60 NS ns1\n"
    file = MasterFile("z", "", ORIGIN, text.encode())
    with pytest.raises(ZoneFileError, match="z:1: the serial number is not found"):
        changed_files(file, [_change("a.example.net", A, (), ("192.0.2.1",))])


def test_an_unreadable_file_is_refused() -> None:
    file = MasterFile("z", "", ORIGIN, b"a A x\n")
    with pytest.raises(ZoneFileError):
        changed_files(file, [_change("a.example.net", A, (), ("192.0.2.1",))])
