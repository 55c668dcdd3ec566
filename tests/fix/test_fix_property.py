"""For any small fleet: a plan keeps its promises, nothing gets worse, twice changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fix.fleets import applied, audited, lines_of, planned, zone_data
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples

from auditor.fix.prove import Promises
from auditor.views.diff.changes import change

if TYPE_CHECKING:
    from collections.abc import Sequence

REVERSE: Final = "2.0.192.in-addr.arpa"
NET: Final = "example.net"
ORG: Final = "example.org"

#: Faults of an address with number {n}: the lines in the reverse zone, and in example.net.
FAULTS: Final = (
    ("{n} PTR h{n}.example.net.", "h{n} A 192.0.2.{n}"),
    ("", "h{n} A 192.0.2.{n}"),
    ("", ""),
    ("", "h{n} A 192.0.2.{n}\nalso{n} A 192.0.2.{n}"),
    ("{n} PTR h{n}.example.net", "h{n} A 192.0.2.{n}"),
    ("{n} PTR h{n}.example.net", ""),
    ("{n} PTR h{n}.example.net", "h{n} A 192.0.2.99"),
    ("{n} PTR h{n}.example.net.", ""),
    ("{n} PTR h{n}.example.net.", "h{n} AAAA 2001:db8::{n}"),
    ("{n} PTR h{n}.example.net.", "h{n} A 192.0.2.99"),
    ("{n} PTR h{n}.example.net.", "h{n} A 192.0.2.99\nnew{n} A 192.0.2.{n}"),
    ("{n} PTR h{n}.example.net.", "h{n} CNAME end{n}\nend{n} A 192.0.2.{n}"),
    ("{n} PTR h{n}.example.net.", "h{n} CNAME end{n}"),
    ("{n} PTR h{n}.example.net.\n  PTR old{n}.example.net.", "h{n} A 192.0.2.{n}"),
    (
        "{n} PTR old{n}.example.net.\n  PTR h{n}.example.net.",
        "h{n} A 192.0.2.{n}\nold{n} A 192.0.2.{n}",
    ),
    ("{n} PTR host-192-0-2-{n}.dyn.example.net.", "host-192-0-2-{n}.dyn A 192.0.2.{n}"),
    ("{n} PTR host-192-0-2-{n}.dyn.example.net.", "mail{n} A 192.0.2.{n}"),
    ("{n} PTR mail_{n}.example.net.", "mail_{n} A 192.0.2.{n}"),
    ("{n} PTR mail_{n}.example.net.", "h{n} A 192.0.2.{n}"),
    ("{n} PTR h{n}.example.org.", ""),
    ("{n} PTR h{n}.example.org", ""),
    ("{n} PTR h{n}.lan.", "h{n} A 192.0.2.{n}"),
    ("{n} CNAME h{n}.example.net.", "h{n} A 192.0.2.{n}"),
    ("{n} PTR relay.example.net.", ""),
    ("{n} PTR in.wild.example.net.", ""),
    ("{n} CNAME any{n}.dial.example.net.", "*.dial A 192.0.2.{n}"),
    ("", "h{n}.example.net A 192.0.2.{n}"),
)
WILDCARDS: Final = ("", "* PTR pool.example.net.\n")
#: Records of the domain itself, and of a mail host of it, which is the address with number 1.
DOMAINS: Final = (
    "",
    "@ MX 10 h1\n",
    '@ MX 10 h1\n@ TXT "v=spf1 mx -all mx"\n',
    '@ MX 10 h1\n@ TXT "v=spf1 mx mx -all"\n@ TXT "v=spf1 a -all"\n',
    '@ A 192.0.2.1\n@ TXT "v=spf1 ipv4:192.0.2.1 ?all"\n',
)
_HELO: Final = ("", "h1.example.net", "relay.example.net", "out.example.org")


def _problems(record: dict[str, Any]) -> set[str]:
    """Return the codes of problems, without those of the policy of a PTR name.

    It is looked at once the name leads back: what is wrong there has been wrong before. And a
    name that has led nowhere may lead to the other address that has it, which is as wrong.
    """
    return {
        found["code"].replace("FORWARD_MISSING", "FORWARD_MISMATCH")
        for found in record["findings"]
        if found["severity"] in {"error", "warning"}
        and (record["kind"] == "domain" or not found["code"].startswith("SPF_"))
    }


@settings(max_examples=examples(200), deadline=None)
@given(
    chosen=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=6),
    wildcard=st.sampled_from(WILDCARDS),
    domain=st.sampled_from(DOMAINS),
    helo=st.sampled_from(_HELO),
    own=st.sets(st.sampled_from((REVERSE, NET, ORG)), min_size=1),
)
def test_what_a_plan_promises_comes_true_and_nothing_gets_worse(
    chosen: Sequence[tuple[str, str]], wildcard: str, domain: str, helo: str, own: set[str]
) -> None:
    numbered = list(enumerate(chosen, 1))
    zones = zone_data(
        {
            REVERSE: "".join(f"{reverse.format(n=n)}\n" for n, (reverse, _) in numbered) + wildcard,
            NET: domain
            + "*.wild MX 10 h1\n"
            + "".join(f"{forward.format(n=n)}\n" for n, (_, forward) in numbered),
            ORG: "",
        },
        own,
    )
    targets = [f"192.0.2.{n}" for n, _ in numbered] + [NET]
    before = audited(zones, targets, helo)
    plan = planned(zones, before)
    with_plan = applied(zones, plan)
    after = audited(with_plan, targets, helo)
    promises = Promises(plan)
    for old, new in zip(before, after, strict=True):
        promises.compare_record(new)
        found = change(old, new)
        assert found is None or (found["change"] != "worse" and not found["regression"]), found
        assert _problems(new) <= _problems(old), found
    assert promises.broken == []
    again = planned(with_plan, after)
    assert [line for one in again.own for line in one.lines()] == [], lines_of(again)
