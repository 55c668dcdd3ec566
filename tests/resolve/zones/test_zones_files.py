"""Which files are zones: folders, single files, named.conf, `$INCLUDE`, and what is passed over.

Also tests `named_conf.py`.
"""

from __future__ import annotations

import asyncio
import gzip
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.effort import examples
from support.zone_texts import HEAD, ask

from auditor.errors import ZoneFileError
from auditor.resolve.zones import reader
from auditor.resolve.zones.common_lines import Context, ParsedLines, parse_lines
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.resolve.zones.files import files_of
from auditor.wire.codes import NOERROR, PTR, SERVFAIL, SOA, TXT, A

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, None]], None]

REVERSE = HEAD + "5 PTR mail.example.net.\n"


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def loaded(run: Run, path: Path) -> ZoneFileEngine:
    engine = ZoneFileEngine(path)
    run(engine.start())
    return engine


@pytest.mark.parametrize(
    "name",
    [
        *("2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa.zone", "db.2.0.192.in-addr.arpa"),
        *("db.192.0.2", "named.192.0.2", "192.0.2.rev", "192.0.2.db", "192.0.2.zone.signed"),
        *("pri.2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa.hosts", "2.0.192.in-addr.arpa.dns"),
    ],
)
def test_a_zone_file_may_be_called_like_its_zone(tmp_path: Path, run: Run, name: str) -> None:
    write(tmp_path, {name: REVERSE})

    answer = ask(loaded(run, tmp_path), "5.2.0.192.in-addr.arpa", PTR)

    assert answer.records == ("mail.example.net",)


@pytest.mark.parametrize(
    "soa",
    [
        "@ 1D IN SOA ns host 1 2 3 4 5\n",
        "@ in 3600 soa ns host ( 1 2 3 4 5 )\n",
        "example.\t3600\tIN\tSOA\tns. host. (\n  ; comment\n  2024010101 ; serial\n 2 3 4 5 )\n",
        "$ORIGIN example.\n@ SOA ( ns host\n1 2 3 4 5 )\n",
    ],
)
def test_the_soa_record_that_makes_a_zone_file_may_be_written_in_any_way(
    tmp_path: Path, run: Run, soa: str
) -> None:
    write(tmp_path, {"example.text": f"; a comment\n\n$TTL 60\n{soa}", "example.zone": ""})
    (tmp_path / "example.text").rename(tmp_path / "example")

    assert ask(loaded(run, tmp_path), "example", SOA).status == NOERROR


def test_what_is_passed_over_is_named_with_the_reason(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    write(
        tmp_path,
        {
            "example.net": HEAD,
            "example.net.bak": HEAD,
            "example.net.signed": HEAD,
            "example.org": "a A 192.0.2.1\n",
            "named.conf.local": 'zone "example.net" { type primary; file "example.net"; };\n',
            "secondary": b"\0\0\0\2" + HEAD.encode(),
            # Nobody means these.
            **dict.fromkeys([".hidden", "example.net~", "example.net.jnl", "Kexample.key"], "x"),
            **dict.fromkeys(["README.md", "#example.net#", "targets.csv"], f"the zone:\n{HEAD}"),
        },
    )

    engine = loaded(run, tmp_path)

    assert list(engine.zones) == ["example.net"]
    assert caplog.messages == [
        (
            f"{tmp_path}: passed over: example.net.bak (a copy, by its name), "
            "example.net.signed (the signed copy of example.net), example.org (no SOA record), "
            "named.conf.local (a named.conf: give it instead of the folder), "
            "secondary (not text; named-compilezone -f raw -F text makes it so)"
        )
    ]


def test_a_long_list_of_files_passed_over_is_cut(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, {"example": HEAD, **dict.fromkeys(map(str, range(100)), "nothing")})

    loaded(run, tmp_path)

    (message,) = caplog.messages
    assert message.endswith("12 (no SOA record) and 95 more")


def test_one_file_is_one_zone(tmp_path: Path, run: Run) -> None:
    write(tmp_path, {"db.192.0.2": REVERSE, "other": HEAD})

    engine = loaded(run, tmp_path / "db.192.0.2")

    assert list(engine.zones) == ["2.0.192.in-addr.arpa"]


# --- names without final dots --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        # Some names have their dots, so records are out of the doubled zone.
        (
            "example.net.zone",
            "example.net 60 IN SOA a b 1 2 3 4 5\nmail.example.net. 60 A 192.0.2.1\n",
        ),
        # None has, so that the doubled zone would load.
        ("example.net", "example.net 60 IN SOA a b 1 2 3 4 5\nmail.example.net 60 A 192.0.2.1\n"),
        ("export.zone", "example.net 60 IN SOA a b 1 2 3 4 5\n"),
        ("net.zone", "$ORIGIN example.net.\nexample.net 60 IN SOA a b 1 2 3 4 5\n"),
        ("zone", "$ORIGIN example.net.\nnet 60 IN SOA a b 1 2 3 4 5\n"),
    ],
)
def test_an_soa_record_without_its_final_dot_is_named(
    tmp_path: Path, run: Run, name: str, text: str
) -> None:
    write(tmp_path, {name: text})

    with pytest.raises(
        ZoneFileError, match=r":[12]: .* no final dot; add \$ORIGIN \. or the final dots$"
    ):
        loaded(run, tmp_path)


