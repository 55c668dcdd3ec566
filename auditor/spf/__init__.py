"""SPF (RFC 7208): parser, compiler, evaluators and lint, from answers that others fetch."""
