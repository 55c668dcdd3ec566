"""Questions, answers, and the protocols of resolvers and engines.

No sockets and no DNS library in here. Everything above (checks, SPF, the pipeline) sees only
`Answer`s; everything below makes them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from auditor.wire.codes import NOERROR, SERVFAIL
from auditor.wire.message import Rdata, Soa

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auditor.errors import AuditorError

__all__ = [
    "MAX_CHAIN",
    "Answer",
    "AnswerCallback",
    "Engine",
    "LimitFindingEngine",
    "Provenance",
    "Question",
    "Rdata",
    "Resolver",
    "Soa",
    "Steps",
    "alias_of",
    "make_answer",
]

#: CNAMEs followed for one question; a longer chain is SERVFAIL, as a loop is.
MAX_CHAIN = 8


class Question(NamedTuple):
    """What is asked: an owner name (lower case, no final dot, RFC 1035 escapes) and a type."""

    name: str
    rdtype: int


class Provenance(NamedTuple):
    """How an answer was obtained; volatile, and shown only by `--trace`.

    `server` as `address:port`, `transport` one of `udp`, `tcp`, `file`, `cache` or what the
    engine knows of it, `attempts` the queries sent, `rtt_ms` the time from the last of them
    to the answer, `ede` the extended errors (RFC 8914) as (code, text).
    """

    server: str = ""
    transport: str = ""
    attempts: int = 1
    rtt_ms: float = 0.0
    ede: tuple[tuple[int, str], ...] = ()
    cached: bool = False


class Answer(NamedTuple):
    """The answer to one question; a failure is a status, never an exception.

    `records`: the RRset, sorted, without duplicates; not empty exactly if the status is
    NOERROR. `chain`: the owner names of the CNAMEs that were followed, in order, the
    question's own name first; `canonical` the name they led to, "" without a chain.
    `ttl`: seconds for which the answer may be kept: the lowest TTL on the way, for NXDOMAIN
    and NODATA the one of RFC 2308 §5, or None where the server gave none (no SOA, failures).
    `zone`: of NXDOMAIN and NODATA the apex of the zone that denied it (the owner of the SOA,
    RFC 2308 §3), "" where the reply does not say, and of all other answers.
    """

    status: str
    records: tuple[Rdata, ...] = ()
    chain: tuple[str, ...] = ()
    canonical: str = ""
    ttl: int | None = None
    how: Provenance | None = None
    zone: str = ""


T = TypeVar("T")

#: What asks, without knowing how: yields questions, is sent their answers in the same
#: order, as often as it needs, and returns what it learnt.
Steps: TypeAlias = Generator[Sequence[Question], Sequence[Answer], T]

#: Engines hand over answers in batches, as many as one wake-up of the loop brought.
AnswerCallback: TypeAlias = "Callable[[Sequence[tuple[Question, Answer]]], None]"


class Resolver(Protocol):
    """Anything that answers questions, all of them, in the order asked."""

    async def resolve_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question. Failures are statuses; nothing is raised."""
        ...


class Engine(Protocol):
    """A way to obtain answers: it neither caches nor follows aliases across replies.

    An answer whose status is NOERROR with no records and a `canonical` name says "look
    there": the server stopped at an alias. `CachingResolver` follows it.
    """

    async def start(self) -> None:
        """Open what is needed. Raises AuditorError if the engine cannot work at all."""
        ...

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Take the questions, none twice; each one ends in exactly one `deliver`, later or now.

        The engine queues what its limits do not allow at once, and never blocks.
        """
        ...

    def backlog(self) -> int:
        """Return how many questions were taken and not yet sent."""
        ...

    def on_room(self, wake: Callable[[], None]) -> None:
        """Have `wake` called whenever the backlog has shrunk to where more is welcome."""
        ...

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        """Have `fail` called when no answers will come any more: no server is left.

        And again, after as long, while that goes on.
        """
        ...

    def counters(self) -> Mapping[str, int]:
        """Return what was sent, answered, retried and lost so far."""
        ...

    async def close_engine(self) -> None:
        """Drop what is outstanding, undelivered, and free all sockets and tasks."""
        ...


@runtime_checkable
class LimitFindingEngine(Protocol):
    """An engine that finds the limits of its servers."""

    def rate(self) -> float | None:
        """Return how many queries a second the limits allow, set or found; None for any."""
        ...

    def limits_found(self) -> Mapping[str, Mapping[str, int | str]]:
        """Return the limits that were found, by server."""
        ...


def alias_of(answer: Answer) -> str:
    """Return the name to ask next, or "" if the answer is final (see `Engine`)."""
    return answer.canonical if answer.status == NOERROR and not answer.records else ""


def make_answer(
    status: str,
    records: Sequence[Rdata] = (),
    aliases: Sequence[tuple[str, str]] = (),
    ttl: int | None = None,
    how: Provenance | None = None,
    *,
    zone: str = "",
) -> Answer:
    """Build an answer: records sorted and without duplicates, the aliases as a chain.

    `aliases` are (owner, target) pairs in the order followed. More than `MAX_CHAIN` of
    them, or a loop, is SERVFAIL: its end can never be known.
    """
    chain = tuple(owner for owner, _ in aliases)
    canonical = aliases[-1][1] if aliases else ""
    if len(chain) > MAX_CHAIN or canonical in chain:
        return Answer(SERVFAIL, (), chain[:MAX_CHAIN], canonical, None, how)
    if len(records) > 1:
        # All records of one RRset have one type, so they compare.
        records = sorted(set(records))
    return Answer(status, tuple(records), chain, canonical, ttl, how, zone)
