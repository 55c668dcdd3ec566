"""The example fleet in `examples/`, and what its README says is to be found in it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["FLEET", "Expected", "expected", "targets"]

FLEET: Final = Path(__file__).resolve().parents[2] / "examples" / "fleet"


class Expected(NamedTuple):
    """What a scan finds out about one target; SPF results are "" where nothing is promised."""

    target: str
    codes: list[str]
    helo: str = ""
    mail_from: str = ""


def expected(file: str) -> list[Expected]:
    """Return the README's table about a target file, with every range taken apart."""
    text = (FLEET / "README.md").read_text("utf-8")
    section = text.split(f"\n## {file}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    found = []
    for target, codes, *others in rows[2:]:
        spf = [result.replace("-", "") for result in others[:-1]]
        for each in _addresses(target):
            found.append(Expected(each, codes.replace("-", "").split(), *spf))  # noqa: PERF401
    return found


def targets() -> list[str]:
    """Return the targets of `targets.txt` as records name them, by a reading of its own."""
    lines = (FLEET / "targets.txt").read_text("utf-8").splitlines()
    found = []
    for line in lines:
        text = line.strip()
        if text and not text.startswith("#"):
            found += _addresses(text.encode("idna").decode() if not text.isascii() else text)
    return found


def _addresses(text: str) -> list[str]:
    """Return the addresses of a prefix or of a range `a - b`, or the text itself."""
    if "/" in text:
        try:
            return [str(address) for address in ip_network(text)]
        except ValueError:
            return [text]
    first, dash, last = text.partition(" - ")
    if not dash:
        return [text]
    kind: type[IPv4Address | IPv6Address] = type(ip_address(first))
    return [str(kind(each)) for each in range(int(kind(first)), int(kind(last)) + 1)]
