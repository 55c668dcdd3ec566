"""The command line: one file a command; the only place that prints and exits."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import Final

__all__ = ["main"]

#: Objects made before the cyclic garbage collector runs: high, since nothing that the import of
#: modules makes is garbage.
_GC_THRESHOLD: Final = 100_000


def main() -> None:
    """Run the command that `sys.argv` names and exit with its code."""
    code = 1  # after an unhandled exception
    # Runs after all other handlers, since it is registered first. The interpreter would go on to
    # free all objects of the run, one by one. `run` has flushed standard output by then.
    atexit.register(lambda: os._exit(code))
    gc.set_threshold(_GC_THRESHOLD)
    from auditor.cli.app import run  # noqa: PLC0415 - `import auditor.cli` alone is free

    code = run(sys.argv[1:])
    sys.exit(code)
