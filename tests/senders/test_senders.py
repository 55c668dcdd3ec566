"""SPF turned round: the lines of a fleet say what `check_host` says of each of its domains.

Also tests `senders/hosts.py`, `sweep.py` and `sender_schema.py`.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from random import Random
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.spf_answers import Zone, check
from support.spf_worlds import OWNERS, answerer, finish, world
from views.making import address, finding

from auditor.output.sender_schema import sender_schema
from auditor.resolve.answer import Answer
from auditor.senders.hosts import Hosts
from auditor.senders.lines import Question as Asked
from auditor.senders.lines import sender_lines
from auditor.senders.policies import DomainPolicy, PolicyReader
from auditor.wire.addresses import V4, V6, format_address, number_of
from auditor.wire.codes import AAAA, TIMEOUT, TXT, A

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from auditor.resolve.answer import Question
    from auditor.wire.address_set import Interval

_VALIDATOR = jsonschema.Draft202012Validator(sender_schema())
_ALL = 1000


def _read(
    answer: Callable[[Question], Answer], domains: Iterable[str], block: int = 256
) -> list[DomainPolicy]:
    reader = PolicyReader()
    ordered = sorted(domains)
    found = []
    for start in range(0, len(ordered), block):
        found += finish(reader.read_policies(ordered[start : start + block]), answer)
    return found


def _lines(
    answer: Callable[[Question], Answer],
    domains: Iterable[str],
    *,
    hosts: Hosts | None = None,
    mine: Mapping[int, list[Interval]] | None = None,
    names: int = _ALL,
    block: int = 256,
) -> list[dict[str, Any]]:
    question = Asked(hosts or Hosts(), mine, names)
    lines = list(sender_lines(_read(answer, domains, block), question))
    for line in lines:
        _VALIDATOR.validate(line)
    return lines


def _of(lines: Iterable[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [line for line in lines if line["type"] == kind]


class _Rows:
    """The ranges of some lines, to be looked up in."""

    def __init__(self, lines: Iterable[Mapping[str, Any]]) -> None:
        self._rows: dict[int, list[tuple[int, int, set[str]]]] = {V4: [], V6: []}
        for line in _of(lines, "range"):
            domains = [name for way in line["ways"] for name in way["domains"]]
            assert len(domains) == len(set(domains)) == line["domains"]
            version = V6 if ":" in line["first"] else V4
            row = number_of(line["first"]), number_of(line["last"]), set(domains)
            assert not self._rows[version] or self._rows[version][-1][1] < row[0]
            self._rows[version].append(row)

    def at(self, version: int, number: int) -> set[str]:
        rows = self._rows[version]
        place = bisect_right([first for first, _, _ in rows], number) - 1
        return rows[place][2] if place >= 0 and rows[place][1] >= number else set()

    def edges(self, version: int) -> set[int]:
        return {number for first, last, _ in self._rows[version] for number in (first, last + 1)}


def _whole(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the domains that are in rows with all they authorise: no term matches the world."""
    return [
        line["domain"]
        for line in _of(lines, "domain")
        if not (line["world"] or line["undetermined"])
    ]


def _by_check_host(
    answer: Callable[[Question], Answer], where: str, domains: Iterable[str]
) -> set[str]:
    return {
        domain
        for domain in domains
        if check(answer, where, domain, f"postmaster@{domain}").fact.result == "pass"
    }


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(80))
def test_every_address_is_authorised_by_whom_check_host_lets_pass(seed: int) -> None:
    rnd = Random(seed)
    answer = answerer(world(rnd, macros=False))
    lines = _lines(answer, OWNERS, block=rnd.randrange(1, 5))
    rows = _Rows(lines)
    whole = _whole(lines)
    for version, network in ((V4, "192.0.2.0"), (V6, "2001:db8::")):
        first = number_of(network)
        numbers = (
            {first + each for each in range(17)} | rows.edges(version) | {number_of("8.8.8.8")}
        )
        for number in numbers:
            where = format_address(version, number)
            expected = _by_check_host(answer, where, whole)
            assert rows.at(version, number) & set(whole) == expected


@pytest.mark.parametrize("seed", range(4))
def test_pyspf_agrees(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = answerer(world(Random(seed), macros=False))
    lines = _lines(answer, OWNERS)
    rows, whole = _Rows(lines), _whole(lines)
    monkeypatch.setattr("auditor.spf.evaluator.evaluate_directly", lambda *_: None)
    for number in range(number_of("192.0.2.0"), number_of("192.0.2.16"), 3):
        expected = _by_check_host(answer, format_address(V4, number), whole)
        assert rows.at(V4, number) & set(whole) == expected


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=examples(40))
def test_what_cannot_be_turned_round_is_said(seed: int) -> None:
    answer = answerer(world(Random(seed)))
    lines = _lines(answer, OWNERS)
    rows = _Rows(lines)
    told = {line["domain"]: line for line in _of(lines, "domain")}
    for number in range(number_of("192.0.2.0"), number_of("192.0.2.17")):
        passing = _by_check_host(answer, format_address(V4, number), OWNERS)
        assert rows.at(V4, number) <= passing
        for domain in passing - rows.at(V4, number):
            assert told[domain]["undetermined"] or told[domain]["world"]


