"""Lines of records → what many of them have in common, and the few texts in which each differs.

The records of a block are alike but for the address, its PTR names and the owner of its PTR.
`fold` puts a mark in place of each of these; lines that are the same afterwards need be parsed
once. Nothing is lost by it: putting the texts back in place of the marks gives the line again,
and what is made of a line text by text may have them put back afterwards as well.

It is sound because it replaces whole JSON strings, by others: no line with an escape is folded, so
that a quote is always the beginning or the end of a string, and no text that could begin with what
stands between two strings (one colon may, two never do). Nor could any be a key, a code or another
word of the form: these have no dot and no colon. The keys of labels may have: `fold_for` is for
whoever looks for one.
"""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["MARKS", "TARGET_MARK", "LineFolder", "fold", "fold_for"]

#: Names of an address that are replaced at most.
_NAMES_REPLACED: Final = 4
#: What stands for the target, the owner of the PTR and the names: characters that these lack.
MARKS: Final = tuple(chr(0xE000 + number) for number in range(2 + _NAMES_REPLACED))
TARGET_MARK: Final = MARKS[0]

_HEAD: Final = b'{"target":"'
_TARGET_AT: Final = len(_HEAD)
_IP: Final = b'","kind":"ip",'
_NAMES: Final = b'"names":['
_OWNER: Final = b'"owner":"'
_QUOTED_MARKS: Final = tuple(f'"{mark}"'.encode() for mark in MARKS)
_MARKED_HEAD: Final = _HEAD + TARGET_MARK.encode() + _IP
#: What all marks begin with in UTF-8.
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
#: Forms that a line is held against, and lines that are remembered for being the first of theirs.
_FORMS_TRIED: Final = 8
_FIRSTS_REMEMBERED: Final = 4096


def fold(line: bytes) -> tuple[bytes, list[bytes]]:
    """Return a line with marks in it, and what stood in place of each, in the order of MARKS.

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
    if not (all_plain or _PLAIN(target)):  # what names it again would not be told from others
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


def fold_for(columns: Iterable[str]) -> Callable[[bytes], tuple[bytes, list[bytes]]]:
    """Return what folds lines, or nothing if the label of one of these columns might be folded."""
    if any(map(_PLAIN, (name.encode() for name in columns))):
        return lambda line: (line, [])
    return LineFolder().fold


class _Form:
    """A folded line as a format: filled with the texts of another line it gives that line again."""

    __slots__ = ("_constants", "_count", "_order", "_pattern", "folded")

    def __init__(self, folded: bytes, texts: list[bytes]) -> None:
        self.folded = folded
        parts = _AT_MARKS(folded.replace(b"%", b"%%"))
        self._pattern = b"%b".join(parts[::2])
        marks = [_MARKS.index(mark) for mark in parts[1::2]]
        # Of a single place itemgetter would give no tuple.
        self._order = itemgetter(*marks) if len(marks) > 1 else None
        # No name is an empty text, which stands for nothing.
        self._constants = frozenset(_STRINGS(folded)) - {b""}
        self._count = len(texts)

    def gives(self, line: bytes, texts: list[bytes]) -> bool:
        """Tell whether a line with these texts folds to this form.

        A text that stands elsewhere in the line as well would be replaced there.
        """
        return (
            len(texts) == self._count
            and self._order is not None
            and self._pattern % self._order(texts) == line
            and not b"".join(texts).translate(None, _PLAIN_CHARACTERS)
            and self._constants.isdisjoint(texts)
            and len({*texts}) == self._count
        )


class LineFolder:
    """Folds lines as `fold` does, in half the time where they are like the lines before."""

    def __init__(self) -> None:
        self._recent: list[_Form] = []
        self._forms: dict[bytes, _Form] = {}
        self._firsts: set[bytes] = set()

    def fold(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Return what `fold` returns."""
        head, _, rest = line.partition(_IP)
        names, _, rest = rest.partition(_NAMES)[2].partition(b"]")
        owner = rest.partition(_OWNER)[2].partition(b'"')[0]
        names = names[1:-1]
        texts = [head[_TARGET_AT:], owner]
        if b'"' in names:
            texts += names.split(b'","')[:_NAMES_REPLACED]
        else:
            texts.append(names)
        recent = self._recent
        for place, form in enumerate(recent):
            if form.gives(line, texts):
                if place:
                    recent.insert(0, recent.pop(place))
                return form.folded, texts
        folded, texts = fold(line)
        if texts:
            self._remember(folded, texts)
        return folded, texts

    def _remember(self, folded: bytes, texts: list[bytes]) -> None:
        """Try the form of a line on the next ones, if it is not the first that has it."""
        form = self._forms.get(folded)
        if form is None:
            if folded not in self._firsts:
                if len(self._firsts) >= _FIRSTS_REMEMBERED:
                    self._firsts.clear()
                self._firsts.add(folded)
                return
            if len(self._forms) >= _FIRSTS_REMEMBERED:
                self._forms.clear()
            form = self._forms[folded] = _Form(folded, texts)
        if form in self._recent:
            self._recent.remove(form)
        self._recent.insert(0, form)
        del self._recent[_FORMS_TRIED:]
