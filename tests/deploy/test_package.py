"""The package that `pip install .` builds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {".pyx", ".pxd", ".pxi", ".h", ".c", ".so", ".html"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel of a copy of the sources; as it is about its contents, one small extension stands for all."""
    copy = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "edge", copy / "edge", ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.c"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "dist", "."],
        cwd=copy, env={**os.environ, "EDGE_ONLY": "condition"}, check=True, capture_output=True, timeout=110)
    return zipfile.ZipFile(next((copy / "dist").glob("*.whl")))


def test_it_holds_everything_but_sources(wheel: zipfile.ZipFile) -> None:
    """Modules, stubs, contracts and all other data of edge are in the wheel."""
    wanted = {str(path.relative_to(ROOT)) for path in (ROOT / "edge").rglob("*")
              if path.is_file() and path.suffix not in SOURCES and "__pycache__" not in path.parts}
    assert "edge/py.typed" in wanted
    assert wanted - set(wheel.namelist()) == set()
    assert [name for name in wheel.namelist() if name.endswith((".c", ".html"))] == []


def test_it_has_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    """The wheel brings the `edge` command, its licence and a compiled module."""
    names = {Path(name).name: name for name in wheel.namelist()}
    assert b"edge = edge.cli:main" in wheel.read(names["entry_points.txt"])
    assert b"License-Expression: Apache-2.0" in wheel.read(names["METADATA"])
    assert "LICENSE" in names and any(name.endswith(".so") for name in names)
