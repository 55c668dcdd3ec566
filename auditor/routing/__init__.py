"""Asking the zones' own servers: which questions go to which of them, and what falls back."""
