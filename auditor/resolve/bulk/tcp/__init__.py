"""DNS over TCP (RFC 7766), for truncated and rate-limited answers."""
