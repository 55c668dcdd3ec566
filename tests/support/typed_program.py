"""A program that uses the whole library, as strict type checkers read it: `mypy` with the rest.

`test_typed_program.py` runs it, and has mypy and pyright read it as a user's file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence  # noqa: TC003 - as a user writes it
from contextlib import aclosing
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, assert_type

import auditor


class Canned:
    """A resolver of one's own: every name is missing."""

    async def resolve_many(self, questions: Sequence[auditor.Question]) -> list[auditor.Answer]:
        return [auditor.Answer("NXDOMAIN") for _ in questions]


async def given() -> AsyncIterator[str]:
    yield "198.51.100.50"


def settings_of(zones: str) -> auditor.Settings:
    """Return settings, made of texts and of values."""
    asked = auditor.Settings(servers=("192.0.2.53", auditor.Server("2001:db8::53")), qps="100")
    assert_type(asked.servers, tuple[auditor.Server, ...])
    assert_type(asked.qps, float | None)
    loaded = auditor.Settings.load(None, zones=zones, mail_from="example.org", deadline="5m")
    assert_type(loaded, auditor.Settings)
    assert_type(auditor.Settings(zones=Path(zones)).zones, Path | None)
    return loaded


def facts_of(record: auditor.Record) -> list[str]:
    """Return what a record says, down to its leaves."""
    assert_type(record["kind"], Literal["ip", "domain", "invalid"])
    assert_type(record["verdict"], Literal["pass", "warn", "unknown", "fail"])
    said = [record["target"], record["error"] or "", *record["labels"]]
    said += [f"{each['code']} {each['severity']} {each['subject']}" for each in record["findings"]]
    ptr, iprev, domain, helo = record["ptr"], record["iprev"], record["domain"], record["helo"]
    if ptr is not None:
        said += [ptr["status"], ptr["owner"], ptr["zone"] or "", *ptr["names"], *ptr["chain"]]
    if iprev is not None:
        assert_type(iprev["result"], Literal["pass", "fail", "temperror", "permerror"])
        said += [each["name"] for each in iprev["names"] if each["confirms"]]
    if helo is not None:
        said += [helo["name"], *helo["addresses"]]
    for check in record["spf"]:
        assert_type(check["identity"], Literal["helo", "mailfrom"])
        said += [check["domain"], check["result"], check["mechanism"] or ""]
    if domain is not None:
        assert_type(domain["spf"]["addresses_v6"], float | None)
        said += [each["address"] for each in domain["addresses"]["list"]]
        said += [f"{host['preference']} {host['name']}" for host in domain["mx"]["hosts"]]
    said += [lookup["name"] for lookup in record.get("trace", [])]
    return said


async def main(zones: str) -> list[str]:
    """Make every call once."""
    settings = settings_of(zones)
    said: list[str] = []
    async with aclosing(auditor.scan(["198.51.100.48/30"], settings)) as records:
        async for record in records:
            said += facts_of(assert_type(record, auditor.Record))
    async with auditor.Auditor(settings) as a:
        async for record in a.scan(given()):
            said += facts_of(record)
        async for lines in a.scan_lines(["example.net"]):
            assert_type(lines, bytes)
        result = await a.check("198.51.100.50")
        assert_type(result, auditor.CheckResult)
        assert_type(result.verdict, Literal["pass", "warn", "unknown", "fail"])
        for finding in result.findings:
            said += [finding.title, finding.remedy, *finding.publish]
        fact = await a.check_host("198.51.100.17", "example.net", sender="joe@example.net")
        said += [assert_type(fact, auditor.SpfFact).result]
        for part in await a.check_range(ip_network("198.51.100.0/29"), "example.net"):
            said += [assert_type(part, auditor.RangeResult).result or "undecided"]
        answers = await a.resolve_many([auditor.Question("example.net", 15)])
        said += [assert_type(answer, auditor.Answer).status for answer in answers]
    resolver: auditor.Resolver = Canned()
    async with auditor.Auditor(resolver=resolver) as a:
        said += [(await a.check(auditor.Target("192.0.2.1", "ip", 4, auditor.Origin()))).verdict]
    said += [assert_type(entry, auditor.Entry).title for entry in auditor.catalogue().values()]
    try:
        auditor.Settings(tries=0)
    except auditor.UsageError as error:
        said += [str(error)]
    return said


def blocking(zones: str) -> list[str]:
    """Do without an event loop of one's own."""
    records = auditor.scan_blocking(["198.51.100.50"], auditor.Settings(zones=zones))
    return [assert_type(record, auditor.Record)["verdict"] for record in records]


if __name__ == "__main__":
    print(asyncio.run(main("examples/fleet/zones")), blocking("examples/fleet/zones"))  # noqa: T201
