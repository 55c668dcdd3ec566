"""The measured clients, each a program of its own.

    python -m benchmarks.clients.NAME ADDRESS PORT FILE TYPE [LIMIT]

Each reads owner names from FILE, asks one server for their records of TYPE, and prints one
JSON line (`report`). The clock starts when the imports are done.
"""
