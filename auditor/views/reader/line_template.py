"""Lines of records → what many of them have in common, and the few texts in which each differs.

The records of a block are alike but for the address, its PTR names and the owner of its PTR.
`fold` puts a mark in place of each of these; lines that are the same afterwards need be parsed
once. Nothing is lost by it: putting the texts back in place of the marks gives the line again,
and what is made of a line text by text may have them put back afterwards as well.

It is sound because it replaces whole JSON strings, by others: no line with an escape is folded, so
that a quote is always the beginning or the end of a string, and no text that could begin with what
stands between two strings (one colon may, two never do). Nor could any be a key, a code or another
word of the form: these have no dot and no colon. The keys of labels may have: use `fold_for`
to read labels.
"""

from __future__ import annotations

import re
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["MARKS", "TARGET_MARK", "FoldedLine", "LineFolder", "fold", "fold_for"]

#: A line with marks in it, and the texts that they replace, in the order of MARKS.
FoldedLine: TypeAlias = "tuple[bytes, list[bytes]]"

#: Names of an address that are replaced at most.
_NAMES_REPLACED: Final = 4
#: Marks for the target, the owner of the PTR and the names: characters that these lack.
MARKS: Final = tuple(chr(0xE000 + number) for number in range(2 + _NAMES_REPLACED))
TARGET_MARK: Final = MARKS[0]

_HEAD: Final = b'{"target":"'
_TARGET_AT: Final = len(_HEAD)
_IP: Final = b'","kind":"ip",'
_NAMES: Final = b'"names":['
_OWNER: Final = b'"owner":"'
_NAMES_LENGTH: Final = len(_NAMES)
_OWNER_LENGTH: Final = len(_OWNER)
_QUOTED_MARKS: Final = tuple(f'"{mark}"'.encode() for mark in MARKS)
_MARKED_HEAD: Final = _HEAD + TARGET_MARK.encode() + _IP
#: The octets with which all marks begin in UTF-8.
_MARK_START: Final = b"\xee\x80"
#: Names and addresses that are replaced, and several of them with blanks between.
_PATTERN: Final = rb"(?:[0-9A-Za-z_][0-9A-Za-z_-]*[.:]|::)[0-9A-Za-z._:-]*"
_PLAIN: Final = re.compile(_PATTERN).fullmatch
_ALL_PLAIN: Final = re.compile(rb"(?:%b )*%b" % (_PATTERN, _PATTERN)).fullmatch
#: Characters of what is replaced.
_PLAIN_CHARACTERS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-.:"
_MARKS: Final = tuple(mark.encode() for mark in MARKS)
_AT_MARKS: Final = re.compile(b"(%b)" % b"|".join(_MARKS)).split
_STRINGS: Final = re.compile(rb'"([^"]*)"').findall
#: Forms that are tried on a line if the form of the line before does not fit.
_FORMS_TRIED: Final = 4
#: Forms, and lines that are remembered for being the first of theirs.
_FORMS_REMEMBERED: Final = 4096
#: Octets after the target and after the owner of the PTR that tell which forms are likely.
_VERDICT_OCTETS: Final = 70
_ZONE_OCTETS: Final = 24


def fold(line: bytes) -> FoldedLine:
    """Return a line with marks in it, and the texts that they replace, in the order of MARKS.

    A line without any is returned as it is. Only lines of addresses are folded, in the order of
    keys that `auditor scan` writes; what is not replaced is simply left in the line.
    """
    head, _, rest = line.partition(_IP)
    if not (rest and head.startswith(_HEAD)) or b"\\" in line:
        return line, []
    if not line.isascii() and _MARK_START in line:  # to look for octets of ASCII costs far less
        return line, []
    target = head[_TARGET_AT:]
    if b'"' in target:
        return line, []
    owner = _between(rest, _OWNER, b'"')
    names = _between(rest, _NAMES, b"]")[1:-1].split(b'","')
    texts = [target, owner, *names[:_NAMES_REPLACED]]
    all_plain = _ALL_PLAIN(b" ".join(texts))
    if not (all_plain or _PLAIN(target)):  # a second mention could not be distinguished
        return line, []
    for mark, text in zip(_QUOTED_MARKS, texts, strict=False):
        if all_plain or _PLAIN(text):
            rest = rest.replace(b'"%b"' % text, mark)
    return _MARKED_HEAD + rest, texts


def _between(text: bytes, start: bytes, end: bytes) -> bytes:
    """Return what stands between the first of one and the first of another after it."""
    first = text.find(start)
    if first < 0:
        return b""
    first += len(start)
    last = text.find(end, first)
    return text[first:last] if last >= 0 else text[first:]


