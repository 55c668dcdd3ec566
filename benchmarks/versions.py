"""Versions of the measured programs."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from typing import TYPE_CHECKING, Final

import auditor
from benchmarks.measure import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["machine", "program", "versions"]

_PACKAGES: Final = ("aiodns", "pycares", "dnspython", "uvloop", "cffi", "orjson", "pyspf")
_PEERS: Final = ("blastdns", "presolv")

#: The command for each program's version.
_PROGRAMS: Final = {
    "NSD": ["nsd", "-v"],
    "Knot DNS": ["knotd", "--version"],
    "BIND": ["named", "-v"],
    "PowerDNS": ["pdns_server", "--version"],
    "Unbound": ["unbound", "-V"],
    "dnsperf": ["dnsperf", "-h"],
    "massdns": ["massdns", "--version"],
}
_NUMBER: Final = re.compile(r"v?\d+\.\d+[\w.+-]*")


def program(name: str) -> str | None:
    """Return the path of a program; sbin, which is not on every user's PATH, is searched, too."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return shutil.which(name, path=path)


def _program_version(command: Sequence[str]) -> str | None:
    where = program(command[0])
    if where is None:
        return None
    done = subprocess.run([where, *command[1:]], capture_output=True, text=True, check=False)
    found = _NUMBER.findall(done.stdout + done.stderr)
    return found[0] if found else "of unknown version"


def _peer_version(python: str, name: str) -> str | None:
    code = f"from importlib.metadata import version; print(version({name!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _commit() -> str:
    """Return the commit that was measured, where there is a repository."""
    command = ["git", "describe", "--always", "--dirty=, changed"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return f" ({done.stdout.strip()})" if done.stdout else ""


def versions(peers: str) -> dict[str, str]:
    """Return name and version of every installed program and library that is measured.

    `peers`: the Python with the peers that are not dependencies.
    """
    found: dict[str, str | None] = {"auditor": auditor.__version__ + _commit()}
    found["Python"] = platform.python_version()
    for name in _PACKAGES:
        found[name] = metadata.version(name)
    for name in _PEERS:
        found[name] = _peer_version(peers, name)
    for name, command in _PROGRAMS.items():
        found[name] = _program_version(command)
    return {name: version for name, version in found.items() if version is not None}


def machine() -> str:
    """Return the description of the machine: cores, kernel, architecture."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {platform.system()} {platform.release()}, {platform.machine()}"
