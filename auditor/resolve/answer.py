"""Questions, answers, and the protocols of resolvers and engines.

No sockets and no DNS library in here. Checks, SPF and the pipeline use only `Answer`s; engines
make them.
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
    """A question: an owner name (lower case, no final dot, RFC 1035 escapes) and a type."""

    name: str
    rdtype: int


class Provenance(NamedTuple):
    """How an answer was obtained; volatile, and shown only by `--trace`.

    `server`: as `address:port`; `transport`: `udp`, `tcp`, `file`, `cache` or the engine's own
    term; `attempts`: queries sent; `rtt_ms`: milliseconds from the last query to the answer;
    `ede`: the extended errors (RFC 8914) as (code, text).
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
    `ttl`: seconds for which the answer may be cached: the lowest TTL of the RRset and its CNAMEs,
    for negative answers that of RFC 2308 §5; None if there is none (no SOA, failures).
    `zone`: of NXDOMAIN and NODATA the apex of the denying zone (the owner of the SOA,
    RFC 2308 §3), "" if unknown, and for all other answers.
    """

    status: str
    records: tuple[Rdata, ...] = ()
    chain: tuple[str, ...] = ()
    canonical: str = ""
    ttl: int | None = None
    how: Provenance | None = None
    zone: str = ""


T = TypeVar("T")

#: A generator that needs answers, without I/O: yields questions, is sent their answers in the same
#: order, any number of times, and returns its result.
Steps: TypeAlias = Generator[Sequence[Question], Sequence[Answer], T]

#: Engines deliver answers in batches: all those of one wake-up of the loop.
AnswerCallback: TypeAlias = "Callable[[Sequence[tuple[Question, Answer]]], None]"


class Resolver(Protocol):
    """Anything that answers questions, all of them, in the order asked."""

    async def resolve_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question. Failures are statuses; nothing is raised."""
        ...


class Engine(Protocol):
    """A source of answers: it neither caches nor follows aliases across replies.

    An answer with status NOERROR, no records and a `canonical` name ends at an alias, which
    `CachingResolver` follows.
    """

    async def start(self) -> None:
        """Open sockets or files. Raises AuditorError if the engine cannot work at all."""
        ...

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Queue questions without duplicates; each is delivered exactly once, later or at once.

        Never blocks: the engine queues questions that its limits do not allow yet.
        """
        ...

    def backlog(self) -> int:
        """Return how many questions have not been sent yet."""
        ...

    def on_room(self, wake: Callable[[], None]) -> None:
        """Have `wake` called whenever the backlog is so small that more questions should come."""
        ...

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        """Have `fail` called when no server answers any more, and again while that lasts."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Return counts of questions and queries so far, by name."""
        ...

    async def close_engine(self) -> None:
        """Drop outstanding questions without delivery, and free all sockets and tasks."""
        ...


@runtime_checkable
class LimitFindingEngine(Protocol):
    """An engine that finds the limits of its servers."""

    def rate(self) -> float | None:
        """Return the rate limit in queries a second, set or found; None for none."""
        ...

    def limits_found(self) -> Mapping[str, Mapping[str, int | str]]:
        """Return the limits that were found, by server."""
        ...


def alias_of(answer: Answer) -> str:
    """Return the name to query next, or "" if the answer is final (see `Engine`)."""
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

    `aliases`: (owner, target) pairs in the order followed. More than `MAX_CHAIN`, or a loop, is
    SERVFAIL.
    """
    chain = tuple(owner for owner, _ in aliases)
    canonical = aliases[-1][1] if aliases else ""
    if len(chain) > MAX_CHAIN or canonical in chain:
        return Answer(SERVFAIL, (), chain[:MAX_CHAIN], canonical, None, how)
    if len(records) > 1:
        # All records of one RRset have one type, so they compare.
        records = sorted(set(records))
    return Answer(status, tuple(records), chain, canonical, ttl, how, zone)
