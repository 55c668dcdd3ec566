"""The recipes of `examples/nightly` work: the scripts as they stand, the units to systemd."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.data import installed
from support.faults import Gate, answer, delay
from support.faulty import FaultyServer, always
from support.fleet import FLEET

from auditor.settings import Settings
from auditor.settings_sources import load
from auditor.views.reader.results import Results

pytestmark = pytest.mark.process

RECIPES: Final = Path(__file__).resolve().parents[1] / "examples" / "nightly"
TARGETS: Final = FLEET / "targets.txt"
SECONDS: Final = 180


class Night:
    """A machine in a folder: the programs of the path, the results, the log."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.results = root / "results"
        self.results.mkdir()
        self.metrics = root / "auditor.prom"
        (root / "bin").mkdir()
        self.program("auditor", f'exec "{sys.executable}" -m auditor "$@"')
        self.program("date", 'if [ "$*" = +%F ]; then echo "$TODAY"; else exec /bin/date "$@"; fi')
        self.env = {name: value for name, value in os.environ.items() if "AUDITOR" not in name}
        self.env |= {
            "PATH": f"{root / 'bin'}{os.pathsep}{self.env['PATH']}",
            "PYTHONPATH": str(RECIPES.parents[1]),
            "TODAY": time.strftime("%Y-%m-%d"),
            "NIGHTLY_FOLDER": str(self.results),
            "NIGHTLY_TARGETS": str(TARGETS),
            "NIGHTLY_UNTIL": "23:59:59",
            "NIGHTLY_PAUSE": "0",
            "AUDITOR_CONFIG": str(RECIPES / "auditor.toml"),
            "AUDITOR_ZONES": str(FLEET / "zones"),
            "AUDITOR_METRICS": str(self.metrics),
        }

    def program(self, name: str, script: str) -> None:
        """Put a program on the path."""
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        """Start the script."""
        return subprocess.Popen(
            [RECIPES / "nightly.sh", *arguments],
            cwd=self.root,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, **env: str) -> tuple[int, list[dict[str, Any]]]:
        """Run the script to its end; return its exit code and the events of its log."""
        with self.start(*arguments, **env) as process:
            out, err = process.communicate(timeout=SECONDS)
        assert out == b""
        return process.returncode, [json.loads(line) for line in err.splitlines()]

    def alert(self, *arguments: str, **env: str) -> tuple[int, str]:
        """Run the alert; return its exit code and the message that somebody gets."""
        done = subprocess.run(
            [RECIPES / "alert.sh", *arguments],
            env=self.env | {"NIGHTLY_ALERT": f"cat > {self.root / 'mail'}"} | env,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        mail = self.root / "mail"
        return done.returncode, mail.read_text("utf-8") if mail.exists() else ""

    def links(self) -> dict[str, str]:
        """Return where the links among the results lead."""
        return {
            path.name: str(path.readlink()) for path in self.results.iterdir() if path.is_symlink()
        }


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_a_night_leaves_results_a_log_and_metrics(night: Night) -> None:
    code, log = night.run()
    assert code == 1  # the fleet has errors, and fail-on says so
    assert [event["event"] for event in log] == ["start", "end"]
    today = f"{night.env['TODAY']}.ndjson.zst"
    assert night.links() == {"latest.ndjson.zst": today}
    found = list(Results([night.results / "latest.ndjson.zst"]).records())
    assert len(found) == log[1]["records"] == 383
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(night.metrics.read_text("ascii"))
        for sample in family.samples
    }
    assert (samples["auditor_scan_exit_code"], samples["auditor_scan_records"]) == (1, 383)


def test_once_finished_it_is_finished(night: Night) -> None:
    night.run()
    before = {path: path.stat().st_mtime_ns for path in night.results.iterdir()}
    code, log = night.run()
    assert (code, [event["event"] for event in log]) == (1, ["already_finished"])
    assert {path: path.stat().st_mtime_ns for path in night.results.iterdir()} == before


def test_the_next_night_keeps_the_one_before_and_clears_what_is_old(night: Night) -> None:
    old = night.results / "2020-01-01.ndjson.zst"
    kept = night.results / "2020-01-02.ndjson.zst"
    foreign = night.results / "notes.txt"
    for path in (old, Path(f"{old}.run.json"), kept, foreign):
        path.touch()
        os.utime(path, (0, 0) if path != kept else None)
    os.utime(foreign, (0, 0))
    today = f"{night.env['TODAY']}.ndjson.zst"
    night.run()
    night.program("auditor", "while [ $# -gt 1 ]; do shift; done; : > $1; exit 0")
    night.run(TODAY="2099-01-02")
    assert night.links() == {
        "latest.ndjson.zst": "2099-01-02.ndjson.zst",
        "previous.ndjson.zst": today,
    }
    names = {path.name for path in night.results.iterdir() if not path.is_symlink()}
    assert names == {today, f"{today}.run.json", kept.name, foreign.name, "2099-01-02.ndjson.zst"}


