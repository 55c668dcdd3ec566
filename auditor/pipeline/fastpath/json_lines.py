"""Writes the JSON records of common addresses by string formatting, a block at a time.

The same octets as `record.ip_record` and orjson make; a test compares the two. Texts are put in as
they are: the caller has made sure that none needs an escape.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Final

import orjson

from auditor.quoting import printable_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from auditor.checks.facts import SpfFact
    from auditor.pipeline.fastpath.columns import AddressColumns
    from auditor.resolve.answer import Answer

__all__ = [
    "NO_POLICY",
    "confirmed_lines",
    "fact_json",
    "helo_facts",
    "labels_text",
    "nameless_line",
]


def confirmed_lines(
    columns: AddressColumns,
    spf: Iterable[str],
    verdicts: Iterable[tuple[str, str]],
    helos: Iterable[str],
) -> list[bytes]:
    """Return the lines of addresses whose only name points back.

    Of each the SPF facts as JSON; verdict and findings, these as JSON; the HELO fact as JSON.
    """
    owners: Sequence[str] = columns.reverses
    chains: Iterable[str] = repeat("")
    if any(ptr[2] for ptr in columns.ptrs):
        owners = [
            ptr.canonical or reverse
            for ptr, reverse in zip(columns.ptrs, columns.reverses, strict=True)
        ]
        chains = [",".join([f'"{name}"' for name in ptr.chain]) for ptr in columns.ptrs]
    return [
        (
            f'{{"target":"{address}","kind":"ip","verdict":"{verdict}","findings":[{found}],'
            f'"ptr":{{"status":"NOERROR","names":["{name}"],"chain":[{chain}],'
            f'"owner":"{owner}","zone":null}},"helo":{helo},'
            f'"iprev":{{"result":"pass","names":[{{"name":"{name}","status":"NOERROR",'
            f'"addresses":["{address}"],"confirms":true}}]}},"spf":[{facts}],'
            f'"domain":null,"labels":{shown},"error":null}}\n'
        ).encode()
        for address, owner, chain, name, facts, shown, (verdict, found), helo in zip(  # noqa: B905 - some may be endless
            columns.texts, owners, chains, columns.names, spf, columns.labels, verdicts, helos
        )
    ]


def nameless_line(
    columns: AddressColumns,
    index: int,
    denied: Answer,
    *,
    spf: str,
    verdict: tuple[str, str],
    helo: str,
) -> bytes:
    """Return the line of an address without a name; `denied`: the answer to its PTR question.

    The zone that denied it is above its reverse name, so it needs no escapes either.
    """
    outcome, found = verdict
    zone = f'"{denied.zone}"' if denied.zone else "null"
    return (
        f'{{"target":"{columns.texts[index]}","kind":"ip","verdict":"{outcome}","findings":[{found}],'
        f'"ptr":{{"status":"{denied.status}","names":[],"chain":[],'
        f'"owner":"{columns.reverses[index]}","zone":{zone}}},"helo":{helo},'
        f'"iprev":{{"result":"permerror","names":[]}},"spf":[{spf}],'
        f'"domain":null,"labels":{columns.labels[index]},"error":null}}\n'
    ).encode()


def helo_facts(names: Iterable[str], outcomes: Iterable[str]) -> list[str]:
    """Return the SPF facts of HELO names as JSON, each with its outcome."""
    return [
        f'{{"identity":"helo","domain":"{name}",{outcome}'
        for name, outcome in zip(names, outcomes, strict=True)
    ]


def fact_json(fact: SpfFact) -> str:
    """Return what follows the domain in the JSON of an SPF fact."""
    _, _, result, mechanism, lookups, voids, record, explanation, _ = fact
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
    return printable_json(orjson.dumps(dict(labels)).decode()) if labels else "{}"
