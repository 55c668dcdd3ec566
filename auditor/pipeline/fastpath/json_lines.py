"""Writes the JSON records of common addresses by string formatting, a block at a time.

They have the same octets as those of `record.ip_record` and orjson; a test compares the two. Texts
are inserted as they are: the caller has made sure that none needs an escape.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.checks.facts import IprevFact, PtrFact
    from auditor.pipeline.fastpath.columns import AddressColumns
    from auditor.spf.result import SpfFact

__all__ = [
    "NO_POLICY",
    "address_line",
    "confirmed_lines",
    "fact_json",
    "helo_facts",
    "iprev_json",
    "nameless_json",
    "ptr_json",
]


def confirmed_lines(
    columns: AddressColumns,
    spf: Iterable[str],
    verdicts: Iterable[tuple[str, str]],
    helos: Iterable[str],
) -> list[bytes]:
    """Return the lines of addresses whose only name points back.

    For each: SPF facts, as JSON; verdict and findings, the latter as JSON; HELO fact, as JSON.
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
            f'{{"target":"{address}","kind":"ip","verdict":"{verdict}","findings":[{findings}],'
            f'"ptr":{{"status":"NOERROR","names":["{name}"],"chain":[{chain}],'
            f'"owner":"{owner}","zone":null}},"helo":{helo},'
            f'"iprev":{{"result":"pass","names":[{{"name":"{name}","status":"NOERROR",'
            f'"addresses":["{address}"],"confirms":true}}]}},"spf":[{facts}],'
            f'"domain":null,"labels":{shown},"error":null}}\n'
        ).encode()
        for address, owner, chain, name, facts, shown, (verdict, findings), helo in zip(  # noqa: B905 - some may be endless
            columns.texts, owners, chains, columns.names, spf, columns.labels, verdicts, helos
        )
    ]


def address_line(
    columns: AddressColumns,
    index: int,
    verdict: tuple[str, str],
    *,
    ptr: str,
    helo: str,
    iprev: str,
    spf: str,
) -> bytes:
    """Return the line of any address, its facts as JSON."""
    outcome, findings = verdict
    return (
        f'{{"target":"{columns.texts[index]}","kind":"ip","verdict":"{outcome}",'
        f'"findings":[{findings}],"ptr":{ptr},"helo":{helo},"iprev":{iprev},"spf":[{spf}],'
        f'"domain":null,"labels":{columns.labels[index]},"error":null}}\n'
    ).encode()


def nameless_json(status: str, reverse: str, zone: str) -> str:
    """Return the PTR fact of an address without a name as JSON.

    The zone that denied it is above its reverse name, so it needs no escapes either.
    """
    shown = f'"{zone}"' if zone else "null"
    return f'{{"status":"{status}","names":[],"chain":[],"owner":"{reverse}","zone":{shown}}}'


def ptr_json(ptr: PtrFact) -> str:
    """Return the PTR fact of an address with names as JSON."""
    return (
        f'{{"status":"{ptr.status}","names":[{_texts(ptr.names)}],"chain":[{_texts(ptr.chain)}],'
        f'"owner":"{ptr.owner}","zone":null}}'
    )


def iprev_json(iprev: IprevFact) -> str:
    """Return an iprev fact as JSON."""
    names = [
        f'{{"name":"{name}","status":"{status}","addresses":[{_texts(addresses)}],'
        f'"confirms":{"true" if confirms else "false"}}}'
        for name, status, addresses, confirms, _ in iprev.names
    ]
    return f'{{"result":"{iprev.result}","names":[{",".join(names)}]}}'


def _texts(texts: Sequence[str]) -> str:
    return '"' + '","'.join(texts) + '"' if texts else ""


def helo_facts(names: Iterable[str], outcomes: Iterable[str]) -> list[str]:
    """Return the SPF facts of HELO names as JSON, each with its outcome."""
    return [
        f'{{"identity":"helo","domain":"{name}",{outcome}'
        for name, outcome in zip(names, outcomes, strict=True)
    ]


def fact_json(fact: SpfFact) -> str:
    """Return the part after the domain in the JSON of an SPF fact."""
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
