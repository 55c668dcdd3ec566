"""Transfers from servers that are scripted: whole zones, and everything else refused in words.

Also tests `codes.py` and `master_file.py`.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import dns.message
import dns.rcode
import dns.rrset
import pytest

from auditor.errors import TransferError, UsageError
from auditor.resolve import transfer as module
from auditor.resolve.transfer import Transferred, transfer_zones
from auditor.resolve.zones.reader import read_zone
from auditor.settings import Server
from auditor.settings_values import parse_key_path
from auditor.wire.codes import MX, TXT, A

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SOA: Final = "example.net. 60 IN SOA ns1.example.net. hostmaster.example.net. 42 1 1 1 60"
ZONE: Final = (
    SOA,
    "example.net. 60 IN NS ns1.example.net.",
    "a.example.net. 60 IN A 192.0.2.1",
    "a.example.net. 60 IN A 192.0.2.2",
    r'a.example.net. 60 IN TXT "x; \"y\"" "z"',
    "m.example.net. 60 IN MX 10 a.example.net.",
    r"\;odd\032.example.net. 60 IN PTR b.example.net.",
    "s.example.net. 60 IN SRV 0 0 53 a.example.net.",
    "sub.example.net. 60 IN NS ns.sub.example.net.",
    "ns.sub.example.net. 60 IN A 192.0.2.53",
)


def _message(query: bytes, *lines: str, rcode: int = 0, qid: int | None = None) -> bytes:
    reply = dns.message.make_response(dns.message.from_wire(query))
    for line in lines:
        owner, ttl, rdclass, rdtype, rdata = line.split(" ", 4)
        rrset = dns.rrset.from_text(owner, int(ttl), rdclass, rdtype, rdata)
        reply.answer.append(rrset)
    reply.set_rcode(dns.rcode.Rcode(rcode))
    if qid is not None:
        reply.id = qid
    return reply.to_wire()


@asynccontextmanager
async def _served(script: Any) -> AsyncIterator[Server]:
    """Serve one query a connection: its messages, and then the end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            for data in script(query):
                writer.write(len(data).to_bytes(2) + data)
            if script is _silence:
                await reader.read()  # until the client has enough
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Server("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()


def _silence(_: bytes) -> list[bytes]:
    return []


def _transferred(*scripts: Any, key: Path | None = None) -> Transferred:
    async def run() -> Transferred:
        servers = []
        async with _served(scripts[0]) as first, _served(scripts[-1]) as last:
            servers = [first] if len(scripts) == 1 else [first, last]
            (found,) = await transfer_zones(["example.net"], servers, key)
            return found

    return asyncio.run(run())


def _whole(query: bytes) -> list[bytes]:
    return [_message(query, *ZONE[:4]), _message(query, *ZONE[4:]), _message(query, SOA)]


def test_a_zone_comes_in_any_number_of_messages() -> None:
    in_three = _transferred(_whole)
    in_one = _transferred(lambda query: [_message(query, *ZONE, SOA)])
    assert in_three.records == in_one.records
    assert in_three.serial == 42
    zone = in_three.zone()
    assert zone.nodes["a.example.net"][A] == (60, ("192.0.2.1", "192.0.2.2"))
    assert zone.nodes["m.example.net"][MX] == (60, ((10, "a.example.net"),))
    assert "ns.sub.example.net" not in zone.nodes


def test_as_a_master_file_it_is_the_same_zone() -> None:
    transferred = _transferred(_whole)
    again = read_zone(transferred.master_file())
    assert again.nodes == transferred.zone().nodes
    assert again.nodes["a.example.net"][TXT] == (60, ((b'x; "y"', b"z"),))


def test_the_file_of_a_classless_zone_is_in_no_other_folder() -> None:
    found = Transferred("0/26.2.0.192.in-addr.arpa", "", _transferred(_whole).records)
    assert found.master_file().label == "0-26.2.0.192.in-addr.arpa.zone"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (lambda query: [_message(query, rcode=5)], "REFUSED"),
        (lambda query: [_message(query, rcode=9)], "NOTAUTH"),
        (lambda query: [_message(query)], "does not begin with the SOA record"),
        (lambda query: [_message(query, ZONE[1])], "does not begin with the SOA record"),
        (
            lambda query: [_message(query, SOA.replace("example.net. 60", "example.org. 60"))],
            "does not begin with the SOA record",
        ),
        (lambda query: [_message(query, SOA, qid=query[0] ^ 1)], "no reply"),
        (lambda query: [query], "no reply"),
        (lambda query: [_message(query, *ZONE)], "the connection was closed before the end"),
        (lambda _: [], "the connection was closed before the end"),
        (lambda _: [b"x"], "not the size of a DNS message"),
        (lambda query: [_message(query, SOA)[:-3]], "runs past the end"),
        (lambda query: [_message(query, SOA, "example.net. 60 CH TXT x")], "a record of class 3"),
    ],
)
def test_what_is_no_zone_is_refused_with_the_reason(script: Any, reason: str) -> None:
    with pytest.raises(TransferError, match=reason) as caught:
        _transferred(script)
    assert str(caught.value).startswith("example.net: no transfer from 127.0.0.1:")


def test_a_zone_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_OCTETS", 10_000)

    def endless(query: bytes) -> Any:
        yield _message(query, SOA)
        for _ in range(1000):
            yield _message(query, *ZONE[2:6])

    with pytest.raises(TransferError, match="more than 10,000 octets"):
        _transferred(endless)


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_IDLE_S", 0.1)
    with pytest.raises(TransferError, match="no answer in time"):
        _transferred(_silence)


def test_the_next_server_is_asked_and_all_reasons_are_told_if_none_gives_it() -> None:
    def refuse(query: bytes) -> list[bytes]:
        return [_message(query, rcode=5)]

    assert _transferred(refuse, _whole).serial == 42
    with pytest.raises(TransferError) as caught:
        _transferred(refuse, lambda query: [_message(query, rcode=9)])
    assert "REFUSED" in str(caught.value)
    assert "NOTAUTH" in str(caught.value)


def test_a_reply_without_a_signature_is_refused_where_there_is_a_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("xfr-key:c2VjcmV0LXNlY3JldA==")
    with pytest.raises(TransferError, match="without a signature"):
        _transferred(lambda query: [_message(_unsigned(query), *ZONE, SOA)], key=path)


def _unsigned(query: bytes) -> bytes:
    """Return a signed query without its signature."""
    end = query.index(b"\x07example\x03net\x00") + 13 + 4
    return query[:10] + bytes(2) + query[12:end]


@pytest.mark.parametrize("key", ["hmac-sha256:a.key:c2VjcmV0", "a.key:c2VjcmV0"])
def test_a_key_in_the_place_of_its_file_is_refused_without_a_word_of_it(key: str) -> None:
    """What is in a command line stands in the list of processes."""
    with pytest.raises(
        ValueError, match="expected the name of a file that holds the key"
    ) as caught:
        parse_key_path(key)
    assert "c2VjcmV0" not in str(caught.value)


def test_a_key_file_that_holds_none_is_refused_without_a_word_of_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("hunter2 is no key")
    with pytest.raises(UsageError) as caught:
        _transferred(_whole, key=path)
    assert str(caught.value) == (
        f"tsig-file: {path}: expected a key statement as tsig-keygen writes it, or "
        "ALGORITHM:NAME:SECRET, with one of hmac-sha1, hmac-sha224, hmac-sha256, hmac-sha384, "
        "hmac-sha512"
    )
    with pytest.raises(UsageError, match="cannot be read"):
        _transferred(_whole, key=tmp_path / "none")
