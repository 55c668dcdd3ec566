"""`auditor demo`: the example fleet, audited without any network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

import click

from auditor.cli.console import ErrorOutput, print_data, print_message
from auditor.cli.run_reporter import RunReporter
from auditor.errors import OutputError, UsageError
from auditor.output.atomic import replacing
from auditor.output.temporary import temporary_folder
from auditor.run.event_loop import run_loop
from auditor.run.identity import identify
from auditor.session import ScanSession
from auditor.settings import Settings
from auditor.targets.stream import TargetStream
from auditor.version import __version__
from auditor.views.report.page import make_page

__all__ = ["command"]

_CODE: Final = Path(__file__).resolve().parents[1]
#: Where the fleet is: inside the package in a wheel, beside it in a clone.
_PLACES: Final = (_CODE / "fleet", _CODE.parent / "examples" / "fleet")

_ZONES: Final = "zones"
_TARGETS: Final = "targets.txt"
_COPIED: Final = (_TARGETS, "targets.csv", "mail.log")
_RESULTS: Final = "fleet.ndjson"
_PAGE: Final = "report.html"
#: Rows of a table of the summary.
_TOP: Final = 5


@click.command("demo", epilog="Example: auditor demo -o demo/")
@click.option("-o", "--output", metavar="DIR/", help="Keep zones, targets, records and the report.")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors on stderr.")
def command(*, output: str | None, quiet: bool) -> None:
    """Audit the example fleet, a small ISP with a specimen of every mistake; no network.

    Prints the summary. With -o, DIR gets the zone files and the targets to try other
    commands on, the records, and a report for a browser; the files of an earlier demo are
    replaced.
    """
    if output is None:
        with temporary_folder("auditor-demo-") as passing:
            _audit(passing)
            _summarise(passing)
        return
    folder = Path(output)
    _copy(folder)
    _audit(folder)
    page = make_page([str(folder / _RESULTS)], (), version=__version__)
    with replacing(folder / _PAGE, overwrite=True) as file:
        file.write(page)
    _summarise(folder)
    if not quiet:
        print_message(f"records: {folder / _RESULTS}")
        print_message(f"report: {folder / _PAGE}")
        print_message(
            f"One address explained: auditor check --zones {folder / _ZONES} 198.51.100.53"
        )


def _fleet() -> Path:
    for place in _PLACES:
        if (place / _ZONES).is_dir():
            return place
    raise UsageError("the example fleet is not part of this installation")


def _copy(folder: Path) -> None:
    """Copy the fleet. Raises UsageError for a folder with other files."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; expected a folder for the demo")
    if folder.exists() and any(folder.iterdir()) and not (folder / _TARGETS).exists():
        raise UsageError(f"{folder}: holds something else; expected a new folder for the demo")
    fleet = _fleet()
    zones = [f"{_ZONES}/{path.name}" for path in sorted((fleet / _ZONES).iterdir())]
    try:
        (folder / _ZONES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created: {error.strerror}") from error
    for name in (*zones, *_COPIED):
        with replacing(folder / name, overwrite=True) as file:
            file.write((fleet / name).read_bytes())


def _audit(folder: Path) -> None:
    """Write the records of the fleet into a folder. Raises AuditorError."""
    # From the copy, if there is one: the manifest then names files that are beside it.
    fleet = folder if (folder / _ZONES).is_dir() else _fleet()
    files = [str(fleet / _TARGETS)]
    settings = Settings(zones=fleet / _ZONES, quiet=True)
    stream = TargetStream([], files)
    stream.check_inputs()
    error_output = click.get_current_context().ensure_object(ErrorOutput)
    output = str(folder / _RESULTS)
    session = ScanSession(
        settings, stream, output, partial(RunReporter, settings, error_output, output)
    )
    session.describe(identify(settings, [], files, []), files)
    session.open_output(overwrite=True, resume=False)
    run_loop(session.run_to_end())


def _summarise(folder: Path) -> None:
    from auditor.cli.summary_text import as_text  # noqa: PLC0415 - loads rich
    from auditor.views.reader.results import Results  # noqa: PLC0415 - see above
    from auditor.views.summary.summary import summarise  # noqa: PLC0415 - see above

    print_data(as_text(summarise(Results([str(folder / _RESULTS)])), _TOP))
