"""`auditor compare`: a zone as its primary has it against what its public servers answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.console import engine_messages, print_json, print_lines
from auditor.cli.formatting import after_demo, counted
from auditor.cli.options import SettingsCommand, make_settings, settings_options
from auditor.errors import FINDINGS_FOUND, UsageError
from auditor.resolve.direct import NOT_ASKED
from auditor.run.event_loop import run_loop
from auditor.run.zone_comparison import compare_zones
from auditor.settings_option import Group

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["command"]

_MAX_SHOWN: Final = 10  # differences of a server
_NONE: Final = "nothing"


@click.command(
    "compare",
    cls=SettingsCommand,
    epilog=after_demo("compare --zones d/zones example.net"),
)
@click.argument("zone", nargs=-1)
@click.option(
    "--primary",
    metavar="DIR|FILE",
    type=click.Path(path_type=Path),
    help="The zones as the primary has them: a folder, one file, or a named.conf.",
)
@settings_options(Group.SERVERS, Group.TRANSFERS, also=("authority-port",))
@click.option("--json", "as_json", is_flag=True, help="As JSON, a line for each server.")
def command(zone: tuple[str, ...], *, primary: Path | None, as_json: bool, **given: Any) -> int:
    """Compare a zone as its primary has it with the answers of each of its public servers.

    The zone is transferred (--transfer-from), or from files (--primary). Each address of each
    server that its NS records name is asked for each PTR, A, AAAA, CNAME, MX, TXT and NS record
    set, at --authority-port, without recursion. Exit 1 if one of them serves
    other records. With --zones no server is asked; the servers are only listed.
    """
    settings = make_settings(given)
    if not zone:
        raise UsageError("no zone to compare: give the name of one")
    with engine_messages(quiet=settings.quiet):
        lines = run_loop(compare_zones(zone, settings, primary))
    for line in lines:
        if as_json:
            print_json(line)
        else:
            print_lines(_describe(line))
    return FINDINGS_FOUND if any(line["alike"] is False for line in lines) else 0


def _describe(line: Mapping[str, Any]) -> Iterator[str]:
    where = f"{line['server']} {line['address']}" if line["address"] else line["server"]
    head = f"{line['zone']} {line['serial']}  {where}: "
    if line["server_serial"] is None or not line["aa"]:
        is_asked = line["status"] != NOT_ASKED
        yield head + (f"does not serve the zone ({line['status']})" if is_asked else "not asked")
        return
    serial = line["server_serial"]
    serials = "the same serial" if serial == line["serial"] else f"serial {serial}"
    yield (
        f"{head}{serials}, {line['differing']:,} of {counted(line['compared'], 'record set')} "
        f"differ, {line['undetermined']:,} undetermined"
    )
    for difference in line["differences"][:_MAX_SHOWN]:
        yield f"  {difference['owner']} {difference['type']}"
        yield f"    primary: {', '.join(difference['primary']) or _NONE}"
        yield f"    server:  {', '.join(difference['server']) or _NONE} ({difference['status']})"
    if line["differing"] > _MAX_SHOWN:
        yield f"  and {line['differing'] - _MAX_SHOWN:,} more; --json shows up to 1,000"
