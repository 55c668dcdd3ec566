"""Plans applied to real servers: what they load, take, and refuse the second time."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Final

import pytest
from cli.driving import call, records
from fix.fleets import head
from support.data import installed
from support.powerdns_database import API_ADDRESS, API_KEY, powerdns_database
from support.processes import Place, Recipe, running

from auditor.views.diff.changes import change

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.processes import Server

pytestmark = pytest.mark.process

REVERSE: Final = "2.0.192.in-addr.arpa"
NET: Final = "example.net"
OWN: Final = ("--own", REVERSE, "--own", NET)
#: A fault of each kind that a plan mends.
ZONES: Final = {
    REVERSE: head(REVERSE)
    + r"""; größer
7 PTR mail.example.net
8 PTR two.example.net.
  PTR old.example.net.
9 PTR alias.example.net.
10 PTR gone.example.net.
12 PTR "odd\;name.example.net."
""".replace('"', ""),
    NET: head(NET)
    + """@ A 192.0.2.14
@ MX 10 @
@ TXT "v=spf1 mx -all ip4:192.0.2.9" ; note
  TXT "other; \\"text\\""
ns1 A 192.0.2.53
two A 192.0.2.8
old A 192.0.2.99
alias CNAME end
end A 192.0.2.9
eleven A 192.0.2.11
four A 192.0.2.14
twelve A 192.0.2.12
""",
}
TARGETS: Final = ("192.0.2.7-192.0.2.12", NET)


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    folder = tmp_path / "zones"
    folder.mkdir()
    for origin, text in ZONES.items():
        (folder / f"{origin}.zone").write_text(text)
    return folder


def _plan(zones: Path, out: Path, form: str, *more: str) -> Path:
    """Scan the zones, plan and return the folder of the plan."""
    results = out / "before.ndjson"
    assert call("scan", *TARGETS, "--zones", zones, "-q", "-o", results).code == 0
    plan = out / f"plan-{form}"
    ended = call("fix", results, "--zones", zones, *OWN, "--format", form, *more, "-o", plan)
    assert ended.code == 0, ended.err
    return plan


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, check=False, text=True)


@pytest.mark.parametrize(
    ("checker", "package"),
    [
        (("named-checkzone",), "bind9-utils"),
        (("nsd-checkzone",), "nsd"),
        (("kzonecheck", "-o"), "knot-dnssecutils"),
    ],
    ids=["bind", "nsd", "knot"],
)
def test_whole_files_load(
    zones: Path, tmp_path: Path, checker: tuple[str, ...], package: str
) -> None:
    program = installed(checker[0], package)
    plan = _plan(zones, tmp_path, "zone", "--prove")
    for origin in ZONES:
        done = _run(program, *checker[1:], origin, plan / "mine.zones" / f"{origin}.zone")
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_diff_is_applied_by_patch(zones: Path, tmp_path: Path) -> None:
    plan = _plan(zones, tmp_path, "zone")
    done = _run(installed("patch", "patch"), "-p1", "-d", zones, "-i", plan / "mine.diff")
    assert done.returncode == 0, done.stdout
    for origin in ZONES:
        new = (plan / "mine.zones" / f"{origin}.zone").read_bytes()
        assert (zones / f"{origin}.zone").read_bytes() == new


def test_what_is_for_dnscontrol_is_javascript(zones: Path, tmp_path: Path) -> None:
    node = installed("node", "nodejs")
    plan = _plan(zones, tmp_path, "dnscontrol")
    script = tmp_path / "run.js"
    # What DNSControl defines is stood in for: every call of it is shown.
    script.write_text(
        "const show = (name) => (...given) => ({[name]: given});\n"
        "for (const name of ['A', 'AAAA', 'PTR', 'TXT', 'TTL']) globalThis[name] = show(name);\n"
        "globalThis.D_EXTEND = (...given) => console.log(JSON.stringify(given));\n"
        + (plan / "mine.dnscontrol.js").read_text()
    )
    done = _run(node, script)
    assert done.returncode == 0, done.stderr
    found = {name: given for name, *given in map(json.loads, done.stdout.splitlines())}
    assert set(found) == set(ZONES)
    assert {"TXT": ["@", "v=spf1 mx -all", {"TTL": [3600]}]} in found[NET]
    assert {"PTR": ["7", "mail.example.net.", {"TTL": [3600]}]} in found[REVERSE]


def _bind(place: Place) -> list[str]:
    v6 = "::1;" if "::1" in place.addresses else "none;"
    text = f"""options {{ directory "{place.folder}"; listen-on port {place.port} {{ 127.0.0.1; }};
  listen-on-v6 port {place.port} {{ {v6} }}; pid-file none; lock-file none;
  session-keyfile none; recursion no;
  notify no; dnssec-validation no; check-names primary ignore; }};
