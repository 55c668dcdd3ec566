"""Datagrams: sendmmsg/recvmmsg through cffi, a portable fallback, and outstanding IDs."""
