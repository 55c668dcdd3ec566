"""Fast path: audits the common kinds of address a block at a time."""
