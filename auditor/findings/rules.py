"""Selection and severities of findings in a run (`--select`, `--ignore`, `--severity`)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from auditor.errors import UsageError
from auditor.findings.catalogue import ENTRIES, nearest
from auditor.findings.entry import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from auditor.findings.entry import Severity
    from auditor.settings import Settings

__all__ = ["RuleSet"]

_CODES: Final = tuple(entry.code for entry in ENTRIES)


class RuleSet:
    """The selected findings of a run, and their severities; read-only.

    `severities` overrides the default of single codes. `select` and `ignore` name codes or
    beginnings of codes in whole words (`SPF` or `SPF_` for all of SPF's), in any case: only
    selected codes are found, without `select` all, and ignored ones never.
    Raises UsageError for a name that matches no code, and for an unknown severity.
    """

    __slots__ = ("severities",)

    #: The selected codes, with their severities.
    severities: Mapping[str, Severity]

    def __init__(
        self,
        severities: Mapping[str, str] | None = None,
        select: Iterable[str] = (),
        ignore: Iterable[str] = (),
    ) -> None:
        weights = {entry.code: entry.severity for entry in ENTRIES}
        for name, severity in (severities or {}).items():
            code = name.upper()
            if code not in weights:
                raise _unknown("severities", name)
            weights[code] = _severity(code, severity)
        selected = _matching("select", select) or set(_CODES)
        dropped = _matching("ignore", ignore)
        self.severities = MappingProxyType(
            {code: weights[code] for code in _CODES if code in selected and code not in dropped}
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> RuleSet:
        """Return the rules of the settings."""
        return cls(settings.severities, settings.select, settings.ignore)

    def without(self, code: str) -> RuleSet:
        """Return the same rules without one code."""
        return self.with_severities(
            {name: weight for name, weight in self.severities.items() if name != code}
        )

    def with_severities(self, severities: Mapping[str, Severity]) -> RuleSet:
        """Return rules with these codes and severities instead."""
        other = RuleSet.__new__(RuleSet)
        other.severities = MappingProxyType(dict(severities))
        return other


def _matching(setting: str, names: Iterable[str]) -> set[str]:
    """Return the codes that match codes and beginnings of codes."""
    matching: set[str] = set()
    for name in names:
        start = name.upper().rstrip("_")
        codes = {code for code in _CODES if f"{code}_".startswith(f"{start}_")} if start else set()
        if not codes:
            raise _unknown(setting, name)
        matching |= codes
    return matching


def _severity(code: str, text: str) -> Severity:
    for severity in SEVERITIES:
        if severity == text.lower():
            return severity
    expected = ", ".join(SEVERITIES)
    raise UsageError(f"severities: {code} cannot be {text!r}, expected one of {expected}")


def _unknown(setting: str, name: str) -> UsageError:
    near = nearest(name)
    hint = f", did you mean {near}?" if near else "; `auditor explain` lists them"
    return UsageError(f"{setting}: no finding is called {name!r}{hint}")