def test_what_is_not_finished_is_tried_again_while_there_is_time(night: Night) -> None:
    night.program("auditor", 'echo x >> calls; [ "$(wc -l < calls)" -gt 2 ] || exit 3')
    code, _ = night.run()
    assert (code, (night.root / "calls").read_text()) == (0, "x\n" * 3)


@pytest.mark.parametrize("code", [0, 1, 2, 137])
def test_any_other_exit_code_is_the_script_s_own(night: Night, code: int) -> None:
    night.program("auditor", f"echo x >> calls; exit {code}")
    assert night.run()[0] == code
    assert (night.root / "calls").read_text() == "x\n"


def test_when_its_time_is_up_it_is_not_finished(night: Night) -> None:
    night.program("auditor", "echo x >> calls")
    with night.start(NIGHTLY_UNTIL="00:00") as process:
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 3
    results = night.results / f"{night.env['TODAY']}.ndjson.zst"
    assert err.decode() == f"nightly: {results} is not finished, and it is 00:00\n"
    assert not (night.root / "calls").exists()


def test_a_night_that_is_stopped_is_gone_on_with(night: Night) -> None:
    """As systemd stops it: SIGTERM to the script alone."""
    gate = Gate()
    zone = "1.100.51.198.in-addr.arpa. PTR one.example.net.\none.example.net. A 198.51.100.1\n"
    targets = night.root / "targets.txt"
    targets.write_text("198.51.100.1\n192.0.2.0/26\n")
    with FaultyServer(zone, always(delay(gate), answer)) as server:
        env = {
            "AUDITOR_ZONES": "",
            "AUDITOR_SERVER": f"127.0.0.1:{server.port}",
            "NIGHTLY_TARGETS": str(targets),
        }
        with night.start("--no-server-check", "--timeout", "60", **env) as process:
            server.wait_for(2)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=SECONDS)
        log = [json.loads(line) for line in err.splitlines()]
        assert process.returncode == 3
        assert [event["event"] for event in log] == ["start", "stopping", "end"]
        assert night.links() == {}
        gate.open()
        code, log = night.run("--no-server-check", "--timeout", "60", **env)
    assert code == 1
    assert log[-1]["how"] == "finished"
    assert len(list(Results([night.results / "latest.ndjson.zst"]).records())) == 65


# --- Alerts


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1", "finished, with findings as severe as --fail-on says"),
        ("2", "not begun: the settings, the targets or the command line are wrong; see the log"),
        ("3", "not finished; what there is is whole, and starting it again goes on from there"),
        ("137", "ended by 137; starting it again goes on from there"),
        ("KILL", "ended by KILL; starting it again goes on from there"),
    ],
)
def test_an_alert_says_what_the_exit_code_means(night: Night, code: str, words: str) -> None:
    head = f"auditor on {os.uname().nodename}: {words}\n"
    for arguments, env in (((code,), {}), ((), {"EXIT_STATUS": code})):
        ended, mail = night.alert(*arguments, **env)
        assert ended == 0
        assert mail.startswith(head)


def test_all_well_is_no_alert(night: Night) -> None:
    assert night.alert("0") == (0, "")
    assert night.alert(EXIT_STATUS="0") == (0, "")
    assert night.alert()[0] != 0


def test_an_alert_of_findings_shows_them_and_then_what_changed(night: Night) -> None:
    night.run()
    assert "PTR_MISSING" in night.alert("1")[1]
    (night.results / "previous.ndjson.zst").symlink_to(f"{night.env['TODAY']}.ndjson.zst")
    assert "none has changed" in night.alert("1")[1]


# --- What other programs read


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """Return the units with the script where it is, and not where it is to be."""
    installed("systemd-analyze", "systemd")
    copies = []
    for name in ("auditor-nightly.service", "auditor-nightly.timer"):
        text = (RECIPES / name).read_text("utf-8")
        copies.append(tmp_path / name)
        copies[-1].write_text(text.replace("/usr/local/lib/auditor", str(RECIPES)))
    return copies


