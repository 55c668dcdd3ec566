r"""Domain names: between presentation form, labels and wire form.

Only about how names are written, not about what they are used for, except the host name rule.
Canonical text is the only form of names inside this program: lower case,
no final dot (the root is `.`), `\.` and `\\` for a dot and a backslash inside a label, `\DDD` for
space and anything that is not printable ASCII; nothing else is escaped (RFC 1035 §5.1, RFC 4343).

An invalid name raises `WireError`; its offset counts octets of the message, or of the name if text
was read.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from auditor.errors import WireError

__all__ = [
    "MAX_LABEL",
    "MAX_NAME",
    "NULL_MX",
    "decode_name",
    "encode_name",
    "is_hostname",
    "is_multi_label",
    "labels_of",
    "mail_address",
    "normalise",
    "parent_of",
    "text_of",
]

MAX_LABEL: Final = 63  #: octets in a label (RFC 1035 §2.3.4)
MAX_NAME: Final = 255  #: octets in a name, length octets and root included (RFC 1035 §2.3.4)
NULL_MX: Final = "."  #: host of the MX record of a domain that takes no mail (RFC 7505)

# Every label but the root may have a compression pointer of its own. Chains of pointers to
# pointers would be legal, but no server writes them, and they make names expensive.
_MAX_POINTERS: Final = 127
_POINTER: Final = 0xC0
_POINTER_BITS: Final = 0x3F
# Four characters for an octet, and the dots.
_MAX_TEXT: Final = 4 * MAX_NAME

# Printable ASCII (RFC 20) without the backslash. With the dot, because whole names are checked,
# already joined; `_text` counts the dots.
_PLAIN: Final = bytes(octet for octet in range(0x21, 0x7F) if octet != ord("\\"))
_ESCAPES: Final = tuple(
    f"\\{chr(octet)}" if octet in b".\\" else chr(octet) if octet in _PLAIN else f"\\{octet:03d}"
    for octet in range(256)
)
_LENGTHS: Final = tuple(bytes((length,)) for length in range(MAX_LABEL + 1))

_CANONICAL: Final = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_MAX_CANONICAL: Final = MAX_NAME - 2  # the first length octet and the root are not in the text

_LABEL: Final = re.compile(r"(?:[^.\\]|\\.)+\.?")

_LDH: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# RFC 1123 §2.1: the first character may be a digit; the last label is never all digits,
# so that no host name looks like an address.
_HOSTNAME: Final = re.compile(rf"(?:{_LDH}\.)*(?![0-9]+\Z){_LDH}")


def labels_of(text: str) -> tuple[bytes, ...]:
    """Return the labels of a name in any presentation form, case kept; the root has none.

    A final dot is optional. Raises WireError when `text` is not a name: empty, an empty or
    overlong label, longer than 255 octets, not ASCII, or a broken escape.
    """
    if text == ".":
        return ()
    if not text.isascii() or len(text) > _MAX_TEXT:
        raise WireError("not a name in ASCII of at most 255 octets")
    labels = _unescape(text) if "\\" in text else text.encode("ascii").split(b".")
    if not labels[-1]:
        labels.pop()
    octets = 0
    for label in labels:
        if not 0 < len(label) <= MAX_LABEL:
            raise WireError("an empty label, or one of more than 63 octets", octets)
        octets += len(label) + 1
    if not 0 < octets < MAX_NAME:
        raise WireError("an empty name, or one of more than 255 octets", octets)
    return tuple(labels)


def _unescape(text: str) -> list[bytes]:
    r"""Split ASCII text at its unescaped dots and undo `\X` and `\DDD` (RFC 1035 §5.1)."""
    labels = []
    label = bytearray()
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == ".":
            labels.append(bytes(label))
            label.clear()
            continue
        if character == "\\":
            character = text[position : position + 1]
            digits = text[position : position + 3]
            if not character:
                raise WireError("an escape without a character", len(label))
            if character.isdigit():
                if len(digits) < 3 or not digits.isdigit() or int(digits) > 255:  # noqa: PLR2004 - \DDD
                    raise WireError("an escape that is not \\000 to \\255", len(label))
                character = chr(int(digits))
                position += 2
            position += 1
        label.append(ord(character))
    labels.append(bytes(label))
    return labels


def text_of(labels: tuple[bytes, ...] | list[bytes]) -> str:
    """Return the canonical text of a name's labels; limits are not checked."""
    joined = b".".join(labels).lower()
    if not labels:
        return "."
    if joined.translate(None, _PLAIN) or joined.count(b".") >= len(labels):
        escapes = _ESCAPES
        return ".".join("".join([escapes[octet] for octet in label.lower()]) for label in labels)
    return joined.decode("ascii")


