"""The command group: which commands there are, and how they end."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final, cast

import click

from auditor import __version__
from auditor.errors import AuditorError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "run"]

#: Commands and the one line that `auditor --help` says of each. The module of a command is
#: imported when it is called: `check` must answer before a person notices.
_COMMANDS: Final = {
    "scan": "Audit addresses, prefixes and domains; NDJSON out.",
    "check": "Audit one or a few targets and explain the result.",
    "explain": "Say what a finding means and what to do about it.",
    "schema": "Print the JSON Schema of a record.",
}

INTERRUPTED: Final = 3


class _Commands(click.Group):
    """Imports a command's module on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"auditor.cli.{cmd_name}")
        return cast("click.Command", module.command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: auditor check --zones examples/fleet/zones 198.51.100.10",
)
@click.version_option(__version__, prog_name="auditor", message="%(prog)s %(version)s")
def app() -> None:
    """Audit mail addresses at volume: PTR, forward confirmation and SPF in one pass."""


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code."""
    try:
        result: Any = app.main(list(arguments), prog_name="auditor", standalone_mode=False)
    except AuditorError as error:
        return _fail(str(error), error.exit_code)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "auditor"
        return _fail(f"{error.format_message()} (see {where} --help)", 2)
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of what a command prints has seen enough; so must the interpreter,
        # which flushes standard output once more when it ends.
        sys.stdout = None
        return INTERRUPTED
    return result if isinstance(result, int) else 0


def _fail(message: str, code: int) -> int:
    click.echo(f"auditor: {message}", err=True)
    return code
