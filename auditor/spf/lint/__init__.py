"""Lint of SPF policies: problems of a record and of all that it includes."""
