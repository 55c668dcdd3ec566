"""Lines of `auditor senders` read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cli.driving import ZONES

from auditor.errors import InputError
from auditor.views.senders import SenderSummary, read_senders

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_DOMAINS = ("example.com", "example.net", "spf-world.example.org", "spf-macro.example.org",
            "spf-loop.example.org")  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of lines."""
    from click.testing import CliRunner  # noqa: PLC0415 - see above

    from auditor.cli.senders import command  # noqa: PLC0415 - not for collecting

    path = tmp_path_factory.mktemp("senders") / "senders.ndjson"
    result = CliRunner().invoke(command, ["--json", "--zones", ZONES, *_DOMAINS])
    path.write_text(result.output)
    return path


def test_a_file_of_lines_is_read_back(written: Path) -> None:
    summary = SenderSummary()
    for line in read_senders(written):
        summary.count_line(line)
    data = summary.as_json(1)
    assert data["totals"]["domains"]["all"] == len(_DOMAINS)
    assert data["world"]["first"][0]["domain"] == "spf-world.example.org"
    assert (data["ranges"]["rows"], len(data["ranges"]["first"])) == (data["totals"]["ranges"], 1)
    assert data["includes"]["first"][0]["include"] == "_spf.example.net"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace('"domains":', '"domainz":'), "line 6: not about senders"),
        (lambda text: text.replace('"status":"policy"', '"status":7', 1), "line 1: not about"),
        (lambda text: "[]\n" + text, "line 1: not about senders; expected the lines of"),
        (lambda text: "\n".join(text.splitlines()[:-1]), "ends too early, without its totals"),
    ],
)
def test_what_is_no_such_file_is_said(
    written: Path, tmp_path: Path, spoil: Callable[[str], str], message: str
) -> None:
    path = tmp_path / "spoilt.ndjson"
    path.write_text(spoil(written.read_text()))
    with pytest.raises(InputError, match=message):
        list(read_senders(path))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.ndjson: cannot be read: No such file"):
        list(read_senders(tmp_path / "none.ndjson"))
