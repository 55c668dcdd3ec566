"""The command line: one file a command; the only place that prints and exits."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import Final

__all__ = ["main"]

#: Objects made between two looks for cyclic garbage, and how many before older ones are looked
#: at: modules are being read, of which nothing goes.
_GC_THRESHOLD: Final = 100_000


def main() -> None:
    """Run the command that `sys.argv` names and exit with its code."""
    code = 1  # of an exception that nobody has handled
    # After all other handlers, since it is the first: the interpreter would go on to take apart
    # all that a run has made, object by object. `run` has flushed standard output by then.
    atexit.register(lambda: os._exit(code))
    gc.set_threshold(_GC_THRESHOLD)
    from auditor.cli.app import run  # noqa: PLC0415 - `import auditor.cli` alone is free

    code = run(sys.argv[1:])
    sys.exit(code)
