"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from auditor.configuration import load
from auditor.errors import UsageError
from auditor.findings.ruling import Ruling
from auditor.settings import ENGINES, FAIL_ON, LOG_FORMATS, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auditor.configuration import Loaded

__all__ = [
    "DEFAULTS",
    "asking",
    "judging",
    "load_settings",
    "make_settings",
    "reaching",
    "scanning",
]

F = TypeVar("F", bound="Callable[..., Any]")

#: What --help names as defaults.
DEFAULTS: Final = Settings()

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
    click.option("--spf/--no-spf", default=None, help="Check SPF, or skip it.  [default: check]"),
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
        "--server-check/--no-server-check",
        default=None,
        help="Begin with the question that unmasks lying and mute servers, or skip it.  "
        "[default: begin]",
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
        "--severity",
        "severities",
        metavar="CODE=SEVERITY",
        multiple=True,
        help="Weigh a finding differently, as in PTR_GENERIC=error; repeatable.",
    ),
    click.option(
        "--fail-on",
        type=click.Choice(FAIL_ON),
        help=f"Exit 1 if a finding is at least this severe.  [default: {DEFAULTS.fail_on}]",
    ),
)

#: How fast, how many, for how long, and what is told of it meanwhile.
_SCANNING: Final = (
    click.option("--concurrency", metavar="N", type=int, help="Queries in flight at most."),
    click.option("--qps", metavar="N", type=float, help="Queries a second at most."),
    click.option(
        "--server-qps", metavar="N", type=float, help="Queries a second to one server at most."
    ),
    click.option(
        "--cache-size",
        metavar="N",
        type=int,
        help=f"Answers kept at most.  [default: {DEFAULTS.cache_size}]",
    ),
    click.option(
        "--max-targets",
        metavar="N",
        type=int,
        help=f"Refuse more targets than this.  [default: {DEFAULTS.max_targets}]",
    ),
    click.option(
        "--trace/--no-trace",
        default=None,
        help="Add to each record how its answers came about, or not.  [default: not]",
    ),
    click.option(
        "--deadline",
        metavar="DURATION",
        help="Stop after this time, such as 5h30m; exit 3, and --resume goes on.",
    ),
    click.option(
        "--workers",
        metavar="N|auto",
        help=f"Processes on this machine; auto for one a core.  [default: {DEFAULTS.workers}]",
    ),
    click.option(
        "--scheduler", metavar="URL", help="Workers of a Dask cluster, such as tcp://HOST:8786."
    ),
    click.option(
        "-q", "--quiet/--no-quiet", default=None, help="Say nothing but errors on stderr, or all."
    ),
    click.option(
        "--log-format",
        type=click.Choice(LOG_FORMATS),
        help=f"For people, or JSON with one event a line.  [default: {DEFAULTS.log_format}]",
    ),
    click.option(
        "--metrics",
        metavar="FILE",
        help="Keep a Prometheus text file up to date, for the node exporter.",
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


def scanning(command: F) -> F:
    """Add the options that say how a scan goes about it."""
    for option in reversed(_SCANNING):
        command = option(command)
    return command


def judging(command: F) -> F:
    """Add the options that say which findings count."""
    for option in reversed(_JUDGING):
        command = option(command)
    return command


def load_settings(given: Mapping[str, Any]) -> Loaded:
    """Return the settings from files, the environment and these flags, and where each is from.

    Raises UsageError for whatever is wrong with them, finding codes and SPF identities
    included: before a file is opened or a question asked.
    """
    flags = {
        name.replace("_", "-"): value
        for name, value in given.items()
        if value is not None and value != () and name != "config"
    }
    config = given.get("config")
    loaded = load(None if config is None else Path(config), os.environ, flags)
    settings = loaded.settings
    try:
        Ruling(severities=settings.severities, select=settings.select, ignore=settings.ignore)
    except UsageError as error:
        raise loaded.blamed(error) from None
    return loaded


def make_settings(given: Mapping[str, Any]) -> Settings:
    """Return the settings of `load_settings` alone."""
    return load_settings(given).settings
