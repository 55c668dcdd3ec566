"""Shared policies: what many policies authorise is what `check_host` says of each of them.

Also tests `include_tables.py` and `shared_ranges.py`.
"""

from __future__ import annotations

from ipaddress import ip_address
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.spf_answers import check
from support.spf_worlds import OWNERS, answerer, finish, world

from auditor.resolve.answer import Question
from auditor.spf.check_host import helo_policy
from auditor.spf.shared_policies import SharedPolicies
from auditor.wire.addresses import format_address
from auditor.wire.codes import TXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.resolve.answer import Answer
    from auditor.spf.shared_ranges import PolicyRanges
    from auditor.wire.address_set import Interval

_NETWORKS = {4: int(ip_address("192.0.2.0")), 6: int(ip_address("2001:db8::"))}
_OUTSIDE = {4: int(ip_address("198.51.100.7")), 6: int(ip_address("2001:db8:1::7"))}


def _passing(found: PolicyRanges) -> list[Interval]:
    """Return the ranges that pass, for a domain alone."""
    ranges = [(first, last) for first, last, _ in found.own]
    for shared, exceptions in found.shared:
        for first, last, _ in shared.pieces:
            start = first
            for low, high, _ in sorted(exceptions):
                if first <= low <= last:
                    ranges.append((start, low - 1))
                    start = high + 1
            ranges.append((start, last))
    return [(first, last) for first, last in ranges if first <= last]


def _evaluate(
    policies: SharedPolicies, owner: str, version: int, answer: Callable[[Question], Answer]
) -> PolicyRanges | None:
    policy = helo_policy(owner, answer(Question(owner, TXT)))
    if not isinstance(policy, bytes):
        return None
    return finish(policies.evaluate(owner, policy, version, {}), answer)


def _assert_equal_to_check_host(
    found: PolicyRanges, owner: str, version: int, answer: Callable[[Question], Answer]
) -> None:
    ranges = _passing(found)
    numbers = {_NETWORKS[version] + each for each in range(17)} | {_OUTSIDE[version]}
    for number in numbers:
        address = format_address(version, number)
        result = check(answer, address, owner, f"postmaster@{owner}").fact.result
        times = sum(first <= number <= last for first, last in ranges)
        assert times <= 1
        if times:
            assert result == "pass"
        elif result == "pass":
            assert found.wide or found.undetermined
        if number == _OUTSIDE[version] and not found.wide and not found.undetermined:
            assert found.otherwise == result


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=examples(300))
def test_what_passes_is_what_check_host_passes(seed: int, macros: bool) -> None:  # noqa: FBT001 - drawn
    rnd = Random(seed)
    answer = answerer(world(rnd, macros=macros))
    policies = SharedPolicies()
    owners = list(OWNERS) * 2
    rnd.shuffle(owners)
    for owner in owners:
        for version in (4, 6):
            found = _evaluate(policies, owner, version, answer)
            if found is not None:
                _assert_equal_to_check_host(found, owner, version, answer)
