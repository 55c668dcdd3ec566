"""Addresses of a block on their short way, in columns: what is done to all is done to a column.

A step in Python for each address and column is what a scan's time goes into; most of what is
asked of a column here is asked of all of it at once.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.checks.reach import is_global
from auditor.output.lines import labels_text
from auditor.resolve.answer import Question
from auditor.wire.codes import AAAA, A
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.resolve.answer import Answer
    from auditor.targets.target import Origin, Target

__all__ = ["Area", "Ways", "ask", "begin", "is_common"]

_V4: Final = 4
_RDTYPES: Final = {4: A, 6: AAAA}
_NEW: Final = tuple.__new__


class Area:
    """What neighbours share: the parent of their reverse names, whether they are global."""

    __slots__ = ("is_global", "parent")

    def __init__(self, address: str, version: int) -> None:
        self.parent = reverse_name(address).partition(".")[2]
        self.is_global = is_global(address, version)


class Ways(NamedTuple):
    """Addresses with their places in the block; `ptrs`, `names`, `forwards` once there are any.

    `rdtypes`: of the addresses that their names have; `labels`: as JSON.
    """

    places: Sequence[int] = ()
    targets: Sequence[Target] = ()
    texts: Sequence[str] = ()
    rdtypes: Sequence[int] = ()
    labels: Sequence[str] = ()
    reverses: Sequence[str] = ()
    areas: Sequence[Area] = ()
    ptrs: Sequence[Answer] = ()
    names: Sequence[str] = ()
    forwards: Sequence[Answer] = ()

    def those(self, which: Sequence[object]) -> Ways:
        """Return the addresses for which `which` is true."""
        return Ways._make([list(compress(column, which)) for column in self])

    def at(self, places: Sequence[int]) -> Ways:
        """Return the addresses that stand at these places of the columns."""
        return Ways._make([[column[place] for place in places] for column in self])


def ask(names: Iterable[str], rdtypes: Iterable[int]) -> list[Question]:
    """Return questions for names (canonical), a type for each."""
    # The second may be endless.
    return [_NEW(Question, pair) for pair in zip(names, rdtypes, strict=False)]


def is_common(target: Target) -> bool:
    """Tell whether a target is an address that comes without SPF identities of its own."""
    origin = target.origin
    return target.kind == "ip" and origin.helo is None and not origin.mail_from


def begin(targets: Sequence[Target]) -> Ways:
    """Return the ways of the targets of a block that are `is_common`, as yet without answers."""
    places: Sequence[int] = range(len(targets))
    if not targets:
        return Ways()
    texts, kinds, versions, origins, _ = zip(*targets, strict=True)
    lines: Sequence[Origin] = origins
    if origins.count(origins[0]) == len(origins):
        lines = origins[:1]  # all of one line of the input, as a rule
    common = kinds.count("ip") == len(kinds)
    if not common or any(one.helo is not None or one.mail_from for one in lines):
        those = [is_common(target) for target in targets]
        rest = begin(list(compress(targets, those)))
        return rest._replace(places=list(compress(places, those)))
    labels: Sequence[str] = ["{}"] * len(targets)
    if any(one.labels for one in lines):
        labels = [labels_text(origin.labels) for origin in origins]
    rdtypes = [_RDTYPES[version] for version in versions]
    reverses, areas = _areas(texts, versions)
    return Ways(places, targets, texts, rdtypes, labels, reverses, areas)


def _areas(texts: Sequence[str], versions: Sequence[int]) -> tuple[list[str], list[Area]]:
    """Return the reverse names of addresses, and the areas that they lie in."""
    if versions.count(_V4) < len(versions):
        found = [Area(text, version) for text, version in zip(texts, versions, strict=True)]
        return [reverse_name(text) for text in texts], found
    network = texts[0].rpartition(".")[0]
    # What is left between the networks, where there is only one, is the last octets.
    lasts = ("\n" + "\n".join(texts)).split(f"\n{network}.")[1:]
    if len(lasts) == len(texts):
        area = Area(f"{network}.0", _V4)
        return [f"{last}.{area.parent}" for last in lasts], [area] * len(texts)
    parts = [text.rpartition(".") for text in texts]
    areas = {network: Area(f"{network}.0", _V4) for network, _, _ in parts}
    found = [areas[network] for network, _, _ in parts]
    reverses = [f"{last}.{area.parent}" for (_, _, last), area in zip(parts, found, strict=True)]
    return reverses, found
