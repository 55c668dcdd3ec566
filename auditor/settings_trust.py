"""Checks that nobody else can have written a settings file that was found by itself.

The rule of git's `safe.directory`, and more: the file and its folder belong to the user or to
root, and nobody else can write to them.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from auditor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from auditor.settings_option import Option

__all__ = ["check_trust"]


def check_trust(path: Path, table: Iterable[str], options: Mapping[str, Option]) -> None:
    """Refuse settings of a file that was found by itself if others can have written it."""
    keys = [key for key, option in options.items() if option.needs_trust and key in table]
    if not keys:
        return
    link, file, folder = path.lstat(), path.stat(), path.absolute().parent.stat()
    for status, subject in ((link, "it"), (file, "it"), (folder, "its folder")):
        why = _whose(status)
        if why:
            raise UsageError(
                f"{path}: {keys[0]} is not taken from a file that nobody named: "
                f"{subject} {why}; --config {path} takes it"
            )


def _whose(status: os.stat_result) -> str:
    """Return why another user may have written a file or folder, "" if none can have."""
    if status.st_uid not in {0, os.geteuid()}:
        return "belongs to another user"
    if stat.S_ISLNK(status.st_mode):
        return ""  # a link has no mode of its own
    if status.st_mode & stat.S_IWOTH:
        return "can be written by everybody"
    if status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid):
        return "can be written by a group"
    return ""


def _is_private_group(gid: int) -> bool:
    """Tell whether a group has the user as its only member, as systems with umask 002 do."""
    import grp  # noqa: PLC0415 - seldom needed
    import pwd  # noqa: PLC0415 - as above

    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return user.pw_gid == gid and user.pw_name == group.gr_name and not group.gr_mem
