"""Reads targets: arguments and files to items, spans and blocks."""
