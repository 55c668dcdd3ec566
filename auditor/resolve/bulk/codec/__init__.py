"""Batches of queries and replies to and from wire format, a column at a time."""
