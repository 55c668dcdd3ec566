"""Messages signed with a shared secret (TSIG, RFC 8945): queries signed, replies verified."""

from __future__ import annotations

import hmac
import re
import struct
from base64 import b64decode
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.errors import WireError
from auditor.wire.names import decode_name, encode_name, normalise
from auditor.wire.records import FIXED
from auditor.wire.transfer import TSIG

if TYPE_CHECKING:
    from auditor.wire.records import Record

__all__ = ["ALGORITHMS", "ReplyVerifier", "TsigError", "TsigKey", "read_key", "sign_query"]

#: Algorithms (RFC 8945 §6), by the name of their hash.
ALGORITHMS: Final = {
    "hmac-sha1": "sha1",
    "hmac-sha224": "sha224",
    "hmac-sha256": "sha256",
    "hmac-sha384": "sha384",
    "hmac-sha512": "sha512",
}
_FUDGE_S: Final = 300
_MAX_UNSIGNED: Final = 99  # messages in a row (§5.3.1)
_CLASS_ANY: Final = 255
_ARCOUNT: Final = 10  # offset of the number of additional records
_TIME: Final = struct.Struct("!HIH")  # 48 bits of seconds, and the fudge
_SHORT: Final = struct.Struct("!H")
_TAIL: Final = struct.Struct("!3H")  # original ID, error, octets of other data
_ERRORS: Final = {16: "BADSIG", 17: "BADKEY", 18: "BADTIME", 22: "BADTRUNC"}

_KEY: Final = re.compile(
    r'\s*key\s+"?([^\s"{;]+)"?\s*\{\s*algorithm\s+"?([\w-]+)\.?"?\s*;'
    r'\s*secret\s+"?([A-Za-z0-9+/=]+)"?\s*;\s*\}\s*;?\s*',
    re.IGNORECASE,
)
_SHORT_KEY: Final = re.compile(r"\s*(?:([\w-]+):)?([^\s:]+):([A-Za-z0-9+/=]+)\s*")
_COMMENT: Final = re.compile(r"(?:#|//)[^\n]*|/\*.*?\*/", re.DOTALL)


class TsigError(WireError):
    """A message without a valid signature."""


class TsigKey:
    """A shared secret and its name; its `repr` does not show the secret."""

    __slots__ = ("_secret", "algorithm", "name")

    def __init__(self, name: str, algorithm: str, secret: bytes) -> None:
        self.name = name
        self.algorithm = algorithm
        self._secret = secret

    def __repr__(self) -> str:
        return f"TsigKey({self.name!r}, {self.algorithm!r})"

    def mac(self, data: bytes) -> bytes:
        """Return the MAC (signature) of `data`."""
        return hmac.digest(self._secret, data, ALGORITHMS[self.algorithm])


def read_key(text: str) -> TsigKey | None:
    """Return the key in a text; None if there is none.

    Its form is a `key` statement of BIND, as tsig-keygen writes it, or `[ALGORITHM:]NAME:SECRET`,
    as for dig.
    """
    match = _KEY.fullmatch(_COMMENT.sub("", text))
    if match:
        name, algorithm, secret = match.groups()
    elif match := _SHORT_KEY.fullmatch(text):
        algorithm, name, secret = match[1] or "hmac-sha256", match[2], match[3]
    else:
        return None
    try:
        key = TsigKey(normalise(name), algorithm.lower(), b64decode(secret, validate=True))
    except (WireError, ValueError):
        return None
    return key if key.algorithm in ALGORITHMS else None


def sign_query(query: bytes, key: TsigKey, now: int) -> tuple[bytes, bytes]:
    """Return a query with its signature as the last record, and that signature."""
    timers = _timers(now)
    mac = key.mac(query + _variables(key, timers))
    rdata = b"".join(
        (
            encode_name(key.algorithm),
            timers,
            _SHORT.pack(len(mac)),
            mac,
            query[: _SHORT.size],
            bytes(4),  # no error, no other data
        )
    )
    record = encode_name(key.name) + FIXED.pack(TSIG, _CLASS_ANY, 0, len(rdata)) + rdata
    return _with_additional(query, 1) + record, mac


