"""RRsets of an owner name, and which types may coexist at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from auditor.wire import codes

if TYPE_CHECKING:
    from auditor.resolve.answer import Rdata

__all__ = ["EMPTY", "UNDETERMINED", "RRset", "RRsets", "add_record", "conflict", "finish"]

#: (TTL, records sorted and without duplicates)
RRset: TypeAlias = "tuple[int, tuple[Rdata, ...]]"
#: The RRsets of one owner name by type number. RRsets of types that are not parsed
#: (`UnreadRdata`) have the negative number of their type as key.
RRsets: TypeAlias = "dict[int, RRset]"

#: An empty non-terminal (RFC 8499 §7): the name exists without records. Never changed.
EMPTY: Final[RRsets] = {}

#: Key in place of a type: the name has a record that cannot be interpreted.
UNDETERMINED: Final = 0

#: Types that may coexist with a CNAME: RRSIG, NSEC and KEY (RFC 4035 §2.5, RFC 4034 §4).
_BESIDE_CNAME: Final = frozenset({25, 46, codes.CNAME, 47, UNDETERMINED})
_ONE_ONLY: Final = frozenset({codes.SOA, codes.CNAME, codes.DNAME})


def conflict(owner: str, rdtype: int, record: Any, node: RRsets) -> str:
    """Return why servers reject this record beside the others of its owner name; "" if valid."""
    if rdtype in _ONE_ONLY and rdtype in node and record not in node[rdtype][1]:
        return f"a second {codes.type_name(rdtype)} record at {owner}; expected one"
    if rdtype == codes.CNAME:
        beside = any(abs(other) not in _BESIDE_CNAME for other in node)
    else:
        beside = codes.CNAME in node and abs(rdtype) not in _BESIDE_CNAME
    if beside:
        return f"a CNAME and other records at {owner}; expected the CNAME alone (RFC 1034 3.6.2)"
    return ""


def add_record(node: RRsets, key: int, ttl: int, record: Any) -> None:
    """Add a record under its key; `finish` sorts the RRset."""
    held = node.get(key)
    if held is None:
        node[key] = (ttl, (record,))
        return
    # RFC 2181 section 5.2: one TTL for an RRset, the lowest if they differ.
    known: Any = held[1]
    if isinstance(known, tuple):
        known = list(known)
    known.append(record)
    node[key] = (min(ttl, held[0]), known)


def finish(node: RRsets) -> RRsets:
    """Sort the records of each RRset, drop duplicates, and return the node."""
    for key, (ttl, records) in node.items():
        if len(records) > 1:
            node[key] = (ttl, tuple(sorted(set(records))))
    return node