def normalise(text: str) -> str:
    """Return the canonical text of a name in any presentation form.

    Raises WireError as `labels_of` does. Canonical text is returned unchanged.
    """
    if len(text) <= _MAX_CANONICAL and _CANONICAL.fullmatch(text):
        return text
    return text_of(labels_of(text))


def parent_of(name: str) -> str:
    """Return a canonical name without its first label; the root is its own parent."""
    if "\\" not in name:
        return name.partition(".")[2] or "."
    label = _LABEL.match(name)
    return (name[label.end() :] if label else "") or "."


_SPECIALS: Final = re.compile(r'[()<>\[\]:;@\\,"]')

#: The local part of a mail address that needs no quotes (RFC 5322 §3.2.3).
_DOT_ATOM: Final = r"(?a:[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*)"


def mail_address(rname: str) -> str:
    """Return the mail address in the RNAME of an SOA record (RFC 1035 §8)."""
    labels = labels_of(rname)
    if len(labels) < 2:  # noqa: PLR2004 - a mailbox and a domain
        return ""
    local = labels[0].decode("ascii", "backslashreplace")
    if not re.fullmatch(_DOT_ATOM, local):  # all else is quoted (RFC 5321 §4.1.2)
        local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
    domain = ".".join(label.decode("ascii", "backslashreplace") for label in labels[1:])
    text = f"{local}@{domain}"
    return text if text.isprintable() else ""


def is_multi_label(name: str) -> bool:
    """Tell whether a canonical name is a multi-label domain, as SPF requires (RFC 7208 §4.3).

    Not a single label, not an address (literal, bare or with a port), and no name with escapes or
    with characters that need quotes in mail (RFC 5322 §3.2.3).
    """
    parents, _, last = name.rpartition(".")
    return bool(parents) and not last.isdigit() and _SPECIALS.search(name) is None


def is_hostname(text: str) -> bool:
    """Tell whether a name without its final dot is a host name (RFC 952, RFC 1123 §2.1).

    Labels of letters, digits and inner hyphens, the last one not all digits. The root is
    not a host name, a single label is.
    """
    return len(text) <= _MAX_CANONICAL and _HOSTNAME.fullmatch(text) is not None


def encode_name(text: str) -> bytes:
    """Return the uncompressed wire form of a name, case kept. Raises WireError (`labels_of`).

    The parent of a name is encoded once and cached, so each name of a /24 costs one cache lookup
    and two concatenations.
    """
    first, _, rest = text.partition(".")
    if rest and 0 < len(first) <= MAX_LABEL and first.isascii() and "\\" not in text:
        wire = _LENGTHS[len(first)] + first.encode("ascii") + _encode_parent(rest)
        if len(wire) <= MAX_NAME:
            return wire
    return _encode_labels(labels_of(text))


@lru_cache(maxsize=4096)
def _encode_parent(text: str) -> bytes:
    if text == ".":  # what is left of `a..`
        raise WireError("an empty label")
    return _encode_labels(labels_of(text))


def _encode_labels(labels: tuple[bytes, ...]) -> bytes:
    return b"".join([_LENGTHS[len(label)] + label for label in labels]) + b"\0"


def decode_name(message: bytes, offset: int) -> tuple[str, int]:
    """Return the canonical text of the name at `offset`, and the offset after it.

    Compression pointers are followed strictly backwards: each must point before everything
    read so far, which also ends every loop (RFC 1035 §4.1.4: "a prior occurrence"). Raises
    WireError for anything that is not a name of at most 255 octets.
    """
    labels: list[bytes] = []
    position = lowest = offset
    end = pointers = 0
    room = MAX_NAME - 1  # the root
    try:
        while length := message[position]:
            if length <= MAX_LABEL:
                position += 1
                labels.append(message[position : position + length])
                position += length
                room -= length + 1
                if room < 0:
                    raise WireError("a name of more than 255 octets", position)
                continue
            if length < _POINTER:
                raise WireError("a label of a reserved type", position)
            target = (length & _POINTER_BITS) << 8 | message[position + 1]
            pointers += 1
            if target >= lowest or pointers > _MAX_POINTERS:
                raise WireError("a compression pointer that does not lead back", position)
            end = end or position + 2
            position = lowest = target
    except IndexError:
        raise WireError("a name that runs past the end", len(message)) from None
    return text_of(labels), end or position + 1
