"""What lint adds to the records of domain targets: numbers and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from cli.driving import ZONES, Ended, codes, records

from auditor.output.schema import record_schema

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def record(call: Callable[..., Ended]) -> Callable[[str], dict[str, Any]]:
    """Scan one domain of the example fleet."""

    def scan(domain: str) -> dict[str, Any]:
        (found,) = records(call("scan", "--quiet", "--zones", ZONES, domain).out)
        jsonschema.validate(found, record_schema())
        return found

    return scan


@pytest.mark.parametrize(
    ("domain", "numbers"),
    [
        ("example.com", [2, 0, 40, 32]),
        ("example.org", [1, 2, 64, 0]),
        ("spf-fine.example.org", [2, 2, 64, 0]),
        ("spf-lookups.example.org", [11, 0, 8, 8]),
        ("spf-syntax.example.org", [0, 0, 0, 0]),
        ("no-spf.example.org", [None, None, None, None]),
        ("two-spf.example.org", [None, None, None, None]),
        ("example.edu", [None, None, None, None]),
        ("spf-unread.example.net", [1, 0, None, None]),
    ],
)
def test_a_domain_has_the_numbers_of_its_policy(
    record: Callable[[str], dict[str, Any]], domain: str, numbers: list[int | None]
) -> None:
    spf = record(domain)["domain"]["spf"]

    assert [spf[key] for key in ("lookups", "voids", "addresses_v4", "addresses_v6")] == numbers


def test_a_number_of_addresses_beyond_64_bits_is_rounded(
    record: Callable[[str], dict[str, Any]],
) -> None:
    spf = record("spf-world.example.org")["domain"]["spf"]

    assert (spf["addresses_v4"], spf["addresses_v6"]) == (1 << 32, float(1 << 128))


def test_the_findings_of_an_included_policy_name_its_domain(
    record: Callable[[str], dict[str, Any]],
) -> None:
    found = record("spf-unread.example.net")

    assert codes(found) == ["MX_MISSING", "SPF_UNDETERMINED"]
    assert found["verdict"] == "unknown"
