"""auditor beside its peers, against the same servers on loopback, in one run.

    python -m benchmarks [a b c d e f start] [--runs N] [--quick] [--write]

Every part is a module of its own that returns tables; `measure` runs a child and reads what
it used, `material` makes zones and lists, `tables` does medians and prints. Nothing here
talks to any address but loopback.
"""
