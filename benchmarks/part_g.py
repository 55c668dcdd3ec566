"""(g) Resolvers at their limits: whether answers are lost, and the cost of finding the limit."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import material
from benchmarks.measure import BenchError, helper
from benchmarks.runners import Place, dnsperf, massdns, missing, scan
from benchmarks.serving import RESOLVERS, serve_resolver
from benchmarks.tables import Samples, Table, count, percent, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.measure import Run
    from benchmarks.options import Options

__all__ = ["run"]

_ABOUT: Final = """\
`auditor scan --server … {block}` ({targets} targets, default settings) through a resolver with
an authority {delay} ms away behind it. Right: records that are octet for octet those of a scan
without a limit. Queries: sent for each question not in the cache. Arithmetic: the time of the
questions at exactly the limit, of concurrency or of rate. dnsperf: their time with 96 % of the
limit's concurrency, known beforehand (`-q`), since the resolver has its own cost: BIND misses 0.2 %
of its authority's answers, waits 1.2 s for each, and counts them meanwhile. ÷ limit: the scan
divided by the longer of the two. massdns asks only for the PTR records; shares answered at `-s`
100, 1000 and 10000."""

_DROPPER: Final = "1,024 a second, the rest dropped"
_DROPPER_MOST: Final = 1024
_WINDOWS: Final = ("100", "1000", "10000")
_LONGEST_S: Final = 1800.0
_MASSDNS_LONGEST_S: Final = 120.0

#: Questions of a scan by target; and the most that dnsperf asks: longer times are extrapolated.
_QUESTIONS_A_TARGET: Final = 3
_MAX_DNSPERF_QUESTIONS: Final = 32_768

#: The share of the limit that dnsperf uses, so that nothing fails.
_DNSPERF_SHARE: Final = 0.96

#: Most queries for a question under a limit of concurrency, and under one of rate.
_MOST_QUERIES: Final = {True: 1.5, False: 2.0}
_MOST_TIME: Final = 1.3


class _Setting(NamedTuple):
    """The block to scan, and the delay of the authority."""

    block: str
    targets: int
    delay_ms: int


_SETTINGS: Final = {
    True: [_Setting("20.30.0.0/20", 4096, 20)],
    False: [_Setting("20.30.0.0/16", 65_536, 20), _Setting("20.30.0.0/20", 4096, 200)],
}


class _Limit(NamedTuple):
    """The limit of a server: queries `at_a_time`, or `a_second`."""

    at_a_time: int | None
    a_second: int | None

    def seconds(self, questions: int, delay: float) -> float:
        """Return the seconds that `questions` take, 0 without a limit."""
        if self.a_second is not None:
            return questions / self.a_second
        return 0.0 if self.at_a_time is None else questions * delay / self.at_a_time


_LIMITS: Final = {
    **{name: _Limit(kind.at_a_time, kind.a_second) for name, kind in RESOLVERS.items()},
    _DROPPER: _Limit(None, _DROPPER_MOST),
}


def run(options: Options) -> Iterator[Table]:
    """Scan behind each resolver, and compare the records with those of a scan without limits."""
    for setting in _SETTINGS[options.quick]:
        yield _table(_measure(options, setting), setting)


def _measure(options: Options, setting: _Setting) -> Samples:
    right, output = options.folder / "right.ndjson", options.folder / "g.ndjson"
    with helper("responder", "silent", "zones", "0") as responder:
        scan(right, "--server", f"127.0.0.1:{responder.port}", setting.block)
    names = islice(material.reverse_names(), setting.targets)
    ptr_names = material.write_lines(options.folder / "g.txt", names)
    wanted = min(_QUESTIONS_A_TARGET * setting.targets, _MAX_DNSPERF_QUESTIONS)
    dnsperf_names = material.write_lines(
        options.folder / "fixed.txt", islice(material.reverse_names(), wanted)
    )
    windows = () if missing("massdns", options.peers) else _WINDOWS
    samples = Samples()
    for _ in range(options.runs):
        for row in filter(options.wants, _LIMITS):
            if row in samples.failed:
                continue
            try:
                with _served(row, setting.delay_ms) as port:
                    done = scan(
                        output,
                        *("--server", f"127.0.0.1:{port}", setting.block),
                        limit=_LONGEST_S,
                    )
                fixed = _fixed_window_seconds(options, row, setting, dnsperf_names)
                shares = []
                for window in windows:
                    # A new server for each, since earlier answers would be in its cache.
                    with _served(row, setting.delay_ms) as port:
                        place = Place(port, options.folder)
                        shares.append(_massdns_share(place, ptr_names, window))
            except BenchError as error:
                samples.failed[row] = str(error)
                options.say(f"  {row}: {error}")
                continue
            detail = {
                **done.detail,
                "right": _share_right(right, output),
                "massdns": shares,
                "dnsperf": fixed,
            }
            samples.add(row, replace(done, detail=detail))
            options.say(f"  {row}: {done.wall:.1f} s, {detail['right']:.3%}")
    return samples


def _fixed_window_seconds(options: Options, row: str, setting: _Setting, names: Path) -> float:
    """Return the seconds a question of a client that knows the limit; 0 if there is none."""
    window = _LIMITS[row].at_a_time
    if window is None or missing("dnsperf", options.peers):
        return 0.0
    with _served(row, setting.delay_ms) as port:
        window = int(window * _DNSPERF_SHARE)
        done = dnsperf(Place(port, options.folder), names, "PTR", window=window)
    # dnsperf waits five seconds for unanswered queries, which the limit does not cause.
    return done.work_wall / done.asked if done.share == 1 else 0.0


def _massdns_share(place: Place, names: Path, window: str) -> str:
    try:
        return percent(massdns(place, names, "PTR", window, limit=_MASSDNS_LONGEST_S).share)
    except BenchError:
        return f"not after {_MASSDNS_LONGEST_S:.0f} s"


@contextmanager
def _served(row: str, delay_ms: int) -> Iterator[int]:
    """Yield the port of a server with a limit."""
    sound = ("responder", "silent", "zones", "0", str(delay_ms))
    if row == _DROPPER:
        with helper(*sound, str(_DROPPER_MOST)) as responder:
            yield responder.port
    else:
        with helper(*sound) as responder, serve_resolver(row, responder.port) as server:
            yield server.port


def _share_right(right: Path, output: Path) -> float:
    with right.open("rb") as expected, output.open("rb") as found:
        equal = [ours == other for ours, other in zip_longest(expected, found)]
    return float(sum(equal) / len(equal))


def _questions(run: Run) -> int:
    queries = run.detail["queries"]
    return int(queries["answered"] + queries["failed"])


def _queries(run: Run) -> float:
    return float(run.detail["queries"]["sent"] / _questions(run))


def _arithmetic(row: str, setting: _Setting, run: Run) -> float:
    return _LIMITS[row].seconds(_questions(run), setting.delay_ms / 1000)


def _fixed(run: Run) -> float:
    return float(run.detail["dnsperf"] * _questions(run))


def _factor(row: str, setting: _Setting, run: Run) -> float:
    """Return the time of a scan as a multiple of that at the limit."""
    return run.wall / max(_arithmetic(row, setting, run), _fixed(run))


def _table(samples: Samples, setting: _Setting) -> Table:
    about = _ABOUT.format(
        block=setting.block, targets=count(setting.targets), delay=setting.delay_ms
    )
    columns = ["resolver", "n", "right", "queries", "wall s"]
    columns += ["arithmetic s", "dnsperf s", "÷ limit", "massdns"]
    table = Table(f"(g) Resolvers at their limits, {setting.delay_ms} ms", columns, about)
    table.left_out += [f"{row}: {why}" for row, why in samples.failed.items()]
    for row in samples.rows():
        arithmetic = samples.median(row, partial(_arithmetic, row, setting))
        fixed = samples.median(row, _fixed)
        table.add(
            row,
            str(len(samples[row])),
            percent(_worst_right(samples[row])),
            f"{samples.median(row, _queries):.2f}",
            seconds(samples.median(row, lambda r: r.wall)),
            seconds(arithmetic) if arithmetic else "-",
            seconds(fixed) if fixed else "-",
            f"{samples.median(row, partial(_factor, row, setting)):.2f}" if arithmetic else "-",
            ", ".join(samples[row][-1].detail["massdns"]) or "-",
        )
    _add_goals(table, samples, setting)
    return table


def _worst_right(runs: Sequence[Run]) -> float:
    return min(float(run.detail["right"]) for run in runs)


def _add_goals(table: Table, samples: Samples, setting: _Setting) -> None:
    rows = samples.rows()
    worst = min((_worst_right(samples[row]) for row in rows), default=0.0)
    table.goal("every record right", percent(worst), met=worst == 1)
    for is_window, most in _MOST_QUERIES.items():
        alike = [row for row in rows if (_LIMITS[row].a_second is None) is is_window]
        asked = max((samples.median(row, _queries) for row in alike), default=0.0)
        goal = f"at most {most} queries a question where the limit is one of "
        kind = "number" if is_window else "rate"
        table.goal(goal + kind, f"{asked:.2f}", met=asked <= most)
    for row in rows:
        if _arithmetic(row, setting, samples[row][-1]):
            factor = samples.median(row, partial(_factor, row, setting))
            goal = f"{row}: at most {_MOST_TIME} times what the limit takes"
            table.goal(goal, f"{factor:.2f}", met=factor <= _MOST_TIME)
