"""`$GENERATE` as a rule that is applied when a name is asked for.

The syntax is BIND's: a range, an owner name and RDATA in which `$` or `${OFFSET,WIDTH,BASE}`
stands for the number. Nothing is unrolled, so a directive costs the same whatever its range.
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

MAX_NAMES: Final = 1 << 24  #: names that a directive makes at most: those of a /8
_MAX_COUNTER: Final = 0x7FFF_FFFF
_MAX_WIDTH: Final = 127  # characters; what does not fit 128 octets BIND refuses

_RANGE: Final = re.compile(r"([0-9]{1,10})-([0-9]{1,10})(?:/([0-9]{1,10}))?")
_PIECE: Final = re.compile(r"([^$\\]+|\\.?)|(\$\$)|\$(?:\{([^}]*)\})?", re.DOTALL)
_MODIFIER: Final = re.compile(r"([+-]?[0-9]{1,10})(?:,([0-9]{1,3})(?:,([doxXnN]))?)?")
_RADIX: Final = {"d": 10, "o": 8, "x": 16, "X": 16}
#: Types whose records change what stands below their names: no rule, but names one by one.
_ALWAYS_UNROLLED: Final = frozenset({codes.NS, codes.DNAME, codes.SOA})


class Counter(NamedTuple):
    """The place of the number in a template: what is added to it, and how it is written."""

    offset: int = 0
    width: int = 0
    base: str = "d"

    def text(self, number: int) -> str:
        """Return the number as it stands in this place. Raises EntryError."""
        value = number + self.offset
        if self.base not in "nN":
            return format(value, self.base).zfill(self.width)
        if value < 0:
            raise EntryError("a negative number in nibbles")
        return _nibbles(value, self.width, self.base)


Template: TypeAlias = "tuple[str | Counter, ...]"


def _nibbles(value: int, width: int, base: str) -> str:
    """Return hexadecimal digits, the last one first, with dots between (BIND's base `n`)."""
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


def _filled(template: Template, number: int) -> str:
    return "".join([piece if isinstance(piece, str) else piece.text(number) for piece in template])


class Rule:
    """A `$GENERATE` directive: its numbers, its owner names, and the record at each of them.

    `rdtype` 0: the names are there, and nothing stands at them.
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
        self._lengths = self._digits(owner[first]) if owner else range(0)

    def _digits(self, counter: str | Counter) -> range:
        """Return how many characters the first number of an owner name can have."""
        if isinstance(counter, str):
            return range(0)
        ends = self.numbers[0], self.numbers[-1]
        lengths = [len(counter.text(number)) for number in ends]
        crosses = ends[0] + counter.offset < 0 <= ends[1] + counter.offset
        return range(1 if crosses else min(lengths), max(lengths) + 1)

    @property
    def can_be_asked(self) -> bool:
        """Tell whether a name leads back to its number; else the names are made one by one."""
        counters = [piece for piece in self._owner if isinstance(piece, Counter)]
        return (
            bool(counters)
            and not any(counter.base in "nN" for counter in counters)
            and not any(isinstance(piece, str) and "\\" in piece for piece in self._owner)
            and self.rdtype not in _ALWAYS_UNROLLED
        )

    def owner_for(self, number: int) -> str:
        """Return the owner name for a number. Raises EntryError."""
        return absolute_name(_filled(self._owner, number), self.origin)

    def rdata_text(self, number: int) -> str:
        """Return the RDATA for a number as text. Raises EntryError."""
        return _filled(self._rdata, number)

    def record_for(self, number: int) -> Rdata:
        """Return the record for a number. Raises EntryError."""
        return read_rdata(self.rdtype, tokens_of(self.rdata_text(number)), self.origin)

    def number_of(self, name: str) -> int | None:
        """Return the number whose owner name this is, or None if there is none."""
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
            # What is written differently, or goes on differently, is another name.
            if number in self.numbers and self.owner_for(number) == name:
                return number
        return None

    def labels(self) -> list[list[str | Counter]]:
        """Return the template of the owner name, label by label."""
        found: list[list[str | Counter]] = [[]]
        for piece in self._owner:
            if isinstance(piece, Counter):
                found[-1].append(piece)
                continue
            first, *others = piece.split(".")
            found[-1].append(first)
            found += [[label] for label in others]
        return found

    def above(self) -> tuple[str, list[Rule]]:
        """Return the lowest name above all owner names, and rules for the names between."""
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
    """The rules of a zone, found by the names above those that they make."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = list(rules)
        self._below: dict[str, list[Rule]] = {}
        for rule in self._rules:
            parent, between = rule.above()
            self._below.setdefault(parent, []).extend([rule, *between])

    def __bool__(self) -> bool:
        return bool(self._rules)

    def parents(self) -> Iterable[str]:
        """Return the names above those that rules make: they exist, too."""
        return self._below.keys()

    def _matching(self, name: str) -> Iterator[tuple[Rule, int]]:
        above = name
        while above != ".":
            above = parent_of(above)
            for rule in self._below.get(above, ()):
                number = rule.number_of(name)
                if number is not None:
                    yield rule, number

    def node(self, name: str, held: RRsets | None = None) -> RRsets | None:
        """Return what rules make of a name, with what is `held` there; None if nothing.

        Records that do not go together, or that make no sense, leave the name undetermined.
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
        """Yield the names at which rules put records of these types, each once."""
        for rule in self._rules:
            if rule.rdtype in rdtypes:
                for number in rule.numbers:
                    name = rule.owner_for(number)
                    found = (rule for rule, _ in self._matching(name) if rule.rdtype in rdtypes)
                    if next(found) is rule:
                        yield name


def tokens_text(tokens: Sequence[Token]) -> str:
    """Return the RDATA of a directive: the string, or the words, that it is written as."""
    if len(tokens) == 1:
        return str(tokens[0].text)
    return " ".join([f'"{text}"' if is_quoted else text for text, is_quoted in tokens])
