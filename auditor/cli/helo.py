"""`auditor helo`: a table of targets from logs, header fields and mail configurations."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import TYPE_CHECKING, Final

import click

from auditor.cli.console import print_data, print_json, print_message
from auditor.cli.formatting import after_demo, counted
from auditor.errors import InputError
from auditor.output.csv_writer import guarded
from auditor.quoting import printable
from auditor.targets.helo_names import HeloUse, helo_uses
from auditor.targets.reader import InputSource, locate, read_lines
from auditor.wire.addresses import number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["command"]

#: Hosts with a HELO name that fit into memory.
_MAX_USES: Final = 1_000_000


@click.command("helo", epilog=after_demo("helo d/mail.log"))
@click.argument("file", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print NDJSON instead of CSV.")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors on stderr.")
def command(file: tuple[str, ...], *, as_json: bool, quiet: bool) -> None:
    """Make a table of targets with the HELO names of hosts, for `auditor scan -i`.

    A FILE is a mail log (Postfix, Exim, sendmail), a message or header with Received lines,
    or the output of `postconf -n` of one host; - is standard input, and .gz, .zst and .xz are
    read as they are. A row is an address with a HELO name; `seen` is how often. Loopback
    addresses are left out.
    """
    uses: Counter[HeloUse] = Counter()
    for name in file:
        source = locate(name, dash=True)
        count = 0
        for use in helo_uses(_lines(source)):
            count += 1
            if use.address:
                uses[HeloUse(use.address, printable(use.helo))] += 1
            elif not quiet:
                print_message(f"auditor: {source.label}: {_without_address(use)}")
            if len(uses) > _MAX_USES:
                raise InputError(f"{source.label}: more than {_MAX_USES:,} hosts and names so far")
        if not count and not quiet:
            print_message(f"auditor: {source.label}: no host with a HELO name in it")
    if not uses:
        raise InputError("no address with a HELO name to make a table of")
    # A log may have the name of a host in some of its lines only.
    named = {use.address for use in uses if use.helo}
    rows = sorted(
        ((use, times) for use, times in uses.items() if use.helo or use.address not in named),
        key=lambda row: (":" in row[0].address, number_of(row[0].address), row[0].helo),
    )
    for line in _csv_lines(rows) if not as_json else ():
        print_data(line)
    for use, times in rows if as_json else ():
        print_json({"target": use.address, "helo": use.helo, "seen": times})
    if not quiet:
        print_message(counted(len(rows), "row"))


def _lines(source: InputSource) -> Iterator[str]:
    for batch in read_lines(source):
        for line in batch:
            yield line.decode("utf-8", "surrogateescape")


def _without_address(use: HeloUse) -> str:
    """Return the message about a configuration without the addresses of the host."""
    helo = f"HELO name {printable(use.helo)}" if use.helo else "no myhostname"
    return (
        f"{helo}, but no address in smtp_bind_address, inet_interfaces or proxy_interfaces; "
        "add a line such as smtp_bind_address = 192.0.2.25 for a row"
    )


def _csv_lines(rows: Iterable[tuple[HeloUse, int]]) -> Iterator[str]:
    yield "target,helo,seen"
    text = io.StringIO()
    out = csv.writer(text, lineterminator="")
    for (address, helo), times in rows:
        text.seek(0)
        text.truncate()
        out.writerow((address, guarded(helo), times))
        yield text.getvalue()
