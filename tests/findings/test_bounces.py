"""Bounces as mail servers write them lead to the finding, the receiver and the address."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.findings.bounces import Diagnosis, diagnose
from auditor.findings.catalogue import ENTRIES
from auditor.findings.receivers import receivers

_REVERSE: Final = ("PTR_MISSING", "FORWARD_MISSING", "FORWARD_MISMATCH")

_POSTFIX: Final = """\
Nov  3 19:32:09 mx postfix/smtp[4221]: 9843783F4B: to=<c@example.com>, \
relay=mx.example.com[198.51.100.25]:25, delay=0.9, dsn=5.7.25, status=bounced \
(host mx.example.com[198.51.100.25] said: 550-5.7.25 [192.0.2.5      19] The IP address sending \
this message does not have a 550-5.7.25 PTR record setup, or the corresponding forward DNS entry \
does not 550 5.7.25 point to the sending IP. (in reply to end of DATA command))
"""

_POSTFIX_NOTIFICATION: Final = """\
From: MAILER-DAEMON@mx.example.org (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

This is the mail system at host mx.example.org.

<c@example.com>: host mx.example.com[198.51.100.25] said: 554-Transaction fail=
ed
    554-Reject due to policy restrictions. 554 invalid DNS PTR resource record=
, IP=3D192.0.2.9 (in reply to MAIL FROM command)

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; c@example.com
Action: failed
Status: 5.0.0
Remote-MTA: dns; mx.example.com

--b1
Content-Type: message/rfc822

From: a@example.org
Subject: our PTR record 550 5.7.23 SPF

--b1--
"""

_EXIM: Final = """\
A message that you sent could not be delivered to one or more of its recipients.

  c@example.com
    host mx.example.com [198.51.100.25]
    SMTP error from remote mail server after end of data:
    550-5.7.26 This mail has been blocked because the sender is unauthenticated.
    550-5.7.26 SPF [example.org] with ip: [192.0.2.6] = did not pass
    550 5.7.26  For instructions, see the page of the receiver
"""

_EXCHANGE: Final = """\
Delivery has failed to these recipients or groups:

c@example.com
Remote Server returned '450 4.7.25 Service unavailable, sending IPv6 address
[2001:db8::25] must have reverse DNS record. [AM7EUR03FT021.example]'
"""

_GMAIL_IPV6: Final = """\
550-5.7.1 [2001:db8:1::25      19] Our system has detected that this message does
550-5.7.1 not meet IPv6 sending guidelines regarding PTR records and
550-5.7.1 authentication. IPv6AuthError - gsmtp
"""

_SENDMAIL: Final = """\
   ----- Transcript of session follows -----
... while talking to mx.example.com.:
>>> MAIL From:<a@example.org>
<<< 550 5.7.1 Fix reverse DNS for 192.0.2.8
554 5.0.0 Service unavailable
"""

_SENDMAIL_NOTIFICATION: Final = """\
From: Mail Delivery Subsystem <MAILER-DAEMON>
Subject: Returned mail: see transcript for details
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b/2"

--b/2

The original message was received at Sat, 28 Nov 2026 07:35:47 -0400
from localhost.localdomain [127.0.0.1]

   ----- The following addresses had permanent fatal errors -----
<c@example.com>
    (reason: 550-5.7.1 [2001:db8:2::25] Our system has detected that)

   ----- Transcript of session follows -----
... while talking to mx.example.com.:
>>> DATA
<<< 550-5.7.1 [2001:db8:2::25] Our system has detected that
<<< 550-5.7.1 this message does not meet IPv6 sending guidelines regarding PTR
<<< 550-5.7.1 records and authentication. Please review
<<< 550 5.7.1 IPv6AuthError - gsmtp
554 5.0.0 Service unavailable

--b/2
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.org
Final-Recipient: RFC822; c@example.com
Action: failed
Status: 5.7.1
Remote-MTA: DNS; mx.example.com
Diagnostic-Code: SMTP; 550-5.7.1 [2001:db8:2::25] Our system has detected that

--b/2--
"""

_EXIM_LOG: Final = (
    "2026-11-28 05:19:45 1w0Abc-0001Zz-1d ** c@example.com R=dnslookup T=remote_smtp: SMTP error "
    "from remote mail server after end of data: host mx.example.com [198.51.100.25]: "
    r"550-5.7.26 This mail has been blocked because the sender is unauthenticated.\n550-5.7.26 "
    r"SPF [example.org] with ip: [192.0.2.26] = did not pass\n550 5.7.26 - gsmtp"
)

_POSTFIX_SERVER: Final = """\
2026-11-03T19:32:07.1+00:00 mx postfix/smtpd[31810]: NOQUEUE: reject: RCPT from \
unknown[192.0.2.7]: 450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]; \
from=<a@example.org> to=<b@example.net> proto=ESMTP helo=<mail.example.org>
2026-11-03T19:32:09.1+00:00 mx postfix/smtpd[31810]: disconnect from unknown[192.0.2.200]
"""


def _diagnosis(text: str) -> Diagnosis:
    found = diagnose(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "code", "finding", "receiver", "address"),
    [
        pytest.param(_POSTFIX, "5.7.25", "PTR_MISSING", "gmail", "192.0.2.5", id="postfix"),
        pytest.param(
            _POSTFIX_NOTIFICATION, "554", "PTR_MISSING", "gmx", "192.0.2.9", id="notification"
        ),
        pytest.param(_EXIM, "5.7.26", "SPF_FAIL", "gmail", "192.0.2.6", id="exim"),
        pytest.param(
            _EXCHANGE, "4.7.25", "PTR_MISSING", "exchange-online", "2001:db8::25", id="exchange"
        ),
        pytest.param(_GMAIL_IPV6, "5.7.1", "PTR_MISSING", "gmail", "2001:db8:1::25", id="gmail"),
        pytest.param(_SENDMAIL, "5.7.1", "PTR_MISSING", None, "192.0.2.8", id="sendmail"),
        pytest.param(
            _SENDMAIL_NOTIFICATION,
            "5.7.1",
            "PTR_MISSING",
            "gmail",
            "2001:db8:2::25",
            id="sendmail-notification",
        ),
        pytest.param(_EXIM_LOG, "5.7.26", "SPF_FAIL", "gmail", "192.0.2.26", id="exim-log"),
        pytest.param(
            _POSTFIX_SERVER, "4.7.25", "FORWARD_MISMATCH", "postfix", "192.0.2.7", id="log"
        ),
    ],
)
def test_a_bounce_leads_to_finding_receiver_and_address(
    text: str, code: str, finding: str, receiver: str | None, address: str
) -> None:
    found = _diagnosis(text)
    assert found.code == code
    assert finding in found.findings
    assert receiver is None or receiver in found.receivers
    assert found.address == address


@pytest.mark.parametrize(
    ("text", "receiver", "address"),
    [
        ("554-gmx.net Nemesis ESMTP 554-Bad DNS PTR resource record. i=ip&v=192.0.2.4", "gmx", ""),
        ("554-Bad DNS PTR resource record. 554 For explanation visit a page", "gmx", ""),
        ("554 IP=192.0.2.5 - None/bad reputation. (NOWL)", "t-online", "192.0.2.5"),
        ("550-5.7.1 [2001:db8::5] guidelines regarding PTR records\\n550 5.7.1 . IPv6AuthError",
         "gmail", "2001:db8::5"),
        ("450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.6]",
         "postfix", "192.0.2.6"),
    ],
)  # fmt: skip
def test_receivers_are_known_by_their_words(text: str, receiver: str, address: str) -> None:
    found = _diagnosis(text)
    assert found.receivers == (receiver,)
    assert "PTR_MISSING" in found.findings
    assert address in {found.address, ""}


def test_a_code_that_everybody_uses_is_nobodys() -> None:
    assert _diagnosis("451 4.7.1 no proper reverse mapping exists for 192.0.2.5").receivers == ()


def test_domain_and_helo_name_are_taken_out() -> None:
    text = "550 5.7.515 Access denied, sending domain EXAMPLE.ORG does not meet the required"
    assert _diagnosis(text).domain == "example.org"
    text = "504 5.5.2 <mail>: Helo command rejected: need fully-qualified hostname"
    assert _diagnosis(text).helo == "mail"
    text += "; from=<a@example.org> proto=ESMTP helo=<mx.example.org>"
    assert (_diagnosis(text).domain, _diagnosis(text).helo) == ("example.org", "mail")
    assert _diagnosis("504 5.5.2 Helo command rejected; helo=<$(reboot)>").helo == ""


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("5.7.25", _REVERSE),
        ("550-5.7.25", _REVERSE),
        ("4.7.25", _REVERSE),
        ("5.7.23", ("SPF_FAIL", "SPF_SOFTFAIL")),
        ("550 5.1.1 User unknown", ()),
        ("554 5.7.1 Client host [192.0.2.9] blocked using a list", ()),
    ],
)
def test_a_code_alone_leads_to_its_findings(text: str, findings: tuple[str, ...]) -> None:
    assert _diagnosis(text).findings == findings


def test_a_reply_of_a_known_receiver_may_be_about_something_else() -> None:
    found = _diagnosis("554-gmx.net Nemesis ESMTP Service not available 554-Block listed.")
    assert (found.code, found.findings, found.receivers) == ("554", (), ("gmx",))


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("cannot find your hostname", "PTR_MISSING"),
        ("421 4.7.23 no PTR record", "PTR_MISSING"),
        ("504 5.5.2 <mail>: Helo command rejected: need fully-qualified hostname", "HELO_NOT_FQDN"),
        ("550 Dynamic IP addresses are not accepted", "PTR_GENERIC"),
        ("450 4.1.8 <a@b.example>: Sender address rejected: Domain not found", "ADDRESS_MISSING"),
        ("550 5.7.24 SPF: permerror, too many DNS lookups", "SPF_PERMERROR"),
        ("550 5.7.24 SPF validation error", "SPF_PERMERROR"),
        ("550 5.7.515 Access denied, required authentication level not met", "SPF_FAIL"),
        ("550 Reject due to SPF policy", "SPF_FAIL"),
        ("451 4.7.24 temporary", "SPF_UNDETERMINED"),
    ],
)
def test_words_say_more_than_the_code(text: str, finding: str) -> None:
    assert finding in _diagnosis(text).findings


def test_the_sender_is_the_domain_that_spf_was_evaluated_for() -> None:
    found = _diagnosis("550 5.7.23 SPF: 192.0.2.25 may not send (smtp.mailfrom=a@Example.ORG)")
    assert (found.domain, found.address) == ("example.org", "192.0.2.25")


@pytest.mark.parametrize(
    "text",
    [
        "450 4.1.8 <a@Example.ORG>: Sender address rejected: Domain not found",
        "550-Verification failed for <a@example.org> 550 Sender verify failed",
        "550-5.7.26 SPF [example.org] with ip: [192.0.2.9] = did not pass",
    ],
)
def test_the_domain_of_the_sender_is_found_where_replies_name_it(text: str) -> None:
    assert _diagnosis(text).domain == "example.org"


def test_no_domain_looks_like_an_option() -> None:
    assert _diagnosis("550 5.7.23 SPF fail; from=<a@-x.example.org>").domain == ""


def test_the_address_of_the_receiver_is_never_taken_for_the_senders() -> None:
    text = "host mx.example.com[198.51.100.25] said: 550 5.7.25 no PTR record"
    assert _diagnosis(text).address == ""


@pytest.mark.parametrize("text", ["", "hello", "a version 1.2.3 of 550 things", "10:20:30"])
def test_a_text_without_a_reply_means_nothing(text: str) -> None:
    assert diagnose(text) is None


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    found = diagnose(f"550 5.7.25 {text}")
    assert found is not None
    assert found.findings


@given(st.text(alphabet='Content-Type: multipart/report;\n\r=3Dboundary"-0a15 7.2[]'))
def test_no_message_is_too_odd(text: str) -> None:
    diagnose(f"Subject: x\n{text}")


@pytest.mark.parametrize(
    "field",
    [
        *("Message-ID: <", "Message-ID: <>x", "To: <", 'To: "', "Resent-To: ,;:", "Date: x"),
        *("Content-Disposition: ;;;=", "Content-Type: ;", "Content-Transfer-Encoding: \0"),
    ],
)
def test_odd_fields_of_a_message_are_read_past(field: str) -> None:
    for text in (
        _POSTFIX_NOTIFICATION.replace("Subject: ", f"{field}\nSubject: ", 1),
        _POSTFIX_NOTIFICATION.replace("--b1\n", f"--b1\n{field}\n"),
        f"{field}\nContent-Transfer-Encoding: 7bit\n\n550 5.7.25 x\n",
    ):
        diagnose(text)
    status = f"Reporting-MTA: dns; mx\n\n{field}\nDiagnostic-Code: smtp; 550 5.7.25 x\n"
    found = diagnose(f"MIME-Version: 1.0\nContent-Type: message/delivery-status\n\n{status}")
    assert found is not None
    assert found.code == "5.7.25"


def test_what_replies_lead_to_is_there() -> None:
    codes = {entry.code for entry in ENTRIES}
    found = _diagnosis("5.7.24")
    assert set(found.findings) <= codes
    assert set(_diagnosis(_POSTFIX).receivers) <= receivers().keys()
