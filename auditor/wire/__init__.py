"""The DNS wire format (RFC 1035), standard library only.

Nothing in this package opens a socket, reads a clock or imports asyncio. Every
parser here is bounded: hostile bytes raise `WireError`, and nothing else.
"""
