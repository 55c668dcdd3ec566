"""Numbers and names of RR types, RCODEs, extended errors, and the statuses of answers.

Numbers without a name here are kept, not refused: `TYPE65280` (RFC 3597) and `RCODE4095`.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AAAA",
    "BOGUS",
    "CNAME",
    "DNAME",
    "FORMERR",
    "MALFORMED",
    "MX",
    "NODATA",
    "NOERROR",
    "NOTIMP",
    "NS",
    "NXDOMAIN",
    "OPT",
    "PTR",
    "REFUSED",
    "SERVFAIL",
    "SETTLED",
    "SOA",
    "SPF",
    "TIMEOUT",
    "TRUNCATED",
    "TXT",
    "UNREACHABLE",
    "A",
    "extended_error",
    "rcode_status",
    "type_name",
    "type_number",
]

# Resource record types (the IANA registry "DNS Parameters").
A: Final = 1
NS: Final = 2
CNAME: Final = 5
SOA: Final = 6
PTR: Final = 12
MX: Final = 15
TXT: Final = 16
AAAA: Final = 28
DNAME: Final = 39
OPT: Final = 41
SPF: Final = 99

_TYPE_NAMES: Final[dict[int, str]] = {
    A: "A",
    NS: "NS",
    CNAME: "CNAME",
    SOA: "SOA",
    PTR: "PTR",
    MX: "MX",
    TXT: "TXT",
    AAAA: "AAAA",
    DNAME: "DNAME",
    OPT: "OPT",
    SPF: "SPF",
}
_TYPE_NUMBERS: Final = {name: number for number, name in _TYPE_NAMES.items()}

# Statuses of the answer to one question.
NOERROR: Final = "NOERROR"
NODATA: Final = "NODATA"  # the name exists, the type does not (RFC 2308 §2.2)
NXDOMAIN: Final = "NXDOMAIN"
SERVFAIL: Final = "SERVFAIL"
REFUSED: Final = "REFUSED"
FORMERR: Final = "FORMERR"
NOTIMP: Final = "NOTIMP"
TIMEOUT: Final = "TIMEOUT"  # no server answered in time
UNREACHABLE: Final = "UNREACHABLE"  # refused by the host, or an error of the network
MALFORMED: Final = "MALFORMED"  # a reply that is not a DNS message
TRUNCATED: Final = "TRUNCATED"  # truncated (TC), and TCP failed
BOGUS: Final = "BOGUS"  # SERVFAIL of a validating resolver (RFC 4035 §5.5) that answers with CD set

_RCODE_NAMES: Final[dict[int, str]] = {
    0: NOERROR,
    1: FORMERR,
    2: SERVFAIL,
    3: NXDOMAIN,
    4: NOTIMP,
    5: REFUSED,
    6: "YXDOMAIN",
    7: "YXRRSET",
    8: "NXRRSET",
    9: "NOTAUTH",
    10: "NOTZONE",
    11: "DSOTYPENI",
    16: "BADVERS",
    17: "BADKEY",
    18: "BADTIME",
    19: "BADMODE",
    20: "BADNAME",
    21: "BADALG",
    22: "BADTRUNC",
    23: "BADCOOKIE",
}

#: The statuses that settle a question; with any other, the records are unknown, not absent.
SETTLED: Final = frozenset({NOERROR, NODATA, NXDOMAIN})

#: The IANA registry "Extended DNS Error Codes".
_EXTENDED_ERRORS: Final = (
    "other error",
    "unsupported DNSKEY algorithm",
    "unsupported DS digest type",
    "stale answer",
    "forged answer",
    "DNSSEC indeterminate",
    "DNSSEC bogus",
    "signature expired",
    "signature not yet valid",
    "DNSKEY missing",
    "RRSIGs missing",
    "no zone key bit set",
    "NSEC missing",
    "cached error",
    "not ready",
    "blocked",
    "censored",
    "filtered",
    "prohibited",
    "stale NXDOMAIN answer",
    "not authoritative",
    "not supported",
    "no reachable authority",
    "network error",
    "invalid data",
    "signature expired before valid",
    "too early",
    "unsupported NSEC3 iterations value",
    "unable to conform to policy",
    "synthesized",
    "invalid query type",
)


def rcode_status(rcode: int) -> str:
    """Return the status for an RCODE of 0 to 4095 (RFC 6895 §2.3)."""
    return _RCODE_NAMES.get(rcode) or f"RCODE{rcode}"


def type_name(rdtype: int) -> str:
    """Return the mnemonic of a type, or `TYPE<n>` (RFC 3597 §5)."""
    return _TYPE_NAMES.get(rdtype) or f"TYPE{rdtype}"


def type_number(name: str) -> int:
    """Return the number of a type given by mnemonic or as `TYPE<n>`.

    Raises ValueError for anything else.
    """
    number = _TYPE_NUMBERS.get(name)
    if number is not None:
        return number
    if name.startswith("TYPE") and name[4:].isascii() and name[4:].isdigit():
        number = int(name[4:])
        if number <= 0xFFFF:  # noqa: PLR2004 - sixteen bits
            return number
    raise ValueError(f"not a DNS type: {name!r}")


def extended_error(code: int, text: str = "") -> str:
    """Return an extended error as text: the meaning of its code, and the server's EXTRA-TEXT."""
    name = _EXTENDED_ERRORS[code] if code < len(_EXTENDED_ERRORS) else "unknown"
    return f"extended error {code} ({name})" + (f": {text}" if text else "")
