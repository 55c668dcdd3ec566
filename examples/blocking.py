"""A scan without an event loop: which hosts of a pool are not ready to send mail.

python examples/blocking.py 198.51.100.16-198.51.100.27

Prints what has to be mended first, and exits with 1 if anything has.
"""

from __future__ import annotations

import sys
from pathlib import Path

import auditor

ZONES = Path(__file__).parent / "fleet" / "zones"


def not_ready(targets: list[str]) -> list[str]:
    """Return one line for each error that receivers would hold against `targets`."""
    # All hosts of this pool send for one domain.
    settings = auditor.Settings(zones=ZONES, mail_from=("example.net",))
    return [
        f"{record['target']}: {finding['code']} ({finding['subject']})"
        for record in auditor.scan_blocking(targets, settings)
        for finding in record["findings"]
        if finding["severity"] == "error"
    ]


if __name__ == "__main__":
    try:
        wrong = not_ready(sys.argv[1:] or ["198.51.100.16-198.51.100.27", "198.51.100.50"])
    except auditor.AuditorError as error:
        sys.exit(f"blocking.py: {error}")
    print("\n".join(wrong) or "all hosts are ready")
    sys.exit(1 if wrong else 0)
