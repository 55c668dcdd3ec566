"""A result in one look: counts, the worst prefixes and domains."""
