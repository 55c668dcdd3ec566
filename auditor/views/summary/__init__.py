"""Summary of results: counts, the worst prefixes and domains."""
