"""Counts lines for the page, those together that differ only in address and names.

The lines of one template (`line_template`) count alike for all but their prefix and the domains
of their names, so that one record stands for all of them; only rows of targets are made one by
one, out of the texts in which lines differ. Any other line is parsed and added by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auditor.publicsuffix import registrable
from auditor.views.reader.line_template import MARKS, LineFolder
from auditor.views.reader.results import parse_record
from auditor.views.report.rows import WIDTHS, TargetRow, make_row, owner
from auditor.wire.addresses import V4, V6, parse_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.views.block_facts import BlockFacts, Shape
    from auditor.views.reader.results import Chunk
    from auditor.views.report.aggregate import ScanAggregate
    from auditor.views.report.rows import RowPattern

    #: Template, version and prefix of an address, and the domains of its names.
    _Key = tuple["_Template", int, int, tuple[str, ...]]

__all__ = ["LineCounter"]

#: Printable stand-ins for the text of each mark, which are no names of the DNS.
_STANDS: Final = tuple(f"{number}.[mark]" for number in range(len(MARKS)))
_STAND: Final = ".[mark]"
_FIRST_NAME: Final = 2
#: Most characters of a text, and of a note about one: together short enough to be shown.
_MAX_TEXT_OCTETS: Final = 255
_NAMES: Final = _STANDS[_FIRST_NAME:]
_ONE_NAME: Final = (_FIRST_NAME,)
_REPLACED: Final = tuple(
    (mark.encode(), text.encode()) for mark, text in zip(MARKS, _STANDS, strict=True)
)
#: Templates that are kept, and folded lines that are remembered until they come again.
_KEPT: Final = 4096
#: Lines that are counted before they are handed over.
_MAX_PENDING: Final = 8192
_MAX_MEMO_ENTRIES: Final = 1 << 16
#: Last octets of IPv4 addresses.
_LAST: Final = {b"%d" % number: number for number in range(256)}
_OCTET: Final = 8
#: Bits after a /24 and a /48, the prefixes that are counted at first.
_FINE_SHIFTS: Final = {V4: WIDTHS[V4] - 24, V6: WIDTHS[V6] - 48}
_OFFSET_MASKS: Final = {version: (1 << shift) - 1 for version, shift in _FINE_SHIFTS.items()}


class _Template:
    """What lines have in common: a record of one, with STANDS in place of texts, also as of IPv6.

    `names`: which texts are names that count for a domain. `row`: that of the record, None if
    there is more in it that differs than target, names, domains of SPF results and subjects;
    `is_filled`: one of the last two does; `is_simple`: only target and one name do. `is_known`:
    whether there are examples enough of its findings.
    """

    __slots__ = (
        "codes",
        "is_filled",
        "is_known",
        "is_simple",
        "names",
        "record",
        "record_v6",
        "row",
        "shape",
        "verdict",
        "zone",
    )

    def __init__(self, record: dict[str, Any], names: tuple[int, ...], shape: Shape) -> None:
        row = make_row(record, None)
        self.record = record
        self.record_v6 = {**record, "target": "::"}
        self.codes, self.verdict = row.shape.codes, row.shape.verdict
        self.names = names
        self.shape = shape
        self.zone = b',"zone":"%b"' % str(record["ptr"]["zone"]).encode()
        self.row = row if _is_plain(row) else None
        self.is_known = False
        self.is_filled = any(domain in _STANDS for _, domain, _ in row.shape.spf) or any(
            _STAND in note for note in row.notes
        )
        self.is_simple = len(row.names) == 1 and not self.is_filled

    def filled_row(self, texts: list[bytes], number: int) -> TargetRow | None:
        """Return the row of a line by its texts, None if it takes the record to make it.

        `number`: that of the row.
        """
        row = self.row
        if row is None:
            return None
        # Nothing has to be escaped in what is folded.
        names: tuple[str, ...]
        if self.is_simple:
            if len(texts[_FIRST_NAME]) > _MAX_TEXT_OCTETS:
                return None
            names = (texts[_FIRST_NAME].decode(),)
        elif max(map(len, texts)) > _MAX_TEXT_OCTETS:
            return None
        else:
            shown = texts[_FIRST_NAME : _FIRST_NAME + len(row.names)]
            names = tuple([name.decode() for name in shown])
        made = TargetRow(texts[0].decode(), number, row.shape, names, row.labels, row.notes)
        if self.is_filled:
            made.shape, made.notes = _filled(row, [text.decode() for text in texts])
        return made


def _is_plain(row: TargetRow) -> bool:
    """Tell whether nothing that a row has cut, or keeps elsewhere, differs."""
    return (
        row.names == _NAMES[: len(row.names)]
        and _STAND not in row.labels
        and not any(_STAND in note and len(note) > _MAX_TEXT_OCTETS for note in row.notes)
    )


def _filled(row: TargetRow, texts: list[str]) -> tuple[RowPattern, tuple[str, ...]]:
    """Return what a row has in common with others, and its notes, with texts in them."""
    known = dict(zip(_STANDS, texts, strict=False))
    shape, notes = row.shape, row.notes
    spf = [(identity, known.get(domain, domain), result) for identity, domain, result in shape.spf]
    for stand, text in known.items():
        notes = tuple([note.replace(stand, text) for note in notes])
    return shape._replace(spf=tuple(spf)), notes


class LineCounter:
    """Counts lines of results in a `ScanAggregate`, by template; also those of the scan before.

    After the last chunk comes `flush`.
    """

    def __init__(self, gathered: ScanAggregate, *, before: bool = False) -> None:
        self._gathered = gathered
        self._before = before
        self._fold = LineFolder().fold_lines
        self._templates: dict[bytes, _Template | None] = {}
        self._once: set[bytes] = set()
        #: Offsets into the prefix, and first names or what there is in their place.
        self._pending: dict[_Key, tuple[list[int], list[bytes]]] = {}
        self._waiting = 0
        self._networks: dict[bytes, int] = {}
        # By a name without its first label.
        self._owners: dict[bytes, tuple[str]] = {}

    def count_chunk(self, chunk: Chunk) -> None:
        """Count the lines of a chunk. Raises InputError for one that is no record."""
        templates, owners = self._templates, self._owners
        networks, pending = self._networks, self._pending
        for index, (folded, texts) in enumerate(self._fold(chunk)):
            template = templates.get(folded)
            if template is None:
                template = None if folded in templates else self._template(folded, texts)
                if template is None:
                    self._alone(chunk.record(index))
                    continue
            network, _, last = texts[0].rpartition(b".")
            first, octet = networks.get(network), _LAST.get(last)
            if first is None or octet is None:
                where = self._where(texts[0])
                if where is None:
                    self._alone(chunk.record(index))
                    continue
                version, number = where
            else:
                version, number = V4, first + octet
            if template.names == _ONE_NAME:
                name = texts[_FIRST_NAME]
                owned: tuple[str, ...] | None = owners.get(name.partition(b".")[2])
                if owned is None or b":" in name:
                    owned = self._owner(name)
            else:
                owned = sum([self._owner(texts[at]) for at in template.names], ())
                name = texts[_FIRST_NAME] if owned else b'"%b"%b' % (texts[1], template.zone)
            key = template, version, number >> _FINE_SHIFTS[version], owned
            group = pending.get(key)
            if group is None:
                group = pending[key] = ([], [])
            group[0].append(number & _OFFSET_MASKS[version])
            group[1].append(name)
            if not self._before:
                self._note_row(template, texts, chunk, index, (version, number))
        self._waiting += len(chunk)
        if self._waiting > _MAX_PENDING:
            self.flush()

    def flush(self) -> None:
        """Hand over what was counted, in the order in which it came up."""
        count = self._gathered.past if self._before else self._gathered.count_equal_records
        for (template, version, fine, owners), (offsets, names) in self._pending.items():
            record = template.record if version == V4 else template.record_v6
            stands = (_STANDS[at] for at in template.names)
            where = version, fine << _FINE_SHIFTS[version]
            count(record, where, dict(zip(stands, owners, strict=True)), len(offsets))
            if not self._before:
                shape = template.shape._replace(domain=owners[0]) if owners else template.shape
                self._gathered.blocks.add_addresses((version, fine), shape, offsets, names)
        self._pending.clear()
        self._waiting = 0

    def _alone(self, record: Mapping[str, Any]) -> None:
        self.flush()  # what comes first is kept where there is too much
        if self._before:
            where = parse_address(record["target"]) if record["kind"] == "ip" else None
            self._gathered.past(record, where)
        else:
            self._gathered.add_record(record)

    def _note_row(
        self,
        template: _Template,
        texts: list[bytes],
        chunk: Chunk,
        index: int,
        where: tuple[int, int],
    ) -> None:
        """Make the row of a line, and an example of its findings, if these are needed."""
        gathered = self._gathered
        if not template.is_known:
            template.is_known = not gathered.needs_examples(template.codes)
            if not template.is_known:
                gathered.note_findings(chunk.record(index))
        if gathered.has_room(template.verdict):
            row = template.filled_row(texts, where[1] if where[0] == V4 else -1)
            gathered.rows.append(row or make_row(chunk.record(index), where))

    def _where(self, target: bytes) -> tuple[int, int] | None:
        """Return the version of an address and the address, None if it is no plain one."""
        where = parse_address(target.decode())
        if where is None or (where[0] == V4 and b":" in target):
            return None
        if where[0] == V4:
            if len(self._networks) >= _MAX_MEMO_ENTRIES:
                self._networks.clear()
            self._networks[target.rpartition(b".")[0]] = where[1] >> _OCTET << _OCTET
        return where

    def _owner(self, name: bytes) -> tuple[str]:
        """Return the domain that a name counts for, as a tuple of its own."""
        parent = name.partition(b".")[2]
        known = self._owners.get(parent)
        if known is None or b":" in name:
            known = (owner(name.decode()),)
            # As in `line_classes`: the parent determines the owner.
            if parent and registrable(parent.decode()) == known[0]:
                if len(self._owners) >= _MAX_MEMO_ENTRIES:
                    self._owners.clear()
                self._owners[parent] = known
        return known

    def _template(self, folded: bytes, texts: list[bytes]) -> _Template | None:
        """Return a new template for a folded line if it has come before, and can be one."""
        if not texts:
            return None
        if folded not in self._once:
            if len(self._once) >= _KEPT:
                self._once.clear()
            self._once.add(folded)
            return None
        if len(self._templates) >= _KEPT:
            self._templates.clear()
        made = self._templates[folded] = _make(folded, self._gathered.blocks)
        return made


def _make(folded: bytes, blocks: BlockFacts) -> _Template | None:
    """Return the template of a folded line, None if its texts are more than address and names."""
    if _STAND.encode() in folded:
        return None
    for mark, stand in _REPLACED:
        folded = folded.replace(mark, stand)
    try:
        record = parse_record(folded)
    except ValueError:
        return None
    listed = record["ptr"]["names"]
    labels = record["labels"]
    if any(stand in listed for stand in _STANDS[:_FIRST_NAME]) or any(
        _STAND in text for text in (*labels, *labels.values())
    ):
        return None
    names = tuple(at for at, stand in enumerate(_STANDS) if at >= _FIRST_NAME and stand in listed)
    owned = {_STANDS[at] for at in names}
    for fact in record["spf"]:
        # The whole domain of a sender counts, but only the owner of a HELO name.
        is_owned = fact["identity"] == "helo" and fact["domain"] in owned
        if _STAND in fact["domain"] and not is_owned:
            return None
    if listed and names[:1] != _ONE_NAME:
        return None  # the first name is one that stays in the line
    return _Template(record, names, blocks.shape(record))
