"""(d) Delay and loss, by a proxy between client and server."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import material
from benchmarks.measure import helper
from benchmarks.runners import Place, best_window, client, dnsperf, massdns, missing
from benchmarks.serving import serve
from benchmarks.tables import Samples, Table, count, percent, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from benchmarks.measure import Helper, Run
    from benchmarks.options import Options

__all__ = ["run"]

_ABOUT: Final = """\
PTR lookups from Knot DNS through a UDP proxy of the benchmark's own, default settings. An
exchange is lost with the given chance, in either direction; losses are seeded, and differ from
round to round. massdns runs with `-s {window}`, with which it was fastest without loss, and
tries up to 50 times, auditor up to 5 times. {ceiling}"""
_RTT_MS: Final = 20
_LOSSES: Final = (0.0, 0.01, 0.05, 0.20)
_TRIES: Final = 5
_CLIENTS: Final = ("auditor bulk", "auditor cares", "massdns")
_NAMES: Final = 65_536


class _Link(NamedTuple):
    """A server behind the proxy: the chance of loss, and its seed."""

    port: int
    loss: float
    seed: int

    def proxy(self, rtt_ms: int = _RTT_MS) -> AbstractContextManager[Helper]:
        """Start the proxy."""
        return helper("proxy", str(self.port), str(rtt_ms), str(self.loss), str(self.seed))


def run(options: Options) -> Iterator[Table]:
    """Measure each loss, with the delay; and the capacity of the proxy."""
    zones = material.write_zones(options.folder / "d")
    size = _NAMES // 4 if options.quick else _NAMES
    names = material.write_lines(options.folder / "d.txt", islice(material.reverse_names(), size))
    clients = [name for name in _CLIENTS if not missing(name, options.peers)]
    with serve("knot", zones) as server:
        window = _window(options, server.port, names) if "massdns" in clients else "-"
        ceiling = _ceiling(options, server.port, names)
        about = _ABOUT.format(window=window, ceiling=ceiling)
        options.say(about)
        for loss in _LOSSES:
            samples = Samples()
            for number in range(options.runs):
                for name in clients:
                    link = _Link(server.port, loss, 1000 + number)
                    samples.add(name, _one(options, link, names, name, window))
                    options.say(f"{loss:.0%} lost:" + samples.latest(name))
            yield _table(loss, samples, about, size)
            about = ""


def _ceiling(options: Options, port: int, names: Path) -> str:
    """Measure the capacity of the proxy without delay and loss, by dnsperf."""
    why = missing("dnsperf", options.peers)
    if why:
        return f"The capacity of the proxy was not measured ({why})."
    with _Link(port, 0.0, 1).proxy(rtt_ms=0) as proxy:
        through = dnsperf(Place(proxy.port, options.folder), names, "PTR")
    rate = through.answered / through.work_wall
    return (
        f"The proxy carries at least {count(rate)} exchanges a second, with the server and the"
        " client (dnsperf) on the same cores."
    )


def _window(options: Options, port: int, names: Path) -> str:
    with _Link(port, 0.0, 1).proxy() as proxy:
        return best_window(Place(proxy.port, options.folder), names, far=True)


def _one(options: Options, link: _Link, names: Path, name: str, window: str) -> Run:
    with link.proxy() as proxy:
        place = Place(proxy.port, options.folder)
        if name == "massdns":
            done = massdns(place, names, "PTR", window)
        else:
            done = client(name, place, names, "PTR")
        return replace(done, detail={**done.detail, "proxy": proxy.stop()})


def _sent(run: Run) -> float:
    return float(run.detail["proxy"]["queries"])


def _table(loss: float, samples: Samples, about: str, size: int) -> Table:
    columns = ["client", "n", "answered", "unanswered", "queries sent", "a lookup", "wall s"]
    title = f"(d) {_RTT_MS} ms round trip, {loss:.0%} of exchanges lost"
    table = Table(title, [*columns, "lookups/s"], about)
    for name in samples.rows():
        table.add(
            name,
            str(len(samples[name])),
            percent(samples.worst_share(name)),
            count(max(run.asked - run.answered for run in samples[name])),
            count(samples.median(name, _sent)),
            f"{samples.median(name, lambda r: _sent(r) / r.asked):.3f}",
            seconds(samples.median(name, lambda r: r.work_wall)),
            count(samples.median(name, lambda r: r.answered / r.work_wall)),
        )
    # The expected number of queries lost in all tries, plus three standard deviations.
    expected = size * loss**_TRIES
    allowed = 0.0 if loss <= 0.05 else expected + 3 * expected**0.5
    worst = max(run.asked - run.answered for run in samples["auditor bulk"])
    goal = (
        "bulk: nothing unanswered"
        if not allowed
        else (
            f"bulk: unanswered at most {count(allowed)}"
            f" ({loss:.0%} to the power of {_TRIES} tries, and three deviations)"
        )
    )
    table.goal(goal, count(worst), met=worst <= allowed)
    return table
