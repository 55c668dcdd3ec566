"""Zones transferred from each kind of server, signed and not, and what comes of them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Final

import pytest
from cli.driving import call, records
from support.effort import sample
from support.powerdns_database import powerdns_database
from support.processes import Place, Recipe, Server, claimed_port, running

from auditor.resolve.zones.files import master_files
from auditor.resolve.zones.reader import read_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

SECRET: Final = base64.b64encode(hashlib.sha256(b"a test's own key").digest()).decode()
WRONG: Final = base64.b64encode(hashlib.sha256(b"another one").digest()).decode()
KEY: Final = 'key "{name}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n'
REVERSE: Final = "100.51.198.in-addr.arpa"


def _nsd(place: Place) -> list[str]:
    listen = "".join(f"  ip-address: {each}@{place.port}\n" for each in place.addresses)
    text = f"""server:
{listen}  username: ""
  chroot: ""
  database: ""
  zonesdir: "{place.folder}"
  pidfile: "{place.folder}/pid"
  xfrdfile: "{place.folder}/xfrd.state"
  xfrdir: "{place.folder}"
  zonelistfile: "{place.folder}/zone.list"
  cookie-secret-file: ""
remote-control:
  control-enable: no
key:
  name: "xfr-key"
  algorithm: hmac-sha256
  secret: "{SECRET}"
"""
    for origin, path in place.zones.items():
        text += f'zone:\n  name: "{origin}"\n  zonefile: "{path}"\n'
        text += "  provide-xfr: 127.0.0.1 xfr-key\n"
    return ["nsd", "-d", "-c", _write(place, "nsd.conf", text)]


def _knot(place: Place) -> list[str]:
    listen = ", ".join(f'"{address}@{place.port}"' for address in place.addresses)
    text = f"""server:
  rundir: "{place.folder}"
  listen: [{listen}]
control:
  listen: "{place.folder}/control"
database:
  storage: "{place.folder}"
key:
  - id: xfr-key
    algorithm: hmac-sha256
    secret: {SECRET}
acl:
  - id: signed
    key: xfr-key
    action: transfer
template:
  - id: default
    storage: "{place.folder}"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
    acl: signed
zone:
"""
    for origin, path in place.zones.items():
        text += f'  - domain: "{origin}"\n    file: "{path}"\n'
    return ["knotd", "-c", _write(place, "knot.conf", text)]


def _bind(place: Place) -> list[str]:
    v6 = "::1;" if "::1" in place.addresses else "none;"
    text = KEY.format(name="xfr-key", secret=SECRET)
    text += f"""options {{ directory "{place.folder}"; listen-on port {place.port} {{ 127.0.0.1; }};
  listen-on-v6 port {place.port} {{ {v6} }}; pid-file none; lock-file none; recursion no;
  session-keyfile none; notify no; dnssec-validation no; check-names primary ignore;
  allow-transfer {{ key xfr-key; }}; }};
