"""The bulk engine opens and closes without leaving anything, and outlives its servers."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import servers
from support.asking import Inbox, ask, assert_sums, opened, until
from support.faults import answer, truncate
from support.faulty import Asked, FaultyServer, dead_port, mute_port
from support.fleet import FLEET

from auditor.errors import NoServerError
from auditor.resolve.answer import Question
from auditor.resolve.bulk.engine import BulkEngine
from auditor.resolve.bulk.server import nameserver
from auditor.resolve.bulk.udp.mmsg import open_datagrams
from auditor.settings import Server
from auditor.wire.codes import NOERROR, NXDOMAIN, A

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from support.faults import Action
    from support.processes import Server as RealServer

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

ZONE: Final = (
    "$ORIGIN example.net.\nwww CNAME mail\nout CNAME elsewhere.example.org.\nmail A 192.0.2.1\n"
    + "".join(f"h{number} A 192.0.2.{number}\n" for number in range(250))
)


def _hosts(count: int = 250) -> list[Question]:
    return [Question(f"h{number}.example.net", A) for number in range(count)]


def _engine(*ports: int, **options: Any) -> BulkEngine:
    return BulkEngine([Server("127.0.0.1", port) for port in ports], **options)


def test_a_server_that_was_gone_is_heard_again(run: Run) -> None:
    # Its port refuses datagrams meanwhile; an event loop may take that for the socket's end.
    async def main(nsd: RealServer) -> None:
        loop = asyncio.get_running_loop()
        engine = _engine(nsd.port, timeout=30.0)
        questions = [Question(f"mx-{number}.example.net", A) for number in range(500)]
        async with opened(engine):
            inbox = Inbox()
            nsd.stop()
            engine.submit(questions, inbox.deliver)
            await until(lambda: not engine._health_monitor.usable())
            await loop.run_in_executor(None, nsd.start)
            await inbox.wait(500)
        assert {answer.status for answer in inbox.answers.values()} <= {NOERROR, NXDOMAIN}
        assert_sums(engine.counters(), asked=500)

    with servers.nsd(FLEET / "zones") as nsd:
        run(main(nsd))


def test_every_socket_hears_on_after_an_error_of_the_network(run: Run) -> None:
    async def main(port: int) -> None:
        engine = _engine(port, check=False, timeout=30.0)
        nowhere = Question("a.invalid", A)
        async with opened(engine):
            (nameserver,) = engine._nameservers
            for _ in nameserver.sockets:
                before = nameserver.refusals
                engine._probe(nameserver, nowhere, False)  # noqa: FBT003 - a callback
                await until(lambda before=before: nameserver.refusals > before)  # type: ignore[misc]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
                server.bind(("127.0.0.1", port))
                server.settimeout(5.0)
                for _ in nameserver.sockets:
                    engine._probe(nameserver, nowhere, False)  # noqa: FBT003 - a callback
                    data, source = server.recvfrom(512)
                    server.sendto(data[:2] + b"\x84\3" + data[4:], source)
                await until(lambda: engine.counters()["accepted"] == len(nameserver.sockets))

    with dead_port() as port:
        run(main(port))


def test_nothing_is_left_open_when_no_server_passes_the_check(run: Run) -> None:
    async def main(port: int) -> None:
        engine = _engine(port, timeout=0.1, tries=1)
        with pytest.raises(NoServerError, match="does not answer"):
            await engine.start()
        del engine
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with mute_port() as port:
        run(main(port))
    gc.collect()  # a socket left open is a ResourceWarning, which is an error


def test_nothing_is_left_open_when_the_start_is_cancelled(run: Run) -> None:
    async def main(port: int) -> None:
        engine = _engine(port, timeout=60.0)
        starting = asyncio.create_task(engine.start())
        await until(lambda: engine.counters()["probes"])
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert engine._nameservers[0].sockets == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with mute_port() as port:
        run(main(port))
    gc.collect()


def test_a_server_that_the_system_has_no_way_to_is_left_out(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = open_datagrams

    def no_way(address: str, port: int) -> Any:
        if ":" in address:
            raise OSError(101, "Network is unreachable")
        return real(address, port)

    async def main(port: int) -> None:
        engine = BulkEngine([Server("2001:db8::1", 53), Server("127.0.0.1", port)])
        async with opened(engine):
            assert {answer.status for answer in await ask(engine, _hosts())} == {NOERROR}
        engine = BulkEngine([Server("2001:db8::1", 53)])
        with pytest.raises(NoServerError, match="cannot be reached: Network is unreachable"):
            await engine.start()

    monkeypatch.setattr(nameserver, "open_datagrams", no_way)
    with FaultyServer(ZONE) as server:
        run(main(server.port))
    assert "[2001:db8::1]:53 cannot be reached" in caplog.text


def test_closing_drops_what_is_outstanding_undelivered(run: Run) -> None:
    async def main(port: int) -> None:
        engine = _engine(port, check=False, timeout=60.0)
        answers: list[object] = []
        async with opened(engine):
            engine.submit(_hosts(), answers.extend)
            engine.submit(_hosts(), answers.extend)
        assert answers == []
        assert engine.backlog() == 0
        # And nothing is sent any more.
        sent = engine.counters()["sent"]
        engine.submit(_hosts(), answers.extend)
        assert engine.counters()["sent"] == sent

    with mute_port() as port:
        run(main(port))
    gc.collect()


@pytest.mark.parametrize("opening", [True, False])
def test_closing_with_questions_on_the_tcp_lane(run: Run, *, opening: bool) -> None:
    def plan(_asked: Asked, transport: str, _nth: int) -> Sequence[Action]:
        return [truncate] if transport == "udp" else []

    async def main(server: FaultyServer) -> None:
        engine = _engine(server.port, check=False, timeout=60.0)
        answers: list[object] = []
        async with opened(engine):
            engine.submit(_hosts(20), answers.extend)
            if opening:
                await until(lambda: engine.counters()["tcp"])
                assert engine.counters()["tcp_sent"] == 0
            else:
                await until(lambda: any(query.transport == "tcp" for query in server.queries))
        assert answers == []

    with FaultyServer(ZONE, plan) as server:
        run(main(server))
    gc.collect()


def test_a_connection_that_the_system_refuses_fails_no_other_question(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    def plan(asked: Asked, _transport: str, _nth: int) -> Sequence[Action]:
        return [truncate] if asked.name == "h1.example.net" else [answer]

    def refuse(*_arguments: object, **_options: object) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    async def main(port: int) -> None:
        engine = _engine(port, tries=2)
        engine._tcp._open = refuse
        async with opened(engine):
            found = await ask(engine, _hosts(3))
        assert [one.status for one in found] == [NOERROR, "TRUNCATED", NOERROR]

    with FaultyServer(ZONE, plan) as server:
        run(main(server.port))
        assert f"server 127.0.0.1:{server.port} cannot be asked over TCP" in caplog.text


def test_a_dead_server_fails_the_start_at_once(run: Run) -> None:
    async def main(port: int) -> None:
        async with asyncio.timeout(10):
            with pytest.raises(NoServerError, match="is not reachable"):
                await _engine(port, timeout=60.0).start()

    with dead_port() as port:
        run(main(port))
    gc.collect()