def _systemd(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_systemd_takes_the_units_without_a_word(units: list[Path]) -> None:
    done = _systemd("verify", "--man=no", *units)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_finds_the_service_well_shut_in(units: list[Path]) -> None:
    done = _systemd("security", "--offline=true", "--threshold=20", "--no-pager", units[0])
    assert done.returncode == 0, done.stdout


def test_a_unit_that_is_wrong_would_be_noticed(units: list[Path]) -> None:
    units[0].write_text(units[0].read_text().replace("Restart=on-abnormal", "Restart=sometimes"))
    assert "sometimes" in _systemd("verify", "--man=no", *units).stderr


def test_the_timer_s_moment_is_the_cron_line_s(units: list[Path]) -> None:
    (when,) = re.findall(r"^OnCalendar=(.*)$", units[1].read_text(), re.MULTILINE)
    done = _systemd("calendar", "--iterations=2", when)
    assert done.returncode == 0
    assert " 02:00:00 " in done.stdout
    line = (RECIPES / "auditor.cron").read_text("utf-8").splitlines()[-1]
    minute, hour, day, month, weekday, user, command = line.split(None, 6)
    assert (minute, hour, day, month, weekday, user) == ("0", "2", "*", "*", "*", "auditor")
    assert subprocess.run(["sh", "-nc", command], timeout=SECONDS, check=False).returncode == 0
    # To cron a percent sign is the end of the command.
    assert "%" not in line
    assert set(re.findall(r"/usr/local/lib/auditor/(\S+)", line)) == {"nightly.sh", "alert.sh"}


def test_stopping_is_given_more_time_than_a_scan_takes(units: list[Path]) -> None:
    from auditor.run import shutdown as ending  # noqa: PLC0415 - for one figure

    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", units[0].read_text(), re.MULTILINE)
    assert int(seconds) > 2 * ending._GRACE_PERIOD_S


def _as_root(tmp_path: Path, program: str, *arguments: str | Path) -> str:
    if os.geteuid() != 0:
        pytest.skip("only root makes users and folders")
    done = subprocess.run(
        [installed(program, "systemd"), f"--root={tmp_path}", *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_user_and_the_folders_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    _as_root(tmp_path, "systemd-sysusers", RECIPES / "auditor.sysusers")
    assert "\nauditor:" in "\n" + (tmp_path / "etc" / "passwd").read_text()
    # Without the line that sets an ACL: not every file system of a test has them.
    rules = tmp_path / "rules.conf"
    lines = (RECIPES / "auditor.tmpfiles").read_text("utf-8").splitlines()
    rules.write_text("\n".join(line for line in lines if not line.startswith("a")) + "\n")
    _as_root(tmp_path, "systemd-tmpfiles", "--create", rules)
    for name in ("lib/auditor", "log/auditor", "lib/prometheus/node-exporter"):
        assert (tmp_path / "var" / name).is_dir()


def test_logrotate_takes_its_file(tmp_path: Path) -> None:
    program = installed("logrotate", "logrotate")
    text = (RECIPES / "auditor.logrotate").read_text("utf-8")
    log = tmp_path / "nightly.log"
    log.write_text("{}\n")
    copy = tmp_path / "auditor"
    text = text.replace("/var/log/auditor/nightly.log", str(log))
    copy.write_text("\n".join(line for line in text.splitlines() if "    su " not in line) + "\n")
    copy.chmod(0o644)
    done = subprocess.run(
        [program, "-d", copy], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower()


def test_the_settings_are_those_of_a_night() -> None:
    loaded = load(Settings, RECIPES / "auditor.toml", {}, {})
    settings = loaded.settings
    assert (settings.fail_on, settings.log_format) == ("error", "json")
    assert settings.metrics is not None
    folder = str(settings.metrics.parent)
    for name in ("auditor-nightly.service", "auditor.tmpfiles"):
        assert folder in (RECIPES / name).read_text("utf-8"), name


@pytest.mark.parametrize("name", ["nightly.sh", "alert.sh"])
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_scripts_are_plain_shell(name: str, shell: str) -> None:
    path = RECIPES / name
    assert os.access(path, os.X_OK)
    done = subprocess.run([shell, "-n", path], capture_output=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_every_file_of_the_folder_is_in_its_readme() -> None:
    text = (RECIPES / "README.md").read_text("utf-8")
    for path in set(RECIPES.iterdir()) - {RECIPES / "README.md"}:
        assert path.name in text, path.name
