"""Random policies and what they refer to, and what drives steps over them to their end.

Drawn from a seed: evenly, where what shrinks well would mostly be broken policies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

from auditor.resolve.answer import Answer, make_answer
from auditor.wire.codes import AAAA, MX, NODATA, NOERROR, NXDOMAIN, SERVFAIL, TIMEOUT, TXT, A

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from auditor.resolve.answer import Question, Rdata, Steps

T = TypeVar("T")

World: TypeAlias = dict[str, dict[int, Answer]]

#: The policy asked about is at the first of these; they are what policies refer to.
OWNERS = ("x.example", "a.x.example", "b.example", "c.example", "d.example", "e.d.example")

_ODD_NAMES = ("B.example", "c.example.", "none.example", "a..example")
_CIDR = ("", "", "", "/31", "//127", "/30//126", "/0", "//0")
_QUALIFIERS = ("", "", "", "+", "-", "~", "?")
_FIXED_MACROS = (
    "include:%{d}",
    "a:%{o}",
    "exists:a.%{d}",
    "include:%{o2}",
    "a:%{v}.b.example",
    "include:a.%{d2r}",
    "exists:x.%{d1}%%",
)
_OPEN_MACROS = (
    "exists:%{i}.b.example",
    "ptr",
    "ptr:b.example",
    "include:%{l}.example",
    "a:%{h}",
    "mx:%{p}.b.example",
    "exists:%{h}%{d}",
    "include:%{s}.example",
)
_BROKEN = ("ip4:1.2.3", "include", "all:x", "a:x", "ip6:::/129", "%", "x=%", "redirect=x")


def _name(rnd: Random) -> str:
    return rnd.choice(_ODD_NAMES if rnd.random() < 0.05 else OWNERS[1:])


def _term(rnd: Random, *, macros: bool) -> str:
    kind = rnd.choices(("ip4", "ip6", "a", "include", "exists", "macro"), (5, 3, 4, 4, 0.5, 0.5))[0]
    if kind == "ip4":
        return f"ip4:192.0.2.{rnd.randrange(16)}{rnd.choice(('', '/32', '/31', '/29', '/28'))}"
    if kind == "ip6":
        return f"ip6:2001:db8::{rnd.randrange(16):x}{rnd.choice(('', '/127', '/125', '/124'))}"
    if kind == "a":
        target = f":{_name(rnd)}" if rnd.random() < 0.7 else ""
        return f"{rnd.choice(('a', 'a', 'mx', 'MX'))}{target}{rnd.choice(_CIDR)}"
    if kind == "macro":
        return rnd.choice(_OPEN_MACROS if macros else _FIXED_MACROS)
    return f"{kind}:{_name(rnd)}"


def policy(rnd: Random, *, macros: bool) -> bytes:
    """Return an SPF record, mostly valid; without `macros` no result depends on the client."""
    terms = [
        f"{rnd.choice(_QUALIFIERS)}{_term(rnd, macros=macros)}" for _ in range(rnd.randrange(7))
    ]
    if rnd.random() < 0.02:
        terms.append(rnd.choice(_BROKEN))
    if rnd.random() < 0.1:
        terms.append("x=y")
    if macros and rnd.random() < 0.2:
        terms.append(f"exp={rnd.choice(OWNERS)}")
    end = rnd.random()
    if end < 0.3:
        terms.append(f"redirect={_name(rnd)}")
    elif end < 0.8:
        terms.append(f"{rnd.choice(_QUALIFIERS)}all")
    return " ".join(["v=spf1", *terms]).encode()


def world(rnd: Random, *, macros: bool = True) -> World:
    """Return what the owners hold; whatever else is asked for does not exist."""

    def rrset(records: list[Rdata]) -> Answer:
        if rnd.random() < 0.04:
            return Answer(rnd.choice((SERVFAIL, TIMEOUT)))
        return make_answer(NOERROR, records) if records else Answer(NODATA)

    def texts() -> list[Rdata]:
        others: tuple[list[Rdata], ...] = (
            [],
            [(b"other",)],
            [(b"v=spf1 a",), (b"v=spf1 b",)],
            [(b"v=spf1 \xff",)],
        )
        return rnd.choice(others) if rnd.random() < 0.08 else [(policy(rnd, macros=macros),)]

    def hosts() -> list[Rdata]:
        number = rnd.randrange(9, 13) if rnd.random() < 0.1 else rnd.randrange(3)
        return [
            (preference, rnd.choice((*OWNERS, *OWNERS, ".", "none.example")))
            for preference in range(number)
        ]

    return {
        name: {
            TXT: rrset(texts()),
            A: rrset([f"192.0.2.{rnd.randrange(16)}" for _ in range(rnd.randrange(4))]),
            AAAA: rrset([f"2001:db8::{rnd.randrange(16):x}" for _ in range(rnd.randrange(4))]),
            MX: rrset(hosts()),
        }
        for name in OWNERS
    }


def answerer(names: World) -> Callable[[Question], Answer]:
    """Return what answers from a world."""
    return lambda question: names.get(question.name, {}).get(question.rdtype, Answer(NXDOMAIN))


def finish(steps: Steps[T], answer: Callable[[Question], Answer], most: int = 10_000) -> T:
    """Run steps to their end; more than `most` questions are an AssertionError."""
    asked = 0
    try:
        questions = next(steps)
        while True:
            asked += len(questions)
            assert asked <= most
            questions = steps.send([answer(question) for question in questions])
    except StopIteration as end:
        result: T = end.value
        return result
