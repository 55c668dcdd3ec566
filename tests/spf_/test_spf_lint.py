"""Lint of a policy with all that it leads to: limits, includes, answers, the text of exp=."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.spf_answers import Given, Zone
from support.spf_worlds import finish

from auditor.resolve.answer import Answer, Question
from auditor.spf.lint.policy import LintReport, answer_size, lint
from auditor.wire.codes import NOERROR, NOTIMP, SPF, TXT

if TYPE_CHECKING:
    from collections.abc import Callable

APEX = "example.net"
HOST: dict[str, Given] = {"A": "192.0.2.1", "AAAA": "2001:db8::1"}
OTHER: dict[str, Given] = {"TXT": "v=spf1 ip4:192.0.2.0/24 -all"}


def _lint(policy: str, **names: dict[str, Given]) -> LintReport:
    apex: dict[str, Given] = {"TXT": policy, **names.pop("apex", {})}
    return finish(lint(APEX), Zone.of(apex=apex, **names).answer)


def _notes(report: LintReport) -> list[tuple[str, str, str]]:
    return [(p.code, p.domain, p.note) for p in report.problems]


def _hosts(count: int) -> str:
    return " ".join(f"a:h{i}.example.net" for i in range(count))


def test_eleven_lookups_are_one_too_many() -> None:
    names: dict[str, dict[str, Given]] = {f"h{i}": HOST for i in range(11)}

    assert _lint(f"v=spf1 {_hosts(10)} -all", **names).findings == []
    (problem,) = _lint(f"v=spf1 {_hosts(11)} -all", **names).problems
    assert (problem.code, problem.note) == (
        "SPF_TOO_MANY_LOOKUPS",
        "11 lookups, 10 are allowed",
    )
    assert problem.term == "a:h10.example.net"


def test_lookups_of_included_policies_count_for_the_term_that_includes_them() -> None:
    names: dict[str, dict[str, Given]] = {f"h{i}": HOST for i in range(10)}
    names["i"] = {"TXT": f"v=spf1 {_hosts(10)} -all"}

    (problem,) = _lint("v=spf1 include:i.example.net -all", **names).problems

    assert (problem.code, problem.domain, problem.term) == (
        "SPF_TOO_MANY_LOOKUPS",
        APEX,
        "include:i.example.net",
    )


def test_three_void_lookups_are_one_too_many() -> None:
    gone = "exists:x{0}.example.net"
    two, three = (" ".join(gone.format(i) for i in range(n)) for n in (2, 3))

    assert _lint(f"v=spf1 {two} -all").findings == []
    assert _notes(_lint(f"v=spf1 {three} -all")) == [
        ("SPF_TOO_MANY_VOIDS", APEX, "3 lookups of A, MX and TXT find nothing, 2 may")
    ]


def test_void_lookups_of_ipv6_clients_alone_are_a_finding_of_their_own() -> None:
    names: dict[str, dict[str, Given]] = {f"h{i}": {"A": "192.0.2.1"} for i in range(3)}

    assert _lint(f"v=spf1 {_hosts(2)} -all", **names).findings == []
    assert _notes(_lint(f"v=spf1 {_hosts(3)} -all", **names)) == [
        ("SPF_TOO_MANY_VOIDS_V6", APEX, "3 lookups of AAAA, MX and TXT find nothing, 2 may")
    ]


@pytest.mark.parametrize(("hosts", "codes"), [(10, []), (11, ["SPF_TOO_MANY_MX"])])
def test_eleven_mx_hosts_are_one_too_many(hosts: int, codes: list[str]) -> None:
    mx = [(10, f"h{i}.example.net") for i in range(hosts)]
    names: dict[str, dict[str, Given]] = {f"h{i}": HOST for i in range(hosts)}

    report = _lint("v=spf1 mx -all", apex={"MX": mx}, **names)

    assert [code for code, _ in report.findings] == codes


@pytest.mark.parametrize(
    ("policy", "note"),
    [
        ("v=spf1 include:text.example.net -all", "text.example.net has no SPF record"),
        ("v=spf1 include:gone.example.net -all", "gone.example.net has no SPF record"),
        ("v=spf1 redirect=gone.example.net", "gone.example.net has no SPF record"),
        ("v=spf1 include:a..example.net -all", "not a domain name"),
    ],
)
def test_an_include_or_redirect_to_no_policy_is_found(policy: str, note: str) -> None:
    report = _lint(policy, text={"TXT": "any other text"})

    assert _notes(report) == [("SPF_INCLUDE_WITHOUT_RECORD", APEX, note)]


def test_a_policy_without_record_deeper_down_is_found_where_it_stands() -> None:
    report = _lint(
        "v=spf1 include:i.example.net -all",
        i={"TXT": "v=spf1 include:gone.example.net -all"},
    )

    assert report.findings == [("SPF_INCLUDE_WITHOUT_RECORD", "i.example.net")]


def test_a_loop_is_found_where_it_closes_and_costs_all_lookups() -> None:
    report = _lint(
        "v=spf1 include:i.example.net -all",
        i={"TXT": f"v=spf1 include:{APEX} -all"},
    )

    assert report.findings == [
        ("SPF_INCLUDE_LOOP", "i.example.net"),
        ("SPF_TOO_MANY_LOOKUPS", APEX),
    ]


def test_the_same_policy_included_twice_is_no_loop() -> None:
    report = _lint(
        "v=spf1 include:i.example.net include:j.example.net -all",
        i={"TXT": "v=spf1 include:j.example.net -all"},
        j=OTHER,
    )

    assert report.findings == []


@pytest.mark.parametrize(
    ("included", "finding"),
    [
        ("v=spf1 ipv4:192.0.2.1 -all", "SPF_SYNTAX"),
        ("v=spf1 ip4:192.0.2.1 \xe2\x80\x93all", "SPF_NOT_ASCII"),
        (["v=spf1 -all", "v=spf1 mx -all"], "SPF_MULTIPLE_RECORDS"),
        ("v=spf1 +all", "SPF_PASS_ALL"),
    ],
)
def test_what_breaks_or_opens_an_included_policy_is_found_there(
    included: Given, finding: str
) -> None:
    report = _lint("v=spf1 include:i.example.net -all", i={"TXT": included})

    assert report.findings == [(finding, "i.example.net")]


@pytest.mark.parametrize(
    "included",
    ["v=spf1 ?all", "v=spf1 ptr", "v=spf1 ip4:198.0.0.0/15 -all mx", "v=spf1 a:gone.example.net"],
)
def test_what_is_unwise_in_an_included_policy_is_its_owners_business(included: str) -> None:
    assert _lint("v=spf1 include:i.example.net -all", i={"TXT": included}).findings == []


@pytest.mark.parametrize("policy", ["v=spf1 -include:i.example.net ~all", "v=spf1 -all"])
def test_a_policy_of_all_that_is_not_passed_on_opens_nothing(policy: str) -> None:
    assert _lint(policy, i={"TXT": "v=spf1 +all"}).findings == []


def test_what_is_unwise_in_a_policy_redirected_to_is_found_there() -> None:
    report = _lint("v=spf1 redirect=r.example.net", r={"TXT": "v=spf1 ptr ?all"})

    assert report.findings == [
        ("SPF_NEUTRAL_ALL", "r.example.net"),
        ("SPF_PTR_MECHANISM", "r.example.net"),
    ]


def test_terms_that_pass_every_address_only_together_are_found() -> None:
    halves = "ip4:0.0.0.0/1 ip4:128.0.0.0/1"
    report = _lint(f"v=spf1 {halves} -all")

    assert ("SPF_PASS_ALL", APEX) in report.findings
    assert ("SPF_PASS_ALL", APEX) not in _lint(f"v=spf1 -ip4:192.0.2.1 {halves} -all").findings


def test_an_exists_that_matches_always_opens_the_policy_too() -> None:
    report = _lint("v=spf1 exists:any.example.net -all", any={"A": "127.0.0.2"})

    assert report.findings == [("SPF_PASS_ALL", APEX)]


@pytest.mark.parametrize(
    ("term", "names", "found"),
    [
        ("a", {}, True),
        ("mx", {}, True),
        ("mx", {"apex": {"MX": [(0, ".")]}}, True),
        ("mx", {"apex": {"MX": [(0, "gone.example.net")]}}, True),
        ("a", {"apex": {"AAAA": "2001:db8::1"}}, False),
        ("mx", {"apex": {"MX": [(0, "gone.example.net"), (1, "h.example.net")]}, "h": HOST}, False),
        ("exists:gone.example.net", {}, False),
    ],
)
def test_a_term_without_any_address_is_found(
    term: str, names: dict[str, dict[str, Given]], *, found: bool
) -> None:
    codes = [code for code, _ in _lint(f"v=spf1 {term} -all", **names).findings]

    assert codes == (["SPF_TERM_RESOLVES_TO_NOTHING"] if found else [])


@pytest.mark.parametrize(
    ("names", "note"),
    [
        ({"apex": {"A": "TIMEOUT"}}, "addresses of example.net: TIMEOUT"),
        ({"h": {"A": "TIMEOUT"}}, "addresses of the MX hosts of example.net: TIMEOUT"),
        ({"apex": {"MX": "SERVFAIL"}}, "MX of example.net: SERVFAIL"),
        ({"i": {"TXT": "REFUSED"}}, "TXT of i.example.net: REFUSED"),
    ],
)
def test_a_lookup_that_failed_leaves_the_policy_undetermined(
    names: dict[str, dict[str, Given]], note: str
) -> None:
    world: dict[str, dict[str, Given]] = {"i": OTHER, "h": HOST, **names}
    world["apex"] = {**HOST, "MX": [(1, "h.example.net")], **world.get("apex", {})}

    report = _lint("v=spf1 a mx include:i.example.net -all", **world)

    assert _notes(report) == [("SPF_UNDETERMINED", APEX, note)]


@pytest.mark.parametrize(
    ("texts", "finding"),
    [
        ("any other text", "SPF_NONE"),
        ("NODATA", "SPF_NONE"),
        ("SERVFAIL", "SPF_UNDETERMINED"),
        (["v=spf1 -all", "v=spf1 ~all"], "SPF_MULTIPLE_RECORDS"),
    ],
)
def test_without_one_policy_there_is_one_finding(texts: Given, finding: str) -> None:
    report = finish(lint(APEX), Zone.of(apex={"TXT": texts}).answer)

    assert report.findings == [(finding, APEX)]
    assert report.summary.tree is None


def test_a_record_outside_ascii_is_taken_apart_all_the_same() -> None:
    report = _lint("v=spf1 ptr ip4:192.0.2.1 \xe2\x80\x93all")

    assert [(p.code, p.term) for p in report.problems] == [
        ("SPF_NOT_ASCII", r"\226\128\147all"),
        ("SPF_PTR_MECHANISM", "ptr"),
    ]


@pytest.mark.parametrize("domain", ["localhost", "", "192.0.2.1", "a..b", "x" * 300])
def test_what_is_no_domain_has_no_policy(domain: str) -> None:
    report = finish(lint(domain), Zone({}).answer)

    assert [code for code, _ in report.findings] == ["SPF_NONE"]
    assert report.policies == 0


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("NODATA", "no TXT records there, expected one"),
        (["one", "two"], "2 TXT records there, expected one"),
        ("f\xfcr %{i}", "the text has octets outside ASCII"),
        ("100% wrong", "not a macro: % wrong"),
        ("%{t} %{c} %{r} %{i}", None),
        ("SERVFAIL", None),
    ],
)
def test_the_text_of_an_explanation_is_judged(text: Given, note: str | None) -> None:
    report = _lint("v=spf1 -all exp=why.%{d}", why={"TXT": text})

    assert [p.note for p in report.problems] == ([] if note is None else [note])
    assert {p.code for p in report.problems} <= {"SPF_EXP_WITHOUT_TEXT"}


@pytest.mark.parametrize(
    ("texts", "note"),
    [("v=spf1 -all", "type SPF beside type TXT"), ("NODATA", "type SPF alone")],
)
def test_a_record_of_type_99_is_found(texts: str, note: str) -> None:
    report = finish(lint(APEX), Zone.of(apex={"TXT": texts, "SPF": "v=spf1 -all"}).answer)

    assert ("SPF_TYPE_99", APEX, note) in _notes(report)


def test_an_engine_that_cannot_ask_for_type_99_says_nothing_of_it() -> None:
    zone = Zone.of(apex={"TXT": "v=spf1 -all", "SPF": "v=spf1 -all"})

    def answer(question: Question) -> Answer:
        return Answer(NOTIMP) if question.rdtype == SPF else zone.answer(question)

    assert finish(lint(APEX), answer).findings == []


def _of_size(texts: list[tuple[bytes, ...]]) -> Callable[[Question], Answer]:
    return Zone({APEX: {TXT: texts}}).answer


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (512, None),
        (513, "SPF_RECORD_TOO_LONG"),
        (1221, "SPF_RECORD_TOO_LONG"),
        (1222, "SPF_ANSWER_NEEDS_TCP"),
    ],
)
def test_the_size_of_the_whole_answer_is_judged(size: int, code: str | None) -> None:
    # Header 12, question 13 + 4, two records of 12 and their strings with a length octet each.
    policy = b"v=spf1 -all"
    rest = size - 12 - 17 - 2 * 12 - 1 - len(policy)
    strings = tuple(b"x" * min(255, rest - 1 - at) for at in range(0, rest, 256))
    report = finish(lint(APEX), _of_size([(policy,), strings]))

    assert answer_size(APEX, Answer(NOERROR, ((policy,), strings))) == size
    assert [c for c, _ in report.findings] == ([] if code is None else [code])
    assert all(
        p.note == f"about {size:,} octets, of which the policy takes 11" for p in report.problems
    )


def test_aliases_take_room_in_an_answer() -> None:
    plain = Answer(NOERROR, ((b"v=spf1 -all",),))
    aliased = plain._replace(chain=(APEX,), canonical="policy.example.org")

    assert answer_size(APEX, aliased) - answer_size(APEX, plain) == 12 + 20


def test_type_99_and_explanations_are_asked_in_one_round() -> None:
    zone = Zone.of(apex={"TXT": "v=spf1 -all exp=why.example.net"}, why={"TXT": "no"})

    finish(lint(APEX), zone.answer)

    assert [q for q in zone.asked if q.name != APEX] == [Question("why.example.net", TXT)]
    assert zone.asked.count(Question(APEX, TXT)) == 1
    assert zone.asked.count(Question(APEX, SPF)) == 1


@pytest.mark.parametrize(
    ("included", "behind"),
    [
        ("v=spf1 +all", ["a", "ip4:192.0.2.1", "redirect=gone.example.net"]),
        ("v=spf1 include:j.example.net ?all", ["a", "ip4:192.0.2.1", "redirect=gone.example.net"]),
        ("v=spf1 exists:h.example.net -all", ["a", "ip4:192.0.2.1", "redirect=gone.example.net"]),
        ("v=spf1 ?all", []),
        (
            "v=spf1 ip4:0.0.0.0/0 ip6:::/0 -all",
            ["a", "ip4:192.0.2.1", "redirect=gone.example.net"],
        ),
        (
            "v=spf1 ip6:2001:db8::/0 include:k.example.net",
            ["a", "ip4:192.0.2.1", "redirect=gone.example.net"],
        ),
        ("v=spf1 ip4:0.0.0.0/0 -ip6:2001:db8::/32 ip6:::/0 -all", []),
        ("v=spf1 ip4:0.0.0.0/0 -all", []),
    ],
)
def test_what_stands_behind_an_include_that_matches_everything_is_named(
    included: str, behind: list[str]
) -> None:
    report = _lint(
        "v=spf1 ?include:i.example.net a ip4:192.0.2.1 redirect=gone.example.net",
        apex=HOST,
        i={"TXT": included},
        j={"TXT": "v=spf1 all"},
        k={"TXT": "v=spf1 ip4:192.0.2.0/0 -all"},
        h=HOST,
    )

    named = [p for p in report.problems if p.code in {"SPF_TERM_AFTER_ALL", "SPF_REDIRECT_IGNORED"}]
    assert [problem.term for problem in named] == behind
    assert {problem.note for problem in named} <= {
        "never evaluated: ?include:i.example.net matches every address"
    }


def test_what_stands_behind_networks_of_all_addresses_is_named() -> None:
    report = _lint("v=spf1 ip4:0.0.0.0/0 mx -ip6:::/0 a -all", apex=HOST)
    (problem,) = [each for each in report.problems if each.code == "SPF_TERM_AFTER_ALL"]
    assert problem.term == "a"
    assert problem.note == "never evaluated: ip4:0.0.0.0/0 and -ip6:::/0 match every address"


def _by_address(target: str) -> dict[str, dict[str, Given]]:
    return {f"{reverse}__x": {"TXT": target} for reverse in ("1__2__0__192", "9__2__0__192")}


@pytest.mark.parametrize(
    ("leads_to", "code"),
    [
        ("v=spf1 include:%{ir}.x.example.net", "SPF_TOO_MANY_LOOKUPS"),
        (f"v=spf1 {_hosts(3)} -all", "SPF_TOO_MANY_VOIDS"),
        ("v=spf1 mx:many.example.net", "SPF_TOO_MANY_MX"),
        ("v=spf1 include:text.example.net", "SPF_INCLUDE_WITHOUT_RECORD"),
        ("v=spf1 redirect=text.example.net", "SPF_INCLUDE_WITHOUT_RECORD"),
        ("v=spf1 ipv4:192.0.2.1", "SPF_PERMERROR"),
        ("v=spf1 -all", None),
    ],
)
@pytest.mark.parametrize("own", [None, "192.0.2.9"])
def test_a_policy_that_depends_on_the_client_is_tried_with_one(
    leads_to: str, code: str | None, own: str | None
) -> None:
    names = _by_address(leads_to)
    if own:
        names["apex"] = {"A": own}
        names["1__2__0__192__x"] = {"TXT": "v=spf1 -all"}
    names["many"] = {"MX": [(10, f"m{i}.example.net") for i in range(11)]}
    names["text"] = {"TXT": "any text"}

    report = _lint("v=spf1 include:%{ir}.x.example.net -all", **names)

    assert [found for found, _ in report.findings] == ([code] if code else [])
    assert all(f"permerror for {own or '192.0.2.1'}: " in p.note for p in report.problems)


def test_what_is_in_error_for_everybody_is_not_said_again_of_one_client() -> None:
    report = _lint(f"v=spf1 {_hosts(11)} include:%{{ir}}.x.example.net -all")

    assert [code for code, _ in report.findings].count("SPF_TOO_MANY_LOOKUPS") == 1


@pytest.mark.parametrize(
    ("networks", "note"),
    [
        ([f"ip4:10.{i}.0.0/16" for i in range(15)], None),
        (
            [f"ip4:10.{i}.0.0/16" for i in range(16)],
            "1,048,576 IPv4 addresses or more pass, by all terms together",
        ),
        (["include:i.example.net"], "1,048,576 IPv4 addresses or more pass, by all terms together"),
        ([f"ip6:2001:{i:x}::/32" for i in range(16)], None),
        (
            [f"ip6:2001:{i:x}::/32" for i in range(17)],
            "2^100 IPv6 addresses or more pass, by all terms together",
        ),
    ],
)
def test_very_many_addresses_in_all_are_a_finding(networks: list[str], note: str | None) -> None:
    sixteen = " ".join(f"ip4:172.{i}.0.0/16" for i in range(16))

    report = _lint(f"v=spf1 {' '.join(networks)} -all", i={"TXT": f"v=spf1 {sixteen} -all"})

    assert [(p.code, p.note) for p in report.problems] == (
        [("SPF_TOTAL_WIDE", note)] if note else []
    )
