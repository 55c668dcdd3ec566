"""Lines of `auditor senders` read back: totals, and the most important rows.

`SenderSummary` is the data of the command's tables and of any report: `count_line` takes lines as
`auditor senders --json` writes them (docs/senders.md), `read_senders` takes them from a file.
Memory is bounded: of each kind of row only the first are kept.
"""

from __future__ import annotations

from heapq import heappush, heappushpop
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from auditor.errors import InputError
from auditor.output.sender_schema import LINE_SCHEMAS
from auditor.views.reader.json_lines import read_json_lines
from auditor.views.reader.validate import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["MOST_ROWS", "SenderSummary", "read_senders"]

#: Rows of a kind that are kept at most.
MOST_ROWS: Final = 1000

_IPV6_NETWORK_ADDRESSES: Final = 1 << 64
_HINT: Final = "expected the lines of `auditor senders --json`"
#: The validator of each type of line.
_CHECKS: Final = {name: compiled(schema) for name, schema in LINE_SCHEMAS.items()}


class _Foremost:
    """The rows of the largest weight; of the same weight, the earlier ones."""

    def __init__(self) -> None:
        self.number = 0
        self._heap: list[tuple[float, int, Mapping[str, Any]]] = []

    def offer(self, weight: float, row: Mapping[str, Any]) -> None:
        self.number += 1
        entry = weight, -self.number, row
        if len(self._heap) < MOST_ROWS:
            heappush(self._heap, entry)
        elif entry[:2] > self._heap[0][:2]:
            heappushpop(self._heap, entry)

    def rows(self, top: int) -> list[Mapping[str, Any]]:
        return [row for _, _, row in sorted(self._heap, key=itemgetter(0, 1), reverse=True)[:top]]


class SenderSummary:
    """The summary of the lines; `totals` is the last line, None before it."""

    def __init__(self) -> None:
        self.totals: Mapping[str, Any] | None = None
        self._kinds = {
            name: _Foremost()
            for name in (
                *("world", "undetermined", "errors", "includes", "ranges", "without_ptr"),
                *("generic_ptr", "outside", "unauthorised"),
            )
        }

    def count_line(self, line: Mapping[str, Any]) -> None:
        """Take a line."""
        _TAKERS[line["type"]](self, line)

    def as_json(self, top: int) -> dict[str, Any]:
        """Return totals, and up to `top` rows of each kind with their whole number.

            {"totals": {...}, KIND: {"rows": n, "first": [line, ...]}}

        KIND is `world` (domains that authorise every address), `undetermined` and `errors`
        (domains), `includes` (with the most addresses outside the own address space, else with the
        most domains), `ranges` (with the most domains), `without_ptr` and `generic_ptr` (ranges
        with the most hosts of that kind), `outside` (ranges outside the own address space) and
        `unauthorised` (ranges of hosts that no domain authorises).
        """
        return {
            "totals": self.totals,
            **{
                name: {"rows": kept.number, "first": kept.rows(top)}
                for name, kept in self._kinds.items()
            },
        }

    def _add_domain(self, line: Mapping[str, Any]) -> None:
        for kind in ("world", "undetermined", "errors"):
            if line[kind] or (kind == "errors" and line["status"] in {"permerror", "temperror"}):
                self._kinds[kind].offer(0, line)

    def _add_include(self, line: Mapping[str, Any]) -> None:
        outside = line["outside"]
        # A network of IPv6 (/64) counts as much as an address of IPv4.
        weight = (
            line["domains"]
            if outside is None
            else outside["ipv4"] + outside["ipv6"] / _IPV6_NETWORK_ADDRESSES
        )
        self._kinds["includes"].offer(weight, line)

    def _add_range(self, line: Mapping[str, Any]) -> None:
        domains = line["domains"]
        self._kinds["ranges"].offer(domains, line)
        if line["mine"] is False:
            self._kinds["outside"].offer(domains, line)
        for kind in ("without_ptr", "generic_ptr"):
            if line["hosts"] is not None and line["hosts"][kind]["count"]:
                self._kinds[kind].offer(line["hosts"][kind]["count"], line)

    def _add_unauthorised(self, line: Mapping[str, Any]) -> None:
        self._kinds["unauthorised"].offer(line["hosts"], line)

    def _add_totals(self, line: Mapping[str, Any]) -> None:
        self.totals = line


_TAKERS: Final[dict[str, Callable[[SenderSummary, Mapping[str, Any]], None]]] = {
    "domain": SenderSummary._add_domain,  # noqa: SLF001 - of this class
    "include": SenderSummary._add_include,  # noqa: SLF001 - see above
    "range": SenderSummary._add_range,  # noqa: SLF001 - see above
    "unauthorised": SenderSummary._add_unauthorised,  # noqa: SLF001 - see above
    "totals": SenderSummary._add_totals,  # noqa: SLF001 - see above
}


def read_senders(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file. Raises InputError for an invalid or incomplete file."""
    kind = None
    for line in read_json_lines(path, _is_sound, f"not about senders; {_HINT}"):
        kind = line["type"]
        yield line
    if kind != "totals":
        raise InputError(f"{path}: ends too early, without its totals; {_HINT}")


def _is_sound(line: Any) -> bool:
    return not _CHECKS[line["type"]]([line])
