"""The aiodns lane in tests: a zone for a faulty server, and questions asked all at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from auditor.resolve.answer import Answer, Question
from auditor.resolve.cares.engine import CaresEngine
from auditor.settings import Server
from auditor.wire.codes import A
from support.faulty import FaultyServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.faulty import Plan

__all__ = ["MAIL", "SHORT", "ZONE", "Outcome", "ask", "asked", "one"]

ZONE = """
mail.example.net. 300 A 192.0.2.2
mail.example.net. 300 A 192.0.2.1
mail.example.net. 60 AAAA 2001:DB8:0:0:0:0:0:25
www.example.net. 40 CNAME mail.example.net.
dangling.example.net. 300 CNAME gone.example.net.
7.2.0.192.in-addr.arpa. 300 PTR b.example.net.
7.2.0.192.in-addr.arpa. 300 PTR A.Example.net.
7.2.0.192.in-addr.arpa. 300 PTR odd\\046name\\009.example.net.
example.net. 300 MX 20 mx2.example.net.
example.net. 300 MX 10 mx.example.net.
null.example.net. 300 MX 0 .
txt.example.net. 300 TXT "v=spf1 " "-all"
txt.example.net. 300 TXT "\\195\\164"
zone.example.net. 300 NS ns.example.net.
"""

MAIL = Question("mail.example.net", A)
#: c-ares waits for a quarter of a second at least.
SHORT: dict[str, Any] = {"timeout": 0.05, "tries": 1}


class Outcome(list[Answer]):
    """Answers in the order asked, and the counters at the end."""

    counters: dict[str, int]


async def ask(engine: CaresEngine, questions: Sequence[Question]) -> Outcome:
    """Start an engine, ask, and close it when all is answered; nothing may be left of it."""
    await engine.start()
    found: dict[Question, Answer] = {}
    done = asyncio.Event()

    def deliver(pairs: Sequence[tuple[Question, Answer]]) -> None:
        for question, reply in pairs:
            assert question not in found, "answered twice"
            found[question] = reply._replace(how=None)
        if len(found) == len(questions):
            done.set()

    engine.submit(questions, deliver)
    async with asyncio.timeout(20):
        await done.wait()
    assert (engine.backlog(), engine.in_flight()) == (0, 0)
    outcome = Outcome(found[question] for question in questions)
    outcome.counters = dict(engine.counters())
    await engine.close_engine()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return outcome


def asked(server: FaultyServer | Sequence[Server], *questions: Question, **options: Any) -> Outcome:
    """Return what the engine says of these questions."""
    named = (
        [Server(server.address, server.port)] if isinstance(server, FaultyServer) else list(server)
    )
    return asyncio.run(ask(CaresEngine(named, **options), questions or [MAIL]))


def one(plan: Plan | None, *, tcp: bool = True, **options: Any) -> Answer:
    """Return what the engine makes of one question to a server with a plan."""
    with FaultyServer(ZONE, plan, tcp=tcp) as server:
        return asked(server, **options)[0]
