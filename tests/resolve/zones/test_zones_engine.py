"""The `zones` engine: folders of files, and answers through several zones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.zone_texts import HEAD, ask, zones

from auditor.errors import ZoneFileError
from auditor.resolve.answer import Answer, Provenance, Question, alias_of
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.wire.codes import (
    AAAA,
    CNAME,
    DNAME,
    MX,
    NODATA,
    NOERROR,
    NS,
    NXDOMAIN,
    PTR,
    REFUSED,
    SERVFAIL,
    SOA,
    TXT,
    A,
    type_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    Run = Callable[[Coroutine[Any, Any, None]], None]

# --- delegations and several zones --------------------------------------------------------


def test_a_delegation_that_leads_out_is_unknown_and_glue_is_no_answer() -> None:
    engine = zones(
        example="""
        @ NS ns
        ns A 192.0.2.1
        sub NS ns.sub
        sub TXT "occluded"
        ns.sub A 192.0.2.2
        a.b.sub A 192.0.2.3
        in CNAME www.sub
        """
    )

    for name in ("sub", "ns.sub", "a.b.sub", "b.sub", "nothing.sub"):
        for rdtype in (A, NS, TXT):
            assert Answer(SERVFAIL) == ask(engine, f"{name}.example", rdtype)
    assert Answer(SERVFAIL, (), ("in.example",), "www.sub.example") == ask(engine, "in.example", A)
    assert Answer(NOERROR, ("ns.example",), ttl=300) == ask(engine, "example", NS)


def test_a_delegated_zone_that_is_loaded_answers_for_itself() -> None:
    engine = zones(
        example='@ NS ns\nsub NS ns.sub\nns.sub A 192.0.2.2\nsub TXT "parent"\nin CNAME w.sub\n',
        sub__example='@ NS ns\n@ TXT "child"\nns A 192.0.2.3\nw A 192.0.2.4\n',
    )

    assert Answer(NOERROR, ((b"child",),), ttl=300) == ask(engine, "sub.example", TXT)
    assert Answer(NOERROR, ("192.0.2.3",), ttl=300) == ask(engine, "ns.sub.example", A)
    assert Answer(NXDOMAIN, ttl=60, zone="sub.example") == ask(engine, "missing.sub.example", A)
    expected = Answer(NOERROR, ("192.0.2.4",), ("in.example",), "w.sub.example", 300)
    assert expected == ask(engine, "in.example", A)


def test_a_zone_below_without_a_delegation_answers_whatever_was_asked_before() -> None:
    engine = zones(
        example='a TXT "a"\na.sub TXT "parent"\n',
        sub__example='a TXT "child"\n',
        test="a A 192.0.2.1\n",
    )

    names = ("a.example", "a.sub.example", "a.test", "a.sub.example", "a.example", "no.example")
    questions = [Question(name, TXT) for name in names]
    delivered: list[tuple[Question, Answer]] = []
    engine.submit(questions, delivered.extend)

    assert [(question, engine.answer(question)) for question in questions] == delivered
    assert delivered[1][1].records == ((b"child",),)


def test_outside_of_all_zones_is_refused() -> None:
    engine = zones(example="a A 192.0.2.1\n")

    for name in (".", "test", "aexample", "a\\.example"):
        assert Answer(REFUSED) == ask(engine, name, A)
        message = ((20, f"no zone file covers {name}; loaded: example"),)
        assert engine.answer(Question(name, A)).how == Provenance(transport="file", ede=message)


RFC2317_PARENT = """
0/26 NS ns.customer.test.
1 CNAME 1.0/26
64 NS ns.other.test.
65 CNAME 65.64
"""


def test_a_classless_delegation_is_followed_into_its_zone() -> None:
    engine = zones(
        **{
            "2__0__192__in-addr__arpa": RFC2317_PARENT,
            "0/26__2__0__192__in-addr__arpa": "1 PTR Mail.Customer.Test.\n",
        }
    )

    owner = "1.2.0.192.in-addr.arpa"
    canonical = "1.0/26.2.0.192.in-addr.arpa"
    expected = Answer(NOERROR, ("mail.customer.test",), (owner,), canonical, 300)
    assert expected == ask(engine, owner, PTR)


def test_a_classless_delegation_to_a_zone_not_loaded_is_unknown() -> None:
    engine = zones(**{"2__0__192__in-addr__arpa": RFC2317_PARENT})

    owner = "65.2.0.192.in-addr.arpa"
    expected = Answer(SERVFAIL, (), (owner,), "65.64.2.0.192.in-addr.arpa")
    assert expected == ask(engine, owner, PTR)


# --- aliases -----------------------------------------------------------------------------


def test_an_alias_crosses_zones_and_keeps_the_lowest_ttl() -> None:
    engine = zones(
        example="a 250 CNAME b\nb 200 CNAME c.test.\n",
        test="c 100 CNAME d\nd 400 A 192.0.2.1\n",
    )

    chain = ("a.example", "b.example", "c.test")
    assert Answer(NOERROR, ("192.0.2.1",), chain, "d.test", 100) == ask(engine, "a.example", A)
    denied = ask(engine, "a.example", AAAA)
    assert (denied.status, denied.chain, denied.ttl, denied.zone) == (NODATA, chain, 60, "test")
    assert Answer(NOERROR, ("b.example",), ttl=250) == ask(engine, "a.example", CNAME)


def test_an_alias_that_leads_out_is_left_to_the_caller() -> None:
    answer = ask(zones(example="a CNAME b\nb 30 CNAME www.test.\n"), "a.example", A)

    assert Answer(NOERROR, (), ("a.example", "b.example"), "www.test", 30) == answer
    assert alias_of(answer) == "www.test"


def test_an_alias_to_a_missing_name_is_nxdomain_with_its_chain() -> None:
    answer = ask(zones(example="a 30 CNAME b\n"), "a.example", A)

    assert Answer(NXDOMAIN, (), ("a.example",), "b.example", 30, answer.how, "example") == answer


@pytest.mark.parametrize("text", ["a CNAME a\n", "a CNAME b\nb CNAME c\nc CNAME b\n"])
def test_a_loop_of_aliases_is_unknown(text: str) -> None:
    answer = ask(zones(example=text), "a.example", A)

    assert answer.status == SERVFAIL
    assert answer.chain[0] == "a.example"
    assert alias_of(answer) == ""


@pytest.mark.parametrize(("length", "status"), [(8, NOERROR), (9, SERVFAIL)])
def test_eight_aliases_are_followed_and_no_more(length: int, status: str) -> None:
    text = "".join(f"a{n} CNAME a{n + 1}\n" for n in range(length)) + f"a{length} A 192.0.2.1\n"

    answer = ask(zones(example=text), "a0.example", A)

    assert answer.status == status
    assert answer.chain == tuple(f"a{n}.example" for n in range(8))


def test_a_dname_moves_everything_below_it_and_nothing_else() -> None:
    engine = zones(
        example='old 90 DNAME new.test.\nold TXT "stays"\nsub.old TXT "occluded"\n',
        new__test="www A 192.0.2.1\n*.w A 192.0.2.2\n",
    )

    chain = ("www.old.example",)
    expected = Answer(NOERROR, ("192.0.2.1",), chain, "www.new.test", 90)
    assert expected == ask(engine, "www.old.example", A)
    expected = Answer(NOERROR, ("192.0.2.2",), ("a.w.old.example",), "a.w.new.test", 90)
    assert expected == ask(engine, "a.w.old.example", A)
    expected = Answer(NXDOMAIN, (), ("sub.old.example",), "sub.new.test", 60, zone="new.test")
    assert expected == ask(engine, "sub.old.example", TXT)
    assert Answer(NOERROR, ("www.new.test",), ttl=90) == ask(engine, "www.old.example", CNAME)
    assert Answer(NOERROR, ((b"stays",),), ttl=300) == ask(engine, "old.example", TXT)
    assert Answer(NOERROR, ("new.test",), ttl=90) == ask(engine, "old.example", DNAME)
    assert Answer(NODATA, ttl=60, zone="example") == ask(engine, "old.example", A)


def test_a_dname_that_makes_a_name_too_long_says_so() -> None:
    label = "x" * 63
    engine = zones(example=f"a DNAME {label}.{label}.{label}\n")

    # 192 octets of labels, 9 of `example.` and the root: 54 are left.
    assert ask(engine, f"{'y' * 53}.a.example", A).status == NXDOMAIN
    assert Answer("YXDOMAIN") == ask(engine, f"{'y' * 54}.a.example", A)


# --- the folder --------------------------------------------------------------------------


def write(folder: Path, **files: str) -> ZoneFileEngine:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return ZoneFileEngine(folder)


def test_a_folder_is_loaded_by_the_names_of_its_files(tmp_path: Path, run: Run) -> None:
    engine = write(
        tmp_path,
        example__net__zone=HEAD,
        example__org__db=HEAD,
        db__example__com=HEAD,
        any="$ORIGIN example.info.\n" + HEAD,
        root__zone=HEAD + "mail.example. MX 1 a\n",
        README__md="not a zone",
        truth__ndjson="{}",
        example__net__zone__bak="not a zone",
        copy__zone__swp="not a zone",
    )
    (tmp_path / "zone~").write_text("not a zone")
    (tmp_path / ".hidden").write_text("not a zone")
    (tmp_path / "folder").mkdir()

    run(engine.start())

    origins = {"example.net", "example.org", "example.com", "example.info", "."}
    assert {name for name in origins if ask(engine, name, SOA).status == NOERROR} == origins
    assert ask(engine, "mail.example", MX).records == ((1, "a"),)
    how = engine.answer(Question("example.net", SOA)).how
    assert how == Provenance(server="example.net.zone", transport="file", attempts=1, rtt_ms=0.0)


def test_a_folder_is_loaded_once(tmp_path: Path, run: Run) -> None:
    engine = write(tmp_path, example__zone=HEAD)
    run(engine.start())
    (tmp_path / "example.zone").unlink()
    run(engine.start())

    assert ask(engine, "example", SOA).status == NOERROR


def test_all_questions_are_answered_at_once_and_counted(run: Run) -> None:
    engine = zones(example="a A 192.0.2.1\n")
    questions = [Question("a.example", A), Question("b.example", A)]
    batches: list[Sequence[tuple[Question, Answer]]] = []

    engine.submit(questions, batches.append)
    run(engine.close_engine())

    assert batches == [[(question, engine.answer(question)) for question in questions]]
    assert engine.counters() == {"asked": 2, "answered": 2}


def test_the_engine_costs_no_import_of_dnspython_until_it_loads() -> None:
    code = "import sys, auditor.resolve.zones.engine; sys.exit('dns' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_real_policies_are_loaded_whole(shared_data: Path, run: Run) -> None:
    folder = shared_data / "spf-real"
    engine = ZoneFileEngine(folder)
    run(engine.start())

    seen: dict[Question, int] = {}
    for line in set((folder / "zone").read_text().splitlines()):
        if not line.startswith("$"):
            owner, _, rdtype, _ = line.split(maxsplit=3)
            name = owner.lower().removesuffix(".") or "."
            question = Question(name, type_number(rdtype))
            seen[question] = seen.get(question, 0) + 1
    assert len(seen) > 10_000
    assert seen == {question: len(engine.answer(question).records) for question in seen}


def test_an_error_in_a_file_names_the_file_and_the_line(tmp_path: Path, run: Run) -> None:
    engine = write(tmp_path, example__zone=HEAD + "www A 192.0.2\n")

    with pytest.raises(ZoneFileError) as caught:
        run(engine.start())

    assert str(caught.value) == (
        f"{tmp_path / 'example.zone'}:3: "
        "expected a resource record or a directive, found 'www A 192.0.2'"
    )


def test_a_zone_in_two_files_is_refused(tmp_path: Path, run: Run) -> None:
    engine = write(tmp_path, a="$ORIGIN example.\n" + HEAD, example__db=HEAD)

    with pytest.raises(ZoneFileError) as caught:
        run(engine.start())

    assert str(caught.value) == (
        f"{tmp_path / 'example.db'}: the zone example again, after {tmp_path / 'a'}; "
        "expected one file a zone"
    )


def test_a_folder_without_zone_files_is_refused(tmp_path: Path, run: Run) -> None:
    engine = write(tmp_path, example__zone="; SOA: missing", README__md="SOA", x__jnl="")

    with pytest.raises(ZoneFileError) as caught:
        run(engine.start())

    assert str(caught.value) == (
        f"{tmp_path}: no zone file in it; expected files with an SOA record: "
        "example.zone (no SOA record)"
    )


def test_what_is_not_there_is_refused(tmp_path: Path, run: Run) -> None:
    with pytest.raises(ZoneFileError) as caught:
        run(ZoneFileEngine(tmp_path / "missing").start())

    assert str(caught.value) == (
        f"{tmp_path / 'missing'}: expected a folder of zone files, a zone file or a named.conf: "
        "No such file or directory"
    )


def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = write(tmp_path, example__zone=HEAD)

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ZoneFileError) as caught:
        run(engine.start())

    assert str(caught.value) == f"{tmp_path / 'example.zone'}: cannot be read: Permission denied"
