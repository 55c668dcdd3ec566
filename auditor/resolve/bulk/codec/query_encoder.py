"""Fast encoder of common queries, a batch at a time.

`QueryEncoder` leaves all other names to `wire`; a test checks that both give the same octets.
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
#: A name of 255 octets (RFC 1035 §2.3.4), less the root, a length octet, and a first label of 63
#: with its own: longer parents would need a check of each name.
_MAX_PARENT_CHARACTERS: Final = 255 - 2 - 64


class QueryEncoder:
    """Encodes names into question sections, in lower or random letter case.

    Neighbours share their parent (a /24 its reverse zone, hosts their domain), so that is
    encoded once. For servers that return names as sent, each parent and each first label
    gets letters in random case (draft-vixie-dnsext-dns0x20), which an off-path forger would
    have to guess.
    """

    __slots__ = (
        "_case_tables",
        "_digit_labels",
        "_mixed_parents",
        "_parents",
        "_random",
    )

    def __init__(self, seed: random.Random | None = None) -> None:
        self._random = seed or random.SystemRandom()
        #: Encoded parents by their text. In random case a parent keeps its letters for all types.
        self._parents: dict[str, bytes] = {}
        self._mixed_parents: dict[str, bytes] = {}
        self._case_tables = [self._random_case_table() for _ in range(64)]
        #: Encoded first labels of up to three digits, by their text.
        self._digit_labels: dict[str, bytes] = {}

    def question(self, name: str, rdtype: int, case: int | None = None) -> bytes:
        """Return name, type and class in wire format, as in a query.

        `case`: any number for random case, None for lower case. Raises WireError for text that
        is not a name.
        """
        (encoded,) = self.questions([Question(name, rdtype)], None if case is None else [case])
        if not encoded:
            raise WireError(f"{name!r} is no name")
        return encoded

    def questions(
        self, batch: Sequence[Question], cases: Iterable[int] | None = None
    ) -> list[bytes]:
        """Encode a batch as `question` does; empty octets for text that is not a name.

        `cases`: a number for each question; None for lower case.
        """
        encoded: list[bytes] = []
        octets = self._digit_labels
        mixed = self._case_tables if cases is not None else None
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
                # After each new parent look further ahead for others to encode with it.
                start = len(encoded)
                following = batch[start : start + ahead]
                self._encode_new_parents(following, parents, mixed=mixed is not None)
                parent = parents[rest]
                ahead *= 8
            encoded.append(
                label + parent + type_class if label and parent else _encode_general(name, kind)
            )
        return encoded

    def _label(self, head: str, mixed: bytes | None) -> bytes:
        """Return a first label with its length octet; empty if invalid, escaped or not ASCII."""
        if not head or len(head) > _MAX_LABEL_OCTETS or not head.isascii() or "\\" in head:
            return b""
        label = _LENGTH_OCTETS[len(head)] + head.encode()
        # Only the labels of reverse zones recur.
        if len(head) <= _MAX_OCTET_DIGITS and head.isdigit():
            self._digit_labels[head] = label
        # The length octet is below any letter.
        return label.translate(mixed)

    def _encode_new_parents(
        self, batch: Sequence[Question], parents: dict[str, bytes], *, mixed: bool
    ) -> None:
        """Encode the parents of a batch that are not among `parents` yet."""
        rests = dict.fromkeys([question.name.partition(".")[2] for question in batch])
        new = [rest for rest in rests if rest not in parents]
        if len(parents) + len(new) > _MEMO_ENTRIES:
            parents.clear()
        parents.update(zip(new, self._encode_parents(new, mixed=mixed), strict=True))

    def _encode_parents(self, parents: Sequence[str], *, mixed: bool) -> list[bytes]:
        """Encode parents; empty for those that need the general encoder."""
        text = f"..{'..'.join(parents)}.."
        # The empty label after each parent is the root.
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
            return [
                wire for parent in parents for wire in self._encode_parents([parent], mixed=mixed)
            ]
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
        # Length octets are below any letter.
        case_bits = lower ^ int.from_bytes(plain.upper(), "big")
        # A digit 0 or 1 for each octet: they differ in the last bit.
        digits = f"{self._random.getrandbits(size):0{size}b}".encode()
        chosen = int.from_bytes(digits, "big") << _CASE_SHIFT & case_bits
        return (lower ^ chosen).to_bytes(size, "big")

    def _random_case_table(self) -> bytes:
        drawn = self._random.getrandbits(len(ascii_lowercase))
        chosen = "".join(letter for at, letter in enumerate(ascii_lowercase) if drawn >> at & 1)
        return bytes.maketrans(chosen.encode(), chosen.upper().encode())


def _encode_general(name: str, rdtype: int) -> bytes:
    """Encode any name with the general encoder; empty for an invalid one."""
    try:
        return encode_name(name) + _TYPE_CLASS.pack(rdtype, IN)
    except WireError:
        return b""
