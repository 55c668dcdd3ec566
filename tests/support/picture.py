"""Makes examples/fleet/report.png, the picture of the report in the documents.

PYTHONPATH=tests python -m support.picture
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from auditor.cli.app import run
from support.browser import chromium, visits
from support.fleet import FLEET

_SIZE: Final = {"width": 1280, "height": 1400}
#: Where 198.51.100.53 is on the map of its /24.
_CELL: Final = (4, 3)
_COLUMNS: Final = 16


def make_picture(path: Path) -> None:
    """Write the picture."""
    with TemporaryDirectory() as folder:
        results, page = Path(folder) / "fleet.ndjson", Path(folder) / "report.html"
        scan_it = ["scan", "-q", "--zones", str(FLEET / "zones"), "-i", str(FLEET / "targets.txt")]
        # Without the manifest beside them, the results have no date.
        assert run([*scan_it, "-o", str(results)]) == 0
        results.with_name(f"{results.name}.run.json").unlink()
        assert run(["report", "-q", str(results), "-o", str(page)]) == 0
        with chromium() as browser, visits(browser) as visit:
            opened = visit(page, viewport=_SIZE)
            opened.point_at(*_CELL, _COLUMNS)
            assert opened.title() == "198.51.100.53"
            opened.page.evaluate("scrollTo(0, 0)")
            opened.page.screenshot(path=path)


if __name__ == "__main__":
    make_picture(FLEET / "report.png")
