"""One target as maps and tables of the page show it.

All text that leaves this file is printable and of bounded length, whatever a record holds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.quoting import printable
from auditor.views import owner as owners
from auditor.wire.addresses import V4, V6

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WIDTHS", "RowPattern", "TargetRow", "make_row", "owner", "shown"]

#: Bits of an address.
WIDTHS: Final = {V4: 32, V6: 128}

#: PTR names of a target that are shown.
_MAX_SHOWN_NAMES: Final = 3
#: Characters of a text that are shown; a name of the DNS, escaped, has 1,004 at most.
_MAX_TEXT_CHARACTERS: Final = 1024


class RowPattern(NamedTuple):
    """The properties that many targets share.

    `spf` holds (identity, domain, result), with "" for a domain that is the first PTR name.
    """

    kind: str
    verdict: str
    codes: tuple[str, ...]
    status: str
    iprev: str
    spf: tuple[tuple[str, str, str], ...]


class TargetRow:
    """One target.

    `number` is the address if it is one of IPv4, else -1. `change` is its change since the
    earlier scan, as in `auditor diff`, "" for none; `before` its verdict then, "" for none.
    """

    __slots__ = ("before", "change", "labels", "names", "notes", "number", "shape", "target")

    def __init__(  # noqa: PLR0917 - a hundred thousand times: keywords take half as long again
        self,
        target: str,
        number: int,
        shape: RowPattern,
        names: tuple[str, ...] = (),
        labels: str = "",
        notes: tuple[str, ...] = (),
    ) -> None:
        self.target = target
        self.number = number
        self.shape = shape
        self.names = names
        self.labels = labels
        self.notes = notes
        self.change = self.before = ""


def shown(text: object) -> str:
    """Return a record's text as the page shows it."""
    return printable(str(text), _MAX_TEXT_CHARACTERS)


@lru_cache(maxsize=65_536)
def owner(name: str) -> str:
    """Return the domain that a name counts for, as in `auditor summary`; never ""."""
    return shown(owners.owner(name) or name)


def make_row(record: Mapping[str, Any], where: tuple[int, int] | None) -> TargetRow:
    """Return the row of a record; `where` is its address, if its target is one."""
    ptr, iprev = record["ptr"], record["iprev"]
    names = [shown(name) for name in ptr["names"][: _MAX_SHOWN_NAMES + 1]] if ptr else []
    if len(names) > _MAX_SHOWN_NAMES:
        names[_MAX_SHOWN_NAMES:] = [f"and {len(ptr['names']) - _MAX_SHOWN_NAMES} more"]
    spf = tuple(
        (
            fact["identity"],
            "" if names and fact["domain"] == names[0] else shown(fact["domain"]),
            fact["result"],
        )
        for fact in record["spf"]
    )
    shape = RowPattern(
        record["kind"],
        record["verdict"],
        tuple(dict.fromkeys(finding["code"] for finding in record["findings"])),
        ptr["status"] if ptr else "",
        iprev["result"] if iprev else "",
        spf,
    )
    return TargetRow(
        shown(record["target"]),
        where[1] if where and where[0] == V4 else -1,
        shape,
        names=tuple(names),
        labels=_labels(record["labels"]),
        notes=tuple(_notes(record, names[:1])),
    )


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return shown(" · ".join(f"{name}: {text}" for name, text in labels.items() if text))


def _notes(record: Mapping[str, Any], known: list[str]) -> list[str]:
    """Return notes about a target: explanations, subjects of findings, its policy."""
    notes = [shown(record["error"])] if record["error"] else []
    notes += [
        shown(f"SPF explanation: {fact['explanation']}")
        for fact in record["spf"]
        if fact["explanation"]
    ]
    if record["kind"] != "invalid":
        known = [record["target"], *known]
        notes += [
            shown(f"{finding['code']}: {finding['subject']}")
            for finding in record["findings"]
            if finding["subject"] not in known
        ]
    if record["domain"]:
        notes += _policy(record["domain"])
    return notes


def _policy(domain: Mapping[str, Any]) -> list[str]:
    spf = domain["spf"]
    hosts = [shown(f"MX {host['preference']} {host['name']}") for host in domain["mx"]["hosts"]]
    hosts[_MAX_SHOWN_NAMES:] = (
        [f"and {len(hosts) - _MAX_SHOWN_NAMES} more MX hosts"]
        if len(hosts) > _MAX_SHOWN_NAMES
        else []
    )
    if not spf["record"]:
        return hosts
    cost = "" if spf["lookups"] is None else f" ({spf['lookups']} of 10 lookups)"
    return [*hosts, shown(f"{spf['record']}{cost}")]
