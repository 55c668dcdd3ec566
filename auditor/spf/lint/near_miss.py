"""Finds TXT records that were meant to be an SPF policy, and why each does not count as one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from auditor.spf.parser import parse_policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Rdata

__all__ = ["NearMiss", "near_miss"]

#: Octets of a record that are examined: the version is at the beginning.
_MAX_OCTETS: Final = 4096

_VERSION: Final = b"v=spf1"
_VERSION_ANYWHERE: Final = re.compile(rb"v=spf1(?![a-z0-9])", re.IGNORECASE)
_OTHER_VERSION: Final = re.compile(rb"v=spf[0-9.]*", re.IGNORECASE)
_MISSPELT: Final = re.compile(
    rb"(?:v\s*[=:]?\s*)?(?:spf|sfp)[\s-]*v?1(?:\.0)?(?![a-z0-9])", re.IGNORECASE
)
_SENDER_ID: Final = re.compile(rb"spf2\.0/[a-z,]+", re.IGNORECASE)
_QUOTES: Final = frozenset(b"\"'`")
_TYPOGRAPHIC_QUOTES: Final = re.compile(rb"\xe2\x80[\x98-\x9f]|[\x91-\x94]")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class NearMiss(NamedTuple):
    """A record that is nearly SPF; `start` and `end` are the offsets of what is wrong in it.

    `terms` is the offset from which the terms of a policy follow, None if those are for
    another purpose.
    """

    record: bytes
    start: int
    end: int
    note: str
    terms: int | None


def near_miss(records: Sequence[Rdata]) -> NearMiss | None:
    """Return the TXT record that comes nearest to a policy (RFC 7208 §4.5), None if none does."""
    found = []
    for strings in cast("Sequence[tuple[bytes, ...]]", records):
        for rank, judge in enumerate((_after_version, _before_version, _spelling, _no_version)):
            miss = judge(b"".join(strings)[:_MAX_OCTETS], strings)
            if miss is not None:
                found.append((rank, miss))
                break
    return min(found, default=(0, None))[1]


def _after_version(text: bytes, strings: Sequence[bytes]) -> NearMiss | None:
    """Judge what follows the version: only a space may (§4.5)."""
    size = len(_VERSION)
    if text[:size].lower() != _VERSION:
        return None
    behind = text[size : size + 1]
    if behind.isdigit() or (behind == b"." and text[size + 1 : size + 2].isdigit()):
        return None
    if len(strings[0]) == size:
        note = "its first string ends with the version, and there is no space before the next"
    elif behind == b"\t":
        note = "a tab stands after v=spf1, where only a space may"
    elif behind.isalnum() or behind in {b"+", b"-", b"~", b"?"}:
        note = "there is no space after v=spf1"
    else:
        note = f"{_octet(text[size])} stands after v=spf1, where only a space may"
    return NearMiss(text, 0, size + 1, note, size)


def _before_version(text: bytes, _strings: Sequence[bytes]) -> NearMiss | None:
    """Judge the text before the version: there must be none (§4.5)."""
    version = _VERSION_ANYWHERE.search(text)
    if version is None or not version.start():
        return None
    before = text[: version.start()]
    if before.isspace():
        description = "a blank"
    elif before.startswith(_BYTE_ORDER_MARK):
        description = "a byte order mark"
    elif before[0] in _QUOTES or _TYPOGRAPHIC_QUOTES.match(before):
        description = "a quotation mark"
    elif before.startswith(b"\\"):
        description = "a backslash"
    else:
        description = "other text"
    return NearMiss(text, 0, version.start(), f"{description} stands before v=spf1", version.end())


def _spelling(text: bytes, _strings: Sequence[bytes]) -> NearMiss | None:
    """Judge a misspelt version, or another version."""
    sender_id = _SENDER_ID.match(text)
    if sender_id is not None:
        note = "it is for Sender ID (RFC 4406), and SPF does not read it"
        return NearMiss(text, *sender_id.span(), note, None)
    other = _OTHER_VERSION.match(text)
    if other is not None:
        return NearMiss(text, *other.span(), "the version has to be v=spf1", other.end())
    misspelt = _MISSPELT.match(text.lstrip(b" \t\"'"))
    if misspelt is None:
        return None
    start = text.find(misspelt[0])
    end = start + len(misspelt[0])
    return NearMiss(text, start, end, "the version has to be written v=spf1", end)


def _no_version(text: bytes, _strings: Sequence[bytes]) -> NearMiss | None:
    """Judge terms of a policy without any version before them."""
    first, _, rest = text.partition(b" ")
    if not rest:
        return None
    policy = parse_policy(b"v=spf1 " + text)
    telling = any(term.kind in {"all", "include", "ip4", "ip6"} for term in policy.mechanisms)
    if policy.problems or not telling:
        return None
    return NearMiss(text, 0, len(first), "v=spf1 is missing before the first term", 0)


def _octet(octet: int) -> str:
    return f"{chr(octet)!r}" if 0x20 < octet < 0x7F else f"octet {octet}"  # noqa: PLR2004 - ASCII
