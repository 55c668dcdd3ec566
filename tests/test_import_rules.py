"""The rooms of the code: who may import whom, how long things may be, what an import costs.

Read from the code's own imports, those for type checkers and those inside of functions
included. A room is a folder of `auditor/`, or a file next to them.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import auditor

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = Path(auditor.__file__).parent

#: The rooms from the lowest up, each with those that it may import. A room inside another
#: is named with a dot, and the longest name that fits a file is its room.
_LADDER: Final[dict[str, set[str]]] = {
    "errors": set(),
    "publicsuffix": set(),
    "quoting": set(),
    "version": set(),
    "wire": {"errors"},
    "targets": {"errors", "quoting", "wire"},
    "settings_values": {"errors", "quoting", "wire"},
    "settings_option": {"errors", "settings_values"},
    "settings_sources": {
        "errors",
        "quoting",
        "settings_option",
        "settings_values",
    },
    "settings": {
        "errors",
        "settings_option",
        "settings_sources",
        "settings_values",
        "targets",
    },
    "resolve": {"errors", "publicsuffix", "quoting", "settings", "settings_values", "wire"},
    "spf": {"errors", "resolve", "wire"},
    "checks": {"publicsuffix", "quoting", "resolve", "spf", "wire"},
    "findings": {
        "checks",
        "errors",
        "publicsuffix",
        "quoting",
        "settings",
        "settings_values",
        "spf",
        "targets",
        "wire",
    },
    "zones": {"checks", "findings", "publicsuffix", "resolve", "wire"},
    "routing": {"errors", "resolve", "settings", "settings_values", "wire", "zones"},
    "output": {"checks", "errors", "findings", "quoting", "resolve", "spf", "targets", "wire"},
    "pipeline.fastpath": {
        "checks",
        "findings",
        "output",
        "quoting",
        "resolve",
        "spf",
        "targets",
        "wire",
    },
    "pipeline.target": {
        "checks",
        "findings",
        "output",
        "pipeline.fastpath",
        "settings",
        "spf",
        "targets",
        "resolve",
        "wire",
    },
    "pipeline": {
        "checks",
        "errors",
        "output",
        "pipeline.fastpath",
        "quoting",
        "resolve",
        "targets",
    },
    "run": {
        "routing",
        "checks",
        "zones",
        "wire",
        "errors",
        "findings",
        "output",
        "pipeline",
        "pipeline.target",
        "quoting",
        "resolve",
        "settings",
        "targets",
        "version",
    },
    "workers": {
        "routing",
        "errors",
        "findings",
        "output",
        "pipeline",
        "pipeline.fastpath",
        "pipeline.target",
        "quoting",
        "resolve",
        "run",
        "settings",
        "targets",
        "version",
        "wire",
    },
    "views": {
        "checks",
        "errors",
        "findings",
        "output",
        "publicsuffix",
        "quoting",
        "targets",
        "wire",
    },
    "fix": {
        "checks",
        "errors",
        "findings",
        "output",
        "pipeline.target",
        "quoting",
        "resolve",
        "run",
        "settings",
        "spf",
        "targets",
        "views",
        "wire",
        "zones",
    },
    "senders": {
        "errors",
        "resolve",
        "run",
        "settings",
        "spf",
        "wire",
    },
    "session": {"errors", "output", "run", "settings", "targets", "workers"},
    "auditor": {
        "routing",
        "checks",
        "errors",
        "findings",
        "output",
        "pipeline",
        "pipeline.target",
        "resolve",
        "run",
        "settings",
        "spf",
        "targets",
        "wire",
    },
    "api": {"auditor", "errors", "output", "run", "settings", "targets", "workers"},
}
#: What everything below is for; it may import all of it, and nothing may import it.
_TOP: Final = {"cli", "__main__"}

#: What waits, opens connections or knows the time: not for rooms that only think.
_NO_IO: Final = {
    "asyncio",
    "aiodns",
    "pycares",
    "select",
    "selectors",
    "socketserver",
    "subprocess",
    "threading",
    "time",
    "uvloop",
}
_THINKING: Final = {
    *("wire", "spf", "checks", "findings", "publicsuffix", "quoting"),
    "zones",
    *("pipeline.fastpath", "pipeline.target"),
}
#: The part of `socket` that only converts addresses.
_CONVERSIONS: Final = {"AF_INET", "AF_INET6", "inet_aton", "inet_ntoa", "inet_pton", "inet_ntop"}

_PRINTS_OR_EXITS: Final = {
    "print",
    "input",
    "exit",
    "quit",
    "sys.exit",
    "os._exit",
    "sys.stdout.write",
    "sys.stderr.write",
}

_MOST_LINES: Final = 399
_MOST_LINES_OF_A_FUNCTION: Final = 59


@cache
def _trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(_ROOT.rglob("*.py"))}


def _room(path: Path) -> str:
    return _room_of(".".join(path.relative_to(_ROOT).with_suffix("").parts))


def _room_of(module: str) -> str:
    """Return the room of a module, named without the package: the longest that fits."""
    fitting = [room for room in _LADDER if f"{module}.".startswith(f"{room}.")]
    return max(fitting, key=len, default=module.partition(".")[0])


def _imports(path: Path) -> list[tuple[str, int]]:
    """Return the modules that a file imports, wherever in it, with their lines."""
    found = []
    for node in ast.walk(_trees()[path]):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            module = node.module or ""
            # `from auditor.x import y`: y may be a module, and then it is what is imported.
            named = [f"{module}.{alias.name}" for alias in node.names]
            found += [(name if _is_module(name) else module, node.lineno) for name in named]
    return found


def _is_module(name: str) -> bool:
    path = _ROOT.parent / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(_ROOT.parent).with_suffix("").parts)


def _rooms(*names: str) -> Iterator[Path]:
    return (path for path in _trees() if _room(path) in names)


def test_every_room_is_on_the_ladder_and_the_ladder_only_goes_down() -> None:
    assert {_room(path) for path in _trees()} <= {*_LADDER, *_TOP, "__init__"}
    order = list(_LADDER)
    for room, below in _LADDER.items():
        for other in below:
            assert order.index(other) < order.index(room), f"{room} imports {other}"


def test_a_file_imports_only_from_the_rooms_below_its_own() -> None:
    for path in _rooms(*_LADDER):
        room = _room(path)
        allowed = _LADDER[room] | {room}
        for module, line in _imports(path):
            package, _, rest = module.partition(".")
            if package == "auditor":
                assert _room_of(rest) in allowed, f"{path}:{line}: {room} imports {module}"


def test_no_files_import_each_other_in_a_circle() -> None:
    modules = {_module_name(path): path for path in _trees()}
    imports = {
        name: {module for module, _ in _imports(path) if module in modules}
        for name, path in modules.items()
        if path.name != "__init__.py"
    }
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the files


def test_the_codec_needs_nothing_but_the_standard_library() -> None:
    for path in _rooms("wire"):
        for module, line in _imports(path):
            package = module.partition(".")[0]
            assert package == "auditor" or package in sys.stdlib_module_names, f"{path}:{line}"


def test_rooms_that_only_think_neither_wait_nor_talk() -> None:
    for path in _rooms(*_THINKING):
        for module, line in _imports(path):
            assert module.partition(".")[0] not in _NO_IO, f"{path}:{line}: imports {module}"
        for node in ast.walk(_trees()[path]):
            assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{path}:{node.lineno}"
            used: set[str] = set()
            if isinstance(node, ast.ImportFrom) and node.module == "socket":
                used = {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used = {node.attr} if node.value.id == "socket" else set()
            assert used <= _CONVERSIONS, f"{path}: {used - _CONVERSIONS} of socket"


def test_only_the_command_line_prints_or_exits() -> None:
    # A second signal ends the process at once; a worker is a process of its own.
    exempt = {_ROOT / "run" / "shutdown.py", _ROOT / "workers" / "worker_process.py"}
    for path in _rooms("__init__", *_LADDER):
        if path in exempt:
            continue
        for node in ast.walk(_trees()[path]):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in _PRINTS_OR_EXITS, f"{path}:{node.lineno}: {called}()"


def test_files_and_functions_are_short() -> None:
    for path, tree in _trees().items():
        assert path.read_text("utf-8").count("\n") <= _MOST_LINES, path
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= _MOST_LINES_OF_A_FUNCTION, f"{path}:{node.lineno}: {node.name}"


def test_there_is_no_room_for_odds_and_ends() -> None:
    names = {path.stem for path in _trees()} | {path.parent.name for path in _trees()}
    assert not names & {"utils", "util", "helpers", "helper", "misc", "common", "tools"}


def test_the_tests_of_each_file_are_found_by_its_name() -> None:
    """By the name of a test file, or in what its head says that it tests."""
    tests = sorted(Path(__file__).parent.rglob("test_*.py"))
    named = "".join(f"{path.stem}_" for path in tests)
    heads = [ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "" for path in tests]
    mentioned = {f"/{name}" for head in heads for name in re.findall(r"`([\w/]+\.py)`", head)}
    for path in _trees():
        if not path.name.startswith("_") and f"_{path.stem}_" not in named:
            # One of `name.py`, `room/name.py`, ...: as much as it takes to be the only one.
            found = [name for name in mentioned if path.as_posix().endswith(name)]
            assert found, f"{path}: no test file is named after it or names it in its head"
            same = [other for other in _trees() if other.as_posix().endswith(max(found, key=len))]
            assert same == [path], f"{path}: named together with {same}"


def test_every_file_says_what_it_is_for_and_what_is_public() -> None:
    for path, tree in _trees().items():
        assert ast.get_docstring(tree), path
        listed = [
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name) and target.id == "__all__"
        ]
        assert listed or path.stem in {"__init__", "__main__"}, path


# --- What an import costs


def _loaded(code: str) -> set[str]:
    """Return the packages that a new interpreter has loaded after some code."""
    show = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-c", f"{code}; {show}"]
    return set(subprocess.run(command, capture_output=True, check=True, text=True).stdout.split())


_HEAVY: Final = {
    "dns",
    "spf",
    "rich",
    "click",
    "pycares",
    "aiodns",
    "publicsuffixlist",
    "uvloop",
    "cffi",
    "jinja2",
    "zstandard",
    "orjson",
    "asyncio",
    "idna",
}


def test_importing_the_package_loads_no_heavy_module() -> None:
    assert "auditor" in _loaded("import auditor")
    assert not _loaded("import auditor") & _HEAVY


def test_settings_and_targets_load_no_resolver() -> None:
    loaded = _loaded("import auditor; auditor.Settings(); auditor.Target; auditor.UsageError")
    assert not loaded & {"dns", "spf", "pycares", "aiodns", "publicsuffixlist", "rich"}


def test_all_is_exactly_what_is_public() -> None:
    assert sorted(auditor.__all__) == auditor.__all__
    assert set(auditor._HOMES) < set(auditor.__all__)
    for name in auditor.__all__:
        assert getattr(auditor, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'scam'"):
        _ = auditor.scam
    # Whatever else can be had is a module, or not meant for others.
    others = {name for name in vars(auditor) if not name.startswith("_")} - set(auditor.__all__)
    modules = {path.stem for path in _trees()} | {path.parent.name for path in _trees()}
    assert others - modules <= {"annotations", "importlib", "TYPE_CHECKING", "Any"}


def test_every_error_is_in_the_tree_of_its_docstring() -> None:
    from auditor import errors  # noqa: PLC0415 - looked at as a whole

    assert errors.__doc__ is not None
    for name in errors.__all__:
        assert name in errors.__doc__
        assert issubclass(getattr(errors, name), errors.AuditorError)
