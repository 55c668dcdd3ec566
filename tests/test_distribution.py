"""What is published: the wheel carries the example fleet, and the index shows no broken link.

Also tests `version.py`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Final

import pytest
from support.fleet import FLEET

from auditor import __version__

ROOT: Final = Path(__file__).resolve().parents[1]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
HATCH: Final = PROJECT["tool"]["hatch"]

#: A link or an image whose address is not one of the web's.
RELATIVE: Final = re.compile(r"\[[^\]]*\]\((?!https?://|#)")


def test_the_wheel_carries_what_the_demo_copies() -> None:
    carried = HATCH["build"]["targets"]["wheel"]["force-include"]
    names = {"zones", "targets.txt", "targets.csv", "mail.log"}
    assert {f"examples/fleet/{name}": f"auditor/fleet/{name}" for name in names} == carried
    assert all((FLEET / name).exists() for name in names)


def test_the_source_distribution_has_all_that_the_readme_names() -> None:
    included = HATCH["build"]["targets"]["sdist"]["include"]
    assert [name for name in included if not (ROOT / name.lstrip("/")).exists()] == []
    tops = {name.strip("/") for name in included} | {"LICENSE", "README.md", "pyproject.toml"}
    named = re.findall(r"\]\((?!https?://|#)([^)#]+)", (ROOT / "README.md").read_text("utf-8"))
    assert {name.partition("/")[0] for name in named} <= tops


def test_the_page_of_the_index_has_no_relative_link() -> None:
    hook = HATCH["metadata"]["hooks"]["fancy-pypi-readme"]
    text = (ROOT / hook["fragments"][0]["path"]).read_text("utf-8")
    assert RELATIVE.search(text)
    for each in hook["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    assert not RELATIVE.search(text)
    assert "report.png" not in text


@pytest.mark.full
def test_both_distributions_are_whole(tmp_path: Path) -> None:
    pytest.importorskip("hatchling.build", reason="pip install hatchling")
    pytest.importorskip("hatch_fancy_pypi_readme", reason="pip install hatch-fancy-pypi-readme")
    code = (
        "import sys, hatchling.build as b; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"auditor-{__version__}.dist-info/METADATA").decode()
    zones = {f"auditor/fleet/zones/{path.name}" for path in (FLEET / "zones").iterdir()}
    assert {*zones, "auditor/fleet/targets.txt", "auditor/py.typed"} <= names
    assert not any(name.startswith(("tests/", "examples/")) for name in names)
    assert not RELATIVE.search(metadata)
    (source,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"docs/library.md", "examples/fleet/targets.txt", "LICENSE", "tests/conftest.py"} <= held
