"""Encodes the common kinds of queries fast, a batch at a time.

`QueryEncoder` leaves all other questions to `wire`; a test checks that both give the same octets.
"""

from __future__ import annotations

import random
from itertools import accumulate, pairwise, repeat
from string import ascii_lowercase
from struct import Struct
from typing import TYPE_CHECKING, Final

from auditor.errors import WireError
from auditor.resolve.answer import Question
from auditor.wire.message import IN
from auditor.wire.names import encode_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["QueryEncoder"]

#: Entries of a memo before it is emptied: a bound, far above what one run's zones need.
_MEMO_ENTRIES: Final = 4096
_TYPE_CLASS: Final = Struct("!2H")

_LENGTH_OCTETS: Final = tuple(bytes((size,)) for size in range(64))
_MAX_LABEL_OCTETS: Final = 63
_MAX_OCTET_DIGITS: Final = 3  # characters of an octet's label in a reverse zone
_CASE_SHIFT: Final = 5  # of a digit that is 0 or 1, to the bit that is the case of a letter
_NO_CASE: Final = repeat(0)
#: A name of 255 octets (RFC 1035 §2.3.4), less the root, a length, and a first label of 63 with its
#: own: what would leave no room for a longest label is not worth a short path.
_MAX_PARENT_CHARACTERS: Final = 255 - 2 - 64


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
    )

    def __init__(self, seed: random.Random | None = None) -> None:
        self._random = seed or random.SystemRandom()
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
        self, batch: Sequence[Question], cases: Iterable[int] | None = None
    ) -> list[bytes]:
        """Return what `question` does for each; empty for text that is not a name.

        `cases`: a number each, as `question` takes it; None for lower case.
        """
        encoded: list[bytes] = []
        octets = self._octets
        mixed = self._mixed if cases is not None else None
        parents = self._parents if cases is None else self._mixed_parents
        rdtype, type_class = -1, b""
        ahead = 1
        for (name, kind), case in zip(batch, cases or _NO_CASE, strict=False):
            if kind != rdtype:
                rdtype, type_class = kind, _TYPE_CLASS.pack(kind, IN)
            head, _, rest = name.partition(".")
            label = octets.get(head) or self._label(head, mixed[case & 63] if mixed else None)
            parent = parents.get(rest)
            if parent is None:
                # The more are new, the more of those that follow are so as well.
                start = len(encoded)
                following = batch[start : start + ahead]
                self._learn_parents(following, parents, mixed=mixed is not None)
                parent = parents[rest]
                ahead *= 8
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

    def _learn_parents(
        self, batch: Sequence[Question], parents: dict[str, bytes], *, mixed: bool
    ) -> None:
        """Encode what follows the first labels of a batch and is not yet among `parents`."""
        rests = dict.fromkeys([question.name.partition(".")[2] for question in batch])
        new = [rest for rest in rests if rest not in parents]
        if len(parents) + len(new) > _MEMO_ENTRIES:
            parents.clear()
        parents.update(zip(new, self._encode(new, mixed=mixed), strict=True))

    def _encode(self, parents: Sequence[str], *, mixed: bool) -> list[bytes]:
        """Return what follows first labels in wire format; nothing where that is not simple."""
        text = f"..{'..'.join(parents)}.."
        # The empty label behind each of them is the root.
        labels = text.encode(errors="replace")[2:-1].split(b".")
        sizes = list(map(len, labels))
        if (
            not text.isascii()
            or "\\" in text
            or "..." in text
            or text.count("..") > len(parents) + 1
            or max(sizes) > _MAX_LABEL_OCTETS
            or max(map(len, parents)) > _MAX_PARENT_CHARACTERS
        ):
            if len(parents) == 1:
                return [b""]
            return [wire for parent in parents for wire in self._encode([parent], mixed=mixed)]
        parts = [b""] * (2 * len(labels))
        parts[::2] = map(_LENGTH_OCTETS.__getitem__, sizes)
        parts[1::2] = labels
        wire = b"".join(parts)
        if mixed:
            wire = self._in_mixed_case(wire)
        # A dot for each label but the last became its length.
        ends = accumulate([len(parent) + 2 for parent in parents], initial=0)
        return [wire[start:end] for start, end in pairwise(ends)]

    def _in_mixed_case(self, plain: bytes) -> bytes:
        """Return encoded names with each letter in random case."""
        size = len(plain)
        lower = int.from_bytes(plain, "big")
        # The lengths of labels are below any letter.
        case_bits = lower ^ int.from_bytes(plain.upper(), "big")
        # A binary digit for each octet, of which the last bit differs.
        digits = f"{self._random.getrandbits(size):0{size}b}".encode()
        chosen = int.from_bytes(digits, "big") << _CASE_SHIFT & case_bits
        return (lower ^ chosen).to_bytes(size, "big")

    def _table(self) -> bytes:
        drawn = self._random.getrandbits(len(ascii_lowercase))
        chosen = "".join(letter for at, letter in enumerate(ascii_lowercase) if drawn >> at & 1)
        return bytes.maketrans(chosen.encode(), chosen.upper().encode())


def _whole(name: str, rdtype: int) -> bytes:
    """Encode a name that is not so simple; nothing for what is none."""
    try:
        return encode_name(name) + _TYPE_CLASS.pack(rdtype, IN)
    except WireError:
        return b""
