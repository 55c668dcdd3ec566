"""A record in one sentence: the strictest receiver, and the finding that it acts on."""

from __future__ import annotations

from typing import Any, Final

import pytest
from support.reports import address_record

from auditor.findings.catalogue import ENTRIES
from auditor.findings.plain_words import cause, headline
from auditor.findings.receivers import Receiver, receivers

_ALL: Final = tuple(receivers().values())
_SYMBOLS: Final = "RDNS_NONE, HFILTER_HOSTNAME_UNKNOWN"


def _receiver(key: str) -> tuple[Receiver, ...]:
    return (receivers()[key],)


def _forward_missing(target: str = "192.0.2.5") -> dict[str, Any]:
    record = address_record(target, "FORWARD_MISSING", names=["gone.example.net"])
    record["iprev"] = {
        "result": "fail",
        "names": [
            {
                "name": "gone.example.net",
                "status": "NXDOMAIN",
                "addresses": [],
                "confirms": False,
            }
        ],
    }
    return record


def test_the_strictest_receiver_its_reply_and_the_cause_are_named() -> None:
    assert headline(_forward_missing(), _receiver("gmail")) == (
        "Gmail refuses mail from this address (550 5.7.25): gone.example.net has no A record."
    )
    assert "gone.example.net has no AAAA record." in headline(
        _forward_missing("2001:db8::5"), _receiver("gmail")
    )


def test_others_that_do_the_same_for_the_same_reason_follow() -> None:
    sentence = headline(_forward_missing(), _ALL)
    assert sentence.endswith("So do T-Online, Orange and La Poste.")
    many = headline(address_record("192.0.2.5", "PTR_MISSING"), _ALL)
    assert ": it has no PTR record. So do GMX, T-Online and " in many
    assert many.endswith(" others.")


def test_what_a_receiver_surely_does_comes_before_what_depends() -> None:
    record = {
        **address_record("192.0.2.5", "SPF_FAIL", names=["mx.example.net"]),
        "spf": [{"identity": "mailfrom", "domain": "example.net", "result": "fail"}],
    }
    record["findings"][0]["subject"] = "example.net"
    assert headline(record, _ALL).startswith("GMX refuses mail from this address (550 Reject due")
    assert headline(record, _receiver("gmail")) == (
        "Gmail refuses mail from this address (550 5.7.26) unless DKIM passes: "
        "SPF of example.net does not authorise it (fail)."
    )


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("proofpoint", "Proofpoint files mail from this address as spam: it has no PTR record."),
        (
            "haraka",
            "Haraka refuses mail from this address with reject.no_rdns: it has no PTR record.",
        ),
        (
            "rspamd",
            f"rspamd counts it against mail from this address ({_SYMBOLS}): it has no PTR record.",
        ),
    ],
)
def test_each_effect_has_its_words(key: str, sentence: str) -> None:
    assert headline(address_record("192.0.2.5", "PTR_MISSING"), _receiver(key)) == sentence


def test_an_error_comes_before_what_receivers_only_count() -> None:
    record = address_record("192.0.2.5", "SPF_FAIL", "HELO_MISMATCH", names=["mx.example.net"])
    record["helo"] = {"name": "mx.example.net", "status": "NOERROR", "confirms": False}
    record["spf"] = [
        {"identity": "helo", "domain": "mx.example.net", "result": "fail"},
        {"identity": "mailfrom", "domain": "example.net", "result": "pass"},
    ]
    assert headline(record, _ALL).startswith("SPF of mx.example.net does not authorise it")


def test_a_finding_that_is_left_out_still_has_a_reason() -> None:
    record = {**address_record("192.0.2.5", "PTR_MISSING"), "findings": []}
    assert headline(record, _receiver("gmail")).endswith(": the address has no PTR record.")


def test_without_a_receiver_that_minds_the_most_severe_finding_is_told() -> None:
    record = address_record("192.0.2.5", "PTR_MULTIPLE", "PTR_TOO_MANY")
    record["ptr"]["status"] = "NOERROR"
    record["ptr"]["names"] = ["a.example.net"]
    record["iprev"]["result"] = "pass"
    assert headline(record, _ALL).startswith("The address has more than ten PTR names")
    assert headline({**record, "findings": []}, _ALL) == "No problems found."


def test_a_sentence_that_begins_with_a_name_leaves_it_as_it_is() -> None:
    record = address_record("192.0.2.5", "SPF_NONE", names=["mx.example.net"])
    assert headline(record, ()) == "mx.example.net has no SPF record."


def test_every_finding_has_words() -> None:
    for entry in ENTRIES:
        record = address_record("192.0.2.5", entry.code, names=["mx.example.net"])
        text = cause(record, record["findings"][0])
        assert text, entry.code
        assert "{" not in text


def test_a_name_that_was_never_meant_is_the_cause_and_not_that_it_has_no_address() -> None:
    name = "mail.example.net.2.0.192.in-addr.arpa"
    record = address_record("192.0.2.5", "FORWARD_MISSING", "PTR_DOT_MISSING", names=[name])
    record["iprev"]["result"] = "fail"
    assert f"the PTR name {name} lacks its final dot" in headline(record, _receiver("gmail"))
