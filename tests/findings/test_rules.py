from __future__ import annotations

import pytest

from auditor.errors import UsageError
from auditor.findings.catalogue import ENTRIES
from auditor.findings.rules import RuleSet

SPF = {entry.code for entry in ENTRIES if entry.code.startswith("SPF_")}
ALL = {entry.code for entry in ENTRIES}


def test_without_settings_every_code_counts_as_in_the_catalogue() -> None:
    assert RuleSet().severities == {entry.code: entry.severity for entry in ENTRIES}


def test_a_severity_can_be_changed_in_any_case() -> None:
    rule_set = RuleSet(severities={"ptr_generic": "Error"})
    assert rule_set.severities["PTR_GENERIC"] == "error"
    assert rule_set.severities["PTR_MISSING"] == "error"


@pytest.mark.parametrize(
    ("select", "ignore", "codes"),
    [
        (["SPF_"], [], SPF),
        (["spf"], [], SPF),
        (["SPF_", "PTR_MISSING"], [], SPF | {"PTR_MISSING"}),
        ([], ["SPF"], ALL - SPF),
        (["SPF"], ["SPF_NONE"], SPF - {"SPF_NONE"}),
        (["SPF_NONE"], ["SPF"], set()),
        (["ptr_too"], [], {"PTR_TOO_MANY"}),
        (["MX_UN"], [], None),
    ],
)
def test_codes_are_selected_and_ignored_by_name_or_by_its_first_words(
    select: list[str], ignore: list[str], codes: set[str] | None
) -> None:
    if codes is None:
        with pytest.raises(UsageError):
            RuleSet(select=select, ignore=ignore)
    else:
        assert set(RuleSet(select=select, ignore=ignore).severities) == codes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"select": ["PTR_GENERI"]},
            "select: no finding is called 'PTR_GENERI', did you mean PTR_GENERIC?",
        ),
        (
            {"ignore": ["ptr_mising"]},
            "ignore: no finding is called 'ptr_mising', did you mean PTR_MISSING?",
        ),
        ({"ignore": ["qqqq"]}, "ignore: no finding is called 'qqqq'; `auditor explain` lists them"),
        ({"ignore": [""]}, "ignore: no finding is called ''; `auditor explain` lists them"),
        ({"select": ["_"]}, "select: no finding is called '_'; `auditor explain` lists them"),
        (
            {"severities": {"SPF": "error"}},
            "severities: no finding is called 'SPF'; `auditor explain` lists them",
        ),
        (
            {"severities": {"SPF_NON": "error"}},
            "severities: no finding is called 'SPF_NON', did you mean SPF_NONE?",
        ),
        (
            {"severities": {"SPF_NONE": "fatal"}},
            "severities: SPF_NONE cannot be 'fatal', expected one of info, notice, warning, error",
        ),
    ],
)
def test_a_mistyped_code_or_severity_is_a_usage_error_with_a_hint(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        RuleSet(**settings)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_ruling_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        RuleSet().severities["PTR_MISSING"] = "info"  # type: ignore[index]
