"""The addresses of a record whose findings a PTR record may fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from auditor.findings.advice_address import PTR_FIXABLE_CODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Holder", "holders_of"]


class Holder(NamedTuple):
    """An address of a record, with the facts about it and the findings that a PTR may fix."""

    address: str
    ptr: Mapping[str, Any]
    forward: Sequence[Mapping[str, Any]]
    found: Sequence[tuple[str, str]]

    @property
    def codes(self) -> frozenset[str]:
        """The codes of the findings."""
        return frozenset(code for code, _ in self.found)


def holders_of(record: Mapping[str, Any]) -> Iterator[Holder]:
    """Yield the addresses of a record whose findings a PTR record may fix."""
    found = [
        (finding["code"], finding["subject"])
        for finding in record["findings"]
        if finding["code"] in PTR_FIXABLE_CODES
    ]
    if not found:
        return
    if record["kind"] == "ip":
        yield Holder(record["target"], record["ptr"], record["iprev"]["names"], found)
        return
    facts = record["domain"]
    holders = [fact for host in facts["mx"]["hosts"] for fact in host["addresses"]]
    seen = set()
    for fact in (*holders, *facts["addresses"]["list"]):
        about = [pair for pair in found if pair[1] == fact["address"]]
        if about and fact["address"] not in seen:
            seen.add(fact["address"])
            yield Holder(fact["address"], fact["ptr"], fact["iprev"]["names"], about)
