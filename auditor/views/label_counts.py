"""Counts of verdicts and findings by the values of a label (`auditor summary --by LABEL`).

counts = LabelCounts("site")
counts.note(record)          # each record
counts.as_json(10)
"""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor.findings.judge import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["LabelCounts"]

#: Values, and codes of findings, that are counted separately.
_MAX_VALUES: Final = 1024
_MAX_CODES: Final = 512
#: Characters of a value that distinguish it from others.
_MAX_CHARACTERS: Final = 256


class _Counts:
    """The records with one value: by verdict, and by the findings they have."""

    __slots__ = ("codes", "verdicts")

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()

    def as_json(self, top: int) -> dict[str, Any]:
        codes = sorted(self.codes.items(), key=lambda item: (-item[1], item[0]))[:top]
        return {
            "records": self.verdicts.total(),
            "verdicts": {verdict: self.verdicts[verdict] for verdict in VERDICTS},
            "findings": [{"code": code, "targets": count} for code, count in codes],
        }


class LabelCounts:
    """Counts records by the value of `label`; None is the value of those without the label.

    The first 1,024 values are counted separately, records with others together.
    """

    def __init__(self, label: str, limit: int = _MAX_VALUES) -> None:
        self.label = label
        self._limit = limit
        self._values: dict[str | None, _Counts] = {}
        self._others = _Counts()
        self._codes: set[str] = set()

    def note_lines(self, lines: Iterable[bytes]) -> None:
        """Count the records in lines, of which each is known to be one."""
        for record in map(orjson.loads, lines):
            self.count_record(record)

    def count_record(self, record: Mapping[str, Any]) -> None:
        """Count a record."""
        value = record["labels"].get(self.label)
        if value is not None:
            value = str(value)[:_MAX_CHARACTERS]
        counts = self._values.get(value)
        if counts is None:
            full = len(self._values) >= self._limit
            counts = self._others if full else self._values.setdefault(value, _Counts())
        counts.verdicts[record["verdict"]] += 1
        for code in set(map(itemgetter("code"), record["findings"])):
            if code in self._codes or len(self._codes) < _MAX_CODES:
                self._codes.add(code)
                counts.codes[code] += 1

    def as_json(self, top: int) -> dict[str, Any]:
        """Return the counts, with up to `top` values and findings of each.

            {"label","values":[{"value","records","verdicts":{VERDICT: n},
                                "findings":[{"code","targets"}]}],
             "rows","others": {"records","verdicts","findings"}}

        The values with the most failing records come first. `rows` is how many values there are,
        without those in `others`, which are beyond the limit.
        """
        order = sorted(
            self._values.items(),
            key=lambda item: (-item[1].verdicts["fail"], -item[1].verdicts.total(), item[0] or ""),
        )
        return {
            "label": self.label,
            "values": [{"value": value, **counts.as_json(top)} for value, counts in order[:top]],
            "rows": len(order),
            "others": self._others.as_json(top),
        }
