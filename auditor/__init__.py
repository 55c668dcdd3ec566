"""Audit mail addresses at volume: PTR, forward-confirmed reverse DNS and SPF in one pass.

    import auditor

    async for record in auditor.scan(["198.51.100.0/24"], auditor.Settings(qps=500)):
        print(record["target"], record["verdict"])

    async with auditor.Auditor() as a:  # one engine, cache and rate for all calls
        result = await a.check("192.0.2.1")

Names are imported when they are first used, so `import auditor` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from auditor.version import __version__

if TYPE_CHECKING:
    from auditor.api import scan, scan_blocking
    from auditor.auditor import Auditor, CheckResult
    from auditor.errors import (
        AuditorError,
        InputError,
        NoServerError,
        OutputError,
        TooManyTargetsError,
        UsageError,
        ZoneFileError,
    )
    from auditor.findings.advice import ExplainedFinding
    from auditor.findings.catalogue import catalogue
    from auditor.findings.entry import Entry
    from auditor.output.record_types import (
        DomainAddress,
        DomainAddresses,
        DomainFacts,
        DomainMx,
        DomainSpf,
        ExtendedError,
        Finding,
        ForwardLookup,
        HeloLookup,
        Iprev,
        Lookup,
        MxHost,
        PtrLookup,
        Record,
        SpfCheck,
    )
    from auditor.resolve.answer import Answer, Question, Resolver
    from auditor.settings import Server, Settings
    from auditor.spf.ranges import RangeResult
    from auditor.spf.result import SpfFact
    from auditor.targets.target import Origin, Target

__all__ = [
    "Answer",
    "Auditor",
    "AuditorError",
    "CheckResult",
    "DomainAddress",
    "DomainAddresses",
    "DomainFacts",
    "DomainMx",
    "DomainSpf",
    "Entry",
    "ExplainedFinding",
    "ExtendedError",
    "Finding",
    "ForwardLookup",
    "HeloLookup",
    "InputError",
    "Iprev",
    "Lookup",
    "MxHost",
    "NoServerError",
    "Origin",
    "OutputError",
    "PtrLookup",
    "Question",
    "RangeResult",
    "Record",
    "Resolver",
    "Server",
    "Settings",
    "SpfCheck",
    "SpfFact",
    "Target",
    "TooManyTargetsError",
    "UsageError",
    "ZoneFileError",
    "__version__",
    "catalogue",
    "scan",
    "scan_blocking",
]

_HOMES = {
    "scan": "auditor.api",
    "scan_blocking": "auditor.api",
    "Auditor": "auditor.auditor",
    "CheckResult": "auditor.auditor",
    "catalogue": "auditor.findings.catalogue",
    "Entry": "auditor.findings.entry",
    "ExplainedFinding": "auditor.findings.advice",
    "Answer": "auditor.resolve.answer",
    "Question": "auditor.resolve.answer",
    "Resolver": "auditor.resolve.answer",
    "Server": "auditor.settings",
    "Settings": "auditor.settings",
    "RangeResult": "auditor.spf.ranges",
    "SpfFact": "auditor.spf.result",
    "Origin": "auditor.targets.target",
    "Target": "auditor.targets.target",
    **dict.fromkeys(
        (
            *("DomainAddress", "DomainAddresses", "DomainFacts", "DomainMx", "DomainSpf"),
            *("ExtendedError", "Finding", "ForwardLookup", "HeloLookup", "Iprev", "Lookup"),
            *("MxHost", "PtrLookup", "Record", "SpfCheck"),
        ),
        "auditor.output.record_types",
    ),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "auditor.errors")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
