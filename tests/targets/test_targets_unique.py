from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import TooManyTargetsError
from auditor.targets.excludes import Excludes
from auditor.targets.spans import Span
from auditor.targets.stream import TargetStream
from auditor.targets.unique import SeenTargets

if TYPE_CHECKING:
    from pathlib import Path

    from auditor.targets.target import Target


def names(stream: TargetStream, skip: int = 0) -> list[str]:
    return [target.text for block in stream.blocks(skip) for target in block]


def stream(*items: str, **more: object) -> TargetStream:
    return TargetStream(items, unique=True, **more)  # type: ignore[arg-type]


def test_a_target_that_comes_up_again_is_left_out() -> None:
    found = stream(
        "192.0.2.5",
        "example.net",
        "192.0.2.4/30",
        "::ffff:192.0.2.5",
        "5.2.0.192.in-addr.arpa",
        "Example.NET.",
        "2001:db8::5",
        "2001:DB8:0::5",
        "2001:db8::4/126",
    )
    v6 = [f"2001:db8::{last}" for last in (5, 4, 6, 7)]
    v4 = [f"192.0.2.{last}" for last in (4, 6, 7)]
    assert names(found) == ["192.0.2.5", "example.net", *v4, *v6]
    assert (found.total, found.repeated) == (9, 6)
    assert names(found, 3) == [*v4[1:], *v6]


def test_every_invalid_line_has_its_record() -> None:
    found = stream("no", "no")
    assert names(found) == ["no", "no"]
    assert (found.invalid, found.repeated) == (2, 0)


def test_the_first_line_gives_the_labels(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("ip,site\n192.0.2.5,a\n192.0.2.4/31,b\n")
    targets: list[Target] = []
    for block in TargetStream([], [str(path)], unique=True).blocks():
        targets += block
    assert [(target.text, target.origin.labels["site"]) for target in targets] == [
        ("192.0.2.5", "a"),
        ("192.0.2.4", "b"),
    ]


def test_what_is_excluded_is_not_repeated() -> None:
    found = stream("192.0.2.0/30", "192.0.2.1/32", excludes=Excludes.parse(["192.0.2.0/31"]))
    assert names(found) == ["192.0.2.2", "192.0.2.3"]
    assert (found.excluded, found.repeated) == (2, 1)


def test_plain_text_is_counted_without_what_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("192.0.2.5\n192.0.2.4/30\n192.0.2.5\n")
    found = TargetStream([], [str(path)], unique=True)
    assert len(names(found)) == found.total == 4


def test_a_span_over_the_limit_is_found_out_before_it_takes_memory() -> None:
    with pytest.raises(TooManyTargetsError, match="more than --max-targets 1,000"):
        stream("0.0.0.0/0", max_targets=1_000).check_inputs()


SPANS = st.builds(
    lambda first, size: Span(4, first, first + size),
    st.sampled_from([0, 65_530, 131_000, 1 << 31]) | st.integers(0, 70_000),
    st.integers(0, 9) | st.integers(0, 70_000),
)


@given(st.lists(SPANS, max_size=6))
def test_new_addresses_are_those_of_a_set(spans: list[Span]) -> None:
    seen, known = SeenTargets(), set[int]()
    for span in spans:
        numbers = range(span.first, span.last + 1)
        new = [
            number for part in seen.add_span(span) for number in range(part.first, part.last + 1)
        ]
        assert new == [number for number in numbers if number not in known]
        known.update(numbers)


@given(st.lists(st.integers(0, 300), max_size=60))
def test_new_ipv6_addresses_are_those_of_a_set(numbers: list[int]) -> None:
    seen, known = SeenTargets(), set[int]()
    for number in numbers:
        new = list(seen.add_span(Span(6, number, number)))
        assert bool(new) == (number not in known)
        known.add(number)
