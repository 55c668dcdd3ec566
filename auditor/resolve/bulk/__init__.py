"""The bulk engine: batched UDP queries that adapt to what each name server bears."""
