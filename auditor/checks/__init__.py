"""Stages of an audit, one a file: generators that yield questions and return facts; no I/O."""
