"""The command line: one file a command; the only place that prints and exits."""

from __future__ import annotations

import gc
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names and exit with its code (DESIGN §4)."""
    from auditor.cli.app import run  # noqa: PLC0415 - `import auditor.cli` alone is free

    code = run(sys.argv[1:])
    # The interpreter would look for garbage, several times, in all that a run has made.
    gc.disable()
    gc.freeze()
    sys.exit(code)
