"""Memo of results that depend on a policy's text alone, bounded in octets of text.

Domains of one provider publish the same policy, and include the same ones, in lists of a hundred
thousand. Domain owners decide how long policies are, so the bound is in octets and not in policies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_KEPT_OCTETS", "PolicyMemo"]

K = TypeVar("K", bound=str | bytes)
T = TypeVar("T")

#: Octets of a policy that is kept: hostile ones may be long.
MAX_KEPT_OCTETS: Final = 2048
#: Octets of all policies of a generation.
_GENERATION_OCTETS: Final = 1 << 19


class PolicyMemo(Generic[K, T]):
    """Keeps what `make` returns for a text: two generations, the older dropped as a whole.

    Texts used again move to the younger one. A text is octets, or has one character per octet.
    """

    __slots__ = ("_make", "_octets", "_old", "_young")

    def __init__(self, make: Callable[[K], T]) -> None:
        self._make = make
        self._young: dict[K, T] = {}
        self._old: dict[K, T] = {}
        self._octets = 0

    def __call__(self, text: K) -> T:
        """Return what `make` returns for the text."""
        made = self._young.get(text)
        if made is not None:
            return made
        made = self._old.get(text)
        if made is None:
            made = self._make(text)
            if len(text) > MAX_KEPT_OCTETS:
                return made
        self._octets += len(text)
        if self._octets > _GENERATION_OCTETS:
            self._old, self._young = self._young, {}
            self._octets = len(text)
        self._young[text] = made
        return made
