"""Lines of `auditor summary` about whole prefixes: faults, naming templates, empty /24s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auditor.cli.formatting import counted
from auditor.quoting import printable
from auditor.views.empty_networks import PLACEHOLDER_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["empty_lines", "fault_rows", "generate_text", "in_use_line", "template_rows"]

#: Prefixes that a row lists.
_NAMED_PREFIXES: Final = 3
#: The share of a fault's addresses that the listed prefixes must hold.
_TELLING_SHARE: Final = 0.1


def in_use_line(counts: Mapping[str, int]) -> str:
    """Return how many addresses are in use, by which criterion, and how many of them fail."""
    used, failing = counts["in_use"], counts["failing"]
    return (
        f"in use (a PTR name, or a HELO name was given): {used:,} of {counts['addresses']:,},"
        f" {failing:,} of them failing"
    )


def fault_rows(faults: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, str]]:
    """Yield (code, severity, prefixes, addresses) of the faults that whole prefixes have."""
    for fault in faults:
        named = fault["prefixes"][:_NAMED_PREFIXES]
        inside = sum(prefix["addresses"] for prefix in named)
        if inside < _TELLING_SHARE * (fault["addresses"] + fault["scattered"]) or not named:
            continue
        texts = ", ".join(prefix["prefix"] for prefix in named)
        more = fault["rows"] - len(named)
        shown = f"{texts} and {more:,} smaller" if more else texts
        yield printable(fault["code"]), fault["severity"], shown, f"{fault['addresses']:,}"


def template_rows(naming: Mapping[str, Any], top: int) -> Iterator[tuple[str, str, str, str]]:
    """Yield (template, names that follow it, prefixes, exceptions) of the templates."""
    for row in naming["templates"][:top]:
        prefixes = row["prefixes"]
        more = len(prefixes) > 1
        others = row["others"]
        odd = ", ".join(printable(other["name"]) for other in others[:1])
        yield (
            printable(row["template"]),
            f"{row['kept']:,} of {row['named']:,}",
            f"{prefixes[0]} …" if more else prefixes[0],
            f"but {odd}" + (" …" if len(others) > 1 else "") if odd else "",
        )


def empty_lines(empty: Mapping[str, Any]) -> list[str]:
    """Return the lines about empty /24s, with the records for the first of them."""
    if not empty["networks"]:
        return []
    prefixes = empty["prefixes"][:_NAMED_PREFIXES]
    more = " …" if len(empty["prefixes"]) > len(prefixes) else ""
    first = empty["generate"][0]
    networks = counted(empty["networks"], "/24")
    where = f"{', '.join(prefixes)}{more}"
    return [
        f"{networks} without any PTR record, in zones that answer: {where}",
        f"names for {first['prefix']}, if it sends no mail (--generate shows all):",
        *(f"  {line}" for line in _lines(first)),
    ]


def _lines(names: Mapping[str, Any]) -> list[str]:
    """Return the lines for the zones of one /24, with where they go as comments."""
    note = f"  ; {PLACEHOLDER_DOMAIN}: put a domain of yours" if names["placeholder"] else ""
    origin, reverse = names["reverse"]
    (forward,) = names["forward"]
    return [f"{origin}  ; in {names['zone']}", f"{reverse}{note}", f"{forward}  ; in that domain"]


def generate_text(generate: Sequence[Mapping[str, Any]]) -> str:
    """Return the lines for all zones as text, reverse zones first."""
    if not generate:
        return "; no /24 is without any PTR record in a zone that answers: nothing to generate"
    lines = [
        "; Generated names are for addresses that send no mail: receivers distrust them.",
        "; The PTR records go into the zones named, the A records into that of the names.",
    ]
    if any(names["placeholder"] for names in generate):
        lines.append(
            f"; {PLACEHOLDER_DOMAIN} is a placeholder: put a domain of yours in its place."
        )
    zone = None
    for names in generate:
        if names["zone"] != zone:
            zone = names["zone"]
            lines.append(f"\n; zone {zone}")
        lines += names["reverse"]
    lines.append("\n; zone of the names")
    for names in generate:
        lines += names["forward"]
    return "\n".join(lines)
