"""Compares two records of one target: what changed, for better or worse.

Compared are the verdict, findings, PTR, forward confirmation, SPF, what a domain
publishes. Labels and the error of an invalid line come from the input (and name a line number),
a trace is different every time: none of them is a change.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from auditor.findings.catalogue import ENTRIES
from auditor.findings.judge import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CHANGES", "change"]

#: The kinds of change of a target, in the order of display.
CHANGES: Final = (
    "worse",
    "undetermined",
    "better",
    "determined",
    "changed",
    "appeared",
    "vanished",
)

_FACTS: Final = ("kind", "ptr", "helo", "iprev", "spf", "domain")
#: Facts that are null if unknown, which is not a change.
_PERHAPS_UNKNOWN: Final = ("ptr.owner", "ptr.zone")
#: Lists of objects, each with the keys that identify an object.
_KEYED: Final[dict[str, tuple[str, ...]]] = {
    "iprev.names": ("name",),
    "spf": ("identity", "domain"),
    "domain.addresses.list": ("address",),
    "domain.addresses.list.iprev.names": ("name",),
    "domain.mx.hosts": ("name",),
    "domain.mx.hosts.addresses": ("address",),
    "domain.mx.hosts.addresses.iprev.names": ("name",),
}
_PROBLEMS: Final = frozenset({"error", "warning"})
_UNDETERMINED: Final = frozenset(entry.code for entry in ENTRIES if entry.undetermined)

Record = dict[str, Any]


def change(old: Record | None, new: Record | None) -> dict[str, Any] | None:
    """Return the change between two records of a target; None if they are the same.

    Without `old` it appeared, without `new` it vanished. Else its verdict got `worse` or
    `better` in the order pass, warn, fail; or it became `undetermined` (its verdict is now
    `unknown`), or `determined` again. With the same
    verdict it is `worse` if it has new problems (findings of severity error or warning that
    are not themselves undetermined) and none were fixed, `better` the other way round, and
    `changed` if only facts differ. A `regression` is any that got worse, and a verdict of
    `fail` that was unknown before, so that no failure is hidden by a lookup that timed out.

    The object of `auditor diff --json`:

        {"target","kind","change","regression","verdict":{"old","new"},
         "findings":{"added":[{"code","severity","subject"}],"removed"},
         "facts":[{"fact","of","old","new"}],"labels"}

    `fact` is the path of a key in the record; `of` has the names of the objects in
    the lists on the way ([] without a list). A new or removed object has null on the other
    side. Targets that appeared or vanished have no facts. `labels` are the latest.
    """
    latest = new or old
    if latest is None:
        return None
    facts: list[dict[str, Any]] = []
    if old and new:
        for fact in _FACTS:
            _compare(fact, [], old[fact], new[fact], facts)
    before, after = _findings(old), _findings(new)
    if old and new and before == after and not facts and old["verdict"] == new["verdict"]:
        return None
    change_kind = _what(old, new)
    verdicts = {"old": old and old["verdict"], "new": new and new["verdict"]}
    return {
        "target": latest["target"],
        "kind": latest["kind"],
        "change": change_kind,
        "regression": change_kind == "worse"
        or (change_kind == "determined" and verdicts["new"] == "fail"),
        "verdict": verdicts,
        "findings": {"added": _listed(after - before), "removed": _listed(before - after)},
        "facts": facts,
        "labels": latest["labels"],
    }


def _what(old: Record | None, new: Record | None) -> str:
    if old is None or new is None:
        return "vanished" if old else "appeared"
    before, after = old["verdict"], new["verdict"]
    if before == after:
        before, after = _problems(old), _problems(new)
        came, went = after - before, before - after
        if bool(came) == bool(went):
            return "changed"
        return "worse" if came else "better"
    if "unknown" in {before, after}:
        return "undetermined" if after == "unknown" else "determined"
    return "worse" if VERDICTS.index(after) > VERDICTS.index(before) else "better"


def _problems(record: Record) -> Counter[str]:
    return Counter(
        finding["code"]
        for finding in record["findings"]
        if finding["severity"] in _PROBLEMS and finding["code"] not in _UNDETERMINED
    )


def _findings(record: Record | None) -> Counter[tuple[str, str, str]]:
    findings = record["findings"] if record else ()
    return Counter(
        (finding["code"], finding["subject"], finding["severity"]) for finding in findings
    )


def _listed(findings: Counter[tuple[str, str, str]]) -> list[dict[str, str]]:
    return [
        {"code": code, "severity": severity, "subject": subject}
        for code, subject, severity in sorted(findings.elements())
    ]


def _compare(path: str, of: list[str], old: Any, new: Any, fields: list[dict[str, Any]]) -> None:
    """Add to `found` where two values differ, key by key."""
    if old == new or (None in (old, new) and path.endswith(_PERHAPS_UNKNOWN)):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            _compare(f"{path}.{key}", of, old.get(key), new.get(key), fields)
    elif path in _KEYED and isinstance(old, list) and isinstance(new, list):
        before, after = _by_name(old, _KEYED[path]), _by_name(new, _KEYED[path])
        for name, number in sorted(before.keys() | after.keys()):
            key = name, number
            _compare(path, [*of, name], before.get(key), after.get(key), fields)
        if before == after:  # the same in another order, which matters
            fields.append({"fact": path, "of": of, "old": _names(before), "new": _names(after)})
    else:
        fields.append({"fact": path, "of": of, "old": old, "new": new})


def _by_name(
    items: list[dict[str, Any]], keys: tuple[str, ...]
) -> dict[tuple[str, int], Mapping[str, Any]]:
    """Return the objects of a list by name; those of the same name have a number."""
    named: dict[tuple[str, int], Mapping[str, Any]] = {}
    seen: Counter[str] = Counter()
    for item in items:
        name = " ".join(item[key] for key in keys)
        named[name, seen[name]] = item
        seen[name] += 1
    return named


def _names(named: dict[tuple[str, int], Mapping[str, Any]]) -> list[str]:
    return [name for name, _ in named]
