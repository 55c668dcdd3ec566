"""The catalogue of findings: looks up the entries of `entries/` by code.

Nothing here judges; `judge` does, by these codes.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from auditor.findings.entries import bogus, domain, forward, helo, ptr, spf, target, zone
from auditor.wire.master_file import absolute_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.findings.entry import Entry

__all__ = [
    "ENTRIES",
    "catalogue",
    "entry",
    "nearest",
    "zone_lines",
]

#: Every finding, in the order in which they are explained.
ENTRIES: Final[tuple[Entry, ...]] = (
    *ptr.ENTRIES,
    *forward.ENTRIES,
    *helo.ENTRIES,
    *spf.ENTRIES,
    *domain.ENTRIES,
    *bogus.ENTRIES,
    *zone.ENTRIES,
    *target.ENTRIES,
)
#: Fields of a template that are no names.
_NO_NAMES: Final = frozenset({"address", "line", "mechanism", "type"})
_BY_CODE: Final = {line.code: line for line in ENTRIES}


def catalogue() -> Mapping[str, Entry]:
    """Return every finding there is by its code, in the order in which they are explained."""
    return MappingProxyType(_BY_CODE)


def entry(code: str) -> Entry:
    """Return the entry of a code. Raises KeyError if the catalogue has none."""
    return _BY_CODE[code]


def nearest(text: str) -> str | None:
    """Return the code that a mistyped one most likely stands for, or None if none is similar."""
    import difflib  # noqa: PLC0415 - only for an error message

    return next(iter(difflib.get_close_matches(text.upper(), _BY_CODE, n=1)), None)


def zone_lines(code: str, **facts: str) -> tuple[str, ...]:
    """Return the zone-file lines to publish against a finding, in master file form.

    `facts` fill the fields that `Entry` describes: names without their final dots, which are
    escaped here (RFC 1035 §5.1). `subject`, that of the finding, fills the field of its kind;
    fields that follow from `address` may be omitted; unknown ones are shown as `<name>`. Raises
    KeyError for an unknown code, ValueError if `address` is not an address, WireError for what
    is not a name.
    """
    known = _BY_CODE[code]
    if not known.zone_lines:
        return ()
    if "subject" in facts:
        facts[known.subject] = facts.pop("subject")
    fields = _Fields(
        (name, value if name in _NO_NAMES else absolute_name(value).removesuffix("."))
        for name, value in facts.items()
    )
    if address := fields.get("address"):
        from auditor.wire.reverse import reverse_name  # noqa: PLC0415 - not needed for a scan

        kind, mechanism = ("AAAA", "ip6") if ":" in address else ("A", "ip4")
        fields.setdefault("reverse", reverse_name(address))
        fields.setdefault("type", kind)
        fields.setdefault("mechanism", f"{mechanism}:{address}")
    return tuple(line.format_map(fields) for line in known.zone_lines)


class _Fields(dict[str, str]):
    """The fields of a template, with a placeholder for each one that is not known."""

    def __missing__(self, name: str) -> str:
        return f"<{name}>"
