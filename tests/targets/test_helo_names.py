"""Logs, header fields and configurations tell which host says which HELO name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.targets.helo_names import HeloUse, helo_uses, is_log_line


def _uses(*lines: str) -> list[tuple[str, str]]:
    return [(use.address, use.helo) for use in helo_uses(lines)]


@pytest.mark.parametrize(
    ("line", "address", "helo"),
    [
        pytest.param(
            "Nov  3 19:32:07 mx postfix/submission/smtpd[3]: NOQUEUE: reject: RCPT from "
            "unknown[192.0.2.7]: 450 4.7.25 Client host rejected: cannot find your hostname, "
            "[192.0.2.7]; from=<a@example.org> to=<b@example.net> proto=ESMTP helo=<Mail.example>",
            "192.0.2.7",
            "mail.example",
            id="postfix-smtpd",
        ),
        pytest.param(
            "2026-11-03T19:32:07Z mx postfix/postscreen[3]: NOQUEUE: reject: RCPT from "
            "[2001:db8::9]:40000: 550 5.7.1 Service unavailable; from=<a@example.org>, "
            "to=<b@example.net>, proto=ESMTP, helo=<[10.0.0.1]>",
            "2001:db8::9",
            "[10.0.0.1]",
            id="postfix-postscreen",
        ),
        pytest.param(
            "Nov  3 19:32:07 mx policyd-spf[9]: prepend Received-SPF: Pass (mailfrom) "
            "identity=mailfrom; client-ip=192.0.2.8; helo=mx.example.org; "
            "envelope-from=a@example.org; receiver=<UNKNOWN>",
            "192.0.2.8",
            "mx.example.org",
            id="received-spf",
        ),
        pytest.param(
            "2026-11-03 19:32:07 [12] 1w0Abc-0001Zz-1d <= a@example.org H=mx.example.org "
            "(other.example.org) [192.0.2.9]:4000 P=esmtps",
            "192.0.2.9",
            "other.example.org",
            id="exim-differs",
        ),
        pytest.param(
            "2026-11-03 19:32:07 H=(localhost) [192.0.2.10] F=<a@example.org> rejected RCPT",
            "192.0.2.10",
            "localhost",
            id="exim-no-host-name",
        ),
        pytest.param(
            "2026-11-03 19:32:07 H=(my mail server) [192.0.2.13] rejected EHLO",
            "192.0.2.13",
            "my mail server",
            id="exim-spaces",
        ),
        pytest.param(
            "2026-11-03 19:32:07 1w0Abc-0001Zz-1d <= a@example.org H=mx.example.org [192.0.2.11]",
            "192.0.2.11",
            "mx.example.org",
            id="exim-same",
        ),
        pytest.param(
            "2026-11-03 19:32:07 H=[192.0.2.12] rejected connection", "192.0.2.12", "", id="exim-no"
        ),
        pytest.param(
            "Nov  3 19:32:07 mx sm-mta[7]: x7S3Ce1: from=<a@example.org>, size=1204, "
            "daemon=MTA, relay=mx.example.org [192.0.2.13] (may be forged)",
            "192.0.2.13",
            "",
            id="sendmail",
        ),
        pytest.param(
            "Received: from helo.example.org (mx.example.org [192.0.2.14]) by mx.example.net "
            "(host [198.51.100.1]) with ESMTP",
            "192.0.2.14",
            "helo.example.org",
            id="received-postfix",
        ),
        pytest.param(
            "Received: from [10.0.0.9] (unknown [IPv6:2001:db8::15]) by mx.example.net",
            "2001:db8::15",
            "[10.0.0.9]",
            id="received-literal",
        ),
        pytest.param(
            "received: from mx.example.org ([192.0.2.16]:3312 helo=helo.example.org) by x",
            "192.0.2.16",
            "helo.example.org",
            id="received-exim",
        ),
        pytest.param(
            "Received: from [192.0.2.17] (port=9 helo=[10.0.0.1]) by mx.example.net",
            "192.0.2.17",
            "[10.0.0.1]",
            id="received-exim-no-name",
        ),
        pytest.param(
            "Received: from mx.example.org (192.0.2.18) by mx.example.net with Microsoft SMTP",
            "192.0.2.18",
            "mx.example.org",
            id="received-exchange",
        ),
        pytest.param(
            "Received: from unknown (HELO helo.example.org) (someone@192.0.2.19) by x with SMTP",
            "192.0.2.19",
            "helo.example.org",
            id="received-qmail",
        ),
        pytest.param(
            "Received: from [192.0.2.20] by mx.example.net", "192.0.2.20", "", id="received-bare"
        ),
    ],
)
def test_a_line_tells_address_and_helo_name(line: str, address: str, helo: str) -> None:
    assert _uses(line) == [(address, helo)]


@pytest.mark.parametrize(
    "line",
    [
        "Nov  3 19:32:09 mx postfix/smtp[4]: 9: host said: from x[192.0.2.1]: no helo=<a.example>",
        "2026-11-03 19:32:07 1w0Abc-0001Zz-1d => a@example.org T=smtp H=mx.example [192.0.2.1]",
        "2026-11-03 19:32:07 1w0Abc-0001Zz-1d == a@example.org H=mx.example [192.0.2.1] refused",
        "Nov  3 19:32:07 mx sendmail[7]: x7: to=<a@example.org>, relay=mx.example [192.0.2.1]",
        "Received: by mx.example.net (Postfix, from userid 0); Sat, 28 Nov 2026 00:00:00 +0000",
        "Received: from localhost (localhost [127.0.0.1]) by mx.example.net (Postfix)",
        "Received: from mx.example.org (mx.example.org [192.0.2.999]) by mx.example.net",
        "Received-SPF: pass (a page) client-ip=192.0.2.1;",
        "Subject: helo=<mx.example.org> from unknown[192.0.2.1]",
        "192.0.2.1",
        "",
    ],
)
def test_receivers_the_host_itself_and_all_else_are_passed_over(line: str) -> None:
    assert _uses(line) == []


def test_a_folded_field_is_one_line() -> None:
    folded = [
        "Received: from helo.example.org",
        "\t(mx.example.org [192.0.2.5])",
        " by mx",
        "To: a",
    ]
    assert _uses(*folded) == [("192.0.2.5", "helo.example.org")]


def test_sendmail_names_client_and_helo_name_in_two_lines_of_a_process() -> None:
    assert _uses(
        "Nov  3 19:32:07 mx sendmail[7]: x7: <-- EHLO mx.example.org",
        "Nov  3 19:32:07 mx sendmail[8]: x8: <-- HELO other.example.org",
        "Nov  3 19:32:08 mx sendmail[7]: x7: from=<a@example.org>, relay=[192.0.2.1]",
        "Nov  3 19:32:08 mx sendmail[8]: x8: from=<a@example.org>, relay=mx [IPv6:2001:db8::1]",
    ) == [("192.0.2.1", "mx.example.org"), ("2001:db8::1", "other.example.org")]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["myhostname = mx.example.net", "smtp_bind_address = 192.0.2.1"],
            [("192.0.2.1", "mx.example.net")],
        ),
        (
            [
                "inet_interfaces = 192.0.2.2, 127.0.0.1,",
                "    [2001:db8::2]",
                "mydomain = example.net",
                "myhostname = mx.${mydomain}",
                "smtp_helo_name = out-$myhostname",
            ],
            [("192.0.2.2", "out-mx.example.net"), ("2001:db8::2", "out-mx.example.net")],
        ),
        (
            [
                "inet_interfaces = all",
                "myhostname = $(smtp_helo_name)",
                "smtp_helo_name = mx.example.net",
                "proxy_interfaces = 192.0.2.3",
            ],
            [("192.0.2.3", "mx.example.net")],
        ),
        (["inet_interfaces = all", "myhostname = mx.example.net"], [("", "mx.example.net")]),
        (["inet_interfaces = 192.0.2.4"], [("192.0.2.4", "")]),
        (["myhostname = $myhostname", "smtp_bind_address = 192.0.2.5"], [("192.0.2.5", "")]),
        (["mail_version = 3.10", "relayhost = 192.0.2.6"], []),
    ],
)
def test_a_configuration_gives_a_row_for_each_address(
    lines: list[str], expected: list[tuple[str, str]]
) -> None:
    assert _uses(*lines) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Nov  3 19:32:07 mx postfix/submission/smtpd[3]: connect from unknown[192.0.2.7]", True),
        ("Nov  3 19:32:07 mx sm-mta[3]: x7: from=<a@example.org>", True),
        ("2026-11-03 19:32:07 H=(localhost) [192.0.2.10] rejected", True),
        ("Received: from mx.example.org", True),
        ("smtp_bind_address = 192.0.2.5", True),
        ("192.0.2.5", False),
        ("target,helo", False),
        ("postfix.example.org", False),
    ],
)
def test_a_line_of_a_log_is_known_by_its_beginning(line: str, *, expected: bool) -> None:
    assert is_log_line(line) is expected


@given(
    st.lists(
        st.text(
            alphabet="Received: from [192.0.2.1] (helo=x) H=sendmail[1]: <-- EHLO\t $myhostname"
        )
    )
)
def test_no_text_is_too_odd(lines: list[str]) -> None:
    assert all(isinstance(use, HeloUse) for use in helo_uses(lines))
