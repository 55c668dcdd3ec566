"""Zones from text, for the tests of the `zones` engine."""

from __future__ import annotations

from textwrap import dedent

from auditor.resolve.answer import Answer, Question
from auditor.resolve.zones.engine import ZoneFileEngine

#: The start of a master file; negative answers live for 60 seconds.
HEAD = "$TTL 300\n@ 600 SOA ns host 1 3600 600 86400 60\n"


def ask(engine: ZoneFileEngine, name: str, rdtype: int) -> Answer:
    """Return the answer without how it was come by."""
    return engine.answer(Question(name, rdtype))._replace(how=None)


def zones(**texts: str) -> ZoneFileEngine:
    """Load zones, a head put before each; `__` in a keyword is a dot."""
    return ZoneFileEngine.from_texts(
        {name.replace("__", "."): HEAD + dedent(text) for name, text in texts.items()}
    )
