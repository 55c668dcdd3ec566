"""Audit mail addresses at volume: PTR, forward-confirmed reverse DNS and SPF in one pass.

    import auditor

    async for record in auditor.scan(["198.51.100.0/24"], auditor.Settings(qps=500)):
        print(record["target"], record["verdict"])

Names are imported when they are first used, so `import auditor` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditor.api import scan, scan_blocking
    from auditor.errors import (
        AuditorError,
        InputError,
        NoServerError,
        OutputError,
        TooManyTargetsError,
        UsageError,
        ZoneFileError,
    )
    from auditor.output.record import Record
    from auditor.resolve.answer import Answer, Question, Resolver
    from auditor.settings import Server, Settings
    from auditor.targets.target import Origin, Target

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AuditorError",
    "InputError",
    "NoServerError",
    "Origin",
    "OutputError",
    "Question",
    "Record",
    "Resolver",
    "Server",
    "Settings",
    "Target",
    "TooManyTargetsError",
    "UsageError",
    "ZoneFileError",
    "__version__",
    "scan",
    "scan_blocking",
]

_HOMES = {
    "scan": "auditor.api",
    "scan_blocking": "auditor.api",
    "Record": "auditor.output.record",
    "Answer": "auditor.resolve.answer",
    "Question": "auditor.resolve.answer",
    "Resolver": "auditor.resolve.answer",
    "Server": "auditor.settings",
    "Settings": "auditor.settings",
    "Origin": "auditor.targets.target",
    "Target": "auditor.targets.target",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "auditor.errors")), name)
