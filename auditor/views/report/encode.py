"""The data of the page's maps and tables: columns and dictionaries, deflated, in base64.

Repeated values are in dictionaries and named by index; the rest is in columns, which compress
well. `page/data.js` is the reader. A verdict is its
place in VERDICTS, so that a larger one is worse.
"""

from __future__ import annotations

import base64
import zlib
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor.findings.catalogue import entry
from auditor.findings.judge import VERDICTS
from auditor.views.diff.diff import CHANGES
from auditor.views.report.aggregate import OTHERS
from auditor.views.report.maps import MapBlock, network
from auditor.views.report.rows import WIDTHS, shown
from auditor.wire.addresses import V4

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from auditor.views.prefixes import Prefix
    from auditor.views.report.aggregate import PrefixCounts, ScanAggregate
    from auditor.views.report.rows import TargetRow

__all__ = ["RESULTS", "encode", "page_data"]

#: The results of check_host() (RFC 7208 §2.6), best first; columns of the SPF table.
RESULTS: Final = ("pass", "neutral", "none", "softfail", "fail", "permerror", "temperror")

#: Of deflate: 9 takes three times as long, for a page that is one per cent smaller.
_LEVEL: Final = 7
#: Findings that are listed for a prefix or a label.
_MAX_NAMED_CODES: Final = 3
#: Naming templates, and prefixes that are listed for one.
_MAX_TEMPLATES: Final = 1000
_MAX_NAMED_PREFIXES: Final = 3
_RANK: Final = {verdict: rank for rank, verdict in enumerate(VERDICTS)}


class _Dictionary(dict[Any, int]):
    """Gives each new key the next number, from 0 on."""

    def __missing__(self, key: Hashable) -> int:
        self[key] = len(self)
        return self[key]


def encode(data: object) -> str:
    """Return JSON, deflated (zlib), in base64: safe in any place of a page."""
    return base64.b64encode(zlib.compress(orjson.dumps(data), _LEVEL)).decode("ascii")


def page_data(
    gathered: ScanAggregate, blocks: Sequence[MapBlock], *, others: int, compared: bool
) -> dict[str, Any]:
    """Return what `page/data.js` expects; `others`: how many blocks there are beside `blocks`."""
    codes, shapes, labels = _Dictionary(), _Dictionary(), _Dictionary()
    rows = _ordered(gathered.rows)
    numbers = [row.number for row in rows if row.number >= 0]
    # Rows of a template share one object: it need not be looked up by all that it holds.
    objects = {id(row.shape): row.shape for row in rows}
    numbered = {known: shapes[shape] for known, shape in objects.items()}
    shape_column = [numbered[id(row.shape)] for row in rows]
    return {
        "complete": gathered.complete,
        "compared": compared,
        "runs": _runs(numbers),
        "texts": [row.target for row in rows[len(numbers) :]],
        "shape": shape_column,
        "names": [_names(row) for row in rows],
        "labels": _sparse([labels[row.labels] if row.labels else None for row in rows]),
        "label_texts": list(labels),
        "notes": _sparse([row.notes or None for row in rows]),
        "changes": CHANGES,
        "change": _sparse([_change(row) for row in rows]),
        "shapes": [
            [
                shape.kind,
                _RANK[shape.verdict],
                [codes[code] for code in shape.codes],
                shape.status,
                shape.iprev,
                shape.spf,
            ]
            for shape in shapes
        ],
        "blocks": [
            [block.text, block.first, block.length, block.cell, block.verdicts] for block in blocks
        ],
        "prefixes": _prefixes(gathered, codes, compared=compared),
        "naming": _naming(gathered),
        "by_label": _by_label(gathered, codes),
        "others": OTHERS,
        "domains": [
            [name, found.addresses, found.confirmed, found.failing, found.generic]
            for name, found in sorted(gathered.domains.items())
        ],
        "spf": _spf(gathered, blocks),
        "elsewhere": "elsewhere" if others else "IPv6",
        "results": RESULTS,
        "codes": [_code(gathered, code) for code in codes],
    }


def _ordered(rows: Sequence[TargetRow]) -> list[TargetRow]:
    """Return the rows of IPv4 by address, then all others as they came."""
    first = sorted([row for row in rows if row.number >= 0], key=attrgetter("number"))
    return first + [row for row in rows if row.number < 0]


