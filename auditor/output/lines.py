"""The records of common addresses as lines, written by the block.

What `record.ip_record` and orjson would make of them, to the octet; a test holds the two
together. Texts are put in as they are: whoever calls has seen that none needs an escape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from auditor.checks.facts import SpfFact

__all__ = ["NO_POLICY", "confirmed_lines", "helo_facts", "labels_text", "nameless_line", "outcome"]


def confirmed_lines(
    addresses: Iterable[str],
    names: Iterable[str],
    spf: Iterable[str],
    labels: Iterable[str],
    verdicts: Iterable[tuple[str, str]],
) -> list[bytes]:
    """Return the lines of addresses whose only name points back.

    Of each the SPF facts and the labels as JSON; verdict and findings, these as JSON.
    """
    return [
        (
            f'{{"target":"{address}","kind":"ip","verdict":"{verdict}","findings":[{found}],'
            f'"ptr":{{"status":"NOERROR","names":["{name}"],"chain":[]}},'
            f'"iprev":{{"result":"pass","names":[{{"name":"{name}","status":"NOERROR",'
            f'"addresses":["{address}"],"confirms":true}}]}},"spf":[{facts}],'
            f'"domain":null,"labels":{shown},"error":null}}\n'
        ).encode()
        for address, name, facts, shown, (verdict, found) in zip(  # noqa: B905 - the last may be endless
            addresses, names, spf, labels, verdicts
        )
    ]


def nameless_line(
    address: str, status: str, spf: str, labels: str, verdict: tuple[str, str]
) -> bytes:
    """Return the line of an address without a name, `status` being that of its PTR question."""
    outcome, found = verdict
    return (
        f'{{"target":"{address}","kind":"ip","verdict":"{outcome}","findings":[{found}],'
        f'"ptr":{{"status":"{status}","names":[],"chain":[]}},'
        f'"iprev":{{"result":"permerror","names":[]}},"spf":[{spf}],'
        f'"domain":null,"labels":{labels},"error":null}}\n'
    ).encode()


def helo_facts(names: Iterable[str], outcomes: Iterable[str]) -> list[str]:
    """Return the SPF facts of HELO names as JSON, each put together with its outcome."""
    return [
        f'{{"identity":"helo","domain":"{name}",{outcome}'
        for name, outcome in zip(names, outcomes, strict=True)
    ]


def outcome(fact: SpfFact) -> str:
    """Return what follows the domain in the JSON of an SPF fact."""
    _, _, result, mechanism, lookups, voids, record, explanation = fact
    dumps = orjson.dumps
    return (
        f'"result":"{result}","mechanism":{dumps(mechanism).decode()},"lookups":{lookups},'
        f'"voids":{voids},"record":{dumps(record).decode()},'
        f'"explanation":{dumps(explanation).decode()}}}'
    )


#: The outcome of a name that publishes no policy.
NO_POLICY: Final = (
    '"result":"none","mechanism":null,"lookups":0,"voids":0,"record":null,"explanation":null}'
)


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels as JSON."""
    return orjson.dumps(dict(labels)).decode() if labels else "{}"