def test_an_soa_record_below_a_stated_origin_needs_no_dot(tmp_path: Path, run: Run) -> None:
    write(tmp_path, {"a": "$ORIGIN arpa.\n2.0.192.in-addr 60 SOA a. b. 1 2 3 4 5\n"})

    assert list(loaded(run, tmp_path).zones) == ["2.0.192.in-addr.arpa"]


def test_owners_that_have_the_origin_twice_are_pointed_out(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    write(
        tmp_path, {"example.net": HEAD + "a.example.net A 192.0.2.1\nb.example.net A 192.0.2.1\n"}
    )

    loaded(run, tmp_path)

    assert caplog.messages == [
        (
            f"{tmp_path / 'example.net'}: 2 names such as a.example.net.example.net have the "
            "origin twice: add the final dots that they lack, or $ORIGIN ."
        )
    ]


# --- unknown types -------------------------------------------------------------------------


def test_a_record_of_an_unknown_type_makes_one_name_undetermined(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    text = HEAD + 'www ALIAS host\nwww TXT "known"\nhost A 192.0.2.1\n'
    write(tmp_path, {"example": text + "".join(f"a{n} LUA A\n" for n in range(9))})

    engine = loaded(run, tmp_path)

    assert ask(engine, "host.example", A).records == ("192.0.2.1",)
    assert ask(engine, "www.example", TXT).records == ((b"known",),)
    assert ask(engine, "www.example", A).status == SERVFAIL
    assert caplog.messages[0] == (
        f"{tmp_path / 'example'}:3: unknown type ALIAS: www.example is undetermined"
    )
    assert caplog.messages[3:] == [f"{tmp_path / 'example'}: 7 more names with unknown types"]


# --- $INCLUDE --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_before", [True, False])
def test_what_is_out_of_zone_is_ignored_and_said(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture, *, is_before: bool
) -> None:
    outside = "ns.example.net. 300 A 192.0.2.1\n$GENERATE 1-3 $.example.net. 300 A 192.0.2.$\n"
    outside += "x.example.net. 300 WHAT x\n"
    text = outside + REVERSE if is_before else REVERSE + outside
    write(tmp_path, {"2.0.192.in-addr.arpa.zone": text})
    with caplog.at_level("WARNING", logger="auditor"):
        engine = loaded(run, tmp_path)
    assert ask(engine, "5.2.0.192.in-addr.arpa", PTR).status == NOERROR
    assert set(engine.zones["2.0.192.in-addr.arpa"].nodes) >= {"5.2.0.192.in-addr.arpa"}
    assert not [name for name in engine.zones["2.0.192.in-addr.arpa"].nodes if "example" in name]
    (message,) = caplog.messages
    assert message.endswith(
        "out of the zone 2.0.192.in-addr.arpa, and ignored: ns.example.net and 2 more"
    )


def test_lines_out_of_zone_do_not_make_the_rest_be_read_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []

    def counted(text: str, position: int, end: int, context: Context) -> ParsedLines:
        taken.append(end - position)
        return parse_lines(text, position, end, context)

    monkeypatch.setattr(reader, "parse_lines", counted)
    outside = [f"h{number}.example.net. A 192.0.2.1\n" for number in range(5000)]
    inside = [f"{number}.x PTR a.example.net.\n" for number in range(20_000)]
    text = "".join((HEAD, *outside, *inside))
    engine = ZoneFileEngine.from_texts({"2.0.192.in-addr.arpa": text})
    assert ask(engine, "19999.x.2.0.192.in-addr.arpa", PTR).status == NOERROR
    assert sum(taken) < 4 * len(text)
    assert max(taken) <= 1 << 16


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            gzip.compress(REVERSE.encode(), mtime=0),
            "compressed; gunzip, unxz or unzstd makes it text",
        ),
        (REVERSE.encode("utf-16"), "UTF-16; iconv -f UTF-16 -t UTF-8 makes it text"),
        (
            b"server:\n  ip-address: ::1\nzone:\n\n  name: example\n",
            "a configuration of NSD or Knot",
        ),
        (b"zone: # all\n  - domain: example\n", "the folder of its zone files can be read"),
    ],
    ids=["gzip", "UTF-16", "NSD", "Knot"],
)
def test_a_file_that_is_no_text_is_named_with_what_makes_it_text(
    tmp_path: Path, run: Run, data: bytes, why: str
) -> None:
    write(tmp_path, {"2.0.192.in-addr.arpa.zone.gz": data})
    for path in (tmp_path, tmp_path / "2.0.192.in-addr.arpa.zone.gz"):
        with pytest.raises(ZoneFileError) as caught:
            loaded(run, path)
        assert why in str(caught.value)


