"""Reads targets from JSON: objects or strings, one a line (NDJSON) or in an array.

The keys are as in `input_columns`; labels keep the text of the input, numbers digit for digit.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor.errors import InputError, TargetError
from auditor.quoting import quoted
from auditor.targets.domains import mail_from_identities, mail_from_identity
from auditor.targets.input_columns import (
    HELO,
    MAIL_FROM,
    InputOptions,
    identity_name,
    legible,
    row_entry,
)
from auditor.targets.item import Entry, invalid
from auditor.targets.reader import MAX_LINE_OCTETS, InputSource, Lines
from auditor.targets.target import NO_LABELS, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["json_entries", "ndjson_entries"]

#: Tokens of a text that is known to be JSON (RFC 8259 §2).
_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
#: An escape of a string (RFC 8259 §7), and half of a pair of surrogates as a group.
_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_OPENING: Final = frozenset({b"{", b"["})
_CLOSING: Final = frozenset({b"}", b"]"})

#: Tokens that change the state of a splitter: outside of strings, and inside.
_OUTSIDE: Final = re.compile(rb'[\[\]{},"\n]|[^\[\]{},"\s]+')
_INSIDE: Final = re.compile(rb'["\\]')
#: A whole object that holds no other, and no array: most elements of most arrays.
_FLAT_OBJECT: Final = re.compile(rb'\{(?:[^{}\[\]"]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+\}', re.DOTALL)


def ndjson_entries(
    batches: Iterator[Lines], source: InputSource, options: InputOptions
) -> Iterator[Entry | None]:
    """Yield the target or span of each line; None when no input is ready."""
    line = 0
    for batch in batches:
        if not batch:
            yield None
        for raw in batch:
            line += 1
            text = raw.strip()
            if text and not text.startswith(b"#"):
                yield _entry(text, Origin(source.name, line, labels=options.labels), options)


def json_entries(
    chunks: Iterator[bytes], source: InputSource, options: InputOptions
) -> Iterator[Entry | None]:
    """Yield the target or span of each element of an array or value; None if no input is ready.

    Raises InputError for an array without an end: the rest is missing.
    """
    splitter = _Splitter()
    for chunk in chunks:
        if not chunk:
            yield None
        for line, text in splitter.split_elements(chunk):
            yield _entry(text, Origin(source.name, line, labels=options.labels), options)
    for line, text in splitter.unfinished_element():
        yield _entry(text, Origin(source.name, line, labels=options.labels), options)
    if splitter.in_array:
        raise InputError(f"{source.label}: the JSON array has no end; is the file cut short?")


class _Splitter:
    """Splits JSON into the elements of its arrays, and into the values beside them.

    It counts brackets only; the reader of an element reports its faults. An element is kept up
    to one octet over the limit.
    """

    def __init__(self) -> None:
        self.in_array = False
        self._line = self._first_line = 1
        self._kept = bytearray()
        self._depth = 0
        self._in_string = self._in_word = self._escaped = False

    def split_elements(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the elements that end in the next octets, with the numbers of their lines."""
        position = 0
        while position < len(data):
            if self._in_string:
                position, ended = self._string(data, position)
                if ended and not self._depth:
                    yield self._finish()
                continue
            match = _OUTSIDE.search(data, position)
            start, end = match.span() if match else (len(data), len(data))
            if self._in_word and start != position:
                yield self._finish()
            if match is None:
                self._keep(data[position:])
                return
            token = match[0]
            if self._in_word and token[0] in b'[]{},"\n':
                yield self._finish()
            if token == b"{" and not self._depth and (flat := _FLAT_OBJECT.match(data, start)):
                yield self._line, flat[0][: MAX_LINE_OCTETS + 1]
                self._line += flat[0].count(b"\n")
                position = flat.end()
                continue
            self._keep(data[position:start])
            position = end
            if self._take(token):
                yield self._finish()

    def unfinished_element(self) -> Iterator[tuple[int, bytes]]:
        """Yield an element that has not ended."""
        if self._in_word or self._in_string or self._depth:
            yield self._finish()

    def _take(self, token: bytes) -> bool:
        """Take a token outside of strings; return whether it ends an element."""
        if token == b"\n":
            self._keep(token)
            self._line += 1
            return False
        if not self._depth:
            if token == b"," or (token == b"]" and self.in_array):
                self.in_array = token == b"," and self.in_array
                return False
            if token == b"[" and not self.in_array:
                self.in_array = True
                return False
            self._first_line = self._line
        self._depth += (token in _OPENING) - (token in _CLOSING)
        self._in_string = token == b'"'
        self._in_word = not self._depth and not self._in_string and token not in _CLOSING
        self._depth = max(self._depth, 0)  # less after a bracket that closes nothing
        self._append(token)
        return token in _CLOSING and not self._depth

    def _string(self, data: bytes, position: int) -> tuple[int, bool]:
        """Take octets of a string; return the position after them, and whether it ended."""
        if self._escaped:
            self._escaped = False
            self._append(data[position : position + 1])
            return position + 1, False
        match = _INSIDE.search(data, position)
        end = match.end() if match else len(data)
        self._append(data[position:end])
        self._escaped = match is not None and match[0] == b"\\"
        ended = match is not None and match[0] == b'"'
        self._in_string = not ended
        return end, ended

    def _keep(self, data: bytes) -> None:
        """Keep white space within an element."""
        if self._depth:
            self._append(data)

    def _append(self, data: bytes) -> None:
        self._kept += data[: MAX_LINE_OCTETS + 1 - len(self._kept)]

    def _finish(self) -> tuple[int, bytes]:
        element = bytes(self._kept)
        self._kept.clear()
        self._in_word = self._in_string = self._escaped = False
        self._depth = 0
        return self._first_line, element


