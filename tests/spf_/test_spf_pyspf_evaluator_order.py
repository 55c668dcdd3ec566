"""MX hosts in order, void lookups of ptr, and what is said where verifiers differ on them."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.spf_answers import REVERSE, V4, V6, Zone, check
from support.spf_worlds import OWNERS, answerer, finish, world

from auditor.findings.judge import judge_spf
from auditor.findings.rules import RuleSet
from auditor.output.record import spf_entry
from auditor.resolve.answer import Answer, Question
from auditor.spf.pyspf_evaluator import PyspfQuery
from auditor.spf.ranges import range_table
from auditor.wire.codes import AAAA, MX, PTR, SERVFAIL, TXT, A

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Rdata

_DOMAIN = OWNERS[0]


class _AllHostsFirst(PyspfQuery):
    """The oracle: pyspf's own way, with all hosts of an mx before any is compared."""

    def dns_mx(self, domainname: str) -> Sequence[Rdata]:
        hosts = super().dns_mx(domainname)
        return [address for name in hosts for address in self.lookup(str(name), self.rdtype)]

    def validated_ptrs(self) -> list[str]:
        names = [str(name) for name in self.dns_ptr(self.i)[:10] if name != "."]
        self.gather(names)
        return [name for name in names if self._leads_back(name)]


def _eager_result(answer: Callable[[Question], Answer], address: str, policy: str) -> str:
    client = ip_address(address)
    mapped = getattr(client, "ipv4_mapped", None)
    known: dict[Question, Answer] = {}
    for _ in range(200):
        query = _AllHostsFirst(mapped or client, f"postmaster@{_DOMAIN}", _DOMAIN, known)
        outcome = query.evaluate(policy)
        if outcome is not None:
            return outcome.result
        known.update((question, answer(question)) for question in query.lacking)
    raise AssertionError("asks for ever")


def _hosts_world(rnd: Random) -> dict[str, dict[int, Answer]]:
    """Return a world in which mx is common, and so are hosts without addresses."""
    names = world(rnd, macros=rnd.random() < 0.3)
    for types in names.values():
        if rnd.random() < 0.6:
            hosts = [f"none{i}.example" for i in range(3)] + list(OWNERS)
            records = tuple((at, rnd.choice(hosts)) for at in range(rnd.randrange(1, 7)))
            types[MX] = Answer("NOERROR", records)
        if types[TXT].records and rnd.random() < 0.6:
            texts = [b"".join(cast("tuple[bytes, ...]", text)) for text in types[TXT].records]
            first = rnd.choice(("mx", "?mx", "-mx/31", f"mx:{rnd.choice(OWNERS)}", "ptr"))
            policies = [text.replace(b"v=spf1", b"v=spf1 " + first.encode(), 1) for text in texts]
            types[TXT] = types[TXT]._replace(records=tuple((text,) for text in policies))
    return names


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(1000))
def test_another_result_of_pyspfs_own_way_is_told_and_no_other(seed: int) -> None:
    rnd = Random(seed)
    answer = answerer(_hosts_world(rnd))
    address = rnd.choice(("192.0.2.{}", "2001:db8::{:x}", "::ffff:192.0.2.{}")).format(
        rnd.randrange(16)
    )

    fact = check(answer, address, _DOMAIN).fact

    if fact.record is None:
        assert fact.differs is None
        return
    eager = _eager_result(answer, address, fact.record)
    if eager == "temperror":  # of a host that nobody else asks for
        assert fact.differs is None
    elif fact.differs is not None:
        assert eager == fact.differs != fact.result
    else:
        assert eager == fact.result


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(300))
def test_ranges_say_what_check_host_says_of_each_address(seed: int) -> None:
    answer = answerer(_hosts_world(Random(seed)))
    for version, form in ((4, "192.0.2.{}"), (6, "2001:db8::{:x}")):
        table = finish(range_table(_DOMAIN, version, helo=_DOMAIN), answer)
        for number in range(16):
            address = form.format(number)
            fact = check(answer, address, _DOMAIN).fact
            found = table.fact(int(ip_address(address)), "helo")
            assert found in {None, fact}
            assert found is None or fact.differs is None


def _zone(hosts: int, *, failing: str = "") -> Zone:
    """Return a zone whose first MX host has both kinds of addresses, the others IPv4 alone."""
    names: dict[str, dict[int, Sequence[Rdata] | str]] = {
        "example.net": {
            TXT: [(b"v=spf1 mx ~all",)],
            MX: [(10 * at, f"m{at}.example.net") for at in range(1, hosts + 1)],
        }
    }
    names |= {f"m{at}.example.net": {A: [f"192.0.2.{at}"]} for at in range(1, hosts + 1)}
    names["m1.example.net"][AAAA] = [V6]
    if failing:
        names[failing][AAAA] = SERVFAIL
    return Zone(names)


def test_a_match_ends_the_lookups_of_mx() -> None:
    fact = check(_zone(4).answer, V6, "example.net").fact

    assert (fact.result, fact.mechanism, fact.lookups, fact.voids) == ("pass", "mx", 1, 0)
    assert fact.differs == "permerror"


@pytest.mark.parametrize(
    ("hosts", "address", "result", "voids", "differs"),
    [
        (3, V6, "pass", 0, None),
        (4, "192.0.2.4", "pass", 0, None),
        (4, "2001:db8::2", "permerror", 3, None),
        (3, "2001:db8::2", "softfail", 2, None),
    ],
)
def test_void_lookups_before_the_match_count(
    hosts: int, address: str, result: str, voids: int, differs: str | None
) -> None:
    fact = check(_zone(hosts).answer, address, "example.net").fact

    assert (fact.result, fact.voids, fact.differs) == (result, voids, differs)


def test_a_failing_host_behind_the_match_is_neither_an_error_nor_worth_a_word() -> None:
    zone = _zone(4, failing="m3.example.net")

    fact = check(zone.answer, V6, "example.net").fact

    assert (fact.result, fact.differs) == ("pass", None)
    assert check(zone.answer, "2001:db8::2", "example.net").fact.result == "temperror"


def test_hosts_of_one_preference_are_compared_all_the_same() -> None:
    zone = Zone(
        {
            "example.net": {TXT: [(b"v=spf1 mx -all",)], MX: [(10, "b.x"), (10, "a.x")]},
            "b.x": {A: [V4]},
        }
    )

    fact = check(zone.answer, V4, "example.net").fact

    assert (fact.result, fact.differs) == ("pass", None)


def test_the_void_lookups_of_a_ptr_count_as_one_term() -> None:
    names = [f"p{at}.example.net" for at in range(5)]
    zone = Zone(
        {
            "example.net": {TXT: [(b"v=spf1 ptr a:gone.example.net ip4:192.0.2.1 -all",)]},
            REVERSE: {PTR: names},
        }
    )

    fact = check(zone.answer, V4, "example.net").fact

    assert (fact.result, fact.voids, fact.differs) == ("pass", 2, "permerror")


def test_the_finding_stands_beside_what_else_is_found() -> None:
    fact = check(_zone(4).answer, V6, "example.net").fact
    for changed, codes in (
        (fact, ["SPF_VERIFIERS_DIFFER"]),
        (fact._replace(result="fail"), ["SPF_VERIFIERS_DIFFER", "SPF_FAIL"]),
        (fact._replace(differs=None), []),
    ):
        found: list[tuple[str, str]] = []
        judge_spf(changed, found)
        assert found == [(code, "example.net") for code in codes]
    assert RuleSet().severities["SPF_VERIFIERS_DIFFER"] == "notice"
    assert "differs" not in spf_entry(fact)
