"""What a policy says of every client with an address of its domain is what it says of each."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples

from auditor.resolve.answer import Answer, Question
from auditor.spf.evaluator import client_of, evaluate_directly, shared_outcome
from auditor.wire.codes import AAAA, NOERROR, A

_TERMS = st.sampled_from(
    [
        *("a", "-a", "?A/24", "a//64", "a/8//16", "a:other.net", "a:%{d}", "all", "-all", "~ALL"),
        *("mx", "ip4:20.30.0.7", "ip6:2001:db8::/32", "include:x.net", "ptr", "exists:x.net"),
        *("redirect=x.net", "exp=why.net", "unknown=x", "a/33", "-"),
    ]
)
_POLICIES = st.lists(_TERMS, max_size=4).map(lambda terms: " ".join(["v=spf1", *terms]).encode())


@given(_POLICIES, st.sampled_from(["20.30.0.7", "2001:db8::7"]))
@settings(max_examples=examples(400))
def test_what_is_said_outright_is_what_is_said_of_each(policy: bytes, address: str) -> None:
    client = client_of(address)
    said = shared_outcome(policy, client[1])

    rdtype = A if client[1] == 4 else AAAA
    known = {Question("mx.isp.net", rdtype): Answer(NOERROR, (address,))}
    assert said in {None, _hashable(evaluate_directly(client, policy, "mx.isp.net", known))}


def _hashable(outcome: object) -> object:
    return tuple(outcome) if isinstance(outcome, list) else outcome


@pytest.mark.parametrize(
    ("policy", "version", "said"),
    [
        (b"v=spf1 a -all", 4, ("pass", "a", 1, 0, None, None)),
        (b"v=spf1 ip6:2001:db8::/32 a -all", 4, ("pass", "a", 1, 0, None, None)),
        (b"v=spf1 ip6:2001:db8::/32 a -all", 6, None),
        (b"v=spf1 ?a/24 mx", 6, ("neutral", "?a/24", 1, 0, None, None)),
        (b"v=spf1 -all", 4, ("fail", "-all", 0, 0, None, None)),
        (b"v=spf1 -all exp=why.net", 4, None),
        (b"v=spf1 a exp=why.net", 4, ("pass", "a", 1, 0, None, None)),
        (b"v=spf1 a:other.net", 4, None),
        (b"v=spf1", 4, None),
        (b"v=spf1 a:%{d}", 4, None),
    ],
)
def test_only_the_first_term_that_counts_is_looked_at(
    policy: bytes, version: int, said: tuple[object, ...] | None
) -> None:
    assert shared_outcome(policy, version) == said
