"""Findings over many nights: when each was first and last seen, and how often it came and went."""
