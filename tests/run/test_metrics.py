"""The Prometheus file: what is in it, what stays from earlier runs, that it is always whole."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from auditor import __version__
from auditor.errors import OutputError, UsageError
from auditor.output.tally import Tally
from auditor.run.metrics import MetricsFile
from auditor.run.progress import Begun, Ended, Snapshot
from auditor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

BEGAN = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
BEGUN = Begun(BEGAN, Settings(), "f00", {"targets": 256})
QUERIES: dict[str, int | None] = {
    "asked": 192, "cached": 60, "joined": 2, "answered": 120, "failed": 10, "open": 0,
    "sent": 140, "retried": 9, "lost": 11, "tcp": 1, "strays": 0,
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "auditor.prom"


def _snapshot(minutes: float = 1, queries: dict[str, int | None] | None = None) -> Snapshot:
    tally = Tally()
    tally.count_equal_records("ip", "pass", [], "NOERROR", 40)
    tally.count_equal_records(
        "ip", "fail", [("PTR_MISSING", "error"), ("SPF_NONE", "warning")], "NXDOMAIN", 24
    )
    when = BEGAN + timedelta(minutes=minutes)
    return Snapshot(when, 60 * minutes, 256, 0, 10, tally, QUERIES if queries is None else queries)


def _read(path: Path) -> dict[str, float]:
    """Return the samples of a file as Prometheus understands it, by name and labels."""
    families = list(text_string_to_metric_families(path.read_text("ascii")))
    for family in families:
        assert re.fullmatch(r"auditor_[a-z_]+", family.name), family.name
        assert family.documentation
        # A new run begins at nought again, so nothing in it is a counter.
        assert family.type == "gauge", family
        assert not family.name.endswith("_total")
        assert not family.name.endswith(("_ms", "_minutes", "_kilobytes"))
    return {
        "".join([sample.name, *(f" {value}" for _, value in sorted(sample.labels.items()))]): (
            sample.value
        )
        for family in families
        for sample in family.samples
    }


def _run(path: Path, how: str = "finished", code: int = 0) -> dict[str, float]:
    metrics = MetricsFile(path)
    metrics.on_begin(BEGUN)
    metrics.on_end(Ended(_snapshot(5), how, code))
    return _read(path)


def test_a_run_that_begins_says_so(path: Path) -> None:
    MetricsFile(path).on_begin(BEGUN)
    assert _read(path) == {
        f"auditor_scan_info bulk f00 {__version__}": 1,
        "auditor_scan_running": 1,
        "auditor_scan_start_timestamp_seconds": BEGAN.timestamp(),
    }


def test_each_minute_it_says_how_far_the_run_is(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.on_begin(BEGUN)
    metrics.on_progress(_snapshot())
    found = _read(path)
    assert {key: value for key, value in found.items() if value} == {
        f"auditor_scan_info bulk f00 {__version__}": 1,
        "auditor_scan_running": 1,
        "auditor_scan_start_timestamp_seconds": BEGAN.timestamp(),
        "auditor_scan_duration_seconds": 60,
        "auditor_scan_targets": 256,
        "auditor_scan_records": 64,
        "auditor_scan_peak_memory_bytes": found["auditor_scan_peak_memory_bytes"],
        "auditor_scan_kinds ip": 64,
        "auditor_scan_verdicts pass": 40,
        "auditor_scan_verdicts fail": 24,
        "auditor_scan_ptr_statuses NOERROR": 40,
        "auditor_scan_ptr_statuses NXDOMAIN": 24,
        "auditor_scan_findings PTR_MISSING error": 24,
        "auditor_scan_findings SPF_NONE warning": 24,
        "auditor_scan_lookups cached": 60,
        "auditor_scan_lookups joined": 2,
        "auditor_scan_lookups answered": 120,
        "auditor_scan_lookups failed": 10,
        "auditor_scan_queries sent": 140,
        "auditor_scan_queries retried": 9,
        "auditor_scan_queries lost": 11,
        "auditor_scan_queries tcp": 1,
    }
    lookups = [value for key, value in found.items() if key.startswith("auditor_scan_lookups ")]
    assert sum(lookups) == QUERIES["asked"]
    for series in ("verdicts unknown", "kinds domain", "findings PTR_GENERIC warning"):
        assert found[f"auditor_scan_{series}"] == 0


def test_only_findings_that_count_are_in_it_with_their_severities(path: Path) -> None:
    settings = Settings(select=("PTR",), severities={"PTR_MULTIPLE": "error"})
    metrics = MetricsFile(path)
    metrics.on_begin(Begun(BEGAN, settings, "f00", {}))
    metrics.on_progress(_snapshot())
    found = [key.split()[1:] for key in _read(path) if key.startswith("auditor_scan_findings ")]
    assert ["PTR_MULTIPLE", "error"] in found
    assert {code.partition("_")[0] for code, _ in found} == {"PTR"}


def test_an_engine_that_counts_little_has_little_in_it(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.on_begin(BEGUN)
    metrics.on_progress(_snapshot(queries={}))
    assert not [key for key in _read(path) if re.match("auditor_scan_(lookups|queries)", key)]


@pytest.mark.parametrize(
    ("how", "code", "outcome", "success"),
    [
        ("finished", 0, "finished", True),
        ("finished", 1, "finished", True),
        ("interrupted", 3, "interrupted", False),
        ("deadline", 3, "deadline", False),
        ("no server answers any more: 192.0.2.53:53", 3, "failed", False),
    ],
)
def test_at_its_end_it_says_how(
    path: Path, how: str, code: int, outcome: str, *, success: bool
) -> None:
    found = _run(path, how, code)
    ended = (BEGAN + timedelta(minutes=5)).timestamp()
    assert found["auditor_scan_running"] == 0
    assert found["auditor_scan_exit_code"] == code
    assert found["auditor_scan_end_timestamp_seconds"] == ended
    outcomes = {k.split()[1]: v for k, v in found.items() if k.startswith("auditor_scan_outcome ")}
    assert outcomes == {
        name: float(name == outcome) for name in ("finished", "interrupted", "deadline", "failed")
    }
    assert found.get("auditor_scan_last_success_timestamp_seconds") == (ended if success else None)


def test_the_last_success_outlives_runs_that_fail(path: Path) -> None:
    success = _run(path)["auditor_scan_last_success_timestamp_seconds"]
    later = BEGUN._replace(when=BEGAN + timedelta(days=1))
    metrics = MetricsFile(path)
    metrics.on_begin(later)
    # While the next one goes on, the last one's end stands.
    assert _read(path)["auditor_scan_exit_code"] == 0
    assert _read(path)["auditor_scan_outcome finished"] == 1
    metrics.on_end(Ended(_snapshot(24 * 60), "interrupted", 3))
    found = _read(path)
    assert found["auditor_scan_last_success_timestamp_seconds"] == success
    assert found["auditor_scan_exit_code"] == 3
    assert found["auditor_scan_outcome finished"] == 0


def test_others_may_read_it_whatever_the_mask(path: Path) -> None:
    mask = os.umask(0o077)
    try:
        _run(path)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_it_is_replaced_and_never_written_to(path: Path) -> None:
    _run(path)
    with path.open("rb") as reader:
        before = path.read_bytes()
        _run(path, "interrupted", 3)
        assert reader.read() == before
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"target":"192.0.2.1"}\n', "exists, and holds no metrics of auditor"),
        (b"\xff\xfe", "exists, and holds no metrics of auditor"),
        (b"up 1\n", "exists, and holds no metrics of auditor"),
        (b"auditor_scan_records{", "exists, and holds no metrics of auditor"),
    ],
)
def test_another_file_is_not_replaced(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        MetricsFile(path)
    assert str(caught.value) == f"{path}: {message}"
    assert path.read_bytes() == content


def test_an_empty_file_may_be_filled(path: Path) -> None:
    path.touch()
    assert _run(path)["auditor_scan_records"] == 64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.mkdir, "not a regular file; expected a file for metrics"),
        (os.mkfifo, "not a regular file; expected a file for metrics"),
    ],
)
def test_what_is_no_file_is_not_replaced(
    path: Path, make: Callable[[Path], Any], message: str
) -> None:
    make(path)
    with pytest.raises(UsageError) as caught:
        MetricsFile(path)
    assert str(caught.value) == f"{path}: {message}"


def test_a_folder_that_is_not_there_is_said_before_the_scan(tmp_path: Path) -> None:
    path = tmp_path / "no" / "auditor.prom"
    with pytest.raises(UsageError) as caught:
        MetricsFile(path).on_begin(BEGUN)
    assert str(caught.value) == f"{path}: cannot be written: No such file or directory"


def test_a_full_disk_before_the_scan_is_no_mistake_of_the_settings(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int, _mode: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(OutputError) as caught:
        MetricsFile(path).on_begin(BEGUN)
    assert str(caught.value) == f"{path}: cannot be written: No space left on device"
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_vanishes_is_said_once_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    metrics = MetricsFile(folder / "auditor.prom")
    metrics.on_begin(BEGUN)
    (folder / "auditor.prom").unlink()
    folder.rmdir()
    metrics.on_progress(_snapshot())
    metrics.on_end(Ended(_snapshot(), "finished", 0))
    (record,) = caplog.records
    why = "cannot be written: No such file or directory"
    assert record.getMessage() == f"metrics: {folder}/auditor.prom: {why}"
    assert record.__dict__["event"] == "metrics_unwritable"
    folder.mkdir()
    metrics.on_progress(_snapshot())
    assert _read(folder / "auditor.prom")["auditor_scan_records"] == 64


def test_without_the_library_it_says_what_to_install(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UsageError) as caught:
        MetricsFile(path)
    assert str(caught.value) == "metrics: needs prometheus-client: pip install 'auditor[metrics]'"


# --- Who reads them: alerts and a dashboard

_NIGHTLY = Path(__file__).resolve().parents[2] / "examples" / "nightly"
_METRIC = re.compile(r"(auditor_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r'(\w+)(=~|=)"([^"]*)"')
#: Labels that Prometheus adds.
_SCRAPED = {"instance", "job"}


def _alerts() -> list[str]:
    rules = yaml.safe_load((_NIGHTLY / "auditor.rules.yml").read_text("utf-8"))
    return [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def _dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_NIGHTLY / "auditor.dashboard.json").read_text("utf-8"))
    return found


def _panel_queries() -> list[str]:
    found = _dashboard()
    panels = [target["expr"] for panel in found["panels"] for target in panel["targets"]]
    variables = [each["definition"] for each in found["templating"]["list"] if "definition" in each]
    return [*panels, *variables, *(each["expr"] for each in found["annotations"]["list"])]


@pytest.mark.parametrize("queries", [_alerts, _panel_queries])
def test_what_is_asked_of_the_metrics_is_in_them(
    path: Path, queries: Callable[[], list[str]]
) -> None:
    _run(path)
    families = text_string_to_metric_families(path.read_text("ascii"))
    samples = [sample for family in families for sample in family.samples]
    for query in queries():
        metrics = _METRIC.findall(query)
        assert metrics, query
        for name, matchers in metrics:
            fitting = [sample for sample in samples if sample.name == name]
            assert fitting, query
            for label, _, value in _LABEL.findall(matchers):
                if label not in _SCRAPED:
                    assert value in {sample.labels[label] for sample in fitting}, query


def test_every_metric_is_on_the_dashboard(path: Path) -> None:
    _run(path)
    families = text_string_to_metric_families(path.read_text("ascii"))
    known = {sample.name for family in families for sample in family.samples}
    assert known == {name for query in _panel_queries() for name, _ in _METRIC.findall(query)}


def test_panels_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in _dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert panel["description"]
        taken |= cells
