"""`$GENERATE` as a rule that is applied when a name is looked up.

The syntax is BIND's: a range, an owner name and RDATA in which `$` or `${OFFSET,WIDTH,BASE}`
is replaced by the number. A rule is not unrolled, so its cost does not depend on the range.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from auditor.resolve.zones.entry import EntryError, absolute_name, tokens_of
from auditor.resolve.zones.rdata import read_rdata
from auditor.resolve.zones.rrsets import UNDETERMINED, RRsets, add_record, conflict, finish
from auditor.wire import codes
from auditor.wire.names import parent_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from auditor.resolve.answer import Rdata
    from auditor.resolve.zones.entry import Token

__all__ = ["MAX_NAMES", "Rule", "Rules", "Template", "read_range", "read_template", "tokens_text"]

MAX_NAMES: Final = 1 << 24  #: most names of a directive: those of a /8
_MAX_COUNTER: Final = 0x7FFF_FFFF
_MAX_WIDTH: Final = 127  # characters; BIND's buffer has 128 octets

_RANGE: Final = re.compile(r"([0-9]{1,10})-([0-9]{1,10})(?:/([0-9]{1,10}))?")
_PIECE: Final = re.compile(r"([^$\\]+|\\.?)|(\$\$)|\$(?:\{([^}]*)\})?", re.DOTALL)
_MODIFIER: Final = re.compile(r"([+-]?[0-9]{1,10})(?:,([0-9]{1,3})(?:,([doxXnN]))?)?")
_RADIX: Final = {"d": 10, "o": 8, "x": 16, "X": 16}
#: Types that occlude names or define the zone: unrolled, never kept as a rule.
_ALWAYS_UNROLLED: Final = frozenset({codes.NS, codes.DNAME, codes.SOA})


class Counter(NamedTuple):
    """The number in a template: its offset, minimum width in characters, and base."""

    offset: int = 0
    width: int = 0
    base: str = "d"

    def text(self, number: int) -> str:
        """Return the number as text. Raises EntryError."""
        value = number + self.offset
        if self.base not in "nN":
            return format(value, self.base).zfill(self.width)
        if value < 0:
            raise EntryError("a negative number in nibbles")
        return _nibbles(value, self.width, self.base)


Template: TypeAlias = "tuple[str | Counter, ...]"


def _nibbles(value: int, width: int, base: str) -> str:
    """Return hexadecimal digits, least significant first, separated by dots (BIND's base `n`)."""
    digits = format(value, "x" if base == "n" else "X")[::-1]
    digits += "0" * ((width + 1) // 2 - len(digits))
    return ".".join(digits) + ("." if 0 < width == 2 * len(digits) else "")


def read_range(text: str) -> range:
    """Return the numbers of `START-STOP[/STEP]`. Raises EntryError."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise EntryError("expected a range such as 1-254 or 0-255/2")
    start, stop, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if start > stop or not step or stop > _MAX_COUNTER:
        raise EntryError("expected a range that counts up, to 2147483647 at most")
    numbers = range(start, stop + 1, step)
    if len(numbers) > MAX_NAMES:
        raise EntryError(f"expected a range of at most {MAX_NAMES:,} numbers")
    return numbers


def read_template(text: str) -> Template:
    """Return the pieces of an owner name or of RDATA. Raises EntryError."""
    pieces: list[str | Counter] = []
    for match in _PIECE.finditer(text):
        plain, dollars, modifier = match.groups()
        if plain is not None:
            pieces.append(plain)
        elif dollars is not None:
            pieces.append("$")
        elif modifier is None:
            pieces.append(Counter())
        else:
            pieces.append(_counter(modifier))
    return tuple(pieces)


def _counter(modifier: str) -> Counter:
    match = _MODIFIER.fullmatch(modifier)
    if match is None or int(match[2] or 0) > _MAX_WIDTH:
        raise EntryError("expected ${OFFSET,WIDTH,BASE}")
    return Counter(int(match[1]), int(match[2] or 0), match[3] or "d")


def _expand(template: Template, number: int) -> str:
    return "".join([piece if isinstance(piece, str) else piece.text(number) for piece in template])


class Rule:
    """A `$GENERATE` directive: its numbers, its owner names, and the record at each name.

    `rdtype` 0: the names are empty non-terminals.
    """

    __slots__ = ("_head", "_lengths", "_owner", "_rdata", "numbers", "origin", "rdtype", "ttl")

    def __init__(
        self,
        numbers: range,
        owner: Template,
        rdtype: int,
        rdata: Template = (),
        *,
        ttl: int,
        origin: str,
    ) -> None:
        self.numbers = numbers
        self.rdtype = rdtype
        self.ttl = ttl
        self.origin = origin
        self._owner = owner
        self._rdata = rdata
        first = next((at for at, piece in enumerate(owner) if isinstance(piece, Counter)), 0)
        self._head = "".join(map(str, owner[:first])).lower()
        self._lengths = self._number_lengths(owner[first]) if owner else range(0)

    def _number_lengths(self, counter: str | Counter) -> range:
        """Return the range of lengths, in characters, of the first number of an owner name."""
        if isinstance(counter, str):
            return range(0)
        ends = self.numbers[0], self.numbers[-1]
        lengths = [len(counter.text(number)) for number in ends]
        crosses = ends[0] + counter.offset < 0 <= ends[1] + counter.offset
        return range(1 if crosses else min(lengths), max(lengths) + 1)

    @property
    def is_reversible(self) -> bool:
        """Tell whether the number can be found from a name; if not, the rule is unrolled."""
        counters = [piece for piece in self._owner if isinstance(piece, Counter)]
        return (
            bool(counters)
            and not any(counter.base in "nN" for counter in counters)
            and not any(isinstance(piece, str) and "\\" in piece for piece in self._owner)
            and self.rdtype not in _ALWAYS_UNROLLED
        )

    def owner_for(self, number: int) -> str:
        """Return the owner name for a number. Raises EntryError."""
        return absolute_name(_expand(self._owner, number), self.origin)

    def rdata_text(self, number: int) -> str:
        """Return the RDATA for a number as text. Raises EntryError."""
        return _expand(self._rdata, number)

    def record_for(self, number: int) -> Rdata:
        """Return the record for a number. Raises EntryError."""
        return read_rdata(self.rdtype, tokens_of(self.rdata_text(number)), self.origin)

    def number_of(self, name: str) -> int | None:
        """Return the number that generates this owner name; None if there is none."""
        head = self._head
        if not name.startswith(head):
            return None
        counter = next(piece for piece in self._owner if isinstance(piece, Counter))
        for length in self._lengths:
            try:
                value = int(name[len(head) : len(head) + length], _RADIX[counter.base])
            except ValueError:
                continue
            number = value - counter.offset
            # Compare the whole name: padding or the rest may differ.
            if number in self.numbers and self.owner_for(number) == name:
                return number
        return None

    def labels(self) -> list[list[str | Counter]]:
        """Return the template of the owner name, split into labels."""
        found: list[list[str | Counter]] = [[]]
        for piece in self._owner:
            if isinstance(piece, Counter):
                found[-1].append(piece)
                continue
            first, *others = piece.split(".")
            found[-1].append(first)
            found += [[label] for label in others]
        return found

    def common_ancestor(self) -> tuple[str, list[Rule]]:
        """Return the closest common ancestor of the owner names, and rules for names between."""
        labels = self.labels()
        last = max(
            at for at, label in enumerate(labels) for piece in label if isinstance(piece, Counter)
        )
        parent = ".".join(["".join(map(str, label)) for label in labels[last + 1 :]])
        between = []
        for at in range(1, last + 1):
            pieces: list[str | Counter] = []
            for label in labels[at:]:
                pieces += [".", *label] if pieces else label
            owner = tuple(piece for piece in pieces if piece != "")
            between.append(Rule(self.numbers, owner, 0, ttl=self.ttl, origin=self.origin))
        if not parent:
            is_absolute = len(labels) > last + 1
            return ("." if is_absolute else self.origin), between
        return absolute_name(parent, self.origin), between


class Rules:
    """The rules of a zone, indexed by the common ancestor of their names."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = list(rules)
        self._below: dict[str, list[Rule]] = {}
        for rule in self._rules:
            parent, between = rule.common_ancestor()
            self._below.setdefault(parent, []).extend([rule, *between])

    def __bool__(self) -> bool:
        return bool(self._rules)

    def parents(self) -> Iterable[str]:
        """Return the common ancestors of generated names: they exist, too (RFC 8020)."""
        return self._below.keys()

    def _matching(self, name: str) -> Iterator[tuple[Rule, int]]:
        ancestor = name
        while ancestor != ".":
            ancestor = parent_of(ancestor)
            for rule in self._below.get(ancestor, ()):
                number = rule.number_of(name)
                if number is not None:
                    yield rule, number

    def node(self, name: str, held: RRsets | None = None) -> RRsets | None:
        """Return the generated RRsets of a name, merged with those `held`; None if none.

        Conflicting or malformed records make the name undetermined.
        """
        node: Any = None
        for rule, number in self._matching(name):
            if node is None:
                node = dict(held or {})
            if not rule.rdtype:
                continue
            try:
                record = rule.record_for(number)
            except EntryError:
                node[UNDETERMINED] = (0, ())
                continue
            if conflict(name, rule.rdtype, record, node):
                return {UNDETERMINED: (0, ())}
            add_record(node, rule.rdtype, rule.ttl, record)
        return None if node is None else finish(node)

    def names(self, rdtypes: Container[int]) -> Iterator[str]:
        """Yield the names with generated records of these types, each once."""
        for rule in self._rules:
            if rule.rdtype in rdtypes:
                for number in rule.numbers:
                    name = rule.owner_for(number)
                    found = (rule for rule, _ in self._matching(name) if rule.rdtype in rdtypes)
                    if next(found) is rule:
                        yield name


def tokens_text(tokens: Sequence[Token]) -> str:
    """Return the RDATA of a directive as text: its one string, or its words."""
    if len(tokens) == 1:
        return str(tokens[0].text)
    return " ".join([f'"{text}"' if is_quoted else text for text, is_quoted in tokens])
