"""The system's own servers: what is read, what is left out, and what is public.

Also tests `public_resolvers.py`, `socket_address.py` and `token_bucket.py`.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pycares
import pytest

from auditor.errors import NoServerError
from auditor.resolve import resolv_conf
from auditor.resolve.bulk.engine import BulkEngine
from auditor.resolve.cares.engine import CaresEngine
from auditor.resolve.public_resolvers import _PUBLIC, is_public
from auditor.resolve.resolv_conf import read_system_servers, system_servers
from auditor.resolve.socket_address import socket_address
from auditor.settings import Server, Settings
from auditor.settings_values import parse_server
from auditor.workers.quotas import Quotas

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPBACK = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    def write(text: str) -> None:
        (tmp_path / "resolv.conf").write_text(text, "utf-8")

    monkeypatch.setattr(resolv_conf, "_PATH", tmp_path / "resolv.conf")
    return write


def test_servers_are_read_in_order_and_once() -> None:
    text = f"""# made by hand
search example.net
nameserver 192.0.2.53   # the first
nameserver\t2001:DB8::53
nameserver fe80::1%{LOOPBACK}
nameserver 192.0.2.53
options edns0
"""
    found = read_system_servers(text)
    addresses = ["192.0.2.53", "2001:db8::53", f"fe80::1%{LOOPBACK}"]
    assert found == ((tuple(map(Server, addresses))), ())


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("fe80::1", "is link-local and names no interface"),
        ("fe80::1%no-such-0", "names an interface that is not there"),
        ("fe80::1%\x1b[31m", "names no interface"),
        ("dns.example.net", "is no IP address"),
        ("", "is no IP address"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named_and_left_out_while_others_are_there(
    configure: Callable[[str], None], caplog: pytest.LogCaptureFixture, entry: str, why: str
) -> None:
    configure(f"nameserver {entry}\nnameserver 192.0.2.53\n")
    assert system_servers(tell=True) == (Server("192.0.2.53"),)
    (record,) = caplog.records
    assert why in record.getMessage()
    assert record.getMessage().isprintable()
    configure(f"nameserver {entry}\n")
    with pytest.raises(NoServerError, match=why):
        system_servers()


def test_a_link_local_server_is_asked_with_its_scope() -> None:
    address = f"fe80::1%{LOOPBACK}"
    assert socket_address(address, 53) == ("fe80::1", 53, 0, socket.if_nametoindex(LOOPBACK))
    assert socket_address("fe80::1%7", 53) == ("fe80::1", 53, 0, 7)
    assert socket_address("2001:db8::53", 53) == ("2001:db8::53", 53)
    engine = CaresEngine([Server(address, 5353)])
    assert engine._servers == [f"[fe80::1]:5353%{LOOPBACK}"]
    assert list(pycares.Channel(servers=engine._servers).servers) == engine._servers


def test_where_there_is_no_file_c_ares_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    class Channel:
        servers: tuple[str, ...] = ("192.0.2.53:53", "[fe80::1]:5300%lo0", "[2001:db8::53]:53")

    monkeypatch.setattr(resolv_conf, "_PATH", Path("/nonexistent/resolv.conf"))
    monkeypatch.setattr(pycares, "Channel", Channel)
    expected = (Server("192.0.2.53"), Server("fe80::1%lo0", 5300), Server("2001:db8::53"))
    assert system_servers() == expected
    Channel.servers = ()
    with pytest.raises(NoServerError, match="names no server: give --server"):
        system_servers()


def test_a_system_without_a_configuration_names_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise pycares.AresError(pycares.errno.ARES_EFILE)

    monkeypatch.setattr(resolv_conf, "_PATH", Path("/nonexistent/resolv.conf"))
    monkeypatch.setattr(pycares, "Channel", broken)
    with pytest.raises(NoServerError):
        system_servers()


# --- Public resolvers


def test_public_resolvers_are_known_by_the_addresses_that_servers_have() -> None:
    for address in _PUBLIC:
        assert parse_server(address).address == address


def test_a_public_resolver_is_asked_a_thousand_times_a_second_unless_told_otherwise() -> None:
    public, own = Server("2001:4860:4860::8888"), Server("192.0.2.53")
    assert (is_public(public), is_public(own)) == (True, False)
    assert BulkEngine([public, own]).pool._rate_of(public) == 1000
    assert BulkEngine([public, own]).pool._rate_of(own) is None
    assert BulkEngine([public], server_qps=5000.0).pool._rate_of(public) == 5000


def test_the_scan_says_that_a_public_resolver_is_asked_less(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from support.simnet import Simulation, honest, names  # noqa: PLC0415 - this test alone

    with Simulation({"9.9.9.9": honest}) as world:
        before = world.loop.now
        world.ask(names(3000))
        assert 2.5 < world.loop.now - before < 4
    (message,) = [record.getMessage() for record in caplog.records]
    assert "9.9.9.9:53 is a public resolver: at most 1000 queries a second" in message


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        (Settings(servers=(Server("8.8.8.8"),)), 1000),
        (Settings(servers=(Server("8.8.8.8"),), server_qps=50), 50),
        (Settings(servers=(Server("192.0.2.1"),)), None),
    ],
)
def test_workers_share_the_limit_of_a_public_resolver(
    settings: Settings, limit: float | None
) -> None:
    assert Quotas(None, "run", settings)._server_qps == limit  # type: ignore[arg-type]
