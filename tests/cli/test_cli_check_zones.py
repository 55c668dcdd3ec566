"""`auditor check --zones`: names that no zone file covers are no fault of a server's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.driving import Ended

_HEAD = "$TTL 60\n@ SOA ns.example.net. host.example.net. 1 2 3 4 5\n"


@pytest.mark.parametrize(
    ("target", "code", "name"),
    [
        ("192.0.2.7", "FORWARD_UNDETERMINED warning: out.example.org", "out.example.org"),
        ("192.0.2.9", "PTR_UNKNOWN_TLD warning: out.example.local", "out.example.local"),
        ("198.51.100.9", "PTR_UNDETERMINED warning: 198.51.100.9", "9.100.51.198.in-addr.arpa"),
        ("192.0.2.8", "SPF_UNDETERMINED warning: in.example.net", "policy.example.org"),
        ("example.org", "MX_UNDETERMINED warning: example.org", "example.org"),
        ("192.0.2.65", "PTR_UNDETERMINED warning: 192.0.2.65", "65.64/26.2.0.192.in-addr.arpa"),
        ("192.0.2.10", "FORWARD_UNDETERMINED warning: a.b.example.net", "a.b.example.net"),
    ],
)
def test_a_name_outside_of_all_zone_files_is_said_to_be(
    tmp_path: Path, call: Callable[..., Ended], target: str, code: str, name: str
) -> None:
    reverse = _HEAD + "7 PTR out.example.org.\n8 PTR in.example.net.\n"
    reverse += "9 PTR out.example.local.\n10 PTR a.b.example.net.\n"
    reverse += "65 CNAME 65.64/26\n64/26 NS ns.example.org.\n"
    forward = _HEAD + "b NS ns.example.org.\n"
    forward += 'in A 192.0.2.8\nin TXT "v=spf1 include:policy.example.org -all"\n'
    (tmp_path / "db.192.0.2").write_text(reverse)
    (tmp_path / "example.net").write_text(forward)

    ended = call("check", "--zones", str(tmp_path), target)

    words = " ".join(ended.out.split())
    assert code in words
    assert f"no zone file covers {name}; loaded: 2.0.192.in-addr.arpa, example.net" in words
    assert "Receiver rules" not in words
    assert "server" not in words.lower()
    assert "SERVER_LAME" not in words
