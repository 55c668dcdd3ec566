"""`auditor senders`: which domains authorise addresses by their SPF policies, and how."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from auditor.cli.console import engine_messages, print_data, print_lines, print_message
from auditor.cli.formatting import after_demo, counted, terminal_width
from auditor.cli.garbage import cycles_uncollected
from auditor.cli.options import SettingsCommand, make_settings, settings_options
from auditor.errors import InputError, UsageError
from auditor.quoting import printable, quoted
from auditor.run.event_loop import run_loop
from auditor.senders.hosts import Hosts
from auditor.senders.lines import Question, sender_lines
from auditor.senders.look_up import look_up_policies
from auditor.settings_option import Group
from auditor.targets.domains import Name
from auditor.targets.excludes import parse_items
from auditor.targets.given_targets import refuse_invalid
from auditor.targets.stream import TargetStream
from auditor.targets.target import Target
from auditor.views.reader.results import Results
from auditor.wire.address_set import union
from auditor.wire.addresses import V4, V6, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from auditor.settings import Settings
    from auditor.targets.item import Entry
    from auditor.wire.address_set import Interval

__all__ = ["command"]

_TOP: Final = 10
_NAMES: Final = 10
#: Invalid lines that are shown; all are counted.
_MAX_INVALID_SHOWN: Final = 10
_PROGRESS_INTERVAL_S: Final = 5.0
_STDERR: Final = 2
#: A prefix of hosts costs as much as one host.
_ANY_NUMBER: Final = 1 << 128
#: Settings of a scan that apply here as well: rates and the cache.
_LIMITS: Final = frozenset({"concurrency", "qps", "server-qps", "cache-size"})


@click.command(
    "senders", cls=SettingsCommand, epilog=after_demo("senders --zones d/zones example.com")
)
@click.argument("target", nargs=-1)
@click.option(
    "-i", "--input", "files", metavar="FILE", multiple=True, help="Targets from FILE; repeatable."
)
@click.option(
    "--results",
    metavar="RESULTS",
    multiple=True,
    help="Results of `auditor scan`: their addresses are outbound hosts, with their kind of PTR; "
    "their domains are asked about, too. Repeatable.",
)
@click.option(
    "--mine",
    metavar="PREFIX",
    multiple=True,
    help="Your own address space: a prefix, a range a-b, or those in @FILE; repeatable.",
)
@click.option(
    "--names",
    metavar="N",
    type=click.IntRange(min=1),
    default=_NAMES,
    show_default=True,
    help="Domains and hosts shown for a range; all are counted.",
)
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(min=1),
    default=_TOP,
    show_default=True,
    help="Most rows of a table.",
)
@settings_options(Group.SERVERS, also=_LIMITS)
@click.option("--json", "as_json", is_flag=True, help="NDJSON: a line for each domain and range.")
@cycles_uncollected()
def command(
    target: tuple[str, ...],
    files: tuple[str, ...],
    results: tuple[str, ...],
    mine: tuple[str, ...],
    *,
    names: int,
    top: int,
    as_json: bool,
    **given: Any,
) -> None:
    """Show for every address range which domains authorise it by SPF, and how.

    A TARGET is a domain whose policy is looked up, or an outbound host: an address, a prefix or a
    range; `-` reads standard input. The policies are fetched with all that they include, and
    evaluated together for all addresses: a hundred thousand domains take minutes. Also shown:
    domains that authorise every address, policies that depend on more than the address, ranges
    that are authorised outside of --mine or without a PTR of their own (--results), and hosts
    that no domain authorises.
    """
    settings = make_settings(given)
    space = _space(mine)
    refuse_invalid(target)
    domains, spans = _read(TargetStream(target, files, max_targets=_ANY_NUMBER))
    hosts = Hosts(spans)
    if results:
        domains |= set(hosts.add_records(Results(results).checked_records()))
    if not domains:
        raise UsageError("no domain to look up: give domains, -i FILE, or --results that have some")
    with engine_messages(quiet=settings.quiet):
        facts = run_loop(look_up_policies(settings, sorted(domains), _progress(settings, domains)))
    lines = sender_lines(facts, Question(hosts, space, names))
    if as_json:
        for line in lines:
            print_data(_encoded(line))
        return
    from auditor.cli.senders_text import as_text  # noqa: PLC0415 - not needed for JSON
    from auditor.views.senders import SenderSummary  # noqa: PLC0415 - see above

    summary = SenderSummary()
    for line in lines:
        summary.count_line(line)
    print_lines(as_text(summary.as_json(top)))


def _encoded(line: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(line).decode()
    except TypeError:  # numbers of IPv6 addresses, beyond 64 bits
        return json.dumps(line, separators=(",", ":"))


def _space(texts: Sequence[str]) -> Mapping[int, list[Interval]] | None:
    """Return the user's address space, None if it is not given. Raises UsageError."""
    if not texts:
        return None
    spans = []
    for item in parse_items(texts, "mine", lambda item: not isinstance(item, Name)):
        if isinstance(item, Name):
            raise UsageError(f"mine: {quoted(item.text)} is a domain; expected a prefix or a range")
        spans.append(item)
    return {
        version: union((first, last) for ip, first, last in spans if ip == version)
        for version in (V4, V6)
    }


def _read(stream: TargetStream) -> tuple[set[str], list[tuple[int, int, int]]]:
    """Return domains and hosts of the input; report anything else. Raises InputError."""
    domains: set[str] = set()
    spans: list[tuple[int, int, int]] = []
    for entry in _entries(stream):
        if not isinstance(entry, Target):
            version, first, last = entry.span
            spans.append((version, first, last))
        elif entry.kind == "domain":
            domains.add(entry.text)
        elif entry.kind == "ip":
            version, number = parse_address(entry.text) or (V4, 0)
            spans.append((version, number, number))
        elif stream.invalid <= _MAX_INVALID_SHOWN:
            origin = entry.origin
            print_message(f"auditor: {printable(origin.source)} line {origin.line}: {entry.error}")
    if stream.invalid > _MAX_INVALID_SHOWN:
        print_message(f"auditor: {counted(stream.invalid, 'line')} are no target")
    if stream.invalid and not domains and not spans:
        raise InputError(f"no target: {counted(stream.invalid, 'line')}, none of which is one")
    return domains, spans


def _entries(stream: TargetStream) -> Iterator[Entry]:
    return (entry for entry in stream.entries() if entry is not None)


def _progress(settings: Settings, domains: set[str]) -> Callable[[int], None] | None:
    """Return a function that prints the progress at a terminal, None without one."""
    if settings.quiet or terminal_width(_STDERR) is None:
        return None
    printed_at = time.monotonic()

    def note(done: int) -> None:
        nonlocal printed_at
        now = time.monotonic()
        if now - printed_at >= _PROGRESS_INTERVAL_S:
            printed_at = now
            print_message(f"auditor: {done:,} of {counted(len(domains), 'domain')} read")

    return note
