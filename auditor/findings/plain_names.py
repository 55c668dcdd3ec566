"""Clears PTR names of a block that nothing can be found about, all of them at once.

Most names of real blocks are such, so the judge looks at the others only, one by one.
"""

from __future__ import annotations

from functools import lru_cache
from string import ascii_lowercase, digits
from typing import TYPE_CHECKING, Final

from auditor.findings.generic_names import cut, perhaps_generic, wordy
from auditor.publicsuffix import is_public
from auditor.wire.names import is_hostname
from auditor.wire.reverse import is_reverse

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["MAX_PLAIN_CHARACTERS", "is_plain_parent", "perhaps_judged"]

#: With such a parent and a first label of 63 characters at most, a name is a host name.
MAX_PLAIN_CHARACTERS: Final = 63

_HOST_CHARACTERS: Final = f"{ascii_lowercase}{digits}-.".encode()

#: By what follows a first label: whether a name that ends so must be judged by itself.
_known_parents: Final[dict[str, bool]] = {}
_MAX_KNOWN_PARENTS: Final = 8192


def perhaps_judged(names: Sequence[str], addresses: Sequence[str]) -> list[bool]:
    """Return of each PTR name whether `judge_name` might add something: no is certain.

    For a block of names at once, with the address of each.
    """
    if not names:
        return []
    heads, parents = cut(names)
    found = perhaps_generic(names, heads, addresses)
    odd = _odd_parents({*parents})
    if odd:
        found = [is_odd or parent in odd for is_odd, parent in zip(found, parents, strict=True)]
    if not _are_labels(heads) or max(map(len, names)) > MAX_PLAIN_CHARACTERS:
        found = [
            is_odd or len(name) > MAX_PLAIN_CHARACTERS or not _are_labels([head])
            for is_odd, name, head in zip(found, names, heads, strict=True)
        ]
    return found


def _are_labels(heads: Sequence[str]) -> bool:
    """Tell whether all labels have only letters of host names."""
    lines = "\n{}\n".format("\n".join(heads))
    return lines.encode(errors="replace").translate(None, b"\n-").isalnum() and not (
        "\n\n" in lines or "\n-" in lines or "-\n" in lines
    )


def _odd_parents(parents: set[str]) -> set[str]:
    """Return those parents whose names must be judged one by one."""
    # `-` of the keys would walk past all that are known.
    new = {parent for parent in parents if parent not in _known_parents}
    if len(_known_parents) + len(new) > _MAX_KNOWN_PARENTS:
        _known_parents.clear()
        new = parents
    if new:
        odd = wordy(new)
        if not _are_plain(new):
            odd |= {parent for parent in new if not is_plain_parent(parent)}
        _known_parents.update(dict.fromkeys(new, False))
        _known_parents.update(dict.fromkeys(odd, True))
    return {parent for parent in parents if _known_parents[parent]}


def _are_plain(parents: Collection[str]) -> bool:
    """Whether surely `is_plain_parent` is true of all, by what is soon seen of many at once."""
    text = f".{'.'.join(parents)}."
    above, _, last = zip(*[parent.rpartition(".") for parent in parents], strict=True)
    tlds = set(last)
    return (
        not text.encode(errors="replace").translate(None, _HOST_CHARACTERS)
        and not (".." in text or ".-" in text or "-." in text)
        and "" not in above
        and max(map(len, parents)) <= MAX_PLAIN_CHARACTERS
        and "arpa" not in tlds
        and all(map(is_public, tlds))
    )


@lru_cache(maxsize=8192)
def is_plain_parent(parent: str) -> bool:
    """Whether what follows a first label is a public domain outside of the reverse trees."""
    return "." in parent and is_hostname(parent) and is_public(parent) and not is_reverse(parent)
