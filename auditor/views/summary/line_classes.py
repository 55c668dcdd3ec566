"""Counts lines by their class, so that only one line of each class is parsed.

The records of a block are alike but for the address and its name. So each line is folded:
quoted strings equal to its address become `""`, those equal to its first PTR name become
`"*."` and the registrable domain, and the owner of the PTR, its zone, labels and trace are cut
off. No count depends on what is lost by that (the prefix of the address is counted before), hence
lines that fold to the same bytes are counted together, and one of them is parsed. A line that does
not look as `auditor scan` writes it is parsed by itself; the counts are the same.

It is sound because a raw `","` or `"key":` is never inside of a JSON string, whose quotes
are escaped, and because only whole strings are replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor.publicsuffix import registrable
from auditor.views.owner import is_literal
from auditor.views.prefixes import split_address
from auditor.views.reader.results import parse_record
from auditor.wire.addresses import V4

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.views.block_facts import BlockFacts, Shape
    from auditor.views.prefixes import Network
    from auditor.views.reader.results import Chunk

__all__ = ["LineClasses"]

_MAX_CLASSES: Final = 4096
#: Lines, and all but the last groups of their addresses, that wait to be counted by network.
_MAX_PENDING: Final = 1 << 17
#: Lines in all and of each group after which they are counted: few enough for the caches of the
#: processor.
_FEW_PENDING: Final = 1 << 13
_PENDING_A_GROUP: Final = 64
_MAX_GROUPS: Final = 1 << 15
_MAX_MEMO_ENTRIES: Final = 1 << 16

_HEAD: Final = b'{"target":"'
_TARGET_AT: Final = len(_HEAD)
_IP: Final = b'","kind":"ip","verdict":"'
_BLANK: Final = _HEAD + _IP
_NAMES: Final = b'"names":["'
_NAMES_OPENED: Final = b'"names":['
_LABELS: Final = b',"domain":null,"labels":{'
_TAIL: Final = b',"domain":null,"labels":{},"error":null}'
_TAIL_KEYS: Final = frozenset({"domain", "labels", "error", "trace"})
_NO_CHAIN: Final = b'],"chain":[]},'
_CHAIN: Final = b',"chain":['
#: What follows the chain: before and since `ptr` has an owner, which `count_chunk` cuts out first.
_CHAIN_ENDS: Final = (b']},"helo":', b']},"iprev":')
_OWNER: Final = b',"owner":'
_HELO: Final = b'},"helo":'
#: Target of the record that stands for those of a class of IPv6; that of IPv4 is empty.
_SOME_V6: Final = "::"
_OCTET_BITS: Final = 8
_GROUP_BITS: Final = 16
_MAX_GROUP: Final = 0xFFFF
_OCTET_OF: Final = {b"%d" % octet: octet for octet in range(256)}


class LineClasses:
    """Counts lines by what they fold to.

    `row` gives the counts of a network: [addresses, failing, in use, failing in use]; `note` takes
    a record and how many of its class there were. The records of a class differ from it in their
    target, PTR owner, labels, trace, and the name in front of a registrable domain. `facts` gets
    the addresses of each network, with their names. Until `flush` all of that may be incomplete.
    """

    def __init__(
        self,
        row: Callable[[Network], list[int]],
        note: Callable[[dict[str, Any], int], None],
        facts: BlockFacts,
    ) -> None:
        self._row, self._note, self._facts = row, note, facts
        # By folded line: how many, the record, its shape; of IPv4 and of IPv6.
        self._classes: tuple[dict[bytes, list[Any]], dict[bytes, list[Any]]] = ({}, {})
        # By all of an address but its last group, by folded line: the last groups and the names,
        # in turn.
        self._groups: dict[bytes, dict[bytes, list[bytes]]] = {}
        # By the same: the network, and the address in it whose last group is 0.
        self._origins: dict[bytes, tuple[Network, int]] = {}
        self._pending = 0
        # By a name without its first label: the folded name, in quotes.
        self._owners: dict[bytes, bytes] = {}

    def flush(self) -> None:
        """Report what was counted and not yet reported."""
        self._place()
        for classes in self._classes:
            for times, record, _ in classes.values():
                self._note(record, times)
            classes.clear()

    def count_chunk(self, chunk: Chunk) -> None:
        """Count the lines of a chunk. Raises InputError for one that is no record."""
        groups, owners = self._groups, self._owners
        for line in chunk:
            # partition is the fastest there is: it parses no arguments.
            head, _, rest = line.partition(_IP)
            front, _, last = head.rpartition(b".")
            group = groups.get(front)
            if group is None:
                group, last = self._group(head)
                if group is None:
                    self._alone(chunk, line)
                    continue
            before, named, behind = rest.partition(_NAMES)
            if named:
                name, _, behind = behind.partition(b'"')
                quoted = b'"%b"' % name
                folded = owners.get(name.partition(b".")[2])
                if folded is None:
                    folded = self._owner(name)
                before += _NAMES_OPENED + (folded or quoted)
            else:
                before, behind = b"", before
            chain, _, owned = behind.partition(_OWNER)
            owned, ended, after = owned.partition(_HELO)
            # Nothing below needs what is cut out here.
            rest = before + (chain + _HELO + after if ended else behind)
            if named and folded:
                rest = rest.replace(quoted, folded)
            rest = rest.replace(b'"%b"' % head[_TARGET_AT:], b'""')
            seen = group.get(rest)
            if seen is None and (seen := self._seen(head, rest, group)) is None:
                self._alone(chunk, line)
                continue
            seen.append(last)
            seen.append(name if named else owned)
        self._pending += len(chunk)
        least = max(_FEW_PENDING, _PENDING_A_GROUP * len(groups))
        if self._pending > min(least, _MAX_PENDING) or len(groups) > _MAX_GROUPS:
            self._place()
        if sum(map(len, self._classes)) > _MAX_CLASSES:
            self.flush()

    def _group(self, head: bytes) -> tuple[dict[bytes, list[bytes]] | None, bytes]:
        """Return the group of the address at a line's head, and its last part; None without one."""
        if not head.startswith(_HEAD):
            return None, b""
        address = head[_TARGET_AT:]
        separator = b":" if b":" in address else b"."
        front, _, last = head.rpartition(separator)
        if separator == b":" and b"." in last:
            return None, b""  # ::ffff:192.0.2.1, say: its last part stands for two groups
        group = self._groups.get(front)
        if group is not None:
            return group, last
        place = split_address(address.decode("ascii", "replace"))
        if place is None or (place[0][0] == V4) != (separator == b"."):
            return None, b""
        found, offset = place
        bits = _OCTET_BITS if found[0] == V4 else _GROUP_BITS
        self._origins[front] = found, offset >> bits << bits
        group = self._groups[front] = {}
        return group, last

    def _seen(
        self, head: bytes, rest: bytes, group: dict[bytes, list[bytes]]
    ) -> list[bytes] | None:
        """Return the list of a class in a group, for a folded line that is new to the group."""
        classes = self._classes[b":" in head[_TARGET_AT:]]
        if rest not in classes:
            folded = self._class(rest, classes)
            if folded is None:
                return None
            rest = folded
        return group.setdefault(rest, [])

    def _place(self) -> None:
        """Count what has been seen, by class and by network."""
        for front, group in self._groups.items():
            network, first = self._origins[front]
            classes = self._classes[network[0] != V4]
            row = self._row(network)
            for folded, seen in group.items():
                known = classes[folded]
                count = len(seen) // 2
                known[0] += count
                shape = known[2]
                _add_to_row(row, shape, count)
                names = seen[1::2]
                try:
                    offsets = _offsets(network, first, seen[::2])
                except (KeyError, ValueError):  # of an address that is none
                    continue
                self._facts.add_addresses(network, shape, offsets, names)
        self._groups.clear()
        self._origins.clear()
        self._pending = 0

    def _owner(self, name: bytes) -> bytes:
        """Return what to put for a name, in quotes; empty if it has to stay."""
        _, _, parent = name.partition(b".")
        text = parent.decode("ascii", "replace")
        domain = registrable(text) if text and not is_literal(text) else None
        if domain is None:
            return b""
        if len(self._owners) >= _MAX_MEMO_ENTRIES:
            self._owners.clear()
        folded = self._owners[parent] = b'"*.%b"' % domain.encode()
        return folded

    def _without_names(self, line: bytes) -> bytes:
        """Return a line with all its PTR names folded, if it has several."""
        start = line.find(_NAMES)
        stop = line.find(b'"]', start)
        names = line[start + len(_NAMES) : stop].split(b'","')
        if start < 0 or len(names) == 1:
            return line
        for name in names[1:]:
            folded = self._owners.get(name.partition(b".")[2]) or self._owner(name)
            if folded:
                line = line.replace(b'"%b"' % name, folded)
        return line

    def _class(self, folded: bytes, classes: dict[bytes, list[Any]]) -> bytes | None:
        """Fold a line further, or make the class of which it is the first; return its key.

        `classes`: those of its IP version, which is all that is kept of the target. None if that is
        not the record of an address whose target was cut out.
        """
        folded = _without_labels(_without_chain(self._without_names(folded)))
        if folded in classes:
            return folded
        try:
            record = parse_record(_BLANK + folded)
        except ValueError:
            return None
        if record["target"] or record["kind"] != "ip":
            return None
        # The whole domain of a sender counts: it must not be folded as a PTR name.
        if any(fact["domain"][:2] == "*." for fact in record["spf"] if fact["identity"] != "helo"):
            return None
        if classes is self._classes[1]:
            record["target"] = _SOME_V6
        classes[folded] = [0, record, self._facts.shape(record)]
        return folded

    def _alone(self, chunk: Chunk, line: bytes) -> None:
        """Count one line, parsed as it is."""
        try:
            record = parse_record(line)
        except ValueError as error:
            raise chunk.wrong(chunk.index(line), str(error)) from None
        place = split_address(record["target"]) if record["kind"] == "ip" else None
        if place is not None:
            _add_to_row(self._row(place[0]), self._facts.shape(record), 1)
            self._facts.count_record(record)
        self._note(record, 1)


