"""The columns that follow from addresses are the same many at a time and one by one."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples

from auditor.output.columns import octets_of, prefix_of, sort_key_of
from auditor.views import target_columns
from auditor.views.target_columns import TargetColumns

_NEIGHBOURS = st.integers(0, 255).map(lambda octet: f"192.0.2.{octet}")
_MAPPED = st.integers(0, 255).map(lambda octet: f"::ffff:192.0.2.{octet}")


@settings(max_examples=examples(100))
@given(st.lists(st.one_of(st.ip_addresses().map(str), _NEIGHBOURS, _MAPPED)))
def test_columns_are_those_of_each_address(addresses: list[str]) -> None:
    columns = TargetColumns()
    for text in addresses:
        expected = octets_of(text), sort_key_of(text).encode(), prefix_of(text).encode()
        assert columns.of(text.encode()) == expected


@pytest.mark.parametrize("text", ["192.0.2.256", "192.0.2.07", "192.0.2.", "192.0.2", "", "a.7"])
def test_what_is_no_address_is_none_beside_its_neighbours_either(text: str) -> None:
    columns = TargetColumns()
    columns.of(b"192.0.2.1")
    with pytest.raises(ValueError, match="is not an address"):
        columns.of(text.encode())


def test_no_more_networks_are_kept_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_columns, "_MAX_MEMO_ENTRIES", 2)
    columns = TargetColumns()
    for number in range(9):
        text = str(ip_address(0xC0000201 + (number << 8)))
        assert columns.of(text.encode())[0] == octets_of(text)
        assert len(columns._known) <= 2
