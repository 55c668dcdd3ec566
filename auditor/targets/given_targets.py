"""Refuses inputs without any target.

A job whose list is empty by mistake must not look like one without problems, nor replace the
results of the day before.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from auditor.errors import InputError, UsageError
from auditor.targets.item import read_item
from auditor.targets.stream import TargetStream
from auditor.targets.target import Origin, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.targets.item import SlashMeaning

__all__ = ["first_targets", "nothing_given", "refuse_invalid", "require_target"]


def refuse_invalid(arguments: Sequence[str], slash: SlashMeaning = "prefix") -> None:
    """Raise UsageError for the first argument that is not a target; `-` is standard input."""
    for text in arguments:
        entry = read_item(text.strip(), Origin(), slash)
        if text != "-" and isinstance(entry, Target) and entry.kind == "invalid":
            raise UsageError(str(entry.error))


def first_targets(arguments: Sequence[str], most: int) -> list[Target]:
    """Return the first targets of arguments, `most` of them at most.

    Raises InputError if there is none.
    """
    # A prefix of any size is cut off by `most`, not by --max-targets.
    stream = TargetStream(arguments, max_targets=1 << 128)
    targets = list(islice(chain.from_iterable(stream.blocks()), most))
    if all(target.kind == "invalid" for target in targets):
        files = [text for text in arguments if text == "-"]
        raise nothing_given(stream, files, next(iter(targets), None))
    return targets


def require_target(stream: TargetStream, files: Sequence[str]) -> None:
    """Raise InputError if there is no target in a stream that has been counted.

    `files`: the inputs that it reads, besides arguments.
    """
    if stream.total is None:
        return
    first = None
    for entry in stream.entries():
        if not isinstance(entry, Target) or entry.kind != "invalid":
            return
        first = first or entry
    raise nothing_given(stream, files, first)


def nothing_given(
    stream: TargetStream, files: Sequence[str], first: Target | None = None
) -> InputError:
    """Return the error for a stream that has been read and has no target.

    `first`: the first invalid line, if it is known.
    """
    names = ["standard input" if name == "-" else name for name in files]
    message = f"no target in {', '.join(names)}" if names else "no target"
    if stream.invalid:
        message += f": {stream.invalid:,} line{'s' * (stream.invalid != 1)}, none of which is one"
        if first is None:
            return InputError(message)
        from auditor.targets.helo_names import is_log_line  # noqa: PLC0415 - only for an error message

        hint = "; `auditor helo` makes a table of a mail log" if is_log_line(first.text) else ""
        return InputError(f"{message}; {_shown(first)}{hint}")
    if stream.excluded:
        message += (
            f": {f'all {stream.excluded:,} are' if stream.excluded > 1 else 'it is'} excluded"
        )
    return InputError(message)


def _shown(target: Target) -> str:
    return f"line {target.origin.line}: {target.error}"
