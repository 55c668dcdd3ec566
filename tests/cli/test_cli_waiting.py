"""A word at a terminal while a server is silent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from support.stepping import driven
from support.virtual_time import run_virtual

from auditor.cli.waiting import WaitNotice
from auditor.resolve.answer import Answer, Question
from auditor.settings import Server
from auditor.wire.codes import NXDOMAIN, PTR, A

if TYPE_CHECKING:
    import pytest

    from auditor.resolve.answer import Steps


async def _work(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


def test_it_is_said_again_and_again_what_is_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    patience = WaitNotice([Server("192.0.2.53")], at_terminal=True)
    assert run_virtual(patience.until_done(_work(5.0))) == "done"
    assert capsys.readouterr().err == 2 * "auditor: waiting for the first answer of 192.0.2.53:53\n"


def test_the_questions_that_are_open_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    patience = WaitNotice((), at_terminal=True)

    def asking() -> Steps[int]:
        yield [Question("mx.example.net", A)]
        answers = yield [Question("5.2.0.192.in-addr.arpa", PTR), Question("mx.example.net", A)]
        return len(answers)

    assert driven(patience.noting(asking()), lambda _: Answer(NXDOMAIN))[0] == 2
    run_virtual(patience.until_done(_work(3.0)))
    assert capsys.readouterr().err == (
        "auditor: waiting for the PTR record of 5.2.0.192.in-addr.arpa and 1 more\n"
    )


def test_what_is_done_soon_passes_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_virtual(WaitNotice((), at_terminal=True).until_done(_work(1.0))) == "done"
    assert capsys.readouterr().err == ""


def test_without_a_terminal_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_virtual(WaitNotice((), at_terminal=False).until_done(_work(60.0))) == "done"
    assert capsys.readouterr().err == ""
