"""Run the benchmarks: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import BenchError
from benchmarks.options import Options
from benchmarks.results import NAME, heading, put
from benchmarks.tables import Table
from benchmarks.versions import machine, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTS: Final = {
    "a": "CPU and wall time per PTR lookup, compared with the peers, on every server",
    "b": "PTR lookups through Unbound, cold and warm",
    "c": "the whole scan compared with massdns making the same lookups",
    "d": "delay and loss",
    "e": "targets that are slow or silent",
    "f": "memory and time by the number of targets",
    "g": "resolvers at their limits",
    "direct": "a block through a cold recursor, and from its zones' own servers",
    "transfer": "a reverse zone by AXFR, compared with dnspython",
    "work": "users' workloads, measured against goals",
    "start": "starting up, and checking one address",
}
_RUNS: Final = 5


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="auditor compared with its peers, against the same servers on loopback.",
        epilog="\n".join(f"{name:>5}  {about}" for name, about in _PARTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", nargs="*", help="a, b, …: all without any")
    parser.add_argument("--runs", type=int, help=f"rounds (default: {_RUNS}, 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="fewer names")
    parser.add_argument("--huge", action="store_true", help="also 16,777,216 targets in (f)")
    parser.add_argument(
        "--profile", action="store_true", help="profiles of the time, in (a) and (c)"
    )
    parser.add_argument(
        "--row",
        action="append",
        default=[],
        metavar="TEXT",
        help="only rows of (g), and servers of (direct), whose names contain TEXT; repeatable",
    )
    parser.add_argument("--write", action="store_true", help=f"write {NAME}")
    parser.add_argument(
        "--peers",
        default=sys.executable,
        metavar="PYTHON",
        help="the Python with blastdns and presolv (default: this one)",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.part) - set(_PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if arguments.runs is None:
        arguments.runs = 1 if arguments.quick else _RUNS
    if arguments.row and arguments.write:
        parser.error("--write: a section has all its rows")
    if arguments.runs < 1:
        parser.error("--runs: at least 1")
    return arguments


def _head(part: str, options: Options) -> str:
    """Return the head of a section: its subject, and the command that printed it."""
    shown = ", ".join(f"{name} {version}" for name, version in versions(options.peers).items())
    command = " ".join(["python -m benchmarks", *_shown_arguments()])
    return f"""{heading(part)}: {_PARTS[part]}

Printed by `{command}` on {machine()}, {datetime.now(UTC):%d %B %Y}.

{shown}.
"""


def _shown_arguments() -> list[str]:
    """Return the command line without the path of an interpreter, which is private."""
    given = sys.argv[1:]
    hidden = {place + 1 for place, text in enumerate(given) if text == "--peers"}
    return ["PYTHON" if place in hidden else text for place, text in enumerate(given)]


def _tables(part: str, options: Options) -> Iterator[Table]:
    options.say(f"({part}) {_PARTS[part]}")
    try:
        yield from importlib.import_module(f"benchmarks.part_{part}").run(options)
    except BenchError as error:
        yield Table(f"({part}) not finished", ["what"], left_out=[str(error)])


def main() -> int:
    """Run the parts that the command line names; print, and write if asked to."""
    arguments = _parse()
    with tempfile.TemporaryDirectory(prefix="auditor-bench-") as folder:
        options = Options(
            runs=arguments.runs,
            quick=arguments.quick,
            huge=arguments.huge,
            profile=arguments.profile,
            peers=arguments.peers,
            rows=arguments.row,
            folder=Path(folder),
        )
        for part in arguments.part or _PARTS:
            texts = [_head(part, options)]
            print(texts[0], flush=True)
            for table in _tables(part, options):
                texts.append(table.markdown())
                print(texts[-1], flush=True)
            if arguments.write:
                put("\n".join(texts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
