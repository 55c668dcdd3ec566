"""`auditor man`: the manual page, generated from the same texts as `--help`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from auditor.cli.console import print_data
from auditor.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["command"]


@click.command("man", epilog="Example: auditor man > auditor.1")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Print the manual page in roff, made from the commands (`man -l auditor.1` shows it)."""
    root = ctx.find_root().command
    if not isinstance(root, click.Group):
        raise TypeError("the manual page is that of the group of commands")
    for line in _page(root):
        print_data(line)


def _page(root: click.Group) -> Iterator[str]:
    yield f'.TH AUDITOR 1 "" "auditor {__version__}" "User Commands"'
    yield ".SH NAME"
    yield r"auditor \- audit mail addresses at volume: PTR, FCrDNS and SPF"
    yield ".SH SYNOPSIS"
    yield r".B auditor"
    yield r"\fICOMMAND\fR [\fIOPTION\fR]... [\fIARGUMENT\fR]..."
    yield ".SH DESCRIPTION"
    yield from _paragraphs(root.help or "")
    yield ".SH COMMANDS"
    with click.Context(root, info_name="auditor") as above:
        for name in root.list_commands(above):
            known = root.get_command(above, name)
            if known is not None:
                yield from _command(known, click.Context(known, info_name=name, parent=above))


def _command(known: click.Command, ctx: click.Context) -> Iterator[str]:
    usage = " ".join(known.collect_usage_pieces(ctx))
    yield f".SS auditor {ctx.info_name} {_escaped(usage)}".rstrip()
    yield from _paragraphs(known.help or "")
    for parameter in known.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and isinstance(parameter, click.Option):
            names, text = record
            yield ".TP"
            yield rf"\fB{_escaped(names)}\fR"
            yield _escaped(" ".join(text.split()))


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.replace("\b", "").strip()):
        yield ".PP"
        yield _escaped(" ".join(paragraph.split()))


def _escaped(text: str) -> str:
    """Return text as roff shows it: no escapes, no requests, hyphens that can be copied."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
