"""What does not validate is BOGUS behind validating resolvers, and what is refused is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from cli.driving import call
from support.signed_zones import SignedZones, signed_zones, validating_bind, validating_unbound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.processes import Server

pytestmark = pytest.mark.process

TARGETS: Final = tuple(f"198.51.{number}.7" for number in (100, 101, 102, 103))
EXPECTED: Final = {
    "198.51.100.7": ("NOERROR", set()),
    "198.51.101.7": ("BOGUS", {"PTR_BOGUS"}),
    "198.51.102.7": ("BOGUS", {"PTR_BOGUS"}),
    "198.51.103.7": ("SERVFAIL", {"PTR_UNDETERMINED"}),
}
OPTIONS: Final = ("--no-spf", "--no-server-check", "--select", "PTR_BOGUS,PTR_UNDETERMINED")


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignedZones]:
    with signed_zones(tmp_path_factory.mktemp("signed")) as served:
        yield served


@pytest.fixture(scope="module", params=[validating_unbound, validating_bind])
def resolver(request: pytest.FixtureRequest, zones: SignedZones) -> Iterator[Server]:
    run: Callable[..., Any] = request.param
    with run(zones) as server:
        yield server


def _records(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("targets", [TARGETS, ("198.51.101.0/26",)])
def test_expired_signatures_and_another_keys_ds_are_bogus_and_a_refusal_is_not(
    resolver: Server, targets: tuple[str, ...]
) -> None:
    ended = call("scan", "--server", f"127.0.0.1:{resolver.port}", *OPTIONS, *targets)
    assert ended.code == 0, ended.err
    found = {
        record["target"]: (
            record["ptr"]["status"],
            {finding["code"] for finding in record["findings"]},
        )
        for record in _records(ended.out)
    }
    # A denial does not validate either, where the signatures have expired.
    bogus = EXPECTED["198.51.101.7"]
    assert found == {target: EXPECTED.get(target, bogus) for target in found}


def test_a_person_reads_why_the_resolver_failed(resolver: Server) -> None:
    ended = call("check", "--server", f"127.0.0.1:{resolver.port}", *OPTIONS, TARGETS[1])
    words = " ".join(ended.out.split())
    assert "its PTR record fails DNSSEC validation" in words
    assert "PTR BOGUS: not known" in words
    assert "PTR_BOGUS error: 198.51.101.7" in words
    if resolver.name == "unbound":  # BIND has errors about validation from 9.20 on
        # What it says first depends on what it has in its cache.
        errors = "6 (DNSSEC bogus)", "7 (signature expired)", "9 (DNSKEY missing)"
        about = "Why 7.101.51.198.in-addr.arpa PTR: BOGUS: extended error"
        assert any(f"{about} {error}" in words for error in errors)


def test_cares_cannot_tell_and_says_servfail(resolver: Server) -> None:
    ended = call(
        "scan", "--engine", "cares", "--server", f"127.0.0.1:{resolver.port}", *OPTIONS, TARGETS[1]
    )
    (record,) = _records(ended.out)
    assert record["ptr"]["status"] == "SERVFAIL"
