"""presolv (Rust). Run by the Python of `--peers`, which may lack all else."""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.clients.report import Task

_IN_FLIGHT = 100


def _main(task: Task, presolv: Any) -> None:
    resolver = presolv.Resolver(
        nameservers=[(task.address, task.port)], concurrency=_IN_FLIGHT, pool_size=_IN_FLIGHT
    )
    queries = (presolv.Query(qname=name, rdtype=task.rdtype) for name in task.names)
    for result in resolver.resolve(queries):
        if result.error is not None:
            task.statuses["ERROR"] += 1
        else:
            task.statuses["NOERROR" if result.response.answer else "NODATA"] += 1
    task.finish(in_flight=_IN_FLIGHT)
    resolver.close()


if __name__ == "__main__":
    library = importlib.import_module("presolv")
    _main(Task(), library)
