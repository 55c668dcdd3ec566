"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from auditor.settings import ENGINES, FAIL_ON, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auditor.settings import Settings

__all__ = ["asking", "judging", "make_settings"]

F = TypeVar("F", bound="Callable[..., Any]")

_LISTS: Final = frozenset({"select", "ignore"})

_ASKING: Final = (
    click.option(
        "--server",
        metavar="ADDR[:PORT]",
        multiple=True,
        help="Name server, also [V6]:PORT; repeatable.  [default: the system's resolvers]",
    ),
    click.option(
        "--zones",
        metavar="DIR",
        help="Answer from the zone files in DIR instead of the network.",
    ),
    click.option("--engine", type=click.Choice(ENGINES), help="How to ask.  [default: bulk]"),
    click.option("--timeout", metavar="S", type=float, help="Seconds for one try.  [default: 2]"),
    click.option(
        "--tries", metavar="N", type=int, help="Queries for one question at most.  [default: 3]"
    ),
    click.option("--helo", metavar="NAME", help="SPF HELO identity of every IP target."),
    click.option(
        "--mail-from",
        metavar="DOMAIN|ADDRESS",
        multiple=True,
        help="SPF MAIL FROM identity of every IP target; repeatable.",
    ),
    click.option("--no-spf", "spf", flag_value=False, default=None, help="Skip SPF."),
    click.option(
        "--no-server-check",
        "server_check",
        flag_value=False,
        default=None,
        help="Skip the question that unmasks lying and mute servers.",
    ),
    click.option("--config", metavar="FILE", help="Settings from a TOML file."),
)

_JUDGING: Final = (
    click.option(
        "--select", metavar="CODES", multiple=True, help="Only these findings: SPF_,PTR_MISSING"
    ),
    click.option("--ignore", metavar="CODES", multiple=True, help="Not these findings."),
    click.option(
        "--fail-on",
        type=click.Choice(FAIL_ON),
        help="Exit 1 if a finding is at least this severe.  [default: never]",
    ),
)


def asking(command: F) -> F:
    """Add the options that say whom to ask, and about which identities."""
    for option in reversed(_ASKING):
        command = option(command)
    return command


def judging(command: F) -> F:
    """Add the options that say which findings count."""
    for option in reversed(_JUDGING):
        command = option(command)
    return command


def make_settings(given: Mapping[str, Any]) -> Settings:
    """Return the settings from the configuration, the environment and these flags."""
    flags = {
        name.replace("_", "-"): _split(value) if name in _LISTS else value
        for name, value in given.items()
        if value is not None and value != () and name != "config"
    }
    config = given.get("config")
    return load(Path(config) if config else None, os.environ, flags)


def _split(values: tuple[str, ...]) -> list[str]:
    return [code.strip() for value in values for code in value.split(",") if code.strip()]
