"""A run: one scan from first target to last, with its manifest."""
