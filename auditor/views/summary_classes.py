"""Lines → counts, at the speed of looking at bytes rather than of parsing them.

The records of a block are alike but for the address and its name. So each line is folded:
quoted strings equal to its address become `""`, those equal to its first PTR name become
`"*."` and the registrable domain, and labels and trace are cut off. No count depends on what
is lost by that (the prefix of the address is counted before), hence lines that fold to the
same bytes are counted together, and one of them is parsed. A line that does not look as
`auditor scan` writes it is parsed by itself; the counts are the same.

It is sound because a raw `","` or `"key":` is never inside of a JSON string, whose quotes
are escaped, and because only whole strings are replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor.suffixes import registrable
from auditor.targets.spans import parse_address
from auditor.views.results import parse_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.views.results import Chunk

__all__ = ["Classes", "is_literal", "network", "owner"]

#: A prefix for counting: IP version, and the /24 or /48 as a number.
Network = tuple[int, int]

_KEPT: Final = 4096
_MEMO: Final = 1 << 16

_HEAD: Final = b'{"target":"'
_TARGET_AT: Final = len(_HEAD)
_IP: Final = b'","kind":"ip","verdict":"'
_BLANK: Final = _HEAD + _IP
_NAMES: Final = b'"names":["'
_LABELS: Final = b',"domain":null,"labels":{'
_TAIL: Final = b',"domain":null,"labels":{},"error":null}'
_TAIL_KEYS: Final = frozenset({"domain", "labels", "error", "trace"})
_NO_CHAIN: Final = b'],"chain":[]},'
_CHAIN: Final = b',"chain":['
_CHAIN_END: Final = b']},"iprev":'
_V4: Final = 4
_V4_SHIFT: Final = 32 - 24
_V6_SHIFT: Final = 128 - 48


def network(target: str) -> Network | None:
    """Return the /24 or /48 that an address lies in, None if it is no address."""
    address = parse_address(target)
    if address is None:
        return None
    version, number = address
    return version, number >> (_V4_SHIFT if version == _V4 else _V6_SHIFT)


def owner(name: str) -> str:
    """Return the domain that a host name counts for: the registrable one, or the name itself.

    Names next to each other count alike: `a.b` and `c.b` whenever `b` has an owner. "" for
    an address in place of a name: no top-level domain is a number (RFC 3696 section 2).
    """
    if is_literal(name):
        return ""
    parent = name.partition(".")[2]
    return (parent and registrable(parent)) or registrable(name) or name


def is_literal(name: str) -> bool:
    """Tell whether an address stands where a name should."""
    return name[name.rfind(".") + 1 :].isdigit() or ":" in name


class Classes:
    """Counts lines by what they fold to.

    `row` gives the counts [records, failing] of a network; `note` takes a record and how
    many of its class there were. The records of a class differ from it in their target,
    labels, trace, and the name in front of a registrable domain.
    """

    def __init__(
        self,
        row: Callable[[Network], list[int]],
        note: Callable[[dict[str, Any], int], None],
    ) -> None:
        self._row, self._note = row, note
        # By folded line: how many, whether they fail, the record.
        self._classes: dict[bytes, list[Any]] = {}
        # By all of an address but its last group: the counts of its network.
        self._networks: dict[bytes, list[int]] = {}
        # By a name without its first label: the folded name, in quotes.
        self._owners: dict[bytes, bytes] = {}

    def forget_networks(self) -> None:
        """Let go of the rows of networks: they are no longer those that count."""
        self._networks.clear()

    def flush(self) -> None:
        """Report what was counted and not yet reported."""
        for times, _, record in self._classes.values():
            self._note(record, times)
        self._classes.clear()

    def add(self, chunk: Chunk) -> None:
        """Count the lines of a chunk. Raises InputError for one that is no record."""
        classes, networks, owners = self._classes, self._networks, self._owners
        for line in chunk:
            # partition is the fastest there is: it parses no arguments.
            head, _, rest = line.partition(_IP)
            counts = networks.get(head.rpartition(b".")[0])
            if counts is None and (counts := self._network(head)) is None:
                self._alone(chunk, line)
                continue
            _, named, name = rest.partition(_NAMES)
            if named:
                name = name.partition(b'"')[0]
                folded = owners.get(name.partition(b".")[2])
                if folded is None:
                    folded = self._owner(name)
                if folded:
                    rest = rest.replace(b'"%b"' % name, folded)
            rest = rest.replace(b'"%b"' % head[_TARGET_AT:], b'""')
            known = classes.get(rest)
            if known is None and (known := self._class(rest)) is None:
                self._alone(chunk, line)
                continue
            known[0] += 1
            counts[0] += 1
            counts[1] += known[1]
        if len(classes) > _KEPT:
            self.flush()

    def _network(self, head: bytes) -> list[int] | None:
        """Return the counts of the network of the address at a line's head, None without one."""
        if not head.startswith(_HEAD):
            return None
        address = head[_TARGET_AT:]
        # Up to the last dot or colon its text says all about the network; in a mixed one
        # (::ffff:192.0.2.1) the last part stands for two groups.
        mixed = b"." in address and b":" in address
        key = head.rpartition(b"." if b"." in address else b":")[0]
        counts = None if mixed else self._networks.get(key)
        if counts is None:
            found = network(address.decode("ascii", "replace"))
            if found is None:
                return None
            counts = self._row(found)
            if not mixed:
                if len(self._networks) >= _MEMO:
                    self._networks.clear()
                self._networks[key] = counts
        return counts

    def _owner(self, name: bytes) -> bytes:
        """Return what to put for a name, in quotes; empty if it has to stay."""
        _, _, parent = name.partition(b".")
        text = parent.decode("ascii", "replace")
        domain = registrable(text) if text and not is_literal(text) else None
        if domain is None:
            return b""
        if len(self._owners) >= _MEMO:
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

    def _class(self, folded: bytes) -> list[Any] | None:
        """Return the class of a line that has to be folded further, or is the first of its class.

        None if that is not the record of an address whose target was cut out.
        """
        folded = _without_labels(_without_chain(self._without_names(folded)))
        known = self._classes.get(folded)
        if known is not None:
            return known
        try:
            record = parse_record(_BLANK + folded)
        except ValueError:
            return None
        if record["target"] or record["kind"] != "ip":
            return None
        # Of a sender's domain all counts: it must not have been taken for a PTR name.
        if any(fact["domain"][:2] == "*." for fact in record["spf"] if fact["identity"] != "helo"):
            return None
        known = self._classes[folded] = [0, int(record["verdict"] == "fail"), record]
        return known

    def _alone(self, chunk: Chunk, line: bytes) -> None:
        """Count one line, parsed as it is."""
        try:
            record = parse_record(line)
        except ValueError as error:
            raise chunk.wrong(chunk.index(line), str(error)) from None
        found = network(record["target"]) if record["kind"] == "ip" else None
        if found is not None:
            counts = self._row(found)
            counts[0] += 1
            counts[1] += record["verdict"] == "fail"
        self._note(record, 1)


def _without_chain(line: bytes) -> bytes:
    """Return a line without the CNAME chain of its PTR, which has the address in it."""
    if _NO_CHAIN in line:
        return line
    start = line.find(_CHAIN) + len(_CHAIN)
    stop = line.find(_CHAIN_END, start)
    return line[:start] + line[stop:] if len(_CHAIN) <= start <= stop else line


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
