"""The example fleet, served by each kind of name server for as long as the session lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import servers
from support.fleet import FLEET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.processes import Server


@pytest.fixture(scope="session")
def fleet_zones() -> Path:
    return FLEET / "zones"


@pytest.fixture(scope="session")
def nsd_server(fleet_zones: Path) -> Iterator[Server]:
    with servers.nsd(fleet_zones) as server:
        yield server


@pytest.fixture(scope="session")
def knot_server(fleet_zones: Path) -> Iterator[Server]:
    with servers.knot(fleet_zones) as server:
        yield server


@pytest.fixture(scope="session")
def bind_server(fleet_zones: Path) -> Iterator[Server]:
    with servers.bind(fleet_zones) as server:
        yield server


@pytest.fixture(scope="session")
def powerdns_server(fleet_zones: Path) -> Iterator[Server]:
    with servers.powerdns(fleet_zones) as server:
        yield server


@pytest.fixture(scope="session")
def unbound_server(nsd_server: Server, fleet_zones: Path) -> Iterator[Server]:
    with servers.unbound(nsd_server.port, fleet_zones) as server:
        yield server


@pytest.fixture(scope="session", params=["nsd", "knot", "bind", "powerdns", "unbound"])
def name_server(request: pytest.FixtureRequest) -> Server:
    """Each of them in turn, with the example fleet."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return server
