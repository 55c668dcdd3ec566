"""Limits of SPF processing (RFC 7208 §4.6.4): ten lookups, two void lookups, ten MX hosts."""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_LOOKUPS", "MAX_MX", "MAX_VOIDS"]

#: Terms that cause DNS lookups, in a policy and all that it includes.
MAX_LOOKUPS: Final = 10
#: Lookups that find no records; more are a permerror.
MAX_VOIDS: Final = 2
#: Hosts of one mx mechanism.
MAX_MX: Final = 10
