"""The example fleet, served by each kind of name server for as long as the session lasts."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import servers
from support.data import installed
from support.delayed import set_link
from support.effort import sample
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


@pytest.fixture(
    scope="session", params=sample(["nsd", "knot", "bind", "powerdns", "unbound"], fewest=3)
)
def name_server(request: pytest.FixtureRequest) -> Server:
    """Each of them in turn, with the example fleet; in a quick run some."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def namespace() -> Iterator[str]:
    """Make a network namespace with a link of its own, where that is permitted."""
    name = f"auditor-{os.getpid()}"
    program = installed("ip", "iproute2")
    made = subprocess.run([program, "netns", "add", name], check=False, capture_output=True)
    if made.returncode:
        pytest.skip(f"no network namespaces here: {made.stderr.decode().strip()}")
    try:
        set_link(name, "up")
        yield name
    finally:
        subprocess.run([program, "netns", "delete", name], check=True)
