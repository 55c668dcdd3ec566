"""An `Auditor` that a program keeps: one engine, one cache and one rate for all its calls.

Also tests `explain_finding` of `findings/advice.py`, `resolver_engine.py` and `shared_engine.py`.
"""

from __future__ import annotations

import asyncio
import gc
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final, assert_type

import pytest
from support.faults import Gate, delay
from support.faulty import FaultyServer, per_name
from support.fleet import FLEET

import auditor
from auditor.wire.codes import PTR, A

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

ZONES: Final = auditor.Settings(zones=FLEET / "zones")
TARGETS: Final = ("198.51.100.48/28", "example.net", "not a target")
ZONE: Final = """
1.2.0.192.in-addr.arpa. PTR one.example.net.
one.example.net. A 192.0.2.1
2.2.0.192.in-addr.arpa. PTR two.example.net.
two.example.net. A 192.0.2.2
"""


def _asking(server: FaultyServer) -> auditor.Settings:
    return auditor.Settings(servers=(auditor.Server("127.0.0.1", server.port),), spf=False)


async def _records(a: auditor.Auditor, targets: Any) -> list[auditor.Record]:
    return [assert_type(record, auditor.Record) async for record in a.scan(targets)]


async def _plain(targets: Sequence[str]) -> list[auditor.Record]:
    return [record async for record in auditor.scan(targets, ZONES)]


async def _source(targets: Sequence[str]) -> AsyncIterator[str]:
    for target in targets:
        yield target
        await asyncio.sleep(0)


def test_a_scan_is_that_of_the_function_whatever_the_targets_come_from(
    run: Callable[..., Any],
) -> None:
    async def main() -> None:
        plain = await _plain(TARGETS)
        async with auditor.Auditor(ZONES) as a:
            assert await _records(a, TARGETS) == plain
            assert await _records(a, iter(TARGETS)) == plain
            assert await _records(a, _source(TARGETS)) == plain
            lines = b"".join([chunk async for chunk in a.scan_lines(TARGETS)])
            assert lines.count(b"\n") == len(plain)
        assert [record async for record in auditor.scan(_source(TARGETS), ZONES)] == plain

    run(main())


def test_what_an_asynchronous_source_has_yielded_does_not_wait_for_more(
    run: Callable[..., Any],
) -> None:
    async def main() -> None:
        audited = asyncio.Event()

        async def source() -> AsyncIterator[str]:
            yield "198.51.100.50"
            await audited.wait()
            yield "198.51.100.51"

        async with auditor.Auditor(ZONES) as a:
            found = []
            async for record in a.scan(source()):
                found.append(record["target"])
                audited.set()
        assert found == ["198.51.100.50", "198.51.100.51"]

    run(main())


def test_what_an_asynchronous_source_raises_ends_the_scan(run: Callable[..., Any]) -> None:
    async def source() -> AsyncIterator[str]:
        yield "198.51.100.50"
        raise RuntimeError("the queue is gone")

    async def main() -> None:
        async with auditor.Auditor(ZONES) as a:
            with pytest.raises(RuntimeError, match="the queue is gone"):
                await _records(a, source())
            assert len(await _records(a, ["198.51.100.50"])) == 1

    run(main())


def test_a_check_explains_its_findings(run: Callable[..., Any]) -> None:
    async def main() -> None:
        async with auditor.Auditor(ZONES) as a:
            result = await a.check("198.51.100.50")
            (record,) = await _records(a, ["198.51.100.50"])
            assert (result.record, result.verdict) == (record, "fail")
            (finding,) = [each for each in result.findings if each.code == "FORWARD_MISSING"]
            assert finding.title == auditor.catalogue()["FORWARD_MISSING"].title
            assert finding.publish == ("gone.example.net. IN A 198.51.100.50",)
            with pytest.raises(
                auditor.UsageError,
                match=r"198\.51\.100\.0/24: 256 targets; check takes one, scan takes any",
            ):
                await a.check("198.51.100.0/24")

    run(main())


def test_policies_are_asked_for_one_address_and_for_a_prefix(run: Callable[..., Any]) -> None:
    prefix = ip_network("198.51.100.0/29")

    async def main() -> None:
        async with auditor.Auditor(ZONES) as a:
            parts = await a.check_range(prefix, "example.net")
            assert (parts[0].first, parts[-1].last) == (
                int(prefix.network_address),
                int(prefix.broadcast_address),
            )
            for part in parts:
                assert part.decided
                for number in range(part.first, part.last + 1):
                    fact = await a.check_host(ip_address(number), "example.net")
                    assert (fact.result, fact.mechanism) == (part.result, part.mechanism)
            sent = await a.check_host("198.51.100.1", "example.net", sender="joe@example.net")
            assert sent.domain == "example.net"
            for call, message in [
                (a.check_host("nonsense", "example.net"), "nonsense: not an IP address"),
                (
                    a.check_host("192.0.2.1", "example.net", sender="joe@example.org"),
                    "joe@example.org: not an address of example.net",
                ),
                (a.check_range("192.0.2.1/24", "example.net"), "192.0.2.1/24: not a prefix: .*"),
            ]:
                with pytest.raises(auditor.UsageError, match=message):
                    await call

    run(main())


def test_what_was_answered_once_is_not_asked_again(run: Callable[..., Any]) -> None:
    async def main(server: FaultyServer) -> None:
        async with auditor.Auditor(_asking(server)) as a:
            question = auditor.Question("1.2.0.192.in-addr.arpa", PTR)
            (answer,) = await a.resolve_many([question])
            assert answer.status == "NOERROR"
            await asyncio.gather(*(_records(a, ["192.0.2.1", "192.0.2.2"]) for _ in range(3)))
            before = len(server.queries)
            assert len(await _records(a, ["192.0.2.1", "192.0.2.2"])) == 2
            assert await a.resolve_many([question]) == [answer]
            assert (await a.check("192.0.2.1")).verdict == "pass"
            assert len(server.queries) == before

    with FaultyServer(ZONE) as server:
        run(main(server))


