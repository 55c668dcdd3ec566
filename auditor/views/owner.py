"""The domain that a host name counts for."""

from __future__ import annotations

from auditor.publicsuffix import registrable

__all__ = ["is_literal", "owner"]


def owner(name: str) -> str:
    """Return the domain that a host name counts for: the registrable one, or the name itself.

    Siblings have the same: `a.b` and `c.b` whenever `b` has an owner. "" for
    an address in place of a name: no top-level domain is a number (RFC 3696 section 2).
    """
    if is_literal(name):
        return ""
    parent = name.partition(".")[2]
    return (parent and registrable(parent)) or registrable(name) or name


def is_literal(name: str) -> bool:
    """Tell whether a text is an address instead of a name."""
    return name[name.rfind(".") + 1 :].isdigit() or ":" in name
