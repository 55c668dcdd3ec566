"""Questions put to one server: retries, silence, TCP, and names that are none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.faulty import dead_port, mute_port
from support.fleet import FLEET
from support.fronts import truncating
from support.servers import nsd

from auditor.resolve.answer import Question
from auditor.resolve.direct import ServerAsker, ServerQuestion
from auditor.wire.codes import MALFORMED, NOERROR, NS, SOA, TIMEOUT, UNREACHABLE

if TYPE_CHECKING:
    from auditor.resolve.direct import ServerReply

_ZONE = "100.51.198.in-addr.arpa"


def ask(port: int, *questions: Question) -> tuple[list[ServerReply], int]:
    async def run() -> tuple[list[ServerReply], int]:
        asker = ServerAsker(port=port, timeout=0.2, tries=2)
        try:
            asked = [ServerQuestion("127.0.0.1", question) for question in questions]
            return await asker.ask_many(asked), asker.sent
        finally:
            await asker.close()

    return asyncio.run(run())


def test_a_server_that_is_silent_is_asked_as_often_as_tries_allow() -> None:
    with mute_port() as port:
        replies, sent = ask(port, Question(_ZONE, SOA))
        assert ([reply.status for reply in replies], sent) == ([TIMEOUT], 2)


def test_a_port_that_nobody_listens_on_is_unreachable() -> None:
    with dead_port() as port:
        (reply,), _ = ask(port, Question(_ZONE, SOA))
    assert reply.status == UNREACHABLE


def test_a_name_that_is_none_is_not_asked_for() -> None:
    with dead_port() as port:
        (reply,), sent = ask(port, Question("a..b", SOA))
    assert (reply.status, sent) == (MALFORMED, 0)


@pytest.mark.process
def test_a_truncated_reply_is_asked_for_over_tcp_and_each_question_once() -> None:
    with nsd(FLEET / "zones") as server, truncating(server) as port:
        replies, sent = ask(port, Question(_ZONE, NS), Question(_ZONE, NS))
    assert [reply.status for reply in replies] == [NOERROR, NOERROR]
    assert sent == 1
    message = replies[0].message
    assert message is not None
    assert message.authoritative
