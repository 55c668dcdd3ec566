"""SPF for ranges, compared with pyspf for each address, over answers already fetched.

    python -m benchmarks.spf_ranges [--runs N]

A /12 against a policy with nine nested includes; the cost of an address once the table of a domain
exists; and the cost of one `--mail-from` in a scan of a /16 over zone files. CPU time without
network or cache; medians of several interleaved runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from auditor.resolve.answer import Answer, Question
from auditor.spf.check_host import check_host
from auditor.spf.ranges import check_range, range_table
from auditor.wire.codes import NOERROR, NXDOMAIN, TXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.resolve.answer import Steps

T = TypeVar("T")

_DOMAIN: Final = "example.net"
_BLOCK: Final = ip_network("10.16.0.0/12")
_DEPTH: Final = 9
_NETWORKS: Final = 40  # in each level
_LOOKED_UP: Final = 1 << 16
_ONE_BY_ONE: Final = 256
_SCANNED: Final = "20.30.0.0/16"
_GOAL_MS: Final = 50.0
_GOAL_US: Final = 1.5


def _zone() -> dict[Question, Answer]:
    """Return the answers for nine nested includes, each with some networks."""
    answers = {}
    for level in range(_DEPTH + 1):
        name = f"l{level}.{_DOMAIN}" if level else _DOMAIN
        networks = [
            f"{'' if index % 5 else '-'}ip4:10.{16 + index % 16}.{level * 4 + index // 16}.0/28"
            for index in range(_NETWORKS)
        ]
        deeper = [f"include:l{level + 1}.{_DOMAIN}"] if level < _DEPTH else []
        scanned = [] if deeper else [f"ip4:{_SCANNED}"]
        policy = " ".join(["v=spf1", *networks, *scanned, *deeper, "~all"])
        answers[Question(name, TXT)] = Answer(NOERROR, ((policy.encode(),),), ttl=300)
    return answers


def _finish(steps: Steps[T], answers: dict[Question, Answer]) -> T:
    try:
        questions = next(steps)
        while True:
            questions = steps.send([answers.get(q, Answer(NXDOMAIN)) for q in questions])
    except StopIteration as end:
        result: T = end.value
        return result


def _write_zones(folder: Path) -> None:
    """Write a /16 without names, whose SPF is checked nevertheless, and the policy."""
    head = "$TTL 300\n@ IN SOA ns.example.net. host.example.net. 1 3600 600 86400 300\n"
    head += "@ IN NS ns.example.net.\n"
    reverse = "$ORIGIN 30.20.in-addr.arpa.\n" + head
    forward = "$ORIGIN example.net.\n" + head
    for question, answer in _zone().items():
        policy = b"".join(cast("tuple[bytes, ...]", answer.records[0])).decode()
        strings = " ".join(f'"{policy[at : at + 250]}"' for at in range(0, len(policy), 250))
        forward += f"{question.name}. IN TXT {strings}\n"
    (folder / "30.20.in-addr.arpa.zone").write_text(reverse)
    (folder / "example.net.zone").write_text(forward)


def _scan(zones: Path, *options: str) -> float:
    """Return the CPU seconds of a whole scan of a /16, the start included."""
    command = [sys.executable, "-m", "auditor", "scan", "-q", "--zones", str(zones), _SCANNED]
    child = subprocess.Popen([*command, "-o", os.devnull, "--overwrite", *options])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"the scan ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def _cpu(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Measure, and print the figures and whether the goals are met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spf_ranges", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="rounds (default: %(default)s)")
    runs = parser.parse_args().runs
    answers = _zone()
    sender = f"postmaster@{_DOMAIN}"
    parts = _finish(check_range([_BLOCK], _DOMAIN, sender=sender), answers)
    table = _finish(range_table(_DOMAIN, 4, sender=sender), answers)
    first = int(_BLOCK.network_address)
    numbers = range(first, first + _LOOKED_UP)
    step = _BLOCK.num_addresses // _ONE_BY_ONE
    some = [str(IPv4Address(first + index * step)) for index in range(_ONE_BY_ONE)]

    def looked_up() -> None:
        fact = table.fact
        for number in numbers:
            fact(number, "mailfrom")

    def one_by_one() -> None:
        for address in some:
            _finish(check_host(address, "mailfrom", sender, _DOMAIN), answers)

    partitioning, looking, asking, scanning = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        _write_zones(Path(folder))
        for _ in range(runs):
            partitioning.append(
                _cpu(lambda: _finish(check_range([_BLOCK], _DOMAIN, sender=sender), answers))
            )
            looking.append(_cpu(looked_up) / _LOOKED_UP)
            asking.append(_cpu(one_by_one) / _ONE_BY_ONE)
            without = _scan(Path(folder), "--no-spf")
            scanning.append((_scan(Path(folder), "--mail-from", _DOMAIN) - without) / _LOOKED_UP)
    medians = [statistics.median(times) for times in (partitioning, looking, asking, scanning)]
    _report(len(parts), runs, medians)


def _report(parts: int, runs: int, medians: list[float]) -> None:
    """Print the medians, in seconds, and leave with a message if a goal is missed."""
    whole, fact, single, scanned = medians[0] * 1e3, *(median * 1e6 for median in medians[1:])
    block = single * _BLOCK.num_addresses / 1e6
    print(f"{_BLOCK} ({_BLOCK.num_addresses} addresses), {_DEPTH} nested includes, {runs} runs")
    print(f"partitioned into {parts} ranges: {whole:.1f} ms of CPU (goal: {_GOAL_MS:g})")
    print(f"a fact from the table: {fact:.2f} µs of CPU an address")
    print(f"a scan of {_SCANNED}: {scanned:.2f} µs an address for SPF (goal: {_GOAL_US:g})")
    print(f"pyspf one by one: {single:.0f} µs an address, so {block:.0f} s for the whole")
    print(f"ratios: {block * 1e3 / whole:,.0f} for the whole, {single / fact:,.0f} an address")
    if whole > _GOAL_MS or scanned > _GOAL_US:
        raise SystemExit("a goal is missed")


if __name__ == "__main__":
    main()
