"""The policies of real domains, and what independent verifiers say of them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.data import DATA, WHY_NOT
from support.effort import sample

from auditor.resolve.zones.engine import ZoneFileEngine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def real_policies() -> Path:
    if DATA is None:
        pytest.skip(WHY_NOT)
    return DATA / "spf-real"


@pytest.fixture(scope="session")
def zones(real_policies: Path) -> ZoneFileEngine:
    engine = ZoneFileEngine(real_policies)
    asyncio.run(engine.start())
    return engine


@pytest.fixture(scope="session")
def every_row(real_policies: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (real_policies / "truth.ndjson").read_text().splitlines()]


@pytest.fixture(scope="session")
def rows(every_row: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of every domain, in a quick run those of every tenth."""
    domains = set(sample(list(dict.fromkeys(row["domain"] for row in every_row))))
    return [row for row in every_row if row["domain"] in domains]
