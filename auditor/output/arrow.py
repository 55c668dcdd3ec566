"""pyarrow, which is optional: loaded on first use, and only the parts needed to write.

`pyarrow.parquet` would load many file systems, and `pyarrow.compute` make a Python function of each
that Arrow has: together as much CPU time as a table of some thousand records. The modules that they
wrap are private to pyarrow, so the public ones are used if a release lacks these.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from auditor.errors import UsageError

__all__ = ["call", "parquet_writer", "pyarrow"]


def pyarrow() -> Any:
    """Return the module, with the parts that `call` and `parquet_writer` need loaded.

    Raises UsageError if it is not installed, or does not load.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - a tenth of a second, and optional
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "pyarrow":
            why = "pip install 'auditor[parquet]'"
        else:
            why = f"it is installed, but does not load: {error}"
        raise UsageError(f"Parquet needs pyarrow: {why} (CSV does not)") from None
    with suppress(ImportError):
        import pyarrow._compute  # noqa: PLC0415 - as above
        import pyarrow._parquet  # noqa: PLC0415 - as above
    return pa


def call(name: str, *arguments: Any) -> Any:
    """Return the result of a compute function of Arrow for arrays."""
    try:
        from pyarrow._compute import call_function  # noqa: PLC0415 - optional
    except ImportError:
        from pyarrow.compute import call_function  # noqa: PLC0415 - as above
    return call_function(name, list(arguments))


def parquet_writer(*arguments: Any, **options: Any) -> Any:
    """Return a writer of tables to a file, which acts as `pyarrow.parquet.ParquetWriter` does."""
    try:
        from pyarrow._parquet import ParquetWriter  # noqa: PLC0415 - optional
    except ImportError:
        from pyarrow.parquet import ParquetWriter  # noqa: PLC0415 - as above
    return ParquetWriter(*arguments, writer_engine_version="V2", **options)
