"""Declares an option: how a setting is named, read, checked and shown.

`Settings` declares each of its fields with `option`; `declared_options` reads the table back.
"""

from __future__ import annotations

from dataclasses import MISSING, field, fields
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from auditor.errors import UsageError
from auditor.settings_values import parse_float, parse_int

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Group", "Option", "declared_options", "option"]

T = TypeVar("T")


class Group(Enum):
    """Options that the same commands take. Their order is that of `--help`."""

    SERVERS = "name servers"
    IDENTITIES = "SPF identities"
    TRANSFERS = "zone transfers"
    AUTHORITY = "the zones' own servers"
    SCAN = "rates, limits, deadline and progress reports"
    FINDINGS = "which findings count"
    RECEIVERS = "receivers whose published rules make the verdict"


class Option(NamedTuple):
    """How a setting is named, read, checked and shown.

    `attribute` of `Settings` and `key` of a settings file follow from the field's name unless they
    are given, `flag` from the key; `short` is a flag of one letter. `default` is the field's.

    `parse` reads a value of a file, a variable or a flag; a `repeatable` setting is a list, and
    commas separate its values in a variable. `choices` and `limits`: the values allowed.
    `bare_value` is that of a flag without a value, which otherwise follows an equals sign.

    `needs_trust`: it decides which servers are asked, which files are used or what is started,
    and is accepted only from files that nobody else can have written. `in_records`: it decides
    the content of records; a run is resumed only with the same value. `displaces`: the setting
    that it replaces.
    `unset`: what `auditor config` shows for an empty value.
    """

    group: Group
    parse: Callable[[Any], Any]
    help: str
    metavar: str | None = None
    short: str | None = None
    flag: str = ""
    bare_value: str | None = None
    repeatable: bool = False
    choices: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    needs_trust: bool = False
    in_records: bool = True
    displaces: str | None = None
    unset: str = "not set"
    key: str = ""
    attribute: str = ""
    default: Any = None

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off: its flag takes no value and has an opposite, `--no-`."""
        return isinstance(self.default, bool)

    def read(self, settings: object) -> Any:
        """Return the setting's value, parsed if it is text. Raises UsageError."""
        value = getattr(settings, self.attribute)
        if not isinstance(value, str | list | tuple):
            return value
        try:
            return self.parse(value)
        except UsageError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"{self.key}: {error}") from error

    def validate(self, value: Any) -> None:
        """Raise UsageError for a value that is not allowed."""
        if value is None:
            return
        if self.choices and value not in self.choices:
            raise UsageError(f"{self.key}: {value!r} is not one of {', '.join(self.choices)}")
        if self.limits is not None and not self.limits[0] <= value <= self.limits[1]:
            low, high = self.limits
            raise UsageError(f"{self.key}: {value} is not within {low:,} and {high:,}")


def option(default: T, group: Group, parse: Callable[[Any], T], **details: Any) -> T:
    """Declare a field of `Settings` by its default and the attributes of its `Option`."""
    metadata = {"option": Option(group, parse, **details)}
    if isinstance(default, dict):
        declared: T = field(default_factory=dict, metadata=metadata)  # type: ignore[assignment]
        return declared
    return field(default=default, metadata=metadata)


def declared_options(settings: type[Any]) -> dict[str, Option]:
    """Return the options of a class by their keys in a settings file."""
    options: dict[str, Option] = {}
    for declaration in fields(settings):
        declared: Option = declaration.metadata["option"]
        key = declared.key or declaration.name.replace("_", "-")
        options[key] = declared._replace(
            key=key,
            attribute=declaration.name,
            flag=declared.flag or f"--{key}",
            metavar=declared.metavar
            or ("N" if declared.parse in {parse_int, parse_float} else None),
            default=None if declaration.default is MISSING else declaration.default,
        )
    return options
