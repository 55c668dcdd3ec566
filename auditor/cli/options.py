"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from auditor.errors import TargetError, UsageError
from auditor.findings.ruling import Ruling
from auditor.settings import ENGINES, FAIL_ON, Settings, load
from auditor.targets.domains import parse_helo, parse_mail_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DEFAULTS", "asking", "judging", "make_settings", "reaching"]

F = TypeVar("F", bound="Callable[..., Any]")

#: What --help names as defaults.
DEFAULTS: Final = Settings()

_LISTS: Final = frozenset({"select", "ignore"})

#: About which identities.
_IDENTITIES: Final = (
    click.option(
        "--helo", metavar="NAME", help="SPF HELO identity of addresses whose line gives none."
    ),
    click.option(
        "--mail-from",
        metavar="DOMAIN|ADDRESS",
        multiple=True,
        help="SPF MAIL FROM identity of addresses whose line gives none; repeatable.",
    ),
    click.option("--no-spf", "spf", flag_value=False, default=None, help="Skip SPF."),
)

#: Whom to ask, and about which identities.
_ASKING: Final = (
    click.option(
        "--server",
        metavar="ADDR[:PORT]",
        multiple=True,
        help="Ask this name server; [V6]:PORT for IPv6; repeatable.  "
        "[default: the system's resolvers]",
    ),
    click.option(
        "--zones",
        metavar="DIR",
        help="Answer from the zone files in DIR; no network.",
    ),
    click.option(
        "--engine",
        type=click.Choice(ENGINES),
        help=f"bulk: batched UDP; cares: c-ares, portable.  [default: {DEFAULTS.engine}]",
    ),
    click.option(
        "--timeout",
        metavar="S",
        type=float,
        help=f"Seconds for one try.  [default: {DEFAULTS.timeout:g}]",
    ),
    click.option(
        "--tries",
        metavar="N",
        type=int,
        help=f"Queries for one question at most.  [default: {DEFAULTS.tries}]",
    ),
    *_IDENTITIES,
    click.option(
        "--no-server-check",
        "server_check",
        flag_value=False,
        default=None,
        help="Skip the question that unmasks lying and mute servers.",
    ),
    click.option(
        "--config", metavar="FILE", help="Settings from a TOML file; options win over it."
    ),
)

_JUDGING: Final = (
    click.option(
        "--select",
        metavar="CODES",
        multiple=True,
        help="Only these findings; SPF,PTR_MISSING means all of SPF and one more.",
    ),
    click.option("--ignore", metavar="CODES", multiple=True, help="Not these findings."),
    click.option(
        "--fail-on",
        type=click.Choice(FAIL_ON),
        help=f"Exit 1 if a finding is at least this severe.  [default: {DEFAULTS.fail_on}]",
    ),
)


def asking(command: F) -> F:
    """Add the options that say whom to ask, and about which identities."""
    for option in reversed(_ASKING):
        command = option(command)
    return command


def reaching(command: F) -> F:
    """Add the options that say whom to ask."""
    for option in reversed(_ASKING):
        if option not in _IDENTITIES:
            command = option(command)
    return command


def judging(command: F) -> F:
    """Add the options that say which findings count."""
    for option in reversed(_JUDGING):
        command = option(command)
    return command


def make_settings(given: Mapping[str, Any]) -> Settings:
    """Return the settings from the configuration, the environment and these flags.

    Raises UsageError for whatever is wrong with them, finding codes and SPF identities
    included: before a file is opened or a question asked.
    """
    flags = {
        name.replace("_", "-"): _split(value) if name in _LISTS else value
        for name, value in given.items()
        if value is not None and value != () and name != "config"
    }
    config = given.get("config")
    settings = _with_identities(load(None if config is None else Path(config), os.environ, flags))
    Ruling(severities=settings.severities, select=settings.select, ignore=settings.ignore)
    return settings


def _with_identities(settings: Settings) -> Settings:
    """Return settings whose SPF identities are lower-case A-labels."""
    if settings.helo is None and not settings.mail_from:
        return settings
    try:
        return dataclasses.replace(
            settings,
            helo=None if settings.helo is None else parse_helo(settings.helo),
            mail_from=tuple(parse_mail_from(sender) for sender in settings.mail_from),
        )
    except TargetError as error:
        raise UsageError(str(error).replace("mail_from", "mail-from", 1)) from None


def _split(values: tuple[str, ...]) -> list[str]:
    return [code.strip() for value in values for code in value.split(",") if code.strip()]
