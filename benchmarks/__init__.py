"""auditor compared with its peers, against the same servers on loopback, in one run.

    python -m benchmarks [a b c d e f start] [--runs N] [--quick] [--write]

Every part is a module of its own that returns tables; `measure` runs a child process and reads
its resource usage, `material` makes zones and lists, `tables` computes medians and prints. All
packets stay on loopback.
"""
