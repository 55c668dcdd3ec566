"""Audit mail addresses at volume: PTR, forward-confirmed reverse DNS and SPF in one pass."""

__version__ = "0.1.0"
