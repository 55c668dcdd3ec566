"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from auditor.cli.console import print_message
from auditor.errors import UsageError
from auditor.findings.rules import RuleSet
from auditor.settings import OPTIONS, Settings
from auditor.settings_sources import ignored_text, load
from auditor.settings_values import parse_float, parse_int

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from auditor.settings_option import Group, Option
    from auditor.settings_sources import Loaded

__all__ = ["SettingsCommand", "load_settings", "make_settings", "settings_options"]

F = TypeVar("F", bound="Callable[..., Any]")

#: Types that click converts itself, with messages of its own.
_CLICK_TYPES: Final[Mapping[Callable[[Any], Any], type]] = {parse_int: int, parse_float: float}

_CONFIG: Final = click.option(
    "--config", metavar="FILE", help="Settings from a TOML file; options override it."
)


class SettingsCommand(click.Command):
    """A command with flags whose value is optional, such as `--authority`, and follows `=`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; the word after such a flag is not its value."""
        bare = {option.flag: option.bare_value for option in OPTIONS.values() if option.bare_value}
        end = args.index("--") if "--" in args else len(args)
        flags = [f"{text}={bare[text]}" if text in bare else text for text in args[:end]]
        return super().parse_args(ctx, flags + args[end:])


def settings_options(*groups: Group, also: Collection[str] = ()) -> Callable[[F], F]:
    """Add the options of these groups to a command, in this order, and `--config`.

    `also`: the keys of some settings of other groups, which come after them.
    """
    added = [
        _click_option(option)
        for group in groups
        for option in OPTIONS.values()
        if option.group is group
    ]
    added += [_click_option(option) for option in OPTIONS.values() if option.key in also]

    def add(command: F) -> F:
        for option in (_CONFIG, *reversed(added)):
            command = option(command)
        return command

    return add


def _click_option(option: Option) -> Callable[[F], F]:
    """Return what adds the flag of an option to a command."""
    name = option.key.replace("-", "_")
    flags = [option.short] if option.short else []
    if option.is_switch:
        flags.append(f"{option.flag}/--no-{option.key}")
        return click.option(name, *flags, default=None, help=option.help)
    details: dict[str, Any] = {"multiple": True} if option.repeatable else {}
    if option.bare_value:
        details |= {"is_flag": False, "flag_value": option.bare_value}
    elif option.choices:
        details["type"] = click.Choice(option.choices)
    elif option.parse in _CLICK_TYPES:
        details["type"] = _CLICK_TYPES[option.parse]
    shown = option.help
    if isinstance(option.default, str | int | float):
        shown += f"  [default: {option.default:{'g' if isinstance(option.default, float) else ''}}]"
    return click.option(name, *flags, option.flag, metavar=option.metavar, help=shown, **details)


def load_settings(given: Mapping[str, Any]) -> Loaded[Settings]:
    """Return the settings from files, the environment and these flags, and the origin of each.

    Raises UsageError for any error in them, finding codes and SPF identities included, before
    a file is opened or a query sent.
    """
    flags = {
        name.replace("_", "-"): value
        for name, value in given.items()
        if value is not None and value != () and name != "config"
    }
    config = given.get("config")
    loaded = load(Settings, None if config is None else Path(config), os.environ, flags)
    settings = loaded.settings
    try:
        RuleSet.from_settings(settings)
        if settings.receivers or settings.receivers_file is not None:
            from auditor.findings.receivers import select_receivers  # noqa: PLC0415 - for few runs

            select_receivers(settings.receivers, settings.receivers_file)
    except UsageError as error:
        raise loaded.with_source(error) from None
    return loaded


def make_settings(given: Mapping[str, Any]) -> Settings:
    """Return the settings of `load_settings`, and report surprising origins.

    These are a file that was found and not named, and variables that look like settings and are
    none.
    """
    loaded = load_settings(given)
    settings = loaded.settings
    if settings.quiet:
        return settings
    if settings.log_format == "json":
        from auditor.cli.log_json import ignored_event, settings_event  # noqa: PLC0415 - for few

        for name in loaded.ignored:
            ignored_event(ignored_text(name))
        if loaded.found is not None:
            settings_event(loaded.found)
        return settings
    for name in loaded.ignored:
        print_message(f"auditor: {ignored_text(name)}")
    if loaded.found is not None:
        print_message(f"auditor: settings from {loaded.found}")
    return settings
