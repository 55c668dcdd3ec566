"""What a zone says: the examples of the RFCs, and RFC 1034 §4.3.2 taken word by word."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.zone_texts import HEAD, ask, zones

from auditor.resolve.answer import MAX_CHAIN, Answer, Question
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.resolve.zones.zone import substitute
from auditor.wire.codes import (
    CNAME,
    DNAME,
    MX,
    NODATA,
    NOERROR,
    NS,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    TXT,
    A,
    type_name,
)
from auditor.wire.names import parent_of

SRV = 33

RFC4592 = """
$ORIGIN example.
example.                 3600 IN  SOA   ns.example.com. host.example.com. 1 2 3 4 900
example.                 3600     NS    ns.example.com.
example.                 3600     NS    ns.example.net.
*.example.               3600     TXT   "this is a wildcard"
*.example.               3600     MX    10 host1.example.
sub.*.example.           3600     TXT   "this is not a wildcard"
host1.example.           3600     A     192.0.2.1
_ssh._tcp.host1.example. 3600     SRV   0 0 22 host1.example.
_ssh._tcp.host2.example. 3600     SRV   0 0 22 host2.example.
subdel.example.          3600     NS    ns.example.com.
subdel.example.          3600     NS    ns.example.net.
"""


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        # Synthesised (RFC 4592 §2.2.1).
        ("host3.example", MX, Answer(NOERROR, ((10, "host1.example"),), ttl=3600)),
        ("host3.example", A, Answer(NODATA, ttl=900, zone="example")),
        ("foo.bar.example", TXT, Answer(NOERROR, ((b"this is a wildcard",),), ttl=3600)),
        # Not synthesised.
        ("host1.example", MX, Answer(NODATA, ttl=900, zone="example")),
        ("sub.*.example", MX, Answer(NODATA, ttl=900, zone="example")),
        ("_telnet._tcp.host1.example", SRV, Answer(NXDOMAIN, ttl=900, zone="example")),
        ("host.subdel.example", A, Answer(SERVFAIL)),
        ("ghost.*.example", MX, Answer(NXDOMAIN, ttl=900, zone="example")),
        # The wildcard asked for by its own name (§2.1.3), and empty non-terminals (§2.2.2).
        ("*.example", TXT, Answer(NOERROR, ((b"this is a wildcard",),), ttl=3600)),
        ("_tcp.host1.example", TXT, Answer(NODATA, ttl=900, zone="example")),
        ("host2.example", TXT, Answer(NODATA, ttl=900, zone="example")),
        ("x.host2.example", TXT, Answer(NXDOMAIN, ttl=900, zone="example")),
        # Other data comes as it would on the wire.
        (
            "_ssh._tcp.host1.example",
            SRV,
            Answer(NOERROR, (b"\0\0\0\0\0\x16\x05host1\x07example\0",), ttl=3600),
        ),
    ],
)
def test_the_example_zone_of_rfc_4592(name: str, rdtype: int, expected: Answer) -> None:
    assert expected == ask(ZoneFileEngine.from_texts({"example": RFC4592}), name, rdtype)


def test_a_wildcard_alias_is_followed_from_the_name_asked() -> None:
    engine = zones(example="* CNAME host\nhost A 192.0.2.1\n")

    expected = Answer(NOERROR, ("192.0.2.1",), ("x.y.example",), "host.example", 300)
    assert expected == ask(engine, "x.y.example", A)
    assert Answer(NOERROR, ("host.example",), ttl=300) == ask(engine, "x.y.example", CNAME)


def test_an_empty_wildcard_covers_names_with_nothing() -> None:
    engine = zones(example="a.* A 192.0.2.1\n")

    assert Answer(NODATA, ttl=60, zone="example") == ask(engine, "b.example", A)
    assert Answer(NXDOMAIN, ttl=60, zone="example") == ask(
        zones(example="a A 192.0.2.1\n"), "b.example", A
    )


def test_a_wildcard_in_the_root_zone_covers_everything() -> None:
    engine = ZoneFileEngine.from_texts({"zone": "$ORIGIN .\n" + HEAD + '* TXT "anything"\n'})

    assert Answer(NOERROR, ((b"anything",),), ttl=300) == ask(engine, "a.b.c", TXT)


@pytest.mark.parametrize(
    ("name", "owner", "target", "expected"),
    [
        ("a.b.c", "b.c", "d", "a.d"),
        ("a.b", "b", ".", "a"),
        ("a", ".", "b.c", "a.b.c"),
        (r"a\.\000.b", "b", "c", r"a\.\000.c"),
        (".".join(["x" * 63] * 3) + ".b", "b", "y" * 61, ".".join(["x" * 63] * 3) + "." + "y" * 61),
        (".".join(["x" * 63] * 3) + ".b", "b", "y" * 62, None),
        (".".join([r"\000" * 63] * 3) + ".b", "b", "c", ".".join([r"\000" * 63] * 3) + ".c"),
    ],
)
def test_a_name_is_moved_from_below_one_owner_to_another(
    name: str, owner: str, target: str, expected: str | None
) -> None:
    assert expected == substitute(name, owner, target)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.b", "b"), ("a", "."), (".", "."), (r"a\.b.c", "c"), (r"a\\.b.c", "b.c"), (r"a\.b", ".")],
)
def test_the_parent_of_a_name_is_past_its_first_unescaped_dot(name: str, expected: str) -> None:
    assert expected == parent_of(name)


# --- the oracle: RFC 1034 §4.3.2 over dnspython's names, with nothing prepared -----------------

Name: TypeAlias = dns.name.Name
#: What stands at an owner name: one value a type.
Node: TypeAlias = dict[int, str]
_TYPES = (A, TXT, NS, CNAME, DNAME)


class Outcome(NamedTuple):
    status: str
    records: tuple[str, ...]
    chain: tuple[str, ...]


def _text(name: Name) -> str:
    return name.to_text(omit_final_dot=True)


def _oracle(zones: dict[Name, dict[Name, Node]], qname: Name, qtype: int) -> Outcome:
    """Do what RFC 1034 §4.3.2 says, as amended by RFC 4592 §3.3 and RFC 6672 §3.2."""
    chain: list[str] = []
    while True:
        # 2. Search the available zones for the zone which is the nearest ancestor to QNAME.
        above = [origin for origin in zones if qname.is_subdomain(origin)]
        if not above:
            return Outcome(NOERROR if chain else REFUSED, (), tuple(chain))
        origin = max(above, key=len)
        found = _match(zones[origin], origin, qname)
        if isinstance(found, str):
            return Outcome(found, (), tuple(chain))
        if qtype in found:
            return Outcome(NOERROR, (found[qtype],), tuple(chain))
        if CNAME not in found:
            return Outcome(NODATA, (), tuple(chain))
        # ... change QNAME to the canonical name in the CNAME RR, and go back to step 1.
        chain.append(_text(qname))
        if len(chain) > MAX_CHAIN or found[CNAME] in chain:
            return Outcome(SERVFAIL, (), tuple(chain[:MAX_CHAIN]))
        qname = dns.name.from_text(found[CNAME])


def _match(zone: dict[Name, Node], origin: Name, qname: Name) -> Node | str:
    """3. Start matching down, label by label, in the zone. A status ends the search."""
    matched = origin
    for depth in range(len(origin), len(qname) + 1):
        name = qname.split(depth)[1]
        if not any(owner.is_subdomain(name) for owner in zone):
            break  # c. a match is impossible
        matched = name
        # b. If a match would take us out of the authoritative data, we have a referral.
        if name != origin and NS in zone.get(name, {}):
            return SERVFAIL
        # a. If the whole of QNAME is matched, we have found the node.
        if name == qname:
            return zone.get(name, {})
        if DNAME in zone.get(name, {}):
            target = dns.name.from_text(zone[name][DNAME])
            return {CNAME: _text(qname.relativize(name).concatenate(target))}
    # c. Look to see if the "*" label exists; below the closest encloser only (RFC 4592).
    wildcard = dns.name.Name([b"*", *matched.labels])
    if any(owner.is_subdomain(wildcard) for owner in zone):
        return zone.get(wildcard, {})
    return NXDOMAIN


_ORIGINS = ("z", "b.z", "a.b.z", "t")
_LABELS = st.sampled_from(["a", "b", "c", "*"])
_RELATIVE = st.lists(_LABELS, max_size=4).map(".".join)


def _below(relative: str, origin: str) -> str:
    return f"{relative}.{origin}".removeprefix(".")


_NAMES = st.builds(_below, _RELATIVE, st.sampled_from([*_ORIGINS, "elsewhere"]))


@st.composite
def _nodes(draw: st.DrawFn, origin: str) -> dict[str, Node]:
    """Draw the nodes of a zone: what a server would load, occluded data included."""
    zone: dict[str, Node] = {}
    for relative in draw(st.lists(_RELATIVE, max_size=8, unique=True)):
        usual = ["data", "data", "alias", "both", "cut", "dname"]
        kinds = ["data", "dname"] if not relative else usual[:3] if relative[0] == "*" else usual
        kind = draw(st.sampled_from(kinds))
        node: Node = {}
        if kind == "alias":
            node[CNAME] = draw(_NAMES)
        if kind in {"dname", "both"}:
            node[DNAME] = draw(_NAMES)
        if kind in {"data", "both"}:
            node[draw(st.sampled_from([A, TXT]))] = "192.0.2.1"
        if kind == "cut":
            node[NS] = draw(_NAMES)
        zone[_below(relative, origin)] = node
    return zone


def _master_file(zone: dict[str, Node], origin: str) -> str:
    lines = ["$TTL 60", f"{origin}. SOA {origin}. {origin}. 1 2 3 4 5"]
    for owner, node in zone.items():
        for rdtype, value in node.items():
            dot = "" if rdtype in {A, TXT} else "."
            lines.append(f"{owner}. {type_name(rdtype)} {value}{dot}")
    return "\n".join(lines)


def _plain(record: object) -> str:
    return record[0].decode() if isinstance(record, tuple) else str(record)


@settings(max_examples=examples(400))
@given(
    st.sets(st.sampled_from(_ORIGINS), min_size=1).flatmap(
        lambda origins: st.fixed_dictionaries({name: _nodes(name) for name in sorted(origins)})
    ),
    st.lists(_NAMES, min_size=1, max_size=10),
)
def test_answers_are_those_of_the_standard_algorithm(
    zones: dict[str, dict[str, Node]], names: list[str]
) -> None:
    engine = ZoneFileEngine.from_texts(
        {origin: _master_file(zone, origin) for origin, zone in zones.items()}
    )
    parsed = {
        dns.name.from_text(origin): {
            dns.name.from_text(origin): {},
            **{dns.name.from_text(owner): node for owner, node in zone.items()},
        }
        for origin, zone in zones.items()
    }
    # Owner names hit more than names at random.
    for name in [*names, *(owner for zone in zones.values() for owner in zone)]:
        for rdtype in _TYPES:
            answer = engine.answer(Question(name, rdtype))
            actual = Outcome(answer.status, tuple(map(_plain, answer.records)), answer.chain)
            assert _oracle(parsed, dns.name.from_text(name), rdtype) == actual