def test_calls_run_side_by_side_and_one_that_is_cancelled_leaves_the_others(
    run: Callable[..., Any],
) -> None:
    gate = Gate()
    slow = {"1.2.0.192.in-addr.arpa": (delay(gate),)}

    async def main(server: FaultyServer) -> None:
        async with auditor.Auditor(_asking(server)) as a:
            waiting = asyncio.ensure_future(a.check("192.0.2.1"))
            dropped = asyncio.ensure_future(_records(a, ["192.0.2.1"]))
            assert (await a.check("192.0.2.2")).verdict == "pass"
            dropped.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dropped
            gate.open()
            assert (await waiting).record["ptr"] is not None
        gc.collect()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with FaultyServer(ZONE, per_name(slow)) as server:
        run(main(server))
        gate.open()


class Canned:
    """A program's own answers, as its tests have them."""

    def __init__(self) -> None:
        self.broken = False

    async def resolve_many(self, questions: Sequence[auditor.Question]) -> list[auditor.Answer]:
        await asyncio.sleep(0)
        if self.broken:
            raise OSError("the fixture is gone")
        known = {
            auditor.Question("1.2.0.192.in-addr.arpa", PTR): ("mail.example.org",),
            auditor.Question("mail.example.org", A): ("192.0.2.1",),
        }
        return [
            auditor.Answer("NOERROR", known[question])
            if question in known
            else auditor.Answer("NXDOMAIN")
            for question in questions
        ]


def test_a_program_may_answer_the_questions_itself(run: Callable[..., Any]) -> None:
    async def main() -> None:
        canned = Canned()
        async with auditor.Auditor(resolver=canned) as a:
            result = await a.check("192.0.2.1")
            assert result.record["iprev"] == {
                "result": "pass",
                "names": [
                    {
                        "name": "mail.example.org",
                        "status": "NOERROR",
                        "addresses": ["192.0.2.1"],
                        "confirms": True,
                    }
                ],
            }
            assert (await a.check("192.0.2.2")).verdict == "fail"
            canned.broken = True
            with pytest.raises(auditor.AuditorError, match=r"resolver failed: OSError: the fix"):
                await a.check("192.0.2.3")
            canned.broken = False
            assert (await a.check("192.0.2.3")).verdict == "fail"

    run(main())


def test_it_is_used_within_its_context_and_once_at_a_time(run: Callable[..., Any]) -> None:
    async def main() -> None:
        a = auditor.Auditor(ZONES)
        with pytest.raises(RuntimeError, match="within `async with`"):
            await a.check("192.0.2.1")
        for _ in range(2):
            async with a:
                with pytest.raises(RuntimeError, match="in use"):
                    await a.__aenter__()
                assert (await a.check("198.51.100.50")).verdict == "fail"
        with pytest.raises(RuntimeError, match="within `async with`"):
            await _records(a, ["192.0.2.1"])

    run(main())


def test_workers_are_obeyed_or_refused(run: Callable[..., Any]) -> None:
    settings = auditor.Settings(zones=FLEET / "zones", workers=2)

    async def main() -> None:
        assert [record async for record in auditor.scan(TARGETS, settings)] == await _plain(TARGETS)
        with pytest.raises(
            auditor.UsageError, match="workers: an asynchronous source is read by one process only"
        ):
            await anext(auditor.scan(_source(TARGETS), settings))

    with pytest.raises(
        auditor.UsageError,
        match=r"workers: an Auditor asks in one process; auditor\.scan\(\) uses several",
    ):
        auditor.Auditor(settings)
    run(main())


def test_settings_are_read_from_texts() -> None:
    given: dict[str, Any] = {"servers": ("192.0.2.53", "[2001:db8::53]:5353"), "deadline": "5m"}
    assert auditor.Settings(**given, mail_from="example.org") == auditor.Settings(
        servers=(auditor.Server("192.0.2.53"), auditor.Server("2001:db8::53", 5353)),
        deadline=300.0,
        mail_from=("example.org",),
    )
    server = auditor.Server("192.0.2.53")
    mixed = auditor.Settings(servers=[server, "192.0.2.54,192.0.2.55"])
    assert mixed.servers == (server, *(auditor.Server(f"192.0.2.{host}") for host in (54, 55)))
    assert auditor.Settings(servers=server).servers == (server,)
    with pytest.raises(auditor.UsageError, match="server 'mail': expected an address"):
        auditor.Settings(servers="mail")
    with pytest.raises(auditor.UsageError, match="deadline: 'soon' is not a duration"):
        auditor.Settings(deadline="soon")


def test_settings_are_loaded_from_file_environment_and_what_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "audit.toml"
    file.write_text('qps = 100\nserver = ["192.0.2.53"]\ntries = 2\n', "utf-8")
    monkeypatch.setenv("AUDITOR_TRIES", "3")
    loaded = auditor.Settings.load(file, qps="50")
    assert (loaded.qps, loaded.tries, loaded.servers) == (50, 3, (auditor.Server("192.0.2.53"),))
    with pytest.raises(auditor.UsageError, match="unknown setting 'qpss'; did you mean 'qps'"):
        auditor.Settings.load(qpss=1)  # type: ignore[call-arg]


def test_the_module_lists_what_is_public() -> None:
    assert dir(auditor) == sorted(auditor.__all__)
