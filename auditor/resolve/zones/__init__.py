"""The zones engine: answers from master files (RFC 1035 §5), without any server."""