def fold_for(columns: Iterable[str]) -> Callable[[Sequence[bytes]], list[FoldedLine]]:
    """Return what folds lines, or nothing if the label of one of these columns might be folded."""
    if any(map(_PLAIN, (name.encode() for name in columns))):
        return lambda lines: [(line, []) for line in lines]
    return LineFolder().fold_lines


class _Form:
    """A folded line as a format: filled with the texts of another line it gives that line again.

    `taken`: the texts of lines that it has given, to be checked together.
    """

    __slots__ = ("_constants", "count", "folded", "order", "pattern", "taken")

    def __init__(self, folded: bytes, texts: list[bytes]) -> None:
        self.folded = folded
        parts = _AT_MARKS(folded.replace(b"%", b"%%"))
        self.pattern = b"%b".join(parts[::2])
        marks = [_MARKS.index(mark) for mark in parts[1::2]]
        # Of a single place itemgetter would give no tuple: such a form fits no line.
        self.order = itemgetter(*marks, *[0] * (len(marks) == 1))
        self.count = len(texts) if len(marks) > 1 else -1
        # No name is an empty text, which stands for nothing.
        self._constants = frozenset(_STRINGS(folded)) - {b""}
        self.taken: list[list[bytes]] = []

    def folds_taken(self) -> bool:
        """Tell whether lines with the texts in `taken` fold to this form; forget these.

        A text that stands elsewhere in the line as well would be replaced there.
        """
        taken, self.taken = self.taken, []
        texts = list(chain.from_iterable(taken))
        different = {*texts}
        return (
            not b"".join(different).translate(None, _PLAIN_CHARACTERS)
            and self._constants.isdisjoint(different)
            and (
                len(different) == len(texts) or all(len({*texts}) == self.count for texts in taken)
            )
        )


class LineFolder:
    """Folds lines as `fold` does, in a third of the time where they are like the lines before."""

    def __init__(self) -> None:
        self._last = _Form(TARGET_MARK.encode(), [])
        #: Forms to try if the last does not fit, by a few octets of the line.
        self._likely: dict[bytes, list[_Form]] = {}
        self._forms: dict[bytes, _Form] = {}
        self._firsts: set[bytes] = set()

    def fold_lines(self, lines: Sequence[bytes]) -> list[FoldedLine]:
        """Return what `fold` returns for each line."""
        form = self._last
        used = {form}
        folded: list[FoldedLine] = []
        for line in lines:
            # Where one of these is not found the texts are none that a form has.
            end = line.find(b'"', _TARGET_AT)
            first = line.find(_NAMES, end) + _NAMES_LENGTH
            last = line.find(b"]", first)
            start = line.find(_OWNER, last) + _OWNER_LENGTH
            stop = line.find(b'"', start)
            names = line[first + 1 : last - 1]
            if b'"' in names:
                more = names.split(b'","')[:_NAMES_REPLACED]
                texts = [line[_TARGET_AT:end], line[start:stop], *more]
            else:
                texts = [line[_TARGET_AT:end], line[start:stop], names]
            if len(texts) != form.count or form.pattern % form.order(texts) != line:
                glance = line[end : end + _VERDICT_OCTETS] + line[stop : stop + _ZONE_OCTETS]
                other = self._other(line, texts, glance)
                if other is None:
                    folded.append(self._unlike(line, glance))
                    continue
                form = other
                used.add(form)
            form.taken.append(texts)
            folded.append((form.folded, texts))
        self._last = form
        wrong = {form.folded for form in used if not form.folds_taken()}
        if wrong:
            folded = [
                fold(line) if each[0] in wrong else each
                for line, each in zip(lines, folded, strict=True)
            ]
        return folded

    def _other(self, line: bytes, texts: list[bytes], glance: bytes) -> _Form | None:
        """Return a form that gives a line, of those that gave others like it."""
        likely = self._likely.get(glance, [])
        for at, form in enumerate(likely):
            if len(texts) == form.count and form.pattern % form.order(texts) == line:
                if at:
                    likely.insert(0, likely.pop(at))
                return form
        return None

    def _unlike(self, line: bytes, glance: bytes) -> FoldedLine:
        """Fold a line that no form gives; try its own on the next, if it is not the first."""
        folded, texts = fold(line)
        if not texts:
            return folded, texts
        form = self._forms.get(folded)
        if form is None:
            if folded not in self._firsts:
                if len(self._firsts) >= _FORMS_REMEMBERED:
                    self._firsts.clear()
                self._firsts.add(folded)
                return folded, texts
            if len(self._forms) >= _FORMS_REMEMBERED:
                self._forms.clear()
                self._likely.clear()
            form = self._forms[folded] = _Form(folded, texts)
        likely = self._likely.setdefault(glance, [])
        if form in likely:
            likely.remove(form)
        likely.insert(0, form)
        del likely[_FORMS_TRIED:]
        return folded, texts
