"""`auditor helo`: a table of targets that `auditor scan` reads."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

from cli.driving import ZONES, codes, records
from support.fleet import FLEET

from auditor.cli import helo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from cli.driving import Ended

_LOG = FLEET / "mail.log"
_TABLE = """\
target,helo,seen
198.51.100.16,mx-1.example.net,1
198.51.100.17,mail,1
198.51.100.18,gone.example.net,1
198.51.100.19,mx-4.example.net,1
198.51.100.40,old.example.net,1
"""


def test_a_log_becomes_a_table_that_a_scan_reads(call: Callable[..., Ended], here: Path) -> None:
    ended = call("helo", _LOG)
    assert ended == (0, _TABLE, "5 rows\n")
    (here / "hosts.csv").write_text(ended.out)
    (here / "hosts.ndjson").write_text(call("helo", "--json", "-q", _LOG).out)
    scanned = [call("scan", "-q", "--zones", ZONES, "-i", name).out for name in
               ("hosts.csv", "hosts.ndjson")]  # fmt: skip
    assert scanned[0] == scanned[1]
    found = {record["helo"]["name"]: codes(record) for record in records(scanned[0])}
    assert found["mx-1.example.net"] == []
    assert "HELO_NOT_FQDN" in found["mail"]
    assert "HELO_UNRESOLVABLE" in found["gone.example.net"]


def test_files_are_added_up_and_read_compressed(call: Callable[..., Ended], here: Path) -> None:
    (here / "mail.log.1.gz").write_bytes(gzip.compress(_LOG.read_bytes()))
    rows = call("helo", "-q", _LOG, "mail.log.1.gz").out.splitlines()[1:]
    assert len(rows) == 5
    assert all(row.endswith(",2") for row in rows)


def test_an_address_without_a_name_stands_aside_for_the_same_with_one(
    call: Callable[..., Ended], here: Path
) -> None:
    (here / "a.log").write_text(
        "Received: from [192.0.2.1] by mx\nReceived: from a.example (b [192.0.2.1]) by mx\n"
        "Received: from [192.0.2.2] by mx\n"
    )
    shown = call("helo", "-q", "a.log").out
    assert shown == "target,helo,seen\n192.0.2.1,a.example,1\n192.0.2.2,,1\n"


def test_a_configuration_without_addresses_is_named_with_what_it_lacks(
    call: Callable[..., Ended], here: Path
) -> None:
    (here / "host.txt").write_text("myhostname = mx.example.net\n")
    ended = call("helo", "host.txt", _LOG)
    assert ended.out == _TABLE
    assert ended.err.startswith("auditor: host.txt: HELO name mx.example.net, but no address in ")


def test_nothing_to_make_a_table_of_is_an_error(call: Callable[..., Ended], here: Path) -> None:
    (here / "notes.txt").write_text("hello\n")
    ended = call("helo", "notes.txt")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        "auditor: notes.txt: no host with a HELO name in it",
        "auditor: no address with a HELO name to make a table of",
    ]


def test_a_hostile_name_is_no_formula_and_moves_no_cursor(
    call: Callable[..., Ended], here: Path
) -> None:
    (here / "a.log").write_bytes(b"Received: from =1+2,\x1b[31m\xff (x [192.0.2.1]) by mx\n")
    row = call("helo", "-q", "a.log").out.splitlines()[1]
    assert row == '192.0.2.1,"\'=1+2,\\x1b[31m\\udcff",1'
    shown = call("helo", "-q", "--json", "a.log").out
    assert json.loads(shown)["helo"] == "=1+2,\\x1b[31m\\udcff"


def test_more_hosts_than_fit_into_memory_are_an_error(
    call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helo, "_MAX_USES", 3)
    ended = call("helo", _LOG)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith("mail.log: more than 3 hosts and names so far\n")


def test_a_log_in_the_place_of_targets_is_told_how_it_is_read(call: Callable[..., Ended]) -> None:
    ended = call("scan", "--zones", ZONES, "-i", _LOG)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith("; `auditor helo` makes a table of a mail log\n")
