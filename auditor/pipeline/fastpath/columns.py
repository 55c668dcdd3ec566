"""Column store of the addresses of a block on the fast path: one list for each property.

Python steps for each address and column would dominate the CPU time of a scan, so most operations
are on whole columns.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from auditor.checks.helo import is_qualified
from auditor.quoting import printable_json
from auditor.resolve.answer import Question
from auditor.wire.addresses import V4, is_global
from auditor.wire.codes import AAAA, A
from auditor.wire.names import is_hostname
from auditor.wire.reverse import is_reverse, reverse_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from auditor.resolve.answer import Answer
    from auditor.targets.target import Origin, Target

__all__ = [
    "AddressColumns",
    "AddressGroup",
    "address_columns",
    "ask",
    "gives_helo",
    "is_common",
    "is_plain_alias",
]

_RDTYPES: Final = {4: A, 6: AAAA}
_NEW: Final = tuple.__new__


class AddressGroup:
    """What neighbouring addresses share: the parent of their reverse names, and the scope."""

    __slots__ = ("is_global", "parent")

    def __init__(self, address: str, version: int) -> None:
        self.parent = reverse_name(address).partition(".")[2]
        self.is_global = is_global(address, version)


class AddressColumns(NamedTuple):
    """Addresses with their places in the block; `ptrs`, `names`, `forwards` once looked up.

    `rdtypes`: A or AAAA, as the address; `labels`: as JSON; `expected`: the PTR names given by the
    input, "" for none; an empty column if it gives none at all.
    """

    places: Sequence[int] = ()
    targets: Sequence[Target] = ()
    texts: Sequence[str] = ()
    rdtypes: Sequence[int] = ()
    labels: Sequence[str] = ()
    expected: Sequence[str] = ()
    reverses: Sequence[str] = ()
    groups: Sequence[AddressGroup] = ()
    ptrs: Sequence[Answer] = ()
    names: Sequence[str] = ()
    forwards: Sequence[Answer] = ()

    def select(self, mask: Sequence[object]) -> AddressColumns:
        """Return the addresses for which `mask` is true."""
        return AddressColumns._make([list(compress(column, mask)) for column in self])

    def at_indexes(self, indexes: Sequence[int]) -> AddressColumns:
        """Return the addresses at these indexes of the columns."""
        return AddressColumns._make(
            [column and [column[index] for index in indexes] for column in self]
        )


def ask(names: Iterable[str], rdtypes: Iterable[int]) -> list[Question]:
    """Return questions for names (canonical), a type for each."""
    # `rdtypes` may be an endless iterator.
    return [_NEW(Question, pair) for pair in zip(names, rdtypes, strict=False)]


def is_common(origin: Origin) -> bool:
    """Tell whether a line gives no SPF identity, and no text that needs escapes in a finding."""
    expected = origin.expected
    return origin.helo is None and not origin.mail_from and (not expected or is_hostname(expected))


def gives_helo(origin: Origin) -> bool:
    """Tell whether a line's only identity is a valid HELO name, and no text needs escapes."""
    helo, expected = origin.helo, origin.expected
    return (
        helo is not None
        and not origin.mail_from
        and is_qualified(helo)
        and helo == helo.lower()
        and (not expected or is_hostname(expected))
    )


def is_plain_alias(answer: Answer) -> bool:
    """Tell whether aliases stay in the reverse trees (RFC 2317), and need no escapes in JSON."""
    joined = f"{answer.canonical}{''.join(answer.chain)}"
    return is_reverse(answer.canonical) and "\\" not in joined and '"' not in joined


def address_columns(targets: Sequence[Target], chosen: Callable[[Origin], bool]) -> AddressColumns:
    """Return the columns of those addresses of a block whose lines are chosen, no answers yet."""
    places: Sequence[int] = range(len(targets))
    if not targets:
        return AddressColumns()
    texts, kinds, versions, origins, _ = zip(*targets, strict=True)
    lines: Sequence[Origin] = origins
    if origins.count(origins[0]) == len(origins):
        lines = origins[:1]  # mostly, all are from one input line
    all_addresses = kinds.count("ip") == len(kinds)
    if not all_addresses or not all(map(chosen, lines)):
        mask = [target.kind == "ip" and chosen(target.origin) for target in targets]
        selected = address_columns(list(compress(targets, mask)), chosen)
        return selected._replace(places=list(compress(places, mask)))
    labels: Sequence[str] = ["{}"] * len(targets)
    if any(line.labels for line in lines):
        labels = [_labels_json(origin.labels) for origin in origins]
    expected: Sequence[str] = ()
    if any(line.expected for line in lines):
        expected = [origin.expected for origin in origins]
    rdtypes = [_RDTYPES[version] for version in versions]
    reverses, groups = _address_groups(texts, versions)
    return AddressColumns(places, targets, texts, rdtypes, labels, expected, reverses, groups)


def _address_groups(
    texts: Sequence[str], versions: Sequence[int]
) -> tuple[list[str], list[AddressGroup]]:
    """Return the reverse names of addresses, and the groups of neighbours that they are in."""
    if versions.count(V4) < len(versions):
        found = [AddressGroup(text, version) for text, version in zip(texts, versions, strict=True)]
        return [reverse_name(text) for text in texts], found
    network = texts[0].rpartition(".")[0]
    # In a single /24, the texts between occurrences of the network are the last octets.
    lasts = ("\n" + "\n".join(texts)).split(f"\n{network}.")[1:]
    if len(lasts) == len(texts):
        group = AddressGroup(f"{network}.0", V4)
        return [f"{last}.{group.parent}" for last in lasts], [group] * len(texts)
    parts = [text.rpartition(".") for text in texts]
    groups = {network: AddressGroup(f"{network}.0", V4) for network, _, _ in parts}
    found = [groups[network] for network, _, _ in parts]
    reverses = [f"{last}.{group.parent}" for (_, _, last), group in zip(parts, found, strict=True)]
    return reverses, found


def _labels_json(labels: Mapping[str, str]) -> str:
    """Return labels as JSON."""
    return printable_json(orjson.dumps(dict(labels)).decode()) if labels else "{}"
