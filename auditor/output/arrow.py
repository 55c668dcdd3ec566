"""pyarrow, which is optional: loaded on first need, and no more of it than it takes to write.

`pyarrow.parquet` would load all kinds of file systems and `pyarrow.compute` make a Python function
of each that Arrow has: together as much CPU time as a table of some thousand records.
"""

from __future__ import annotations

from typing import Any

from auditor.errors import UsageError

__all__ = ["call", "parquet_writer", "pyarrow"]


def pyarrow() -> Any:
    """Return the module, with what `call` and `parquet_writer` need of it.

    Raises UsageError if it is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - a tenth of a second, and optional
        import pyarrow._compute  # noqa: PLC0415 - as above
        import pyarrow._parquet  # noqa: PLC0415 - as above
    except ImportError:
        raise UsageError(
            "Parquet needs pyarrow: pip install 'auditor[parquet]' (CSV does not)"
        ) from None
    return pa


def call(name: str, *arguments: Any) -> Any:
    """Return what a function of Arrow makes of arrays."""
    return pyarrow()._compute.call_function(name, list(arguments))  # noqa: SLF001 - see above


def parquet_writer(*arguments: Any, **options: Any) -> Any:
    """Return what writes tables to a file, as `pyarrow.parquet.ParquetWriter` does."""
    return pyarrow()._parquet.ParquetWriter(  # noqa: SLF001 - see above
        *arguments, writer_engine_version="V2", **options
    )
