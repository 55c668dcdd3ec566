"""The command group: which commands there are, and how they end."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, Final, cast

import click

from auditor.cli.console import ErrorOutput, flush, prepare, print_message, unwritable
from auditor.cli.formatting import after_demo, did_you_mean
from auditor.cli.peer_options import peer_option
from auditor.errors import NOT_FINISHED, AuditorError, ClosedOutputError, UsageError
from auditor.quoting import quoted
from auditor.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

__all__ = ["app", "run"]

#: Commands and the one line that `auditor --help` shows for each. The module of a command is
#: imported when it is called, so that `check` starts fast.
_COMMANDS: Final = {
    "scan": "Audit addresses, prefixes and domains; NDJSON out.",
    "check": "Audit one or a few targets and explain the result.",
    "spf": "Show what an SPF policy authorises, costs and gets wrong.",
    "senders": "Show which domains authorise which addresses by SPF.",
    "zones": "Show who delegates and serves zones, and who can fix what.",
    "compare": "Compare a zone with the answers of each of its servers.",
    "fix": "Plan the DNS changes that fix findings, and prove them.",
    "diff": "Compare two results: what got worse, better, or changed.",
    "history": "Show over many nights how old findings are.",
    "report": "Turn results into a page for people: map, remedies, tables.",
    "convert": "Turn results into Parquet or CSV for data tools.",
    "summary": "Show counts of results, and where it is worst.",
    "explain": "Explain a finding or a bounce, and what to do about it.",
    "demo": "Audit an example fleet, without any network.",
    "receivers": "Show what mail receivers have published about sending addresses.",
    "helo": "Make a table of targets with HELO names from mail logs.",
    "config": "Print the effective settings and where each comes from.",
    "schema": "Print the JSON Schema of a record.",
    "man": "Print the manual page, made from the commands.",
}

#: The variable by which a shell asks for completions (see click).
_COMPLETE: Final = "_AUDITOR_COMPLETE"

#: Exit code of an invalid command line.
WRONG: Final = 2


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
        if args[0] in _COMMANDS:
            return super().resolve_command(ctx, args)
        if ctx.resilient_parsing:  # while a line is completed
            return None, None, args
        hint = did_you_mean(args[0], _COMMANDS) or _check_instead(args[0])
        raise UsageError(f"no command {quoted(args[0])}{hint} (see auditor --help)")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that a word may become, without importing any."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for a shell

        return [
            CompletionItem(name, help=summary)
            for name, summary in _COMMANDS.items()
            if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _check_instead(text: str) -> str:
    """Return the end of the message if a target was given in place of a command."""
    from auditor.targets.item import read_item  # noqa: PLC0415 - only for an error message
    from auditor.targets.target import Origin, Target  # noqa: PLC0415 - see above

    entry = read_item(text, Origin())
    if isinstance(entry, Target) and entry.kind == "invalid":
        return ""
    return f"; did you mean auditor {'check' if isinstance(entry, Target) else 'scan'} {text}?"


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
    epilog=after_demo("check --zones d/zones 198.51.100.53"),
)
@click.version_option(__version__, prog_name="auditor", message="%(prog)s %(version)s")
def app() -> None:
    """Audit mail addresses at volume: PTR, forward confirmation and SPF in one pass.

    `auditor COMMAND --help` describes a command. Exit codes: 0 finished,
    1 finished and a finding is as severe as --fail-on says, 2 the command line, the
    configuration or the input is wrong, 3 not finished, or more is undetermined than
    --max-unknown allows.
    """


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; an error is one line on stderr."""
    prepare()
    if _COMPLETE in os.environ:
        return _run(arguments, ErrorOutput())
    if not arguments:
        with click.Context(app, info_name="auditor") as ctx:
            print_message(app.get_help(ctx))
        return WRONG
    error_output = ErrorOutput.from_arguments(arguments, os.environ)
    foreign = next((text for text in arguments if not _is_text(text)), None)
    if foreign is not None:
        return _fail(error_output, f"{quoted(foreign)}: not UTF-8 text", WRONG)
    code = _run(arguments, error_output)
    trouble = flush()
    return code if trouble is None or isinstance(trouble, BrokenPipeError) else NOT_FINISHED


def _run(arguments: Sequence[str], error_output: ErrorOutput) -> int:
    try:
        result: Any = app.main(
            list(arguments), prog_name="auditor", standalone_mode=False, obj=error_output
        )
    except AuditorError as error:
        return _failed(error_output, error)
    except click.UsageError as error:
        return _fail(error_output, _usage_message(error, arguments), WRONG)
    except (KeyboardInterrupt, click.Abort):
        return _fail(error_output, "interrupted", NOT_FINISHED)
    except SystemExit:
        # Raised by click when the reader of the help closes the pipe.
        return 0
    except OSError as error:
        # Only of click's own printing of help: the errors of commands name a file.
        return _failed(error_output, unwritable(error))
    return result if isinstance(result, int) else 0


def _failed(error_output: ErrorOutput, error: AuditorError) -> int:
    """Print the error that ended a command; return its exit code."""
    # A reader that closes the pipe, such as `head`, is no error; the sink of a scan reports it.
    if not isinstance(error, ClosedOutputError):
        error_output.fail(str(error), error.exit_code)
    return error.exit_code


def _fail(error_output: ErrorOutput, message: str, code: int) -> int:
    error_output.fail(message, code)
    return code


def _is_text(argument: str) -> bool:
    """Tell whether an argument is text: other octets come as lone surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _usage_message(error: click.UsageError, arguments: Sequence[str]) -> str:
    """Return what is wrong with a command line, in the style of all other messages."""
    with click.Context(app) as ctx:
        command = app.get_command(ctx, arguments[0])
    where = "auditor" if command is None else f"auditor {command.name}"
    if isinstance(error, click.NoSuchOption):
        parameters = (command or app).params
        known = [
            name
            for parameter in parameters
            for name in (*parameter.opts, *parameter.secondary_opts)
        ]
        name = error.option_name
        text = peer_option(name, arguments) or f"{name}{did_you_mean(name, known)}"
        text = f"no option {text}"
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
