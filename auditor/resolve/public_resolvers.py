"""Public resolvers, and the default rate limit for them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from auditor.settings import Server

__all__ = ["PUBLIC_QPS", "is_public", "tell_public"]

_log = logging.getLogger("auditor")

#: Most queries a second to a public resolver without `--server-qps`.
PUBLIC_QPS: Final = 1_000.0

#: Canonical addresses of public resolvers whose operators publish rate limits and block clients
#: that exceed them.
_PUBLIC: Final = frozenset(
    {
        # Google Public DNS
        *("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"),
        # Cloudflare
        *("1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001"),
        *("1.1.1.2", "1.0.0.2", "2606:4700:4700::1112", "2606:4700:4700::1002"),
        *("1.1.1.3", "1.0.0.3", "2606:4700:4700::1113", "2606:4700:4700::1003"),
        # Quad9
        *("9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9"),
        *("9.9.9.10", "149.112.112.10", "2620:fe::10", "2620:fe::fe:10"),
        *("9.9.9.11", "149.112.112.11", "2620:fe::11", "2620:fe::fe:11"),
        # OpenDNS
        *("208.67.222.222", "208.67.220.220", "2620:119:35::35", "2620:119:53::53"),
        # DNS4EU
        *("86.54.11.100", "86.54.11.200", "2a13:1001::86:54:11:100", "2a13:1001::86:54:11:200"),
        # AdGuard
        *("94.140.14.14", "94.140.15.15", "94.140.14.140", "94.140.14.141"),
        *("2a10:50c0::ad1:ff", "2a10:50c0::ad2:ff"),
        # CleanBrowsing, Control D, UltraDNS, Level 3
        *("185.228.168.9", "185.228.169.9", "76.76.2.0", "76.76.10.0"),
        *("64.6.64.6", "64.6.65.6", "4.2.2.1", "4.2.2.2"),
    }
)


def is_public(server: Server) -> bool:
    """Tell whether a server is a public resolver with limits."""
    return server.address in _PUBLIC


def tell_public(server: Server) -> None:
    """Log that the default rate limit applies to a public resolver."""
    extra = {"event": "server_public", "fields": {"server": str(server), "qps": PUBLIC_QPS}}
    text = "server %s is a public resolver: at most %d queries a second (see --server-qps)"
    _log.warning(text, server, PUBLIC_QPS, extra=extra)
