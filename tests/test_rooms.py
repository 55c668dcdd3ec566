"""The rooms of DESIGN §3: imports go downwards only, files and functions stay small."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = Path(__file__).resolve().parents[1] / "auditor"
FILES: Final = tuple(sorted(PACKAGE.rglob("*.py")))

#: From the ground up: a room may import from those before it, and from itself.
ROOMS: Final = (
    "errors",
    "settings",
    "wire",
    "suffixes",
    "targets",
    "resolve",
    "spf",
    "checks",
    "findings",
    "output",
    "express",
    "audit",
    "pipeline",
    "run",
    "views",
    "api",
    "cli",
    "__main__",
)
#: What a codec without I/O and without a clock has no use for.
NOT_IN_WIRE: Final = {"asyncio", "datetime", "random", "secrets", "select", "socket", "time"}
MOST_LINES: Final = 400
MOST_IN_A_FUNCTION: Final = 60


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _room(module: str) -> str:
    """Return the room of a dotted name below `auditor`; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield what is imported when the code runs, wherever in it that happens."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from (name for part in node.orelse for name in _imports(part))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they lead"
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            yield from _imports(node)


def _imports_of(path: Path) -> set[str]:
    return set(_imports(ast.parse(path.read_text("utf-8"))))


def test_every_room_is_known() -> None:
    found = {_name(path).split("/")[0].removesuffix(".py") for path in FILES}
    assert found - {"__init__"} <= set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_go_downwards(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return  # it names everything, and imports nothing until it is used
    own = _name(path).split("/")[0].removesuffix(".py")
    below = {*ROOMS[: ROOMS.index(own) + 1], ""}
    rooms = {
        _room(module)
        for module in _imports_of(path)
        if module == "auditor" or module.startswith("auditor.")
    }
    assert rooms <= below


def test_the_codec_needs_the_standard_library_only() -> None:
    for path in (PACKAGE / "wire").glob("*.py"):
        roots = {module.split(".")[0] for module in _imports_of(path)} - {"auditor"}
        assert roots <= sys.stdlib_module_names, path
        assert not roots & NOT_IN_WIRE, path


def test_only_the_command_line_prints_and_exits() -> None:
    for path in FILES:
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call)
        }
        if _name(path).split("/")[0] != "cli":
            assert not calls & {"print", "click.echo", "sys.exit", "os._exit"}, path


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") < MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MOST_IN_A_FUNCTION, node.name


def test_no_room_is_for_whatever_fits_nowhere() -> None:
    names = {path.stem for path in FILES}
    assert not names & {"common", "helpers", "misc", "util", "utils"}
