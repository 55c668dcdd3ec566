"""Options of a scan that say how its input is read, and which of its records are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from auditor.errors import UsageError
from auditor.output.selected import OnlyVerdicts
from auditor.quoting import quoted
from auditor.targets.input_columns import InputOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["InputChoice", "choose_input", "reading"]

F = TypeVar("F", bound="Callable[..., Any]")

_READING: Final = (
    click.option(
        "--label",
        "labels",
        metavar="KEY=VALUE",
        multiple=True,
        help="Label of every record whose line gives none of that name; repeatable.",
    ),
    click.option(
        "--column",
        metavar="NAME",
        help="Column, or key of JSON, that holds the targets.  [default: target, ip, "
        "ip_address, address or prefix]",
    ),
    click.option(
        "--interfaces",
        is_flag=True,
        help="Take 192.0.2.5/24 for the address of an interface, not for a prefix.",
    ),
    click.option(
        "--only",
        metavar="VERDICT[,...]",
        multiple=True,
        help="Write only the records that pass, warn, fail or are unknown.",
    ),
    click.option("--unique", is_flag=True, help="Audit a repeated target only once."),
)


class InputChoice(NamedTuple):
    """How the input is read, and which records are written.

    `given` are the options as on the command line; the records depend on them.
    """

    options: InputOptions
    unique: bool
    only: OnlyVerdicts | None
    given: Sequence[str]


def reading(command: F) -> F:
    """Add the options that say how the input is read."""
    for option in reversed(_READING):
        command = option(command)
    return command


def choose_input(given: dict[str, Any], *, has_files: bool) -> InputChoice:
    """Take the options of `reading` out of `given`, and return what they say.

    Raises UsageError.
    """
    labels = _labels(given.pop("labels"))
    column, only = given.pop("column"), given.pop("only")
    interfaces, unique = given.pop("interfaces"), given.pop("unique")
    if column is not None and not column.strip():
        raise UsageError("--column: expected the name of a column")
    if column is not None and not has_files:
        raise UsageError("--column says nothing without a file of targets")
    verdicts = OnlyVerdicts(only) if only else None
    texts = [
        *(f"--label {name}={value}" for name, value in labels.items()),
        *([] if column is None else [f"--column {column}"]),
        *(["--interfaces"] if interfaces else []),
        *(["--unique"] if unique else []),
        *([] if verdicts is None else [f"--only {','.join(verdicts.verdicts)}"]),
    ]
    options = InputOptions((column or "").strip(), interfaces, labels)
    return InputChoice(options, unique, verdicts, texts)


def _labels(texts: Sequence[str]) -> Mapping[str, str]:
    labels: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--label: {quoted(text)} is no KEY=VALUE, such as site=ams")
        if name.strip() in labels:
            raise UsageError(f"--label: {quoted(name.strip())} is given twice")
        labels[name.strip()] = value.strip()
    return labels