def test_how_the_input_is_cut_into_blocks_changes_nothing() -> None:
    answer = answerer(world(Random(3)))
    assert _lines(answer, OWNERS, block=1) == _lines(answer, OWNERS, block=4)


def test_a_lookup_that_fails_is_tried_again_for_other_domains() -> None:
    domains = ("a.example", "b.example", "c.example")
    asked: list[str] = []

    def answer(question: Question) -> Answer:
        if question.name == "spf.isp.example":
            asked.append(question.name)
            if len(asked) == 1:
                return Answer(TIMEOUT)
        return _FLEET.answer(question)

    lines = _of(_lines(answer, domains, block=1), "domain")
    assert [bool(line["errors"]) for line in lines] == [True, False, False]
    # What is known by then is not asked again.
    assert len(asked) == 2


# --- A fleet by hand

_FLEET = Zone(
    {
        "spf.isp.example": {TXT: [(b"v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/64 -all",)]},
        "bulk.example": {TXT: [(b"v=spf1 ip4:203.0.113.0/24 ~all",)]},
        "a.example": {TXT: [(b"v=spf1 ip4:192.0.2.4 include:spf.isp.example -all",)]},
        "b.example": {
            TXT: [(b"v=spf1 -ip4:192.0.2.5 include:spf.isp.example include:bulk.example ~all",)]
        },
        "c.example": {TXT: [(b"v=spf1 redirect=spf.isp.example",)]},
        "open.example": {TXT: [(b"v=spf1 ip4:192.0.2.1 +all",)]},
        "half.example": {TXT: [(b"v=spf1 ip4:0.0.0.0/1 ip4:192.0.2.2 ?all",)]},
        "odd.example": {TXT: [(b"v=spf1 a exists:%{i}.x.example ptr -all",)], A: ["192.0.2.3"]},
        "slow.example": {TXT: [(b"v=spf1 include:gone.example -all",)]},
        "none.example": {AAAA: ["2001:db8::1"]},
    },
    timeouts=["gone.example"],
)
_DOMAINS = ("a.example", "b.example", "c.example", "half.example", "none.example", "odd.example",
            "open.example", "slow.example")  # fmt: skip


def _domain(name: str) -> Mapping[str, Any]:
    lines = _of(_lines(_FLEET.answer, _DOMAINS), "domain")
    return next(line for line in lines if line["domain"] == name)


def test_a_range_tells_the_terms_and_the_includes_that_lead_to_it() -> None:
    rows = {line["range"]: line for line in _of(_lines(_FLEET.answer, _DOMAINS), "range")}
    through = [{"domain": "spf.isp.example", "term": "ip4:192.0.2.0/28"}]
    assert [tuple(way.values()) for way in rows["192.0.2.4"]["ways"]] == [
        ("include:spf.isp.example", through, 1, ["b.example"]),
        ("ip4:192.0.2.4", [], 1, ["a.example"]),
        ("redirect=spf.isp.example", through, 1, ["c.example"]),
    ]
    # What b.example denies before its include is not authorised by it.
    assert [way["domains"] for way in rows["192.0.2.5"]["ways"]] == [["a.example"], ["c.example"]]
    assert rows["203.0.113.0/24"]["domains"] == 1
    assert rows["2001:db8::/64"]["domains"] == 3


def test_the_world_is_a_line_and_no_rows() -> None:
    assert _domain("open.example")["world"] == [{"term": "+all", "through": []}]
    assert _domain("open.example")["otherwise"] == "pass"
    assert _domain("open.example")["ipv4"] == 1
    assert _domain("half.example")["world"] == [{"term": "ip4:0.0.0.0/1", "through": []}]
    assert [_domain(name)["otherwise"] for name in ("a.example", "b.example", "half.example")] == [
        "fail",
        "softfail",
        "neutral",
    ]


def test_a_domain_tells_what_depends_on_the_client_and_what_fails() -> None:
    odd = _domain("odd.example")
    assert (odd["ipv4"], odd["otherwise"]) == (1, None)
    assert odd["undetermined"] == [
        {"term": "exists:%{i}.x.example", "through": [], "why": "depends on %{i}"}
    ]
    assert _domain("slow.example")["errors"] == [
        {
            "result": "temperror",
            "term": "include:gone.example",
            "through": [],
            "why": "TXT of gone.example: failed",
        }
    ]
    assert _domain("none.example")["status"] == "none"
    ptr = _line_of("v=spf1 ptr -all")
    assert ptr["undetermined"][0]["why"] == "depends on the PTR name of the client"


