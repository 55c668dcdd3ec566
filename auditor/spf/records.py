"""Finds policies among TXT records, and hosts among MX records.

It does not interpret the policies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from auditor.spf.limits import MAX_MX
from auditor.wire.names import NULL_MX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Answer, Rdata

__all__ = ["mail_hosts", "only_policy", "policies", "printable", "shown"]

_VERSION: Final = b"v=spf1"
_SPACE: Final = b" "

#: Explanations are cut here: a policy of 64 KiB can expand to megabytes.
_MAX_EXPLANATION_CHARACTERS: Final = 1024

# As in a master file (RFC 1035 §5.1), but for the quotes.
_SHOWN: Final = {
    octet: f"\\{octet:03d}"
    for octet in range(256)
    if not 0x20 <= octet < 0x7F  # noqa: PLR2004 - ASCII
} | {0x5C: "\\\\"}


def policies(records: Sequence[Rdata]) -> list[bytes]:
    """Return the SPF records among the TXT records of a domain (RFC 7208 §3.3, §4.5).

    The strings of a record are joined; a policy starts with `v=spf1`, in any case, and
    goes on with a space or not at all.
    """
    texts = []
    for strings in cast("Sequence[tuple[bytes, ...]]", records):
        text = strings[0] if len(strings) == 1 else b"".join(strings)
        if text[:6].lower() == _VERSION and (text[6:7] == _SPACE or len(text) == len(_VERSION)):
            texts.append(text)
    return texts


def only_policy(answer: Answer) -> bytes | None:
    """Return the one policy among TXT records (§4.5), in ASCII (§3.1); else None."""
    texts = policies(answer.records)
    return texts[0] if len(texts) == 1 and texts[0].isascii() else None


def mail_hosts(records: Sequence[Rdata]) -> list[str] | None:
    """Return the hosts that an mx mechanism compares, in order; None if they are too many.

    Ten at most (RFC 7208 §4.6.4); a null MX is none.
    """
    hosts = cast("Sequence[tuple[int, str]]", records)
    return [name for _, name in hosts if name != NULL_MX] if len(hosts) <= MAX_MX else None


def printable(text: bytes) -> str:
    r"""Return octets as printable ASCII: `\\` and `\DDD` where they are not."""
    if text.isascii() and (shown := text.decode("ascii")).isprintable() and "\\" not in shown:
        return shown
    return text.decode("latin-1").translate(_SHOWN)


def shown(explanation: str) -> str:
    """Return an explanation as printable ASCII, cut where it is long."""
    cut = "..." if len(explanation) > _MAX_EXPLANATION_CHARACTERS else ""
    return printable(explanation[:_MAX_EXPLANATION_CHARACTERS].encode("utf-8")) + cut
