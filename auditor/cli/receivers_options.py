"""Options about the rules of receivers, for commands without settings."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

__all__ = ["receivers_file"]

receivers_file: Final = click.option(
    "--receivers-file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Rules of receivers of your own, over the built-in ones.",
)
