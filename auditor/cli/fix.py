"""`auditor fix`: plans changes that fix the findings of a scan, and proves that they do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from auditor.cli.console import engine_messages, print_lines, print_message
from auditor.cli.formatting import after_demo, counted
from auditor.cli.options import make_settings, settings_options
from auditor.errors import FINDINGS_FOUND, InputError, UsageError
from auditor.fix.decide import Planner, ZoneParty
from auditor.fix.files import ZONE_FORMAT, changed_zone_files, plan_files
from auditor.fix.folder import check_folder, write_folder
from auditor.fix.formats import FORMATS
from auditor.fix.prove import Promises, audit_again, changed_zones, judging_of
from auditor.fix.zone_data import read_zone_data
from auditor.fix.zone_faults import read_zone_faults, undelegated_zones
from auditor.output.temporary import temporary_folder
from auditor.quoting import quoted
from auditor.run.event_loop import run_loop
from auditor.settings_option import Group
from auditor.targets.stream import TargetStream
from auditor.views.reader.results import Results
from auditor.wire.names import is_hostname

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from auditor.fix.changes import Plan
    from auditor.fix.zone_data import ZoneData
    from auditor.resolve.transfer import Transferred
    from auditor.settings import Settings

__all__ = ["command"]

_STDIN: Final = "-"
_TOP: Final = 10  # targets of each kind of change that the proof shows


@click.command(
    "fix",
    epilog=after_demo(
        "fix d/fleet.ndjson --zones d/zones --own example.net "
        "--own 100.51.198.in-addr.arpa --prove -o plan/"
    ),
)
@click.argument("results")
@click.option(
    "--own",
    metavar="ZONE|FILE",
    multiple=True,
    required=True,
    help="A zone that you may change: a name among --zones, or its file; repeatable.",
)
@click.option(
    "--zones",
    metavar="DIR|FILE",
    type=click.Path(path_type=Path),
    help="The zones as they are: a folder, one file, or a named.conf.",
)
@click.option(
    "--names",
    metavar="CSV",
    help="The PTR names that addresses should have: columns target and expected.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice([ZONE_FORMAT, *FORMATS]),
    default=ZONE_FORMAT,
    show_default=True,
    help="Format of the changes of your own zones.",
)
@click.option(
    "--prove",
    is_flag=True,
    help="Audit the targets again with the changes made, in memory; exit 1 if any is worse.",
)
@settings_options(Group.TRANSFERS)
@click.option("-o", "--output", metavar="DIR/", required=True, help="Folder for the plan.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier plan.")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors on stderr.")
def command(
    results: str,
    *,
    own: tuple[str, ...],
    zones: Path | None,
    names: str | None,
    format_name: str,
    prove: bool,
    output: str,
    overwrite: bool,
    quiet: bool,
    **given: Any,
) -> int:
    """Plan the DNS changes that fix the findings of a scan.

    RESULTS are the records of `auditor scan`. DIR gets plan.ndjson, a line for each record that
    is added or deleted, with its reason and its prerequisite; mine.*, the changes of your own
    zones; for-CONTACT.txt, a mail to each other party; rir.txt, delegations for the registry;
    and undecided.txt, what only a person can decide. A PTR record is made only with a name that
    is known: from --names, from the one name of your zones that has the address, or from the
    HELO or MX name. Nothing is published by this command.
    """
    if prove and results == _STDIN:
        raise UsageError("--prove reads RESULTS twice: give a file, not standard input")
    settings = make_settings(given)
    folder = Path(output)
    check_folder(folder, overwrite=overwrite)
    records = Results([results])
    with engine_messages(quiet=quiet):
        data = read_zone_data(own, zones, _transfers(settings))
        faults = read_zone_faults(records.names)
        parties = {
            fault.zone: ZoneParty(fault.party, fault.contact)
            for fault in faults
            if fault.party != "rir"
        }
        planner = Planner(data, _expected_names(names), parties)
        for record in records.checked_records():
            planner.note_record(record)
        plan = planner.plan()
        faults += undelegated_zones(planner.undelegated, faults, planner.contact_of)
        changed = changed_zone_files(plan, data)
        write_folder(folder, plan_files(plan, data, changed, faults, format_name))
        if not quiet:
            _summarise(plan, folder)
        return _prove(results, data, plan, changed) if prove else 0


def _transfers(settings: Settings) -> Callable[[Sequence[str]], Sequence[Transferred]] | None:
    """Return the client for zone transfers, None without a server."""
    servers = settings.transfer_from
    if not servers:
        return None
    from auditor.resolve.transfer import transfer_zones  # noqa: PLC0415 - loads asyncio

    return lambda names: run_loop(transfer_zones(names, servers, settings.tsig_file))


def _expected_names(path: str | None) -> dict[str, str]:
    """Return the PTR names that a table gives. Raises InputError for a row without one."""
    if path is None:
        return {}
    found: dict[str, str] = {}
    for block in TargetStream([], [path]).blocks():
        for target in block:
            name, where = target.origin.expected, f"{path} line {target.origin.line}"
            if target.kind != "ip":
                fault = target.error or f"{quoted(target.text)} is not an address"
                raise InputError(f"{where}: {fault}")
            if name and not is_hostname(name):
                raise InputError(f"{where}: {quoted(name)} is no host name")
            if name and found.setdefault(target.text, name) != name:
                raise InputError(
                    f"{where}: another name for {target.text}, after {found[target.text]}"
                )
    if not found:
        raise InputError(f"{path}: names no PTR record; expected the columns target and expected")
    return found


def _summarise(plan: Plan, folder: Path) -> None:
    print_message(
        f"{folder}: {counted(len(plan.own), 'change')} of your own zones, "
        f"{len(plan.others):,} for others, {len(plan.undecided):,} to decide"
    )


def _prove(results: str, zones: ZoneData, plan: Plan, changed: dict[str, bytes]) -> int:
    """Audit the targets with the plan, print the differences; return the exit code."""
    from auditor.cli.diff_text import as_text  # noqa: PLC0415 - for this option only
    from auditor.views.diff.diff import Diff  # noqa: PLC0415 - the same

    promises = Promises(plan)
    again = audit_again(
        Results([results]).checked_records(),
        changed_zones(zones, changed),
        plan,
        judging_of(results),
    )
    with temporary_folder("auditor-fix-") as folder:
        after = folder / "after.ndjson"
        run_loop(_write(again, after, promises))
        with Diff(Results([results]), Results([after])) as diff:
            diff.read_both()
            print_lines(as_text(diff, _TOP))
            worse = max(diff.regressions, diff.counts["worse"])
    for target, code in promises.broken:
        print_message(f"auditor: {target}: {code} is still there with the plan")
    if worse:
        print_message(f"auditor: the plan makes {counted(worse, 'target')} worse")
    return FINDINGS_FOUND if worse or promises.broken else 0


async def _write(records: AsyncIterator[Mapping[str, Any]], path: Path, promises: Promises) -> None:
    with path.open("wb") as file:
        async for record in records:
            promises.compare_record(record)
            file.write(orjson.dumps(record) + b"\n")
