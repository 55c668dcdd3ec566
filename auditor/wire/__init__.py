"""Bytes to facts and back: the DNS wire format (RFC 1035), stdlib only.

Nothing in this package opens a socket, reads a clock or imports asyncio. Every
parser here is bounded: hostile bytes give `WireError`, and nothing else.
"""
