"""Questions put to the zones' own servers: the same records, asked of somebody else.

Also tests `routing/engine.py`, `routing/factory.py`, `server_engine.py` and `finding_servers.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from cli.driving import auditor
from support.dns_tree import ISP, MUTE, NOBODY, Tree, dns_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

#: Zones whose servers agree, delegated and not, with a child of RFC 2317, and one whose server
#: refuses to look further.
TARGETS: Final = (
    *(f"198.51.{number}.0/28" for number in (100, 101, 104, 106)),
    "198.51.100.64/28",
    "198.52.1.0/29",
)
_ZONE: Final = "100.51.198.in-addr.arpa"


@pytest.fixture(scope="module")
def tree() -> Iterator[Tree]:
    with dns_tree() as running:
        yield running


class _Scan:
    """A scan of the tree: its records, as they are, and its counters."""

    def __init__(self, tree: Tree, folder: Path, *options: str, targets: Any = TARGETS) -> None:
        path = folder / "out.ndjson"
        common = ("--server", tree.recursor, "--timeout", "1", "--quiet", "--overwrite")
        ended = auditor("scan", *common, *options, "-o", path, *targets)
        assert ended.code == 0, ended.err
        self.octets = path.read_bytes()
        self.records = [json.loads(line) for line in self.octets.splitlines()]
        manifest = json.loads((folder / "out.ndjson.run.json").read_text())
        self.queries = manifest["queries"]
        counts = self.queries
        spared = counts["cached"] + counts["joined"]
        assert counts["asked"] == spared + counts["answered"] + counts["failed"]
        assert counts["sent"] == counts["first"] + counts["retried"] + counts["probes"]

    def servers(self, prefix: str) -> set[str]:
        """Return the addresses that answered about the PTR records of targets."""
        return {
            step["server"].rpartition(":")[0]
            for record in self.records
            if record["target"].startswith(prefix)
            for step in record["trace"]
            if step["type"] == "PTR" and not step["name"].startswith("*")
        }


@pytest.fixture(scope="module")
def plain(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> _Scan:
    return _Scan(tree, tmp_path_factory.mktemp("plain"))


def _direct(tree: Tree) -> tuple[str, ...]:
    return ("--direct", "--authority-port", str(tree.port), "--server-qps", "10000")


def test_direct_gives_the_records_of_the_resolver_octet_for_octet(
    tree: Tree, plain: _Scan, tmp_path: Path
) -> None:
    direct = _Scan(tree, tmp_path, *_direct(tree))
    assert direct.octets == plain.octets
    assert direct.queries["direct"] >= 60
    assert "direct" not in plain.queries


@pytest.mark.parametrize("concurrency", ["1", "500"])
def test_the_concurrency_changes_nothing_in_it(
    tree: Tree, plain: _Scan, tmp_path: Path, concurrency: str
) -> None:
    direct = _Scan(tree, tmp_path, *_direct(tree), "--concurrency", concurrency)
    assert direct.octets == plain.octets


def test_direct_asks_the_zones_own_servers_and_those_of_their_children(
    tree: Tree, tmp_path: Path
) -> None:
    targets = (*TARGETS, "198.51.103.7")
    direct = _Scan(tree, tmp_path, *_direct(tree), "--trace", targets=targets)
    recursor = tree.recursor.rpartition(":")[0]
    assert direct.servers("198.51.104.") == {ISP[0]}  # the other one is lame
    assert direct.servers("198.51.106.") <= {ISP[0], ISP[1], ISP[2]}
    # The registry's zone is asked of the resolver, and so is what nobody answers.
    assert direct.servers("198.51.101.") == direct.servers("198.51.103.") == {recursor}
    ten = next(r for r in direct.records if r["target"] == "198.51.100.10")
    assert ten["ptr"]["names"] == ["ten.example"]
    assert ten["ptr"]["chain"] == [f"10.{_ZONE}"]


def test_a_server_of_a_zone_is_not_asked_to_look_further(tree: Tree, tmp_path: Path) -> None:
    direct = _Scan(tree, tmp_path, *_direct(tree), "--no-spf", targets=["198.52.1.0/29"])
    # It refuses whoever wants that, and would be handed back.
    assert direct.queries["direct"] >= 8
    assert direct.queries["handed_back"] == 0


def test_a_route_is_taken_for_names_at_and_below_its_zone(
    tree: Tree, plain: _Scan, tmp_path: Path
) -> None:
    route = f"{_ZONE}={ISP[0]}:{tree.port},{ISP[1]}:{tree.port}"
    routed = _Scan(tree, tmp_path, "--route", route)
    assert routed.octets == plain.octets
    traced = _Scan(tree, tmp_path, "--route", route, "--trace")
    assert traced.servers("198.51.106.") == {tree.recursor.rpartition(":")[0]}
    asked = traced.servers("198.51.100.6")
    assert asked <= {ISP[0], ISP[1], tree.recursor.rpartition(":")[0]}
    assert asked & {ISP[0], ISP[1]}


@pytest.mark.parametrize("server", [ISP[3], MUTE], ids=["refusing", "falling-silent"])
def test_what_a_route_does_not_answer_is_asked_of_the_resolvers(
    tree: Tree, plain: _Scan, tmp_path: Path, server: str
) -> None:
    route = f"106.51.198.in-addr.arpa={server}:{tree.port}"
    options = ("--route", route, "--tries", "2", "--timeout", "0.2")
    routed = _Scan(tree, tmp_path, *options)
    assert routed.octets == plain.octets
    assert routed.queries["handed_back"] >= 16


def test_a_route_to_a_silent_server_is_named_and_left_out(tree: Tree) -> None:
    route = f"106.51.198.in-addr.arpa={NOBODY}:{tree.port}"
    common = ("--server", tree.recursor, "--timeout", "0.2", "--tries", "2", "--no-spf")
    ended = auditor("scan", *common, "--route", route, "198.51.106.7")
    assert json.loads(ended.out)["ptr"]["names"] == ["mail106.example"]
    assert f"route: {NOBODY}:{tree.port} does not answer" in ended.err


@pytest.mark.parametrize("zone", ["arpa", "."])
def test_a_route_may_lead_to_a_resolver(
    tree: Tree, plain: _Scan, tmp_path: Path, zone: str
) -> None:
    routed = _Scan(tree, tmp_path, "--route", f"{zone}={tree.recursor}")
    assert routed.octets == plain.octets
    assert routed.queries["direct"] >= 60


def test_workers_give_the_same_records(tree: Tree, plain: _Scan, tmp_path: Path) -> None:
    direct = _Scan(tree, tmp_path, *_direct(tree), "--workers", "2")
    assert direct.octets == plain.octets
    assert direct.queries["direct"] >= 60


def test_servers_of_others_get_twenty_queries_a_second_and_own_ones_any(
    tree: Tree, tmp_path: Path
) -> None:
    options = ("--direct", "--authority-port", str(tree.port), "--no-spf")
    targets = ["198.51.104.0/26"]
    polite = _Scan(tree, tmp_path, *options, targets=targets)
    own = _Scan(tree, tmp_path, *options, "--own", "198.in-addr.arpa", targets=targets)
    assert polite.octets == own.octets
