"""Reverse view of SPF for 100,000 domains with shared includes: CPU time, memory, correctness.

    python -m benchmarks.senders [--domains N] [--seed N]

Answers are in memory: no network, no cache. Every domain has terms of its own (a, mx, networks) and
includes some of 40 providers, the first far more often than the last, each with three more nested
policies of 20 networks. At random addresses the rows are compared with `check_host()` of random
domains.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from bisect import bisect_right
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar

from auditor.resolve.answer import Answer, Question
from auditor.senders.hosts import Hosts
from auditor.senders.lines import Question as Asked
from auditor.senders.lines import sender_lines
from auditor.senders.policies import PolicyReader
from auditor.spf.check_host import check_host
from auditor.wire.addresses import V4, format_address, number_of
from auditor.wire.codes import MX, NODATA, NOERROR, NXDOMAIN, TXT, A

if TYPE_CHECKING:
    from auditor.resolve.answer import Steps

T = TypeVar("T")

_PROVIDERS: Final = 40
_BLOCK_DOMAINS: Final = 256
_COMPARED: Final = 2000
_GOAL_MB: Final = 500
_GOAL_S: Final = 60.0


class _Fleet:
    """Policies by domain, and the answers about them."""

    def __init__(self, domains: int, seed: int) -> None:
        rnd = Random(seed)  # noqa: S311 - test data
        self._policies: dict[str, bytes] = {}
        for provider in range(_PROVIDERS):
            inner = [f"n{part}.p{provider}.example" for part in range(3)]
            for name in inner:
                self._policies[name] = f"v=spf1 {_networks(rnd, 20)} -all".encode()
            includes = " ".join(f"include:{name}" for name in inner)
            self._policies[f"p{provider}.example"] = f"v=spf1 {includes} ~all".encode()
        self.domains = sorted(f"d{number}.example" for number in range(domains))
        for domain in self.domains:
            self._policies[domain] = _policy(rnd)
        self._hosts = rnd.randrange(1 << 24)

    def answer(self, question: Question) -> Answer:
        """Return the answer to a question."""
        name, rdtype = question
        if rdtype == TXT:
            policy = self._policies.get(name)
            return Answer(NXDOMAIN) if policy is None else Answer(NOERROR, ((policy,),))
        if rdtype == A:
            number = _number_of(name) ^ self._hosts
            return Answer(NOERROR, (format_address(V4, 198 << 24 | number & 0xFFFFFF),))
        if rdtype == MX:
            return Answer(NOERROR, ((10, f"mail.{name}"),))
        return Answer(NODATA)

    def finish(self, steps: Steps[T]) -> T:
        """Run steps to their end."""
        try:
            questions = next(steps)
            while True:
                questions = steps.send([self.answer(question) for question in questions])
        except StopIteration as end:
            result: T = end.value
            return result


def _number_of(name: str) -> int:
    """Return a number for a name, the same in every process."""
    return int.from_bytes(name.encode()[-16:]) * 2_654_435_761 >> 7


def _networks(rnd: Random, number: int) -> str:
    return " ".join(
        f"ip4:{rnd.randrange(1, 198)}.{rnd.randrange(256)}.{rnd.randrange(0, 256, 16)}.0/"
        f"{rnd.choice((20, 22, 24))}"
        for _ in range(number)
    )


def _policy(rnd: Random) -> bytes:
    terms = [term for term in ("a", "mx") if rnd.random() < 1 / 2]
    terms += [
        f"ip4:198.{rnd.randrange(256)}.{rnd.randrange(256)}.{rnd.randrange(256)}"
        for _ in range(rnd.randrange(3))
    ]
    chosen = {int(rnd.expovariate(0.3)) % _PROVIDERS for _ in range(rnd.randrange(4))}
    terms += [f"include:p{provider}.example" for provider in sorted(chosen)]
    if rnd.random() < 1 / 4:
        rnd.shuffle(terms)
    return " ".join(["v=spf1", *terms, rnd.choice(("-all", "~all", "?all"))]).encode()


def _most_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _differing(fleet: _Fleet, rows: list[tuple[int, int, frozenset[str]]], rnd: Random) -> int:
    """Return the number of wrong results for random domains at random addresses."""
    firsts = [first for first, _, _ in rows]
    differing = 0
    for _ in range(_COMPARED):
        place = rnd.randrange(len(rows))
        number = rnd.choice((*rows[place][:2], rnd.randrange(1 << 32)))
        domain = rnd.choice((*rows[place][2], rnd.choice(fleet.domains)))
        at = bisect_right(firsts, number) - 1
        listed = at >= 0 and number <= rows[at][1] and domain in rows[at][2]
        steps = check_host(format_address(V4, number), "mailfrom", f"postmaster@{domain}", domain)
        differing += listed is not (fleet.finish(steps).result == "pass")
    return differing


def main() -> None:
    """Measure, and print the figures and whether the goals are met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.senders", description=__doc__)
    parser.add_argument("--domains", type=int, default=100_000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    arguments = parser.parse_args()
    fleet = _Fleet(arguments.domains, arguments.seed)
    before = _most_mb()
    gc.freeze()
    gc.disable()  # as the command does
    started = time.process_time()
    reader = PolicyReader()
    facts = []
    for start in range(0, len(fleet.domains), _BLOCK_DOMAINS):
        facts += fleet.finish(reader.read_policies(fleet.domains[start : start + _BLOCK_DOMAINS]))
    evaluated = time.process_time()
    lines = ranges = 0
    last: dict[str, Any] = {}
    for line in sender_lines(facts, Asked(Hosts(), None, 10)):
        lines += 1
        ranges += line["type"] == "range"
        last = line
    swept, most = time.process_time(), _most_mb()
    # All names of a row, millions in total, are needed for the comparison only.
    some = facts[:: max(1, len(facts) // 2000)]
    fleet.domains = [fact.domain for fact in some]
    rows = [
        (
            number_of(line["first"]),
            number_of(line["last"]),
            frozenset(name for way in line["ways"] for name in way["domains"]),
        )
        for line in sender_lines(some, Asked(Hosts(), None, len(some)))
        if line["type"] == "range" and ":" not in line["first"]
    ]
    differing = _differing(fleet, rows, Random(arguments.seed))  # noqa: S311 - test data
    whole = swept - started
    print(f"{arguments.domains:,} domains, {last['domains']['errors']:,} of them with an error")
    print(f"evaluated: {evaluated - started:.1f} s of CPU, looking answers up included")
    print(f"swept: {swept - evaluated:.1f} s, {ranges:,} ranges, {lines:,} lines")
    print(f"in all {whole:.1f} s (goal: {_GOAL_S:g}), {most:.0f} MB at most, of which the")
    print(f"answers {before:.0f} (goal: {_GOAL_MB})")
    print(f"different from check_host: {differing} of {_COMPARED:,} domains at addresses")
    if differing or whole > _GOAL_S or most > _GOAL_MB:
        raise SystemExit("a goal is missed")


if __name__ == "__main__":
    main()
