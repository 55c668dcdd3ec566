"""The examples in `examples/cluster` work: the script, the program, what the manifests say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from cli.driving import ZONES, Ended
from support.data import needs

import auditor
from auditor.cli.scan import command as scan_command

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.process, needs("distributed", "'auditor[cluster]'")]

EXAMPLES: Final = Path(__file__).resolve().parents[1] / "examples" / "cluster"
_TARGETS: Final = ("198.51.100.0/24", "example.net")

#: What `dask_jobqueue` offers of a SLURM cluster, on this machine: it notes what it is asked for.
_JOBQUEUE: Final = """
import json, os
from distributed import LocalCluster

class SLURMCluster(LocalCluster):
    def __init__(self, **given):
        self.given = given
        super().__init__(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        )

    def adapt(self, **limits):
        with open(os.environ["NOTES"], "w") as file:
            json.dump({**self.given, **limits}, file)
"""


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which `auditor` and `dask` are those of the tests' Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("auditor", "dask"):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
        script.chmod(0o755)
    environment = {name: text for name, text in os.environ.items() if "AUDITOR" not in name}
    return {**environment, "PATH": f"{folder}{os.pathsep}{environment['PATH']}"}


def _run(*command: str | Path, cwd: Path, env: dict[str, str]) -> Ended:
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=env,
        timeout=60,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def _alone(env: dict[str, str], cwd: Path) -> str:
    return _run("auditor", "scan", "-q", "--zones", ZONES, *_TARGETS, cwd=cwd, env=env).out


@pytest.mark.full
def test_the_script_scans_on_a_cluster_of_its_own_and_leaves_nothing_behind(
    tmp_path: Path, programs: dict[str, str]
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    env = {**programs, "TMPDIR": str(temporary)}
    given = ("2", "-q", "--zones", ZONES, *_TARGETS)
    ended = _run(EXAMPLES / "local.sh", *given, cwd=tmp_path, env=env)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == _alone(programs, tmp_path)
    assert not [path for path in temporary.iterdir() if "dask" not in path.name]
    ended = _run(
        EXAMPLES / "local.sh", "1", "-q", "--zones", "nowhere", "192.0.2.1", cwd=tmp_path, env=env
    )
    assert ended.code == 2


@pytest.mark.full
def test_the_program_for_slurm_asks_for_jobs_and_scans_with_them(
    tmp_path: Path, programs: dict[str, str]
) -> None:
    (tmp_path / "dask_jobqueue.py").write_text(_JOBQUEUE)
    notes = tmp_path / "notes.json"
    env = {**programs, "PYTHONPATH": str(tmp_path), "NOTES": str(notes)}
    given = ("--jobs", "3", "--cores", "8", "--queue", "batch", "--")
    program = (sys.executable, EXAMPLES / "slurm.py", *given)
    ended = _run(
        *(*program, "-q", "--zones", ZONES, "--fail-on", "error", *_TARGETS),
        cwd=tmp_path,
        env=env,
    )
    assert ended.code == 1, ended.err
    assert ended.out == _alone(programs, tmp_path)
    assert json.loads(notes.read_text()) == {
        "queue": "batch",
        "cores": 8,
        "processes": 8,
        "memory": "16GB",
        "walltime": "06:00:00",
        "python": sys.executable,
        "job_script_prologue": ["export PYTHONSAFEPATH=1"],
        "minimum_jobs": 3,
        "maximum_jobs": 3,
    }


# --- Kubernetes


def _documents() -> list[dict[str, Any]]:
    return [
        document
        for path in sorted((EXAMPLES / "kubernetes").glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text("utf-8"))
    ]


def _containers(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all containers in a document."""
    if isinstance(value, dict):
        yield from value.get("containers", ())
        for item in value.values():
            yield from _containers(item)
    elif isinstance(value, list):
        for item in value:
            yield from _containers(item)


def _command(name: str) -> list[str]:
    (found,) = (
        container["command"]
        for document in _documents()
        for container in _containers(document)
        if container["name"] == name and "command" in container
    )
    command: list[str] = found
    assert all(isinstance(word, str) for word in command)
    return command


def test_everybody_runs_this_version_from_one_image() -> None:
    images = {
        container["image"] for document in _documents() for container in _containers(document)
    }
    assert images == {f"registry.example.net/auditor:{auditor.__version__}"}
    assert next(iter(images)) in (EXAMPLES / "kubernetes" / "Dockerfile").read_text("utf-8")


def test_deployments_find_what_they_select_and_each_other() -> None:
    by_name = {
        (document["kind"], document["metadata"]["name"]): document for document in _documents()
    }
    service = by_name["Service", "auditor-scheduler"]["spec"]
    scheduler = by_name["Deployment", "auditor-scheduler"]["spec"]["template"]["metadata"]
    assert service["selector"].items() <= scheduler["labels"].items()
    for (kind, _), document in by_name.items():
        if kind == "Deployment":
            selector = document["spec"]["selector"]["matchLabels"]
            assert selector == document["spec"]["template"]["metadata"]["labels"]
    address = f"tcp://auditor-scheduler:{service['ports'][0]['port']}"
    assert address in _command("worker")
    assert address in _command("scan")
    assert str(service["ports"][0]["port"]) in _command("scheduler")


def test_the_scan_of_the_job_is_a_command_line_that_works() -> None:
    program, name, *given = _command("scan")
    assert (program, name) == ("auditor", "scan")
    with scan_command.make_context("scan", list(given)) as context:
        assert context.params["scheduler"] == "tcp://auditor-scheduler:8786"
        assert context.params["resume"]
        assert context.params["output"].startswith("s3://")


def test_dask_knows_the_options_that_it_is_given() -> None:
    code = "import sys; from distributed.cli.dask_{0} import main; main(['--help'])"
    for name in ("scheduler", "worker"):
        program, role, *given = _command(name)
        assert (program, role) == ("dask", name)
        done = subprocess.run(
            [sys.executable, "-c", code.format(name)], capture_output=True, text=True, check=True
        )
        options = [word for word in given if word.startswith("--")]
        assert options
        for option in options:
            assert re.search(rf"{option}\b", done.stdout), option
