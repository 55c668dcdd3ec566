"""One address: at most two rounds of questions, ten names, the wildcard of its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.spf_answers import Zone
from support.stepping import driven
from support.zone_texts import zones

from auditor.checks.address import Wildcards, check_address
from auditor.resolve.answer import Answer, Question
from auditor.wire.codes import AAAA, CNAME, PTR, TXT, A
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import IprevFact, PtrFact
    from auditor.resolve.answer import Rdata

_ADDRESS = "198.51.100.7"
_ADDRESS_V6 = "2001:db8::25"
_OWNER = reverse_name(_ADDRESS)
_WILD = "*.100.51.198.in-addr.arpa"


def _check(
    names: dict[str, dict[int, Sequence[Rdata] | str]],
    address: str = _ADDRESS,
    wildcards: Wildcards | None = None,
) -> tuple[PtrFact, IprevFact, list[list[Question]]]:
    version = 6 if ":" in address else 4
    steps = check_address(address, version, wildcards or Wildcards())
    (ptr, iprev), rounds = driven(steps, Zone(names).answer)
    return ptr, iprev, rounds


def test_names_first_then_their_addresses_and_the_wildcard() -> None:
    ptr, iprev, rounds = _check(
        {
            _OWNER: {PTR: ["a.example.net", "b.example.net"]},
            "a.example.net": {A: [_ADDRESS]},
            "b.example.net": {A: ["198.51.100.8"]},
        }
    )
    assert rounds == [
        [Question(_OWNER, PTR)],
        [Question("a.example.net", A), Question("b.example.net", A), Question(_WILD, PTR)],
    ]
    assert (ptr.status, ptr.names, ptr.wildcard) == (
        "NOERROR",
        ("a.example.net", "b.example.net"),
        "",
    )
    assert (iprev.result, [name.confirms for name in iprev.names]) == ("pass", [True, False])


def test_an_ipv6_address_is_confirmed_by_aaaa() -> None:
    address = "2001:db8::25"
    _, iprev, rounds = _check(
        {
            reverse_name(address): {PTR: ["mx.example.net"]},
            "mx.example.net": {A: ["192.0.2.1"], AAAA: [address]},
        },
        address,
    )
    assert rounds[1][0] == Question("mx.example.net", AAAA)
    assert iprev.result == "pass"


@pytest.mark.parametrize(
    ("status", "result"),
    [("NXDOMAIN", "permerror"), ("NODATA", "permerror"), ("TIMEOUT", "temperror")],
)
def test_without_a_name_nothing_more_is_asked(status: str, result: str) -> None:
    steps = check_address(_ADDRESS, 4, Wildcards())
    (ptr, iprev), rounds = driven(steps, lambda _question: Answer(status))
    assert rounds == [[Question(_OWNER, PTR)]]
    assert (ptr.status, iprev.result, iprev.names) == (status, result, ())


def test_ten_names_are_confirmed_and_all_are_facts() -> None:
    names = [f"{number:02}.example.net" for number in range(14)]
    ptr, iprev, rounds = _check(
        {_OWNER: {PTR: names}, **{name: {A: [_ADDRESS]} for name in names[10:]}}
    )
    assert ptr.names == tuple(names)
    assert [question.name for question in rounds[1]] == [*names[:10], _WILD]
    # The eleventh would have confirmed it.
    assert (iprev.result, len(iprev.names)) == ("fail", 10)


def test_a_chain_of_a_delegation_without_classes_is_kept() -> None:
    ptr, iprev, _ = _check(
        {
            _OWNER: {CNAME: ["7.0-63.100.51.198.in-addr.arpa"]},
            "7.0-63.100.51.198.in-addr.arpa": {PTR: ["mx.example.net"]},
            "mx.example.net": {A: [_ADDRESS]},
        }
    )
    assert (ptr.names, ptr.chain) == (("mx.example.net",), (_OWNER,))
    assert iprev.result == "pass"


@pytest.mark.parametrize("status", ["TIMEOUT", "SERVFAIL", "TRUNCATED"])
def test_a_name_that_cannot_be_looked_up_leaves_the_result_open(status: str) -> None:
    _, iprev, _ = _check({_OWNER: {PTR: ["slow.example.net"]}, "slow.example.net": {A: status}})
    assert (iprev.result, iprev.names[0].status) == ("temperror", status)


def test_a_wildcard_is_found_and_asked_for_once() -> None:
    wildcards = Wildcards()
    zone: dict[str, dict[int, Sequence[Rdata] | str]] = {
        _WILD: {PTR: ["any.example.net"]},
        _OWNER: {PTR: ["any.example.net"]},
        reverse_name("198.51.100.8"): {PTR: ["any.example.net"]},
        reverse_name("198.51.100.9"): {PTR: ["mx.example.net"]},
    }
    asked = []
    found = []
    for last in (7, 8, 9):
        ptr, _, rounds = _check(zone, f"198.51.100.{last}", wildcards)
        found.append(ptr.wildcard)
        asked.append([question.name for question in rounds[1]])
    assert found == [_WILD, _WILD, ""]
    assert asked == [["any.example.net", _WILD], ["any.example.net"], ["mx.example.net"]]


def test_an_ipv6_wildcard_is_found_where_the_parent_nibble_does_not_exist() -> None:
    """`*.8.b.d.0.1.0.0.2.ip6.arpa` stands in for all below it that nobody entered."""
    entered = reverse_name("2001:db8:0:1::1")
    engine = zones(
        **{
            "8__b__d__0__1__0__0__2__ip6__arpa": f"""
                * PTR any.example.net.
                {entered}. PTR mx.example.net.
                """
        }
    )
    found = {}
    for address in ("2001:db8:5000::1", "2001:db8:ffff::1", "2001:db8:0:1::1", "2001:db8:0:1::2"):
        (ptr, _), _ = driven(check_address(address, 6, Wildcards()), engine.answer)
        parent = reverse_name(address).partition(".")[2]
        found[address] = (ptr.names, ptr.wildcard == f"*.{parent}")
    assert found == {
        "2001:db8:5000::1": (("any.example.net",), True),
        "2001:db8:ffff::1": (("any.example.net",), True),
        "2001:db8:0:1::1": (("mx.example.net",), False),
        "2001:db8:0:1::2": ((), False),  # RFC 4592 §3.3.1: its parent exists
    }


def test_a_neighbour_that_has_been_learnt_of_meanwhile_counts() -> None:
    """Two targets of a block ask for the wildcard in the same round; both are told."""
    wildcards = Wildcards()
    zone = Zone({_WILD: {PTR: ["any.example.net"]}, _OWNER: {PTR: ["any.example.net"]}})
    other = reverse_name("198.51.100.8")
    first = check_address(_ADDRESS, 4, wildcards)
    second = check_address("198.51.100.8", 4, wildcards)
    for steps in (first, second):
        assert len(next(steps)) == 1
    names = Answer("NOERROR", ("any.example.net",))
    asked = first.send([names])
    assert second.send([names]) == asked
    answers = [zone.answer(question) for question in asked]
    for steps in (first, second):
        with pytest.raises(StopIteration) as end:
            steps.send(answers)
        assert end.value.value[0].wildcard == _WILD
    assert wildcards.question(other) is None


@pytest.mark.parametrize(
    ("end", "expected"),
    [({A: ["192.0.2.1"]}, True), ({AAAA: [_ADDRESS_V6]}, True), ({TXT: [(b"text",)]}, False)],
)
def test_an_alias_that_leads_to_a_host_is_told_from_one_that_leads_to_no_record(
    end: dict[int, Sequence[Rdata] | str],
    *,
    expected: bool,
) -> None:
    ptr, iprev, rounds = _check({_OWNER: {CNAME: ["mail.example.net"]}, "mail.example.net": end})
    assert (ptr.status, ptr.owner, ptr.is_host_alias) == ("NODATA", "mail.example.net", expected)
    assert iprev.result == "permerror"
    assert len(rounds) == 2
