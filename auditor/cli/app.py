"""The command group: which commands there are, and how they end."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, Final, cast

import click

from auditor import __version__
from auditor.cli.streams import Voice, flush, prepare, say, unwritable
from auditor.cli.text import did_you_mean
from auditor.errors import AuditorError, UsageError
from auditor.targets.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "run"]

#: Commands and the one line that `auditor --help` says of each. The module of a command is
#: imported when it is called: `check` must answer before a person notices.
_COMMANDS: Final = {
    "scan": "Audit addresses, prefixes and domains; NDJSON out.",
    "check": "Audit one or a few targets and explain the result.",
    "spf": "Show what an SPF policy authorises, costs and gets wrong.",
    "diff": "Compare two results: what got worse, better, or changed.",
    "report": "Turn results into a page for people: map, remedies, tables.",
    "convert": "Turn results into Parquet or CSV for data tools.",
    "summary": "Show results in one look: counts, and where it is worst.",
    "explain": "Say what a finding means and what to do about it.",
    "config": "Print the effective settings and where each comes from.",
    "schema": "Print the JSON Schema of a record.",
}

#: What a command line that cannot work ends with, and a command that could not finish.
WRONG: Final = 2
NOT_FINISHED: Final = 3


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS:
            hint = did_you_mean(args[0], _COMMANDS)
            raise UsageError(f"no command {quoted(args[0])}{hint} (see auditor --help)")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
    epilog="Example: auditor check --zones examples/fleet/zones 198.51.100.53",
)
@click.version_option(__version__, prog_name="auditor", message="%(prog)s %(version)s")
def app() -> None:
    """Audit mail addresses at volume: PTR, forward confirmation and SPF in one pass.

    `auditor COMMAND --help` says more about each command. Exit codes: 0 finished,
    1 finished and a finding is as severe as --fail-on says, 2 the command line, the
    configuration or the input is wrong, 3 not finished.
    """


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; whatever goes wrong is one line on stderr."""
    prepare()
    if not arguments:
        with click.Context(app, info_name="auditor") as ctx:
            say(app.get_help(ctx))
        return WRONG
    voice = Voice.guessed(arguments, os.environ)
    foreign = next((text for text in arguments if not _is_text(text)), None)
    if foreign is not None:
        return _fail(voice, f"{quoted(foreign)}: not UTF-8 text", WRONG)
    code = _run(arguments, voice)
    return code if flush() else NOT_FINISHED


def _run(arguments: Sequence[str], voice: Voice) -> int:
    try:
        result: Any = app.main(
            list(arguments), prog_name="auditor", standalone_mode=False, obj=voice
        )
    except AuditorError as error:
        return _fail(voice, str(error), error.exit_code)
    except click.UsageError as error:
        return _fail(voice, _complaint(error, arguments), WRONG)
    except (KeyboardInterrupt, click.Abort):
        return _fail(voice, "interrupted", NOT_FINISHED)
    except SystemExit:
        # By click, and only for help that nobody reads to its end.
        return NOT_FINISHED
    except OSError as error:
        # What is left is click's own printing of help; commands name what they touch.
        return _fail(voice, str(unwritable(error)), NOT_FINISHED)
    return result if isinstance(result, int) else 0


def _fail(voice: Voice, message: str, code: int) -> int:
    voice.fail(message, code)
    return code


def _is_text(argument: str) -> bool:
    """Tell whether an argument is text: octets that are not come as lone surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _complaint(error: click.UsageError, arguments: Sequence[str]) -> str:
    """Return what is wrong with a command line, in the words of all other messages."""
    with click.Context(app) as ctx:
        command = app.get_command(ctx, arguments[0])
    where = "auditor" if command is None else f"auditor {command.name}"
    if isinstance(error, click.NoSuchOption):
        parameters = (command or app).params
        known = [name for each in parameters for name in (*each.opts, *each.secondary_opts)]
        text = f"no option {error.option_name}{did_you_mean(error.option_name, known)}"
    elif isinstance(error, click.MissingParameter) and error.param is not None:
        missing = error.param
        argument = isinstance(missing, click.Argument)
        text = f"missing {missing.human_readable_name if argument else missing.opts[-1]}"
    elif isinstance(error, click.BadParameter) and error.param is not None:
        text = f"{error.param.opts[-1]}: {error.message.rstrip('.')}"
    else:
        text = error.format_message().rstrip(".")
        text = text[:1].lower() + text[1:]
    return f"{text} (see {where} --help)"
