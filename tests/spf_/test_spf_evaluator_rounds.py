"""What is asked in one round, and what is not asked at all."""

from __future__ import annotations

from support.spf_answers import V4, Zone, check


def test_all_that_is_sure_to_be_needed_is_asked_for_in_one_round() -> None:
    zone = Zone.of(
        apex={"TXT": "v=spf1 a mx include:one.example.net include:two.example.net ~all"},
        one={"TXT": "v=spf1 a:h1.example.net ip4:203.0.113.0/24 -all"},
        two={"TXT": "v=spf1 include:deep.example.net redirect=deep.example.net"},
        deep={"TXT": "v=spf1 exists:%{i}.x.%{o} -all"},
    )

    course = check(zone.answer, V4, "example.net")

    assert [sorted(q.name.partition(".")[0] for q in batch) for batch in course.rounds] == [
        ["example"],
        ["example", "example", "one", "two"],
        ["deep", "h1"],
    ]
    assert course.fact.result == "permerror"


def test_nothing_is_asked_ahead_behind_the_term_that_matches_or_the_lookup_limit() -> None:
    after_match = Zone.of(apex={"TXT": "v=spf1 a:a.example.net ip4:192.0.2.0/24 a:b.example.net"})
    terms = " ".join(f"a:h{i}.example.net" for i in range(1000))
    after_limit = Zone.of(apex={"TXT": f"v=spf1 {terms}"}, h0={"A": "198.51.100.1"})

    check(after_match.answer, V4, "example.net")
    check(after_limit.answer, V4, "example.net")

    assert [question.name for question in after_match.asked] == ["example.net", "a.example.net"]
    assert len(after_limit.asked) == 11