def _line_of(policy: str) -> Mapping[str, Any]:
    """Return the line of a domain with this policy."""
    zone = Zone({"x.example": {TXT: [(policy.encode(),)]}})
    return _of(_lines(zone.answer, ["x.example"]), "domain")[0]


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ("v=spf1 ip4:192.0.2 -all", "not valid SPF"),
        ("v=spf1 include:none.example -all", "no policy there"),
        (
            "v=spf1 a:n1.example a:n2.example a:n3.example -all",
            "more than 2 void lookups: A of n3.example",
        ),
        (f"v=spf1 {'include:x.example ' * 11}-all", "more than 10 DNS lookups"),
    ],
)
def test_an_error_says_what_is_wrong(policy: str, why: str) -> None:
    line = _line_of(policy)
    assert why in {error["why"] for error in line["errors"]}
    assert line["otherwise"] == "permerror"


def test_ones_own_space_cuts_ranges_and_tells_foreign_includes() -> None:
    mine: dict[int, list[Interval]] = {
        V4: [(number_of("192.0.2.8"), number_of("192.0.2.255"))],
        V6: [],
    }
    lines = _lines(_FLEET.answer, _DOMAINS, mine=mine)
    rows = {line["range"]: line["mine"] for line in _of(lines, "range")}
    assert (rows["192.0.2.6/31"], rows["192.0.2.8/29"]) == (False, True)
    includes = {line["include"]: line for line in _of(lines, "include")}
    assert includes["bulk.example"]["outside"] == {"ipv4": 256, "ipv6": 0}
    assert includes["spf.isp.example"] == {
        "type": "include",
        "include": "spf.isp.example",
        "domains": 3,
        "ipv4": 16,
        "ipv6": 1 << 64,
        "outside": {"ipv4": 8, "ipv6": 1 << 64},
    }
    assert lines[-1]["includes"] == {"all": 2, "outside": 2}


def test_hosts_of_results_are_joined() -> None:
    generic = [finding("PTR_GENERIC", "warning", "h-192-0-2-6.example")]
    hosts = Hosts([(V4, number_of("198.51.100.4"), number_of("198.51.100.5"))])
    domains = hosts.add_records(
        [
            address("192.0.2.4", "pass", "mail.example"),
            address("192.0.2.5", "fail"),
            address("192.0.2.6", "warn", "h-192-0-2-6.example", findings=generic),
            address("198.51.100.5", "fail"),
            address("198.51.100.6", "fail"),
        ]
    )
    assert domains == []
    lines = _lines(_FLEET.answer, _DOMAINS, hosts=hosts)
    rows = {line["range"]: line["hosts"] for line in _of(lines, "range")}
    assert rows["192.0.2.4"]["audited"] == 1
    assert rows["192.0.2.5"]["without_ptr"] == {"count": 1, "first": ["192.0.2.5"]}
    assert rows["192.0.2.6-192.0.2.15"]["generic_ptr"] == {"count": 1, "first": ["192.0.2.6"]}
    nobody = [(line["range"], line["hosts"], line["ptr"]) for line in _of(lines, "unauthorised")]
    assert nobody == [
        ("198.51.100.4", 1, "not_audited"),
        ("198.51.100.5-198.51.100.6", 2, "missing"),
    ]
    assert lines[-1]["hosts"] == {"authorised": 3, "unauthorised": 3}
    assert lines[-1]["authorised_hosts"] == {"audited": 3, "without_ptr": 1, "generic_ptr": 1}


def test_a_range_names_some_domains_and_counts_all() -> None:
    zone = Zone(
        {
            "spf.example": {TXT: [(b"v=spf1 ip4:192.0.2.0/24 -all",)]},
            **{f"d{n}.example": {TXT: [(b"v=spf1 include:spf.example -all",)]} for n in range(9)},
        }
    )
    lines = _lines(zone.answer, [f"d{n}.example" for n in range(9)], names=2)
    (row,) = _of(lines, "range")
    assert (row["domains"], row["ways"][0]["count"]) == (9, 9)
    assert row["ways"][0]["domains"] == ["d0.example", "d1.example"]
    # They have a policy in common that asks for nothing of their own: it is fetched once.
    assert sum(question.name == "spf.example" for question in zone.asked) == 1


def test_lines_are_json_of_numbers_beyond_64_bits() -> None:
    lines = _lines(_FLEET.answer, _DOMAINS)
    assert json.loads(json.dumps(lines)) == lines
    assert lines[-1]["ipv6"] == 1 << 64


def test_lines_come_by_type() -> None:
    kinds = list(dict.fromkeys(line["type"] for line in _lines(_FLEET.answer, _DOMAINS)))
    assert kinds == ["domain", "include", "range", "totals"]