def _runs(numbers: Sequence[int]) -> list[int]:
    """Return sorted addresses as a flat list of (first, how many follow one another)."""
    runs: list[int] = []
    last = -2
    for number in numbers:
        if number == last + 1:
            runs[-1] += 1
        else:
            runs += (number, 1)
        last = number
    return runs


def _names(row: TargetRow) -> str | tuple[str, ...] | int:
    """Return one name as a text, several as a list, none as 0."""
    if len(row.names) == 1:
        return row.names[0]
    return row.names or 0


def _change(row: TargetRow) -> tuple[int, int | None] | None:
    """Return the change of a target, as its place in CHANGES, and its earlier verdict."""
    if not row.change:
        return None
    return CHANGES.index(row.change), _RANK[row.before] if row.before else None


def _sparse(column: Sequence[Any]) -> list[Any]:
    """Return the indices of rows with a value, and the values."""
    rows = [number for number, value in enumerate(column) if value is not None]
    return [rows, [column[number] for number in rows]]


def _prefixes(gathered: ScanAggregate, codes: _Dictionary, *, compared: bool) -> list[list[Any]]:
    """Return by address: text, first address (null for IPv6), verdicts, findings, failed before.

    Findings are (code, targets), the most frequent first.
    """
    found = []
    for key in sorted(gathered.prefixes):
        version, length, number = key
        prefix = gathered.prefixes[key]
        found.append(
            [
                network(version, length, number),
                number << (WIDTHS[V4] - length) if version == V4 else None,
                prefix.verdicts,
                _most(prefix, codes),
                gathered.failed_before[key] if compared else None,
            ]
        )
    return found


def _most(counts: PrefixCounts, codes: _Dictionary) -> list[tuple[int, int]]:
    """Return the most frequent findings of some targets, with their numbers."""
    most = sorted(counts.codes.items(), key=lambda each: (-each[1], each[0]))[:_MAX_NAMED_CODES]
    return [(codes[code], count) for code, count in most]


def _naming(gathered: ScanAggregate) -> list[list[Any]]:
    """Return naming templates: text, domain, names that follow it, names there, networks."""
    return [
        [
            shown(found.template),
            shown(found.domain),
            found.kept,
            found.named,
            _listed(sorted(found.networks, key=lambda each: -each.size)),
        ]
        for found in gathered.blocks.names.templates()[:_MAX_TEMPLATES]
    ]


def _listed(prefixes: Sequence[Prefix]) -> str:
    """Return the first of some prefixes, and how many more there are."""
    more = len(prefixes) - _MAX_NAMED_PREFIXES
    text = ", ".join(map(str, prefixes[:_MAX_NAMED_PREFIXES]))
    return f"{text} and {more:,} more" if more > 0 else text


def _by_label(gathered: ScanAggregate, codes: _Dictionary) -> list[list[Any]]:
    """Return label, value, targets by verdict and most frequent findings."""
    return [
        [name, value, counts.verdicts, _most(counts, codes)]
        for (name, value), counts in sorted(gathered.labels.items())
    ]


def _spf(gathered: ScanAggregate, blocks: Sequence[MapBlock]) -> list[list[Any]]:
    """Return (block, identity, domain, addresses of the block, addresses by result).

    The block is an index, -1 for IPv6 and for IPv4 addresses outside of the blocks.
    """
    counts: dict[tuple[int, str, str], list[int]] = {}
    where = {-1: -1}
    for (start, identity, domain), results in gathered.spf.items():
        if start not in where:
            inside = (n for n, each in enumerate(blocks) if each.first <= start << 16 < each.end)
            within = (n for n, each in enumerate(blocks) if each.first >> 16 == start)
            where[start] = next(inside, next(within, -1))
        key = where[start], identity, domain
        sums = counts.setdefault(key, [0] * len(RESULTS))
        for number, result in enumerate(RESULTS):
            sums[number] += results[result]
    totals = [sum(block.verdicts) for block in blocks]
    known = sum(sum(prefix.verdicts) for prefix in gathered.prefixes.values())
    totals.append(known - sum(totals))
    return [
        [block, shown(identity), domain, totals[block], sums]
        for (block, identity, domain), sums in sorted(
            counts.items(), key=lambda each: (each[0][0], -each[1][0], *each[0][1:])
        )
    ]


def _code(gathered: ScanAggregate, code: str) -> tuple[str, str, str]:
    try:
        title = entry(code).title
    except KeyError:
        title = "unknown to this version of auditor"
    severity = gathered.severities[gathered.now.known(code)]
    return shown(code), severity, title
