"""The library's types: a strict program is accepted, and records are as their types say."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import pytest
from pydantic import TypeAdapter, ValidationError
from support import typed_program
from support.fleet import FLEET
from support.tables import fleet_records

import auditor
from auditor.output.schema import record_schema
from auditor.settings import OPTIONS
from auditor.settings_sources import GivenSettings

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = Path(typed_program.__file__)


def test_the_program_runs(run: Callable[..., Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    zones = str(FLEET / "zones")
    said = run(typed_program.main(zones))
    assert "gone.example.net. IN A 198.51.100.50" in said
    assert said[-1] == "tries: 0 is not within 1 and 20"
    assert typed_program.blocking(zones) == ["fail"]


def _read_by(checker: list[str], folder: Path) -> None:
    """Have a type checker read the program as a user's own file, with none of our settings."""
    shutil.copy(PROGRAM, folder / "program.py")
    done = subprocess.run(
        [*checker, "program.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.full
def test_mypy_accepts_the_program(tmp_path: Path) -> None:
    _read_by([sys.executable, "-m", "mypy", "--strict"], tmp_path)


@pytest.mark.full
def test_pyright_accepts_the_program(tmp_path: Path) -> None:
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pip install pyright")
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    _read_by([sys.executable, "-m", "pyright", "--pythonpath", sys.executable], tmp_path)


# --- Records and settings are as their types say


def _schema_of(hint: Any) -> Any:  # noqa: PLR0911 - one for each kind of type
    """Return the JSON Schema of a type, without words."""
    if get_origin(hint) is Literal:
        return {"enum": sorted(get_args(hint))}
    if get_origin(hint) is list:
        return {"type": "array", "items": _schema_of(get_args(hint)[0])}
    if get_origin(hint) is dict:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if type(None) in get_args(hint):
        (kind,) = (each for each in get_args(hint) if each is not type(None))
        schema = _schema_of(kind)
        if "properties" in schema:
            return {"anyOf": [schema, {"type": "null"}]}
        return {"type": [schema["type"], "null"]}
    if hasattr(hint, "__required_keys__"):
        hints = get_type_hints(hint)
        properties = {key: _schema_of(each) for key, each in hints.items()}
        return {"type": "object", "properties": properties, "required": hint.__required_keys__}
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return {"type": names[hint]}


def _bare(schema: Any) -> Any:
    """Return a JSON Schema without words and limits."""
    if isinstance(schema, list):
        return [_bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _bare(each)
        for key, each in schema.items()
        if key in {"type", "items", "anyOf", "additionalProperties"}
    }
    if "properties" in schema:
        kept["properties"] = {key: _bare(each) for key, each in schema["properties"].items()}
        kept["required"] = frozenset(schema["required"])
    if "enum" in schema:
        kept["enum"] = sorted(schema["enum"])
    return kept


def test_the_types_of_a_record_are_its_schema() -> None:
    assert _schema_of(auditor.Record) == _bare(record_schema())


def test_pydantic_makes_a_model_of_a_record() -> None:
    adapter = TypeAdapter(list[auditor.Record])
    records = fleet_records(trace=True)
    assert adapter.validate_python(records) == records
    with pytest.raises(ValidationError):
        adapter.validate_python([{**records[0], "verdict": "odd"}])


def test_every_setting_may_be_given() -> None:
    assert list(GivenSettings.__annotations__) == [each.attribute for each in OPTIONS.values()]
