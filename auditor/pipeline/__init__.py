"""Targets to records: blocks through the stages, bounded, in input order."""