controls {{ }};
"""
    for origin, path in place.zones.items():
        text += (
            f'zone "{origin}" {{ type primary; file "{path}"; allow-update {{ 127.0.0.1; }}; }};\n'
        )
    conf = place.folder / "named.conf"
    conf.write_text(text)
    return ["named", "-g", "-c", str(conf)]


def _knot(place: Place) -> list[str]:
    listen = ", ".join(f'"{address}@{place.port}"' for address in place.addresses)
    text = f"""server:
  rundir: "{place.folder}"
  listen: [{listen}]
control:
  listen: "{place.folder}/control"
database:
  storage: "{place.folder}"
acl:
  - id: anyone
    address: 127.0.0.1
    action: update
template:
  - id: default
    storage: "{place.folder}"
    acl: anyone
zone:
"""
    for origin, path in place.zones.items():
        text += f'  - domain: "{origin}"\n    file: "{path}"\n'
    conf = place.folder / "knot.conf"
    conf.write_text(text)
    return ["knotd", "-c", str(conf)]


RECIPES: Final = {
    "bind": Recipe("bind", "named", "bind9", _bind),
    "knot": Recipe("knot", "knotd", "knot", _knot),
}


@contextmanager
def _updatable(name: str, zones: Path) -> Iterator[Server]:
    with running(RECIPES[name], zones) as server:
        yield server


@pytest.mark.parametrize("name", RECIPES)
def test_updates_are_taken_once_and_then_refused_by_their_prerequisites(
    name: str, zones: Path, tmp_path: Path
) -> None:
    nsupdate = installed("nsupdate", "bind9-dnsutils")
    plan = _plan(zones, tmp_path, "nsupdate")
    script = (plan / "mine.nsupdate").read_text()
    with _updatable(name, zones) as server:
        updates = tmp_path / "updates"
        updates.write_text(f"server 127.0.0.1 {server.port}\n{script}")
        before = _scan(server, tmp_path / "one.ndjson")
        first = _run(nsupdate, updates)
        assert (first.returncode, first.stderr) == (0, "")
        after = _scan(server, tmp_path / "two.ndjson")
        second = _run(nsupdate, updates)
        refused = second.stderr.count("update failed: ")
        assert refused == script.count("send\n"), second.stderr
        assert {line.rpartition(": ")[2] for line in second.stderr.splitlines()} <= {
            "NXRRSET",
            "YXRRSET",
        }
    _assert_mended(plan, before, after)


def test_powerdns_takes_the_changes_over_its_api(zones: Path, tmp_path: Path) -> None:
    plan = _plan(zones, tmp_path, "powerdns")
    with running(powerdns_database(), zones) as server:
        before = _scan(server, tmp_path / "one.ndjson")
        api = HTTPConnection(API_ADDRESS, server.port, timeout=30)
        for path in sorted((plan / "mine.powerdns").iterdir()):
            place = f"/api/v1/servers/localhost/zones/{path.stem}."
            api.request("PATCH", place, path.read_bytes(), {"X-API-Key": API_KEY})
            reply = api.getresponse()
            assert (reply.read(), reply.status) == (b"", 204)
        api.close()
        _assert_mended(plan, before, _scan(server, tmp_path / "two.ndjson"))


def test_octodns_reads_the_record_sets_as_they_are_to_be(zones: Path, tmp_path: Path) -> None:
    reader = pytest.importorskip("octodns.provider.yaml")
    octodns_zone = pytest.importorskip("octodns.zone")
    plan = _plan(zones, tmp_path, "octodns")
    provider = reader.YamlProvider("plan", str(plan / "mine.octodns"), escaped_semicolons=True)
    found: dict[tuple[str, str], Any] = {}
    for origin in ZONES:
        zone = octodns_zone.Zone(f"{origin}.", [])
        provider.populate(zone)
        found |= {(each.fqdn, each._type): each.data for each in zone.records}
    wanted = {}
    for line in map(json.loads, (plan / "plan.ndjson").read_text().splitlines()):
        if line["op"] == "add":
            wanted[f"{line['owner']}.", line["type"]] = line["value"]
    text = wanted.pop((f"{NET}.", "TXT")).strip('"')
    assert found.pop((f"{NET}.", "TXT"))["values"] == [r'other\; "text"', text]
    assert {key: found[key]["value"] for key in wanted} == wanted


def _assert_mended(plan: Path, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    """Assert that all is better where the plan says so, and nothing is worse."""
    for old, new in zip(before, after, strict=True):
        found = change(old, new)
        assert found is None or (found["change"] != "worse" and not found["regression"]), found
    left = {
        (record["target"], finding["code"]) for record in after for finding in record["findings"]
    }
    lines = [json.loads(line) for line in (plan / "plan.ndjson").read_text().splitlines()]
    assert left.isdisjoint((line["target"], code) for line in lines for code in line["why"])
    assert [record["verdict"] for record in after[:5]] == ["pass"] * 5


def _scan(server: Server, output: Path) -> list[dict[str, Any]]:
    ended = call(
        *("scan", *TARGETS, "--server", f"127.0.0.1:{server.port}", "--no-server-check"),
        *("-q", "-o", output),
    )
    assert ended.code == 0, ended.err
    return records(output.read_text())
