"""Parses domain names and SPF identities, into lower-case A-labels."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from auditor.errors import TargetError
from auditor.quoting import printable, quoted
from auditor.wire.addresses import parse_address

__all__ = [
    "NULL_SENDER",
    "Name",
    "helo_identity",
    "mail_from_identities",
    "mail_from_identity",
    "parse_domain",
    "plain_domain",
]

_MAX_NAME_CHARACTERS: Final = 253  # 255 octets on the wire (RFC 1035 §3.1) less two for the ends
_MAX_LABEL_CHARACTERS: Final = 63
#: The null reverse-path: its SPF identity is the HELO name (RFC 7208 §2.4).
NULL_SENDER: Final = "<>"
#: Characters kept of an identity that is not a domain name.
_MAX_IDENTITY_CHARACTERS: Final = 255

# Host names have no underscores, but SPF domains and DKIM hosts do. A top-level
# label starts with a letter (RFC 3696 §2), which sets names apart from numbers.
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN: Final = re.compile(rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")
_FOREIGN: Final = re.compile(r"[^a-z0-9_.-]")
#: Identities in a cell, separated by white space or `;`; a quoted local part may have both
#: (RFC 5321 §4.1.2), which is bounded so that a cell of quotes is read in linear time.
_IDENTITIES: Final = r'(?:"(?:[^"\\]|\\.){0,128}"|[^\s;])+'


class Name(NamedTuple):
    """A domain: lower-case A-labels, no final dot."""

    text: str


def plain_domain(text: str) -> str:
    """Return a domain that needs no IDNA as `parse_domain` does, "" for any other text."""
    name = text.lower().removesuffix(".")
    return name if len(name) <= _MAX_NAME_CHARACTERS and _DOMAIN.fullmatch(name) else ""


def parse_domain(text: str, expected: str = "a domain such as mail.example.net") -> str:
    """Return a domain in lower-case A-labels, without the final dot.

    Non-ASCII names are mapped by UTS #46 and encoded by IDNA 2008. Raises TargetError with what
    was `expected`.
    """
    name = text if text.isascii() else _to_ascii(text)
    plain = plain_domain(name)
    if not plain:
        is_address = parse_address(text) is not None
        complaint = "is an address" if is_address else _complaint(name)
        raise TargetError(f"{quoted(text)} {complaint}; expected {expected}")
    return plain


def helo_identity(text: str) -> str:
    """Return the HELO identity that `text` gives: a domain in lower-case A-labels if it is one.

    A client may send anything as HELO: an address literal, a single label, nothing. That is kept
    unchanged, and its SPF result is `none` (RFC 7208 §2.3, §4.3).
    """
    name = text.strip()
    try:
        return parse_domain(name)
    except TargetError:
        return _encodable(name[:_MAX_IDENTITY_CHARACTERS])


def mail_from_identity(text: str) -> str:
    """Return the MAIL FROM identity that `text` gives: a domain or an address.

    The local part stays unchanged, the domain becomes lower-case A-labels if it is valid. It may
    be in the angle brackets of SMTP; NULL_SENDER is the empty reverse-path.
    """
    path = text.strip()
    if path.startswith("<") and path.endswith(">"):
        path = path.strip("<>").strip()
    local, at, domain = path.rpartition("@")
    return _encodable(local[:_MAX_IDENTITY_CHARACTERS]) + at + helo_identity(domain) or NULL_SENDER


def mail_from_identities(text: str) -> tuple[str, ...]:
    """Return the MAIL FROM identities in `text`, separated by white space or `;`."""
    return tuple(map(mail_from_identity, re.findall(_IDENTITIES, text)))


def _encodable(text: str) -> str:
    """Return text that can be encoded as UTF-8: lone surrogates become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _to_ascii(text: str) -> str:
    """Return `text` in A-labels where a label needs them (UTS #46, RFC 5891)."""
    if len(text) > _MAX_NAME_CHARACTERS:  # no shorter in A-labels, and IDNA is slow on long ones
        raise TargetError(
            f"{quoted(text)} is longer than a domain can be; "
            f"expected at most {_MAX_NAME_CHARACTERS} octets"
        )
    import idna  # noqa: PLC0415 - tables of some megabytes that few lists need

    try:
        # Not idna.encode: it refuses the underscores of labels that are ASCII already.
        mapped = idna.uts46_remap(text, std3_rules=False)
        return ".".join(
            label if label.isascii() else idna.alabel(label).decode("ascii")
            for label in mapped.split(".")
        )
    except (UnicodeError, ValueError) as error:  # IDNAError is a UnicodeError
        raise TargetError(
            f"{quoted(text)} is not an internationalised domain ({printable(str(error))}); "
            f"expected a domain such as bücher.example"
        ) from None


def _complaint(text: str) -> str:
    """Return why `text` is not a domain."""
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    foreign = _FOREIGN.search(name)
    complaints = (
        (not text, "is empty"),
        (foreign, f"has {quoted(foreign[0])} in it" if foreign else ""),
        ("" in labels, "has an empty label"),
        (
            len(name) > _MAX_NAME_CHARACTERS,
            f"is longer than a domain can be ({_MAX_NAME_CHARACTERS} octets)",
        ),
        (
            max(map(len, labels)) > _MAX_LABEL_CHARACTERS,
            f"has a label over {_MAX_LABEL_CHARACTERS} octets",
        ),
        (labels[-1].isdigit(), "ends in a number and is no IPv4 address"),
        (len(labels) == 1, "is a single label"),
        (re.search(r"(^|\.)-|-(\.|$)", name), "has a label that starts or ends with a hyphen"),
    )
    return next((words for wrong, words in complaints if wrong), "has no top-level domain")
