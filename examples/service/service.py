"""A service that audits an address on request, with FastAPI: `uvicorn service:app`.

GET /check/192.0.2.1 gives the verdict and what to publish; GET /health says whether name servers
answer. AUDITOR_SERVER and the other variables of auditor decide whom it asks.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException

import auditor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep one engine, cache and rate for all requests."""
    async with auditor.Auditor(auditor.Settings.load()) as a:
        app.state.auditor = a
        yield


app = FastAPI(title="auditor", lifespan=lifespan)


@app.get("/check/{target:path}")
async def check(target: str) -> dict[str, Any]:
    """Audit an address or a domain."""
    try:
        result = await app.state.auditor.check(target)
    except auditor.UsageError as error:
        raise HTTPException(422, str(error)) from error
    except auditor.AuditorError as error:
        raise HTTPException(503, str(error)) from error
    findings = [
        {"code": found.code, "title": found.title, "publish": found.publish}
        for found in result.findings
    ]
    return {"target": result.record["target"], "verdict": result.verdict, "findings": findings}


@app.get("/health")
async def health() -> dict[str, str]:
    """Ask for what always exists."""
    ns = 2
    (answer,) = await app.state.auditor.resolve_many([auditor.Question(".", ns)])
    if answer.status != "NOERROR":
        raise HTTPException(503, f"the root's name servers: {answer.status}")
    return {"status": "ok"}
