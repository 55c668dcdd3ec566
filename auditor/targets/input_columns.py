"""Columns of tables and keys of JSON objects: target, SPF identities, labels."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.targets.domains import helo_identity
from auditor.targets.item import SlashMeaning, invalid, read_item
from auditor.targets.target import NO_LABELS, Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.targets.item import Entry

__all__ = [
    "HELO",
    "MAIL_FROM",
    "TARGET_NAMES",
    "InputOptions",
    "expected_name",
    "identity_name",
    "legible",
    "row_entry",
]

HELO: Final = "helo"
MAIL_FROM: Final = "mail_from"

#: Names of the target column; the first one present is used. Case is ignored, and a space or a
#: hyphen equals an underscore: NetBox writes `IP Address`, phpIPAM `ip address`.
_TARGET_COLUMNS: Final = ("target", "ip", "ip_address", "address", "prefix")
TARGET_NAMES: Final = "target, ip, ip_address, address or prefix"
#: Columns in which IPAM programs write the addresses of interfaces, as `192.0.2.5/24`.
_INTERFACE_COLUMNS: Final = frozenset({"ip_address", "address"})

#: Names of the column with the expected PTR name; the first one present is used. It is a label,
#: too, so that a record has the expected name.
_EXPECTED_COLUMNS: Final = ("expected", "ptr")


class InputOptions(NamedTuple):
    """How the input is read.

    `column`: the column or key that holds the target, "" for the usual ones; `interfaces`:
    whether `192.0.2.5/24` is the address; `labels`: for targets whose line gives no other.
    """

    column: str = ""
    interfaces: bool = False
    labels: Mapping[str, str] = NO_LABELS

    @property
    def slash(self) -> SlashMeaning:
        """The meaning of an address with a length, unless the column has another."""
        return "address" if self.interfaces else "prefix"

    def target_column(self, names: Sequence[str]) -> int:
        """Return the index of the target column, -1 if there is none."""
        return _place(self.column, tuple(names))

    def slash_in(self, name: str) -> SlashMeaning:
        """Return the meaning of an address with a length in the target column of that name."""
        if self.interfaces:
            return "address"
        return "either" if _plain(name) in _INTERFACE_COLUMNS else "prefix"

    @property
    def expected_column(self) -> str:
        """The target columns for a message."""
        return self.column or TARGET_NAMES


@lru_cache(maxsize=64)  # mostly, all objects of a file have the same keys
def _place(column: str, names: tuple[str, ...]) -> int:
    if column and column in names:
        return names.index(column)
    plain = [_plain(name) for name in names]
    wanted = (_plain(column),) if column else _TARGET_COLUMNS
    return next((plain.index(name) for name in wanted if name in plain), -1)


@lru_cache(maxsize=64)  # as above
def identity_name(wanted: str, names: tuple[str, ...]) -> str:
    """Return the column or key that is `wanted` (`HELO` or `MAIL_FROM`), as spelt in `names`."""
    return next((name for name in names if _plain(name) == wanted), wanted)


def row_entry(
    text: str,
    slash: SlashMeaning,
    origin: Origin,
    *,
    helo: str = "",
    mail_from: tuple[str, ...] = (),
    labels: Mapping[str, str] = NO_LABELS,
) -> Entry:
    """Return the target or span of a row whose target column has `text`.

    `helo` is the text in the row, "" for none; `labels` override those of `origin`, and have the
    expected PTR name.
    """
    whole = Origin(
        origin.source,
        origin.line,
        helo_identity(helo) if helo.strip() else None,
        mail_from,
        {**origin.labels, **labels} if labels else origin.labels,
        expected_name(labels) if labels else "",
    )
    text = text.strip()
    if any("\udc80" <= character <= "\udcff" for character in text):
        return invalid(text, whole, "not UTF-8 text")
    return read_item(text, whole, slash)


def expected_name(labels: Mapping[str, str]) -> str:
    """Return the PTR name that the columns of a row expect, canonical; "" for none."""
    for wanted in _EXPECTED_COLUMNS:
        for name, text in labels.items():
            if _plain(name) == wanted and text.strip():
                return helo_identity(text)
    return ""


def legible(text: str) -> str:
    """Return text without lone surrogates: octets that are not UTF-8 are read as Windows-1252.

    Spreadsheets in western Europe and America write that encoding.
    """
    return text if text.isascii() else text.translate(_windows_1252())


@cache
def _windows_1252() -> dict[int, str]:
    """Return the characters of Windows code page 1252, or of ISO 8859-1 where that has none.

    The keys are the octets as decoded with `surrogateescape`.
    """
    return {
        0xDC00 + octet: bytes((octet,)).decode("cp1252", "ignore") or chr(octet)
        for octet in range(0x80, 0x100)
    }


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")