def _entry(text: bytes, origin: Origin, options: InputOptions) -> Entry:
    """Return the target or span of one JSON value."""
    try:
        utf8, foreign = _as_utf8(text)
        if b"\\u" in utf8:
            utf8 = _ESCAPE.sub(_without_lone_surrogate, utf8)
        value = _loaded(utf8)
        if isinstance(value, str) and not options.column:
            return row_entry(value, options.slash, origin)
        key = _target_key(value, options)
        _check_target(key, value[key], foreign=foreign)
        return _object(value, _exact(value, utf8, key), key, origin, options)
    except TargetError as error:
        return invalid(text.decode(errors="surrogateescape"), origin, str(error))


def _loaded(text: bytes) -> Any:
    if len(text) > MAX_LINE_OCTETS:
        raise TargetError(f"longer than {MAX_LINE_OCTETS:,} octets")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # Numbers have no limit in RFC 8259 §6, but one in orjson. A label keeps their text.
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(_TOKEN.sub(_smaller, text))
        raise TargetError(f"not JSON: {error}") from None


def _without_lone_surrogate(escape: re.Match[bytes]) -> bytes:
    """Return an escape of a lone surrogate as plain text."""
    return b"\\" + escape[0] if escape[1] else escape[0]


def _smaller(token: re.Match[bytes]) -> bytes:
    return b"0" if _NUMBER.fullmatch(token[0]) else token[0]


def _target_key(value: Any, options: InputOptions) -> str:
    """Return the key under which an object has its target, a string."""
    names: list[str] = list(value) if isinstance(value, dict) else []
    place = options.target_column(names)
    if place < 0:
        wrong = f"expected a JSON object with the key {options.expected_column}"
        inner = next((name for name in names if isinstance(value[name], list)), None)
        if inner is not None:
            wrong += f"; there is a list at {quoted(inner)}, whose elements may be meant"
        raise TargetError(wrong)
    return names[place]


def _check_target(key: str, target: Any, *, foreign: bool) -> None:
    """Raise TargetError for a target that is not a string, or in an unknown encoding."""
    if not isinstance(target, str):
        raise TargetError(f"{quoted(key)} is not a string")
    if foreign and not target.isascii():
        raise TargetError("not UTF-8 text")


def _object(
    item: dict[str, Any], exact: Mapping[str, str], key: str, origin: Origin, options: InputOptions
) -> Entry:
    """Return the target or span of an object, given as loaded and as text."""
    helo, senders = (identity_name(wanted, tuple(item)) for wanted in (HELO, MAIL_FROM))
    labels = {name: value for name, value in exact.items() if name not in {key, helo, senders}}
    return row_entry(
        item[key],
        options.slash_in(key),
        origin,
        helo="" if item.get(helo) is None else exact[helo],
        mail_from=_senders(item.get(senders), exact.get(senders, "")),
        labels=labels or NO_LABELS,
    )


def _exact(item: dict[str, Any], text: bytes, key: str) -> Mapping[str, str]:
    """Return the members of an object with their values as in its text.

    Strings are unescaped, every other value is its text without white space. Raises TargetError
    if `key` occurs twice.
    """
    if (
        all(isinstance(value, str) for value in item.values())
        and b"\\" not in text
        and text.count(f'"{key}"'.encode()) == 1
    ):
        return item
    members: dict[str, str] = {}
    depth = 0
    name = b""
    pending: list[bytes] = []
    for token in _TOKEN.findall(text):
        depth += (token in _OPENING) - (token in _CLOSING)
        if depth == 1 and token == b":" and not name:
            name = pending.pop()
        elif name and (depth == 0 or (depth == 1 and token == b",")):
            called, value = orjson.loads(name), b"".join(pending)
            if called == key and key in members:
                raise TargetError(f"has the key {quoted(key)} twice")
            members[called] = orjson.loads(value) if value.startswith(b'"') else value.decode()
            name = b""
            pending.clear()
        elif depth > 1 or token != b"{":
            pending.append(token)
    return members


def _senders(value: Any, text: str) -> tuple[str, ...]:
    """Return the MAIL FROM identities of an object: of a string, a list, or another value."""
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(sender, str) for sender in value):
        return tuple(map(mail_from_identity, value))
    return mail_from_identities(text)


def _as_utf8(text: bytes) -> tuple[bytes, bool]:
    """Return text in UTF-8, and whether it was converted."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return legible(text.decode(errors="surrogateescape")).encode(), True
    return text, False
