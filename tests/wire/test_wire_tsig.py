"""TSIG: what we sign and verify is what dnspython verifies and signs."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final, cast

import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.renderer
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import pytest

from auditor.errors import WireError
from auditor.wire.message import encode_query
from auditor.wire.names import encode_name
from auditor.wire.transfer import read_transfer_message
from auditor.wire.tsig import ALGORITHMS, ReplyVerifier, TsigError, TsigKey, read_key, sign_query

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW: Final = 1_790_000_000
SECRET: Final = bytes(range(32))
TEXT: Final = base64.b64encode(SECRET).decode()


def _key(algorithm: str = "hmac-sha256") -> TsigKey:
    key = read_key(f"{algorithm}:xfr-key.:{TEXT}")
    assert key is not None
    return key


def _theirs(algorithm: str = "hmac-sha256") -> dns.tsig.Key:
    return dns.tsig.Key("xfr-key.", SECRET, f"{algorithm}.")


def _query() -> bytes:
    return encode_query(7, encode_name("example.net"), 252, recurse=False, edns_size=None)


@pytest.fixture
def at_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock of dnspython."""
    monkeypatch.setattr("dns.message.time.time", lambda: NOW)
    monkeypatch.setattr("dns.renderer.time.time", lambda: NOW)


@pytest.mark.usefixtures("at_now")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signed_query_is_one_for_others(algorithm: str) -> None:
    wire, mac = sign_query(_query(), _key(algorithm), NOW)
    message = dns.message.from_wire(
        wire, keyring={dns.name.from_text("xfr-key"): _theirs(algorithm)}
    )
    assert message.had_tsig
    assert message.mac == mac


def _replies(mac: bytes, signed: Sequence[bool]) -> list[bytes]:
    """Return messages of a transfer that dnspython signs, or leaves unsigned."""
    context = None
    found = []
    for number, is_signed in enumerate(signed):
        renderer = cast("Any", dns.renderer).Renderer(7, 0x8400)
        rrset = dns.rrset.from_text(f"a{number}.example.net.", 60, "IN", "A", "192.0.2.1")
        renderer.add_rrset(dns.renderer.ANSWER, rrset)
        renderer.write_header()
        if is_signed:
            context = renderer.add_multi_tsig(
                context,
                dns.name.from_text("xfr-key."),
                _theirs(),
                300,
                7,
                0,
                b"",
                mac,
                _theirs().algorithm,
            )
            found.append(renderer.get_wire())
        else:
            wire = renderer.get_wire()
            assert context is not None
            context.update(wire)
            found.append(wire)
    return found


def _take(
    verifier: ReplyVerifier, messages: Sequence[bytes], now: int = NOW, *, finish: bool = False
) -> None:
    for data in messages:
        message = read_transfer_message(data)
        verifier.add_message(data, message.signature, message.signed, now)
    if finish:
        verifier.require_signed_end()


@pytest.mark.usefixtures("at_now")
@pytest.mark.parametrize("signed", [[True], [True, True, True], [True, False, False, True]])
def test_replies_that_others_sign_are_right(signed: list[bool]) -> None:
    _, mac = sign_query(_query(), _key(), NOW)
    verifier = ReplyVerifier(_key(), mac)
    _take(verifier, _replies(mac, signed))
    verifier.require_signed_end()


@pytest.mark.usefixtures("at_now")
def test_no_octet_of_a_signed_reply_can_be_changed() -> None:
    _, mac = sign_query(_query(), _key(), NOW)
    (wire,) = _replies(mac, [True])
    end = read_transfer_message(wire).signed
    for at in range(2, end):  # the ID is the original one, whatever stands in the header
        changed = bytearray(wire)
        changed[at] ^= 1
        verifier = ReplyVerifier(_key(), mac)
        with pytest.raises(WireError):
            _take(verifier, [bytes(changed)], finish=True)


@pytest.mark.usefixtures("at_now")
def test_a_message_that_is_left_out_put_in_or_exchanged_is_noticed() -> None:
    _, mac = sign_query(_query(), _key(), NOW)
    one, two, three = _replies(mac, [True, False, True])
    for messages in ([one, three], [one, two, two, three], [two, one, three]):
        with pytest.raises(TsigError):
            _take(ReplyVerifier(_key(), mac), messages)
    verifier = ReplyVerifier(_key(), mac)
    _take(verifier, [one, two])
    with pytest.raises(TsigError, match="whose end is not signed"):
        verifier.require_signed_end()


@pytest.mark.usefixtures("at_now")
def test_a_reply_of_another_time_or_to_another_query_is_refused() -> None:
    _, mac = sign_query(_query(), _key(), NOW)
    messages = _replies(mac, [True])
    with pytest.raises(TsigError, match="do the clocks differ"):
        _take(ReplyVerifier(_key(), mac), messages, NOW + 301)
    with pytest.raises(TsigError, match="an invalid signature"):
        _take(ReplyVerifier(_key(), bytes(32)), messages)


def test_keys_are_read_as_programs_write_them() -> None:
    text = f'# made today\nkey "Xfr-Key" {{\n\talgorithm hmac-sha512;\n\tsecret "{TEXT}";\n}};\n'
    key = read_key(text)
    assert key is not None
    assert (key.name, key.algorithm) == ("xfr-key", "hmac-sha512")
    short = read_key(f"xfr-key:{TEXT}\n")
    assert short is not None
    assert short.algorithm == "hmac-sha256"
    assert short.mac(b"x") == _key().mac(b"x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "xfr-key",
        f"hmac-md4:xfr-key:{TEXT}",
        "xfr-key:not base64!",
        f"a..b:{TEXT}",
        "xfr-key:abc",
    ],
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert read_key(text) is None


def test_a_key_that_is_shown_keeps_its_secret() -> None:
    shown = repr(_key())
    assert shown == "TsigKey('xfr-key', 'hmac-sha256')"
    assert TEXT not in shown
    assert str(SECRET) not in shown
