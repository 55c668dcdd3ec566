"""Value objects: a target, and the line of the input that it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BLOCK_SIZE", "NO_LABELS", "Block", "Kind", "Origin", "Target"]

#: Most targets in a block, the unit of work, of back-pressure and of order.
BLOCK_SIZE: Final = 256

Kind: TypeAlias = Literal["ip", "domain", "invalid"]

NO_LABELS: Final[Mapping[str, str]] = {}


class Origin(NamedTuple):
    """The input line that one or many targets come from.

    `source` is the file as named by the user, `-` for standard input or `argument`; `line`
    counts from 1. `helo` and `mail_from` are SPF identities given by the line; `labels` its
    other columns. `expected`: the PTR name that it gives, "" for none.
    """

    source: str = "argument"
    line: int = 0
    helo: str | None = None
    mail_from: tuple[str, ...] = ()
    labels: Mapping[str, str] = NO_LABELS
    expected: str = ""


class Target(NamedTuple):
    """One thing to audit.

    `text` is canonical: an address in its RFC 5952 form, a domain in lower-case A-labels;
    for an invalid target the line, made printable. `version` is 4 or 6 for addresses, else 0.
    """

    text: str
    kind: Kind
    version: int
    origin: Origin
    error: str | None = None


Block: TypeAlias = "list[Target]"