def test_dynamic_records_of_windows_dns_are_read(tmp_path: Path, run: Run) -> None:
    text = f"{HEAD}5 [AGE:3700000] 1200 PTR mail.example.net.\n6\t[AGE:1]\tPTR b.example.net.\n"
    write(tmp_path, {"2.0.192.in-addr.arpa.dns": text})
    engine = loaded(run, tmp_path)
    assert ask(engine, "5.2.0.192.in-addr.arpa", PTR).records == ("mail.example.net",)
    assert ask(engine, "6.2.0.192.in-addr.arpa", PTR).records == ("b.example.net",)


def test_included_files_are_read_in_their_place(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    zone = """
        $INCLUDE common/soa
        $INCLUDE "customers" customers.example. ; with an origin
        $include customers
        last A 192.0.2.9
        """
    write(
        tmp_path,
        {
            "example": zone.replace("        ", ""),
            "common/soa": HEAD,
            "customers": "a 60 A 192.0.2.1\n$ORIGIN elsewhere.example.\nb A 192.0.2.2\n",
        },
    )

    engine = loaded(run, tmp_path)

    names = ("a.customers", "a", "b.elsewhere", "last")
    found = {name: ask(engine, f"{name}.example", A).records for name in names}
    assert found == {
        "a.customers": ("192.0.2.1",),
        "a": ("192.0.2.1",),
        "b.elsewhere": ("192.0.2.2",),
        "last": ("192.0.2.9",),
    }
    assert not caplog.messages
    assert files_of(tmp_path) == sorted(path for path in tmp_path.rglob("*") if path.is_file())


def test_an_error_in_an_included_file_names_that_file(tmp_path: Path, run: Run) -> None:
    write(tmp_path, {"example": HEAD + "$INCLUDE part\n", "part": "\nwww A 192.0.2\n"})

    with pytest.raises(ZoneFileError) as caught:
        loaded(run, tmp_path)

    assert str(caught.value) == (
        f"{tmp_path / 'part'}:2: expected a resource record or a directive, found 'www A 192.0.2'"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../outside", "expected a file in"),
        ("link", "expected a file in"),
        ("{folder}/../outside", "expected a file in"),
        ("folder", "expected a file in"),
        ("missing", "No such file or directory"),
        ("x\\000y", "No such file or directory"),
        ("example", "expected at most 8 files that include one another"),
    ],
)
def test_nothing_outside_of_the_folder_is_included(
    tmp_path: Path, run: Run, name: str, reason: str
) -> None:
    folder = tmp_path / "zones"
    name = name.format(folder=folder)
    write(tmp_path, {"outside": "a A 192.0.2.1\n", "zones/example": f"{HEAD}$INCLUDE {name}\n"})
    (folder / "folder").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")

    with pytest.raises(ZoneFileError) as caught:
        loaded(run, folder / "example")

    assert str(caught.value).startswith(f"{folder / 'example'}:3: '$INCLUDE ")
    assert "' cannot be read: " in str(caught.value)
    assert reason in str(caught.value)


# --- named.conf ------------------------------------------------------------------------------


CONF = """
// a comment
options { directory "data"; recursion no; /* zone "no" { file "no"; }; */ };
include "local";
zone "." { type hint; file "root.hints"; };
zone "2.0.192.IN-ADDR.ARPA." IN { type master; file "reverse"; allow-update { none; }; };
zone "gone.example" { type slave; file "gone"; };
zone "127.in-addr.arpa" { type primary; file "db.127"; };
zone "else.example" { type forward; forwarders { 192.0.2.1; }; };
zone "bare.example" { type primary; };
include "/nowhere/rndc.key";
"""
LOCAL = """
# another comment
view "inside" { zone "example.net" { type primary; file "net.txt"; }; };
view "outside" { zone "example.net" { type primary; file "reverse"; }; };
"""


