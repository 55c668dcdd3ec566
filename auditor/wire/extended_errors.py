"""Extended DNS errors (RFC 8914): their numbers and the words for them."""

from __future__ import annotations

from typing import Final

__all__ = ["extended_error"]

#: The IANA registry "Extended DNS Error Codes".
_NAMES: Final = (
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


def extended_error(code: int, text: str = "") -> str:
    """Return an extended error in words: what its number means, and what the server adds."""
    name = _NAMES[code] if code < len(_NAMES) else "unknown"
    return f"extended error {code} ({name})" + (f": {text}" if text else "")