def _add_to_row(row: list[int], shape: Shape, count: int) -> None:
    """Count the addresses of a network in its row: all, failing, in use, failing in use."""
    row[0] += count
    row[1] += count if shape.is_failing else 0
    row[2] += count if shape.is_in_use else 0
    row[3] += count if shape.is_in_use and shape.is_failing else 0


def _offsets(network: Network, first: int, lasts: list[bytes]) -> Sequence[int]:
    """Return the offsets into a network of addresses, by their last groups.

    `first`: the offset of the address whose last group is 0. Raises KeyError, ValueError for what
    is no last group of an address.
    """
    if network[0] == V4:
        return bytes(map(_OCTET_OF.__getitem__, lasts))
    return [first | (int(last, 16) & _MAX_GROUP if last else 0) for last in lasts]


def _without_chain(line: bytes) -> bytes:
    """Return a line without the CNAME chain of its PTR, which has the address in it."""
    if _NO_CHAIN in line:
        return line
    start = line.find(_CHAIN) + len(_CHAIN)
    for end in _CHAIN_ENDS:
        stop = line.find(end, start)
        if len(_CHAIN) <= start <= stop:
            return line[:start] + line[stop:]
    return line


def _without_labels(line: bytes) -> bytes:
    """Return a line without labels and trace, if what it ends in is nothing else."""
    if line.endswith(_TAIL):
        return line
    at = line.rfind(_LABELS)
    try:
        tail = orjson.loads(b"{" + line[at + 1 :]) if at > 0 else {}
    except orjson.JSONDecodeError:
        return line
    if not {"labels", "error"} <= tail.keys() <= _TAIL_KEYS or tail["error"] is not None:
        return line
    labels = tail["labels"]
    plain = type(labels) is dict and all(type(value) is str for value in labels.values())
    return line[:at] + _TAIL if plain else line