class ReplyVerifier:
    """Verifies the messages of a reply in their order (§5.3.1); the last one must be signed."""

    def __init__(self, key: TsigKey, mac: bytes) -> None:
        self._key = key
        self._mac = mac
        self._is_first = True
        self._unsigned: list[bytes] = []

    def add_message(self, data: bytes, signature: Record | None, signed: int, now: int) -> None:
        """Verify a message, with its TSIG record and the octets before it. Raises TsigError."""
        if signature is None:
            self._unsigned.append(data)
            if self._is_first or len(self._unsigned) > _MAX_UNSIGNED:
                raise TsigError("a reply without a signature", len(data))
            return
        fields = _read(signature)
        if signature.name != self._key.name or fields.algorithm != self._key.algorithm:
            raise TsigError(f"signed with another key, {signature.name}", signed)
        if fields.error:
            raise TsigError(_ERRORS.get(fields.error, f"error {fields.error}"), signed)
        message = fields.original_id + _with_additional(data[:signed], -1)[_SHORT.size :]
        timers = _timers(fields.time, fields.fudge)
        content = b"".join(
            (
                _SHORT.pack(len(self._mac)),
                self._mac,
                *self._unsigned,
                message,
                _variables(self._key, timers) if self._is_first else timers,
            )
        )
        if not hmac.compare_digest(self._key.mac(content), fields.mac):
            raise TsigError("an invalid signature", signed)
        if abs(now - fields.time) > fields.fudge:
            raise TsigError("a signature of another time: do the clocks differ?", signed)
        self._mac, self._is_first, self._unsigned = fields.mac, False, []

    def require_signed_end(self) -> None:
        """Raise TsigError unless the last message was signed."""
        if self._is_first or self._unsigned:
            raise TsigError("a reply whose end is not signed")


class _Signature(NamedTuple):
    """The RDATA of a TSIG record (§4.2)."""

    algorithm: str
    time: int
    fudge: int
    mac: bytes
    original_id: bytes
    error: int


def _read(record: Record) -> _Signature:
    rdata = record.rdata
    if not isinstance(rdata, bytes):
        raise TsigError("a malformed TSIG record")
    try:
        algorithm, position = decode_name(rdata, 0)
        high, low, fudge = _TIME.unpack_from(rdata, position)
        position += _TIME.size
        (size,) = _SHORT.unpack_from(rdata, position)
        position += _SHORT.size
        mac = rdata[position : position + size]
        position += size
        _, error, _ = _TAIL.unpack_from(rdata, position)
    except struct.error:
        raise TsigError("a signature that is cut short", len(rdata)) from None
    original_id = rdata[position : position + _SHORT.size]
    return _Signature(algorithm, high << 32 | low, fudge, mac, original_id, error)


def _timers(now: int, fudge: int = _FUDGE_S) -> bytes:
    return _TIME.pack(now >> 32, now & 0xFFFF_FFFF, fudge)


def _variables(key: TsigKey, timers: bytes) -> bytes:
    """Return the octets that are signed besides the message (§4.3.3)."""
    return b"".join(
        (
            encode_name(key.name),
            struct.pack("!HI", _CLASS_ANY, 0),
            encode_name(key.algorithm),
            timers,
            bytes(4),  # no error, no other data
        )
    )


def _with_additional(message: bytes, more: int) -> bytes:
    """Return a message with its number of additional records increased by `more`."""
    (count,) = _SHORT.unpack_from(message, _ARCOUNT)
    start, end = message[:_ARCOUNT], message[_ARCOUNT + _SHORT.size :]
    return start + _SHORT.pack(count + more) + end