def test_a_named_conf_lists_the_zones(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    net = HEAD + "mail A 192.0.2.5\n"
    files = {"named.conf": CONF, "local": LOCAL, "data/reverse": REVERSE, "net.txt": net}
    write(tmp_path, dict(files))

    engine = loaded(run, tmp_path / "named.conf")

    assert sorted(engine.zones) == ["2.0.192.in-addr.arpa", "example.net"]
    assert ask(engine, "mail.example.net", A).records == ("192.0.2.5",)
    assert caplog.messages == [
        "/nowhere/rndc.key: cannot be read: No such file or directory: passed over",
        f"{tmp_path / 'named.conf'}: example.net is listed again: the first one counts",
        f"gone.example: passed over: there is no file {tmp_path / 'data/gone'}",
        f"127.in-addr.arpa: passed over: there is no file {tmp_path / 'data/db.127'}",
        "bare.example: passed over: no file is given for this zone",
    ]
    assert files_of(tmp_path / "named.conf") == sorted(tmp_path / name for name in files)


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        ('zone "a" { type primary; file "missing"; };', "no zone in it; expected zones"),
        ('options { directory "/"; };\n', "no zone in it; expected zones with a file"),
        ('include "named.conf";', "expected at most 16 files that include one another, and"),
        ('zone "a" {' * examples(100_000), "no zone in it"),
    ],
)
def test_a_named_conf_without_zones_is_refused(
    tmp_path: Path, run: Run, conf: str, reason: str
) -> None:
    write(tmp_path, {"named.conf": conf})

    with pytest.raises(ZoneFileError, match=reason):
        loaded(run, tmp_path / "named.conf")


def test_zones_of_a_named_conf_include_files_of_its_directory_as_of_their_own(
    tmp_path: Path, run: Run
) -> None:
    """BIND looks in the directory of its options; many have moved with the zone's folder."""
    write(
        tmp_path,
        {
            "named.conf": f'options {{ directory "{tmp_path}/var"; }};\n'
            f'zone "example.net" {{ type primary; file "{tmp_path}/zones/net"; }};\n',
            "zones/net": f"{HEAD}$INCLUDE shared/a\n$INCLUDE b\n$INCLUDE {tmp_path}/zones/b b\n",
            "zones/b": "b A 192.0.2.2\n",
            "var/shared/a": "a A 192.0.2.1\n",
            "outside": "c A 192.0.2.3\n",
        },
    )
    conf = tmp_path / "named.conf"
    engine = loaded(run, conf)
    found = {name: ask(engine, f"{name}.example.net", A).records for name in ("a", "b", "b.b")}
    assert found == {"a": ("192.0.2.1",), "b": ("192.0.2.2",), "b.b": ("192.0.2.2",)}
    files = ("named.conf", "var/shared/a", "zones/b", "zones/net")
    assert files_of(conf) == [tmp_path / name for name in files]

    (tmp_path / "zones/net").write_text(f"{HEAD}$INCLUDE ../outside\n")
    with pytest.raises(ZoneFileError, match="expected a file in"):
        loaded(run, conf)


@pytest.mark.parametrize("name", ["/dev/zero", "a\0b"])
def test_a_named_conf_includes_nothing_but_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, run: Run, name: str
) -> None:
    conf = f'include "{name}";\nzone "example.net" {{ type primary; file "net"; }};\n'
    write(tmp_path, {"named.conf": conf, "net": HEAD})
    loaded(run, tmp_path / "named.conf")
    (message,) = caplog.messages
    assert "cannot be read: " in message
    assert message.endswith(": passed over")


# --- interruption ----------------------------------------------------------------------------


def test_loading_can_be_interrupted(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that has no end is read no further than to the next look."""
    begun, ended = threading.Event(), threading.Event()
    real = reader.read_zone

    def watched(*args: Any) -> Any:
        begun.set()
        try:
            return real(*args)
        finally:
            ended.set()

    monkeypatch.setattr("auditor.resolve.zones.engine.read_zone", watched)
    monkeypatch.setattr(reader, "run_end", lambda _text, _position: 0)
    write(tmp_path, {"example": HEAD + "a A 192.0.2.1\n"})
    monkeypatch.setattr(reader, "parse_lines", lambda *_: ParsedLines([], "example", None))

    async def main() -> None:
        loading = asyncio.ensure_future(ZoneFileEngine(tmp_path).start())
        await asyncio.to_thread(begun.wait)
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        await asyncio.to_thread(ended.wait)

    run(main())
    assert ended.is_set()
