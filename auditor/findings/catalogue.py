"""The catalogue of findings (DESIGN §6): look-ups over the data in `entries`.

Nothing here judges; `judge` does, by these codes.
"""

from __future__ import annotations

from typing import Final

from auditor.findings.entries import domain, forward, ptr, spf, target
from auditor.findings.entry import SEVERITIES, Entry, Severity

__all__ = [
    "ENTRIES",
    "SEVERITIES",
    "Entry",
    "Severity",
    "entry",
    "mending",
    "nearest",
    "zone_lines",
]

#: Every finding, in the order in which they are explained.
ENTRIES: Final[tuple[Entry, ...]] = (
    *ptr.ENTRIES,
    *forward.ENTRIES,
    *spf.ENTRIES,
    *domain.ENTRIES,
    *target.ENTRIES,
)
_BY_CODE: Final = {line.code: line for line in ENTRIES}


def entry(code: str) -> Entry:
    """Return the entry of a code. Raises KeyError if the catalogue has none."""
    return _BY_CODE[code]


def nearest(text: str) -> str | None:
    """Return the code that a mistyped one most likely stands for, or None if none is near."""
    import difflib  # noqa: PLC0415 - only for an error message

    return next(iter(difflib.get_close_matches(text.upper(), _BY_CODE, n=1)), None)


def zone_lines(code: str, **facts: str) -> tuple[str, ...]:
    """Return the zone-file lines to publish against a finding, in master file form.

    `facts` fill the fields that `Entry` describes. `subject`, that of the finding, fills the
    field it is for; what follows from `address` need not be given; what is not known is
    shown as `<name>`. Raises KeyError for an unknown code, ValueError if `address` is not an
    address.
    """
    known = _BY_CODE[code]
    if not known.zone_lines:
        return ()
    fields = _Fields(facts)
    if "subject" in facts:
        fields[known.subject] = facts["subject"]
    if address := fields.get("address"):
        from auditor.wire.reverse import reverse_name  # noqa: PLC0415 - not needed for a scan

        kind, mechanism = ("AAAA", "ip6") if ":" in address else ("A", "ip4")
        fields.setdefault("reverse", reverse_name(address))
        fields.setdefault("type", kind)
        fields.setdefault("mechanism", f"{mechanism}:{address}")
    return tuple(line.format_map(fields) for line in known.zone_lines)


def mending(code: str, subject: str, *, kind: str, target: str) -> tuple[str, ...]:
    """Return the zone-file lines to publish against a finding of a record, as `zone_lines` does."""
    facts = {"subject": subject}
    if kind == "ip":
        facts["address"] = target
        if subject != target:
            facts["name"] = subject
    if kind == "domain":
        facts["domain"] = target
    return zone_lines(code, **facts)


class _Fields(dict[str, str]):
    """The fields of a template, with a placeholder for each one that is not known."""

    def __missing__(self, name: str) -> str:
        return f"<{name}>"
