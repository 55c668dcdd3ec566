"""The example service answers, and the example image runs the command as nobody."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.fleet import FLEET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi.testclient import TestClient

SERVICE: Final = Path(__file__).resolve().parents[1] / "examples" / "service"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    testing = pytest.importorskip("fastapi.testclient", reason="pip install fastapi httpx")
    monkeypatch.setenv("AUDITOR_ZONES", str(FLEET / "zones"))
    spec = importlib.util.spec_from_file_location("service", SERVICE / "service.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "service", module)
    spec.loader.exec_module(module)
    with testing.TestClient(module.app) as made:
        yield made


def test_the_service_says_what_to_publish(client: TestClient) -> None:
    found = client.get("/check/198.51.100.50").json()
    assert (found["target"], found["verdict"]) == ("198.51.100.50", "fail")
    publish = {finding["code"]: finding["publish"] for finding in found["findings"]}
    assert publish["FORWARD_MISSING"] == ["gone.example.net. IN A 198.51.100.50"]
    assert client.get("/check/example.net").json()["verdict"] == "pass"


def test_the_service_refuses_what_is_not_one_target(client: TestClient) -> None:
    refused = client.get("/check/198.51.100.0/24")
    assert refused.status_code == 422
    assert "check takes one" in refused.json()["detail"]


def test_the_service_says_when_no_server_answers(client: TestClient) -> None:
    # Zone files have no root.
    assert client.get("/health").json() == {"detail": "the root's name servers: REFUSED"}


def test_the_image_runs_the_command_as_nobody(tmp_path: Path) -> None:
    lines = (SERVICE / "Containerfile").read_text("utf-8").splitlines()
    last_stage = lines[max(at for at, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert "USER nobody" in last_stage
    assert 'ENTRYPOINT ["auditor"]' in last_stage
    # Nobody has no home, and may write nowhere: one lookup needs neither.
    tmp_path.chmod(0o555)
    command = [sys.executable, "-m", "auditor", "check", "--zones", str(FLEET / "zones")]
    done = subprocess.run(
        [*command, "198.51.100.1"],
        cwd=tmp_path,
        env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
