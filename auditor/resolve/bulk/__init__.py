"""The bulk engine: batched UDP queries, with congestion control for each name server."""
