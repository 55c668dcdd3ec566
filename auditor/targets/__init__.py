"""Lines to targets to blocks."""
