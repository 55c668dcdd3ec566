"""Reads master files (RFC 1035 §5) into zones.

Runs of common lines are parsed lazily (`lazy_lines`) or at once (`common_lines`), all other lines
one entry at a time (`entry`); the rules for a whole zone are in `builder`. This file keeps the
state that entries depend on: origin, previous owner, previous TTL, and included files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.errors import WireError
from auditor.resolve.zones.builder import Place, ZoneBuilder
from auditor.resolve.zones.common_lines import Context, parse_lines, run_end
from auditor.resolve.zones.entry import (
    EntryError,
    Token,
    absolute_name,
    duration,
    has_final_dot,
    read_entry,
    tokens_of,
)
from auditor.resolve.zones.generate import Rule, read_range, read_template, tokens_text
from auditor.resolve.zones.lazy_lines import LazyRun, find_run, last_ttl
from auditor.resolve.zones.rdata import READ_TYPES, rdtype_of, read_rdata, unread
from auditor.wire import codes
from auditor.wire.names import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.zones.zone import Zone

__all__ = ["Interrupted", "MasterFile", "read_records", "read_zone"]

_MAX_INCLUDES: Final = 1024  # in one zone
_MAX_DEPTH: Final = 8  # of files that include files
_MAX_UNROLLED: Final = 65_536  # names of all $GENERATE directives that cannot be kept as rules
_ENTRIES_PER_CHECK: Final = 1024  # entries

# An escaped ASCII character as it is, or an octet that is not ASCII, with or without an escape.
_NOT_ASCII = re.compile(rb"\\[\x00-\x7f]|\\?([\x80-\xff])")
#: The time stamp of a dynamic record in files of Windows DNS, after the owner name.
_AGE: Final = re.compile(rb"^([^\s;\"]*[ \t]+)\[AGE:[0-9]+\](?=[ \t])", re.MULTILINE)
_CLASSES: Final = frozenset({"IN", "CH", "CHAOS", "HS", "HESIOD", "CS"})
_MNEMONIC = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,31}")


class Interrupted(Exception):  # noqa: N818 - nothing is wrong
    """Loading was cancelled."""


class MasterFile(NamedTuple):
    """The text of a zone, with its name in messages (`label`) and in answers (`server`).

    `origin`: of relative names before any `$ORIGIN`. `include` returns the label and the content
    of a file that `$INCLUDE` names, or raises EntryError.
    """

    label: str
    server: str
    origin: str
    data: bytes
    include: Callable[[str], tuple[str, bytes]] | None = None


class _State(NamedTuple):
    """The state that the next entry depends on."""

    label: str
    text: str
    origin: str
    #: Whether the origin comes from `$ORIGIN`, not from the file's name.
    is_stated: bool
    owner: str
    default_ttl: int | None = None
    soa_ttl: int | None = None
    last_ttl: int | None = None

    def implicit_ttl(self) -> int | None:
        """Return the TTL of a record that states none (RFC 2308 §4, RFC 1035 §5.1)."""
        if self.default_ttl is not None:
            return self.default_ttl
        return self.soa_ttl if self.last_ttl is None else self.last_ttl


def read_zone(file: MasterFile, go_on: Callable[[], bool] = lambda: True) -> Zone:
    """Return the zone in a master file. Raises ZoneFileError.

    `go_on` is called every few thousand lines; if it returns False, Interrupted is raised.
    """
    builder = ZoneBuilder(file.label)
    read_records(file, builder, go_on)
    return builder.zone(file.server)


def read_records(
    file: MasterFile, builder: ZoneBuilder, go_on: Callable[[], bool] = lambda: True
) -> None:
    """Add the records of a master file to a builder, in order. Raises ZoneFileError."""
    try:
        origin = normalise(file.origin)
    except WireError:  # a file may have any name
        origin = "."
    _Reader(file, origin, builder, go_on).read_zone()


def _ascii_text(data: bytes) -> str:
    r"""Return a master file as ASCII, other octets as `\DDD` escapes (RFC 1035 §5.1)."""

    def escaped(match: re.Match[bytes]) -> bytes:
        octet = match[1]
        return b"\\%03d" % octet[0] if octet else match[0]

    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"[" in data:
        data = _AGE.sub(rb"\1", data)
    if not data.isascii():
        data = _NOT_ASCII.sub(escaped, data)
    text = data.decode("ascii")
    return text if text.endswith("\n") else f"{text}\n"


class _Reader:
    """Reads a zone's file and the files that it includes."""

    def __init__(
        self, file: MasterFile, origin: str, builder: ZoneBuilder, go_on: Callable[[], bool]
    ) -> None:
        self.builder = builder
        self._include = file.include
        self._go_on = go_on
        self._entries = 0
        #: Entries to read singly before a run is tried again, and how many the next time.
        self._single_entries = 0
        self._backoff = 1
        self._unrolled = 0
        self._depth = 0
        self._included = 0
        self._state = _State(file.label, _ascii_text(file.data), origin, False, origin)  # noqa: FBT003 - a record

    def read_zone(self) -> None:
        """Read the text of the current state. Raises ZoneFileError."""
        text = self._state.text
        position = refused = 0
        while position < len(text):
            if self._single_entries:
                self._single_entries -= 1
            elif self.builder.apex is not None:
                if position >= refused:
                    position, refused = self._add_lazy_runs(position)
                position = self._read_common_lines(position, run_end(text, position))
            if position < len(text):
                position = self._read_entry(position)

    def _count_entry(self) -> None:
        self._entries += 1
        if not self._entries % _ENTRIES_PER_CHECK and not self._go_on():
            raise Interrupted

    def _place(self, position: int) -> Place:
        return Place(self._state.label, self._state.text, position)

    def _context(self) -> Context:
        """Return the context of common lines at this point."""
        state = self._state
        uses_last_ttl = state.default_ttl is None
        apex = self.builder.apex or "."
        return Context(apex, state.origin, state.owner, state.implicit_ttl(), uses_last_ttl)

    def _add_lazy_runs(self, position: int) -> tuple[int, int]:
        """Add runs of lines that can be parsed lazily.

        Returns where they end, and up to where the following lines must be parsed at once.
        """
        text = self._state.text
        while True:
            context = self._context()
            end, owners, is_unindexed = find_run(text, position, context)
            if end == position:
                return position, position
            if not self._go_on():
                raise Interrupted
            run = LazyRun(text[position:end], context)
            if not owners or not self.builder.add_run(run, None if is_unindexed else owners):
                return position, end
            state = self._state._replace(owner=owners[-1])
            if context.uses_last_ttl:
                state = state._replace(last_ttl=last_ttl(run.text, context))
            self._state = state
            position = end

    def _read_common_lines(self, position: int, end: int) -> int:
        """Parse common lines up to `end`; return where the first other entry begins."""
        if position == end:
            return position
        if not self._go_on():
            raise Interrupted
        state, text = self._state, self._state.text
        lines, owner, ttl = parse_lines(text, position, end, self._context())
        self.builder.add_lines(lines, self._place(position))
        self._state = state._replace(owner=owner, last_ttl=state.last_ttl if ttl is None else ttl)
        if text.count("\n", position, end) == len(lines):
            return end
        for _ in lines:
            position = text.index("\n", position) + 1
        # The rest of the run was matched in vain: back off the more, the less was parsed.
        self._backoff = 1 if len(lines) > self._backoff else 2 * self._backoff
        self._single_entries = self._backoff
        return position

    def _read_entry(self, position: int) -> int:
        """Read one record or directive; return where the next begins. Raises ZoneFileError."""
        self._count_entry()
        place = self._place(position)
        try:
            tokens, end = read_entry(place.text, position)
            if not tokens:
                return end
            first = tokens[0]
            if place.text[position] in " \t":
                self._read_record(tokens, place)
            elif first.text.startswith("$") and not first.is_quoted:
                self._read_directive(first.text.upper(), tokens[1:], place)
            else:
                self._set_owner(first, tokens[1:], place)
                self._read_record(tokens[1:], place)
        except EntryError as error:
            raise place.unreadable(str(error)) from error
        return end

    # --- records ---------------------------------------------------------------------------

    def _set_owner(self, token: Token, rest: Sequence[Token], place: Place) -> None:
        state = self._state
        if token.is_quoted:
            raise EntryError("a name in quotes")
        owner = absolute_name(token.text, state.origin)
        if any(text.upper() == "SOA" for text, _ in rest[:3]):
            _check_dots(token.text, owner, state, place)
        self._state = state._replace(owner=owner)

    def _read_record(self, tokens: Sequence[Token], place: Place) -> None:
        ttl, rdtype, rdata = self._split_record(tokens)
        state = self._state
        if isinstance(rdtype, str):
            self.builder.add_unknown(state.owner, rdtype, place)
            return
        key, record = _record(rdtype, rdata, state.origin)
        if rdtype == codes.SOA:
            state = self._state = state._replace(soa_ttl=record.minimum)
        if ttl is None:
            ttl = state.implicit_ttl()
        if ttl is None:
            raise EntryError("no TTL: neither here nor before, and no $TTL")
        self.builder.add_record(state.owner, key, ttl, record, place)

    def _split_record(
        self, tokens: Sequence[Token]
    ) -> tuple[int | None, int | str, Sequence[Token]]:
        """Return TTL, type and RDATA; an unknown type as its mnemonic."""
        ttl: int | None = None
        is_classed = False
        for number, (text, is_quoted) in enumerate(tokens):
            seconds = duration(text) if ttl is None else None
            if is_quoted:
                break
            if seconds is not None:
                ttl = seconds
                self._state = self._state._replace(last_ttl=ttl)
            elif text.upper() == "IN" and not is_classed:
                is_classed = True
            elif text.upper() in _CLASSES:
                raise EntryError(f"class {text.upper()}; expected IN, once")
            else:
                rdtype = rdtype_of(text)
                if rdtype is None and not _MNEMONIC.fullmatch(text):
                    raise EntryError("")
                return ttl, text if rdtype is None else rdtype, tokens[number + 1 :]
        raise EntryError("")

    # --- directives ------------------------------------------------------------------------

    def _read_directive(self, name: str, tokens: Sequence[Token], place: Place) -> None:
        state = self._state
        if name == "$GENERATE":
            self._read_generate(tokens, place)
        elif name == "$INCLUDE":
            self._read_include(tokens)
        elif name == "$ORIGIN" and len(tokens) == 1:
            origin = absolute_name(tokens[0].text, state.origin)
            self._state = state._replace(origin=origin, is_stated=True)
        elif name == "$TTL" and len(tokens) == 1:
            ttl = duration(tokens[0].text)
            if ttl is None:
                raise EntryError("expected a TTL")
            self._state = state._replace(default_ttl=ttl)
        else:
            raise EntryError("expected $ORIGIN, $TTL, $INCLUDE or $GENERATE")

    def _read_include(self, tokens: Sequence[Token]) -> None:
        if self._include is None:
            raise EntryError("a zone that is not from a file includes none")
        if not 1 <= len(tokens) <= 2:  # noqa: PLR2004 - file and origin
            raise EntryError("expected a file, and perhaps an origin")
        self._included += 1
        if self._depth == _MAX_DEPTH or self._included > _MAX_INCLUDES:
            raise EntryError(
                f"expected at most {_MAX_DEPTH} files that include one another, "
                f"and {_MAX_INCLUDES} in all"
            )
        before = self._state
        label, data = self._include(tokens[0].text)
        origin = before.origin
        if len(tokens) > 1:
            origin = absolute_name(tokens[1].text, origin)
        self._state = before._replace(label=label, text=_ascii_text(data), origin=origin)
        self._depth += 1
        self.read_zone()
        self._depth -= 1
        # Origin and owner are restored (RFC 1035 §5.1); TTLs stay, as in BIND.
        after = self._state
        self._state = before._replace(
            default_ttl=after.default_ttl, soa_ttl=after.soa_ttl, last_ttl=after.last_ttl
        )

    def _read_generate(self, tokens: Sequence[Token], place: Place) -> None:
        """Read `$GENERATE RANGE OWNER [TTL] [CLASS] TYPE RDATA`, as a rule if possible."""
        if len(tokens) < 4:  # noqa: PLR2004 - as above
            raise EntryError("expected a range, an owner name, a type and RDATA")
        numbers, owner = read_range(tokens[0].text), read_template(tokens[1].text)
        ttl, rdtype, rdata = self._split_record(tokens[2:])
        if ttl is None:
            ttl = self._state.implicit_ttl()
        if isinstance(rdtype, str) or not rdata or ttl is None:
            raise EntryError("expected a known type, RDATA, and a TTL here or before")
        template = read_template(tokens_text(rdata))
        rule = Rule(numbers, owner, rdtype, template, ttl=ttl, origin=self._state.origin)
        self._state = self._state._replace(owner=rule.owner_for(numbers[-1]))
        if rule.is_reversible:
            self.builder.add_rule(rule, place)
            return
        self._unrolled += len(numbers)
        if self._unrolled > _MAX_UNROLLED:
            raise EntryError(f"expected at most {_MAX_UNROLLED:,} names of this kind in a zone")
        for number in numbers:
            self._count_entry()
            key, record = _record(rdtype, tokens_of(rule.rdata_text(number)), rule.origin)
            self.builder.add_record(rule.owner_for(number), key, ttl, record, place)


def _record(rdtype: int, rdata: Sequence[Token], origin: str) -> tuple[int, Any]:
    """Return type and record; the type is negative if the record was not parsed."""
    if rdtype in READ_TYPES or rdata[:1] == [Token(r"\#")]:
        return rdtype, read_rdata(rdtype, rdata, origin)
    return -rdtype, unread(rdata, origin)


def _check_dots(text: str, owner: str, state: _State, place: Place) -> None:
    """Refuse the owner of an SOA record that seems to lack its final dot.

    It repeats the origin, or has several labels although no `$ORIGIN` was stated.
    """
    origin = state.origin
    if text == "@" or has_final_dot(text) or origin == ".":
        return
    whole = text.lower()
    repeats = f".{whole}".endswith(f".{origin}") or f".{origin}".endswith(f".{whole}")
    if repeats or (not state.is_stated and "." in whole):
        raise place.refusal(
            f"the SOA record of {text} is that of {owner}, since the name has no final dot; "
            "add $ORIGIN . or the final dots"
        )
