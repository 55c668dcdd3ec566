"""Domain names and SPF identities as people write them: checked, in lower-case A-labels."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from auditor.errors import TargetError
from auditor.targets.quoting import printable, quoted

__all__ = [
    "Name",
    "parse_domain",
    "parse_helo",
    "parse_mail_from",
    "parse_mail_froms",
    "plain_domain",
]

_LONGEST: Final = 253  # 255 octets on the wire (RFC 1035 §3.1) less two for the ends
_LONGEST_LABEL: Final = 63
_LONGEST_LOCAL: Final = 64  # RFC 5321 §4.5.3.1.1

# Underscores are no host name, but SPF domains and DKIM hosts have them. A top-level
# label starts with a letter (RFC 3696 §2), which sets names apart from numbers.
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN: Final = re.compile(rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")
_FOREIGN: Final = re.compile(r"[^a-z0-9_.-]")
_LOCAL: Final = re.compile(r"[!-?A-~]+")  # printable ASCII, no space and no @
_SEPARATORS: Final = re.compile(r"[\s;]+")


class Name(NamedTuple):
    """A domain: lower-case A-labels, no final dot."""

    text: str


def plain_domain(text: str) -> str:
    """Return a domain that needs no IDNA as `parse_domain` does, "" if `text` is none."""
    name = text.lower().removesuffix(".")
    return name if len(name) <= _LONGEST and _DOMAIN.fullmatch(name) else ""


def parse_domain(text: str, expected: str = "a domain such as mail.example.net") -> str:
    """Return a domain in lower-case A-labels, without the final dot.

    Non-ASCII names are mapped by UTS #46 and encoded by IDNA 2008. Raises TargetError,
    which says what was `expected`.
    """
    name = text if text.isascii() else _to_ascii(text)
    found = plain_domain(name)
    if not found:
        raise TargetError(f"{quoted(text)} {_complaint(name)}; expected {expected}")
    return found


def parse_helo(text: str) -> str:
    """Return the HELO identity in `text`: a domain. Raises TargetError."""
    try:
        return parse_domain(text.strip())
    except TargetError as error:
        raise TargetError(f"helo: {error}") from None


def parse_mail_from(text: str) -> str:
    """Return the MAIL FROM identity in `text`: a domain or an address. Raises TargetError.

    The local part stays as it is, the domain becomes lower-case A-labels.
    """
    local, at, domain = text.strip().rpartition("@")
    if at and not (len(local) <= _LONGEST_LOCAL and _LOCAL.fullmatch(local)):
        raise TargetError(
            f"mail_from: {quoted(text)} has no valid local part; expected a domain or user@domain"
        )
    try:
        return local + at + parse_domain(domain, "a domain or user@domain")
    except TargetError as error:
        raise TargetError(f"mail_from: {error}") from None


def parse_mail_froms(text: str) -> tuple[str, ...]:
    """Return the MAIL FROM identities in `text`, separated by spaces or `;`.

    Raises TargetError.
    """
    return tuple(parse_mail_from(part) for part in _SEPARATORS.split(text) if part)


def _to_ascii(text: str) -> str:
    """Return `text` in A-labels where a label needs them (UTS #46, RFC 5891)."""
    if len(text) > _LONGEST:  # no shorter in A-labels, and IDNA is slow on long ones
        raise TargetError(
            f"{quoted(text)} is longer than a domain can be; expected at most {_LONGEST} octets"
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
    """Return what is wrong with `text`, which is no domain."""
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    foreign = _FOREIGN.search(name)
    complaints = (
        (not text, "is empty"),
        (foreign, f"has {quoted(foreign[0])} in it" if foreign else ""),
        ("" in labels, "has an empty label"),
        (len(name) > _LONGEST, f"is longer than a domain can be ({_LONGEST} octets)"),
        (max(map(len, labels)) > _LONGEST_LABEL, f"has a label over {_LONGEST_LABEL} octets"),
        (labels[-1].isdigit(), "ends in a number and is no IPv4 address"),
        (len(labels) == 1, "is a single label"),
        (re.search(r"(^|\.)-|-(\.|$)", name), "has a label that starts or ends with a hyphen"),
    )
    return next((words for wrong, words in complaints if wrong), "has no top-level domain")
