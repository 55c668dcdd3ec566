"""Encodes the common kinds of queries fast, a batch at a time.

`QueryEncoder` leaves all other questions to `wire`; a test checks that both give the same octets.
"""

from __future__ import annotations

import random
from itertools import repeat
from string import ascii_lowercase
from struct import Struct
from typing import TYPE_CHECKING, Final

from auditor.errors import WireError
from auditor.resolve.answer import Question
from auditor.wire.message import IN
from auditor.wire.names import encode_name

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["QueryEncoder"]

#: Entries of a memo before it is emptied: a bound, far above what one run's zones need.
_MEMO_ENTRIES: Final = 4096
_TYPE_CLASS: Final = Struct("!2H")

_LENGTH_OCTETS: Final = tuple(bytes((size,)) for size in range(64))
_MAX_LABEL_OCTETS: Final = 63
_MAX_OCTET_DIGITS: Final = 3  # characters of an octet's label in a reverse zone
_NO_CASE: Final = repeat(0)
_OCTETS_AT_A_TIME: Final = 1024  # random octets drawn; a name has 255 at most


class QueryEncoder:
    """Owner names to the question section of a query, in one letter case of many.

    Neighbours share their parent (a /24 its reverse zone, hosts their domain), so that is
    encoded once. Where the server returns names as they were sent, each parent and each
    first label gets letters in random case (draft-vixie-dnsext-dns0x20): an answer that
    nobody saw the question of would have to guess them.
    """

    __slots__ = (
        "_mixed",
        "_mixed_parents",
        "_octets",
        "_parents",
        "_random",
        "_random_octets",
    )

    def __init__(self, seed: random.Random | None = None) -> None:
        self._random = seed or random.SystemRandom()
        self._random_octets = b""
        #: By what follows the first label: that, encoded. Names are asked for addresses and for
        #: policies, with the same letters for each type.
        self._parents: dict[str, bytes] = {}
        self._mixed_parents: dict[str, bytes] = {}
        self._mixed = [self._table() for _ in range(64)]
        #: First labels that have no letters, by their text.
        self._octets: dict[str, bytes] = {}

    def question(self, name: str, rdtype: int, case: int | None = None) -> bytes:
        """Return name, type and class in wire format, as in a query.

        `case`: any number to have letters in mixed case, None for lower case. Raises
        WireError for text that is not a name.
        """
        (encoded,) = self.questions([Question(name, rdtype)], None if case is None else [case])
        if not encoded:
            raise WireError(f"{name!r} is no name")
        return encoded

    def questions(
        self, batch: Iterable[Question], cases: Iterable[int] | None = None
    ) -> list[bytes]:
        """Return what `question` does for each; empty for text that is not a name.

        `cases`: a number each, as `question` takes it; None for lower case.
        """
        encoded: list[bytes] = []
        octets = self._octets
        mixed = self._mixed if cases is not None else None
        parents = self._parents if cases is None else self._mixed_parents
        rdtype, type_class = -1, b""
        for (name, kind), case in zip(batch, cases or _NO_CASE, strict=False):
            if kind != rdtype:
                rdtype, type_class = kind, _TYPE_CLASS.pack(kind, IN)
            head, _, rest = name.partition(".")
            label = octets.get(head) or self._label(head, mixed[case & 63] if mixed else None)
            parent = parents.get(rest)
            if parent is None:
                parent = self._parent(rest, mixed=mixed is not None)
                if len(parents) >= _MEMO_ENTRIES:
                    parents.clear()
                parents[rest] = parent
            encoded.append(label + parent + type_class if label and parent else _whole(name, kind))
        return encoded

    def _label(self, head: str, mixed: bytes | None) -> bytes:
        """Return a first label with its length; nothing if it is none, or none so simple."""
        if not head or len(head) > _MAX_LABEL_OCTETS or not head.isascii() or "\\" in head:
            return b""
        label = _LENGTH_OCTETS[len(head)] + head.encode()
        # Those of reverse zones are all there are of this kind; others are seldom met again.
        if len(head) <= _MAX_OCTET_DIGITS and head.isdigit():
            self._octets[head] = label
        # The length before the characters is below any letter.
        return label.translate(mixed)

    def _parent(self, rest: str, *, mixed: bool) -> bytes:
        """Return what follows a first label, encoded; nothing if that is not simple."""
        if rest in {"", "."} or "\\" in rest:
            return b""
        try:
            parent = encode_name(rest)
        except WireError:
            return b""
        # One that would leave no room for a longest label is not worth a short path.
        if len(parent) > _MAX_PARENT_OCTETS:
            return b""
        return self._in_mixed_case(parent) if mixed else parent

    def _in_mixed_case(self, plain: bytes) -> bytes:
        """Return an encoded name with each letter in random case."""
        size = len(plain)
        drawn = self._random_octets
        if len(drawn) < size:
            drawn = self._random.randbytes(_OCTETS_AT_A_TIME)
        self._random_octets = drawn[size:]
        lower = int.from_bytes(plain, "big")
        # The lengths of labels are below any letter.
        case_bits = lower ^ int.from_bytes(plain.upper(), "big")
        chosen = int.from_bytes(drawn[:size], "big") & case_bits
        return (lower ^ chosen).to_bytes(size, "big")

    def _table(self) -> bytes:
        drawn = self._random.getrandbits(len(ascii_lowercase))
        chosen = "".join(letter for at, letter in enumerate(ascii_lowercase) if drawn >> at & 1)
        return bytes.maketrans(chosen.encode(), chosen.upper().encode())


#: With a label of 63 octets before it, a name of 255 (RFC 1035 §2.3.4).
_MAX_PARENT_OCTETS: Final = 255 - 64


def _whole(name: str, rdtype: int) -> bytes:
    """Encode a name that is not so simple; nothing for what is none."""
    try:
        return encode_name(name) + _TYPE_CLASS.pack(rdtype, IN)
    except WireError:
        return b""