controls {{ }};
"""
    for origin, path in place.zones.items():
        text += f'zone "{origin}" {{ type primary; file "{path}"; }};\n'
    return ["named", "-g", "-c", _write(place, "named.conf", text)]


def _write(place: Place, name: str, text: str) -> str:
    path = place.folder / name
    path.write_text(text)
    return str(path)


RECIPES: Final = {
    "nsd": Recipe("nsd", "nsd", "nsd", _nsd),
    "knot": Recipe("knot", "knotd", "knot", _knot),
    "bind": Recipe("bind", "named", "bind9", _bind),
    "powerdns": powerdns_database(("xfr-key", SECRET)),
}


@pytest.fixture(scope="module")
def served(fleet_zones: Path) -> Iterator[Callable[[str], Server]]:
    """Return what starts each kind of server, once."""
    started: dict[str, Server] = {}
    contexts = []

    def start(name: str) -> Server:
        if name not in started:
            context = running(RECIPES[name], fleet_zones)
            started[name] = context.__enter__()
            contexts.append(context)
        return started[name]

    yield start
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "axfr.key"
    path.write_text(KEY.format(name="xfr-key", secret=SECRET))
    return path


@pytest.mark.parametrize("name", sample(list(RECIPES), fewest=2))
def test_a_zone_is_what_its_file_says(
    name: str, served: Callable[[str], Server], key: Path, fleet_zones: Path, tmp_path: Path
) -> None:
    server = served(name)
    output = tmp_path / "r.ndjson"
    ended = call(
        *("scan", f"zone:{REVERSE}", "zone:example.org", "-q", "-o", output),
        *("--transfer-from", f"127.0.0.1:{server.port}", "--tsig-file", key),
        *("--server", f"127.0.0.1:{server.port}", "--no-server-check"),
    )
    assert ended.code == 0, ended.err
    from_files = call("scan", f"zone:{REVERSE}", "zone:example.org", "--zones", fleet_zones, "-q")
    ours, theirs = records(output.read_text()), records(from_files.out)
    assert [(record["target"], record["labels"]) for record in ours] == [
        (record["target"], record["labels"]) for record in theirs
    ]
    manifest = (tmp_path / "r.ndjson.run.json").read_text()
    assert json.loads(manifest)["inputs"]["zones"] == [
        f"{zone} 2026010101 127.0.0.1:{server.port}" for zone in (REVERSE, "example.org")
    ]
    assert SECRET not in manifest + ended.err + ended.out


@pytest.mark.parametrize("name", sample(list(RECIPES)))
def test_a_server_that_refuses_is_named_and_each_address_asked_for(
    name: str, served: Callable[[str], Server], tmp_path: Path
) -> None:
    server = served(name)
    wrong = tmp_path / "wrong.key"
    wrong.write_text(f"hmac-sha256:xfr-key:{WRONG}")
    keys: tuple[list[str | Path], ...] = ([], ["--tsig-file", wrong])
    for signed in keys:
        ended = call(
            *("scan", f"zone:{REVERSE}", "--transfer-from", f"127.0.0.1:{server.port}", *signed),
            *("--server", f"127.0.0.1:{server.port}", "--no-server-check", "--no-spf"),
        )
        assert ended.code == 0, ended.err
        assert len(ended.out.splitlines()) == 256
        message = f"{REVERSE}: no transfer from 127.0.0.1:{server.port}: "
        assert message in ended.err
        assert "each address of 198.51.100.0/24 is looked up instead" in ended.err
        assert WRONG not in ended.err


def test_the_next_server_is_asked_where_one_gives_nothing(
    served: Callable[[str], Server], key: Path
) -> None:
    giving = served("bind")
    with claimed_port() as nobody:
        ended = call(
            *("scan", "zone:example.org", "--tsig-file", key, "--no-server-check", "--no-spf"),
            *("--transfer-from", f"127.0.0.1:{nobody},127.0.0.1:{giving.port}"),
            *("--server", f"127.0.0.1:{giving.port}"),
        )
    assert ended.code == 0, ended.err
    assert f"no transfer from 127.0.0.1:{nobody}: " in ended.err
    assert "the next server is asked" in ended.err


def test_a_plan_starts_from_zones_that_are_transferred(
    served: Callable[[str], Server], key: Path, fleet_zones: Path, tmp_path: Path
) -> None:
    server = served("nsd")
    results, plan = tmp_path / "r.ndjson", tmp_path / "plan"
    scan = call("scan", "198.51.100.0/24", "--zones", fleet_zones, "-q", "-o", results)
    assert scan.code == 0
    ended = call(
        *("fix", results, "--own", REVERSE, "--own", "example.net", "--prove", "-o", plan),
        *("--transfer-from", f"127.0.0.1:{server.port}", "--tsig-file", key),
    )
    assert ended.code == 0, ended.err
    assert "got better" in ended.out
    written = [path.read_text() for path in plan.rglob("*") if path.is_file()]
    assert SECRET not in "".join((*written, ended.out, ended.err))
    for path in (plan / "mine.zones").iterdir():
        (file,) = master_files(path)
        assert read_zone(file).origin in {REVERSE, "example.net"}
