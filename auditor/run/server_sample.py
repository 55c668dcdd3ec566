"""Compares the servers of a scan: at its end, each of them is asked about a few targets.

A scan asks every question once, of whichever server has room, so where servers differ its records
depend on chance. A sample proves nothing, but it is enough to detect a server with a stale copy of
a zone. No record depends on it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson

from auditor.checks.server_agreement import ServerAnswers, questions_about, rdata_text
from auditor.errors import AuditorError, NoServerError
from auditor.findings.rules import RuleSet
from auditor.quoting import printable
from auditor.run.scan import run_steps
from auditor.wire.codes import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.output.record_types import Record
    from auditor.resolve.answer import Answer, Question, Steps
    from auditor.settings import Settings

__all__ = ["ServerSample", "ask_each"]

_log: Final = logging.getLogger("auditor")

_SAMPLE_TARGETS: Final = 32
#: Most seconds that the comparison adds to a scan.
_COMPARISON_TIMEOUT_S: Final = 5.0


class ServerSample:
    """The first targets of a scan, some of them replaced by later ones as the scan goes on.

    None are kept or asked about with fewer than two servers, with zone files, or where the
    finding SERVERS_DISAGREE is not selected.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lines: list[bytes] = []
        self._chunks = 0
        rule_set = RuleSet.from_settings(settings)
        self._is_wanted = (
            len(set(settings.servers)) > 1
            and settings.zones is None
            and "SERVERS_DISAGREE" in rule_set.severities
        )

    def sample_lines(self, lines: bytes) -> None:
        """Take some of a chunk of records."""
        if not self._is_wanted:
            return
        room = _SAMPLE_TARGETS - len(self._lines)
        if room > 0:
            self._lines += lines.split(b"\n", room)[:room]
            return
        self._chunks += 1
        if self._chunks & (self._chunks - 1) == 0:  # the 1st, 2nd, 4th, 8th, ...
            self._lines[self._chunks.bit_length() % _SAMPLE_TARGETS] = lines.partition(b"\n")[0]

    async def compare(self) -> None:
        """Ask every server about the targets, and log the questions with different answers."""
        records = [orjson.loads(line) for line in self._lines if line]
        if not records:
            return
        server_answers: list[list[ServerAnswers]] = []
        with _engines_muted(), suppress(AuditorError, TimeoutError):
            async with asyncio.timeout(_COMPARISON_TIMEOUT_S):
                server_answers = await ask_each(self._settings, records)
        distinct = {answer.question: answer for answers in server_answers for answer in answers}
        differing = [answer for answer in distinct.values() if answer.differs]
        if differing:
            _warn(differing, len(distinct))


async def ask_each(settings: Settings, records: Sequence[Record]) -> list[list[ServerAnswers]]:
    """Return for each record every server's answers about its target.

    One server after the other, so that no rate is exceeded. A server that does not answer at
    all has been reported before, and is skipped.
    """
    questions = [questions_about(record) for record in records]
    distinct = list(dict.fromkeys(question for group in questions for question in group))
    server_answers: dict[Question, dict[str, Answer]] = {question: {} for question in distinct}
    for server in settings.servers:
        try:
            # By itself: no server of a route answers in its place.
            alone = replace(settings, servers=(server,), direct=False, route=())
            answers = await run_steps(alone, _asked(distinct))
        except NoServerError:
            continue
        for question, answer in zip(distinct, answers, strict=True):
            server_answers[question][str(server)] = answer
    return [
        [ServerAnswers(question, server_answers[question]) for question in group]
        for group in questions
    ]


def _asked(questions: Sequence[Question]) -> Steps[Sequence[Answer]]:
    return (yield questions)


def _warn(differing: Sequence[ServerAnswers], asked: int) -> None:
    name, rdtype = differing[0].question
    example = "; ".join(
        f"{server} answers {', '.join(map(rdata_text, answer.records)) or answer.status}"
        for server, answer in differing[0].answers.items()
    )
    _log.warning(
        "the servers disagree on %d of %d questions that each of them was asked, such as "
        "%s %s: %s. Compare with auditor check.",
        len(differing),
        asked,
        name,
        type_name(rdtype),
        printable(example),
        extra={
            "event": "servers_disagree",
            "fields": {
                "name": name,
                "type": type_name(rdtype),
                "differ": len(differing),
                "asked": asked,
            },
        },
    )


@contextmanager
def _engines_muted() -> Iterator[None]:
    """Suppress the engines' events about servers, which the scan has logged already."""
    _log.addFilter(_nothing)
    try:
        yield
    finally:
        _log.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    del record
    return False
