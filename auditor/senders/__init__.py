"""Reverse view of SPF: which domains authorise an address, and through which terms."""
