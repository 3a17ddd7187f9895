"""The packages: the wheel that `pip install .` builds, and the archive that holds its sources and tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {".pyx", ".pxd", ".pxi", ".h", ".c", ".so", ".html"}
UNSEEN = {"__pycache__", ".venv", ".clients", ".deploy", "build", "dist", ".git", ".hypothesis", ".pytest_cache",
          ".mypy_cache", ".ruff_cache", "node_modules"}
ENVIRON = {**os.environ, "EDGE_ONLY": "condition"}      # one small extension stands for all: it is about contents


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked archive of the sources, made in a copy of them."""
    copy = tmp_path_factory.mktemp("sources")
    shutil.copytree(ROOT, copy / "edge", ignore=shutil.ignore_patterns(*UNSEEN, "*.egg-info", "*.so"))
    subprocess.run([sys.executable, "setup.py", "-q", "sdist"], cwd=copy / "edge", env=ENVIRON, check=True,
                   capture_output=True, timeout=110)
    with tarfile.open(next((copy / "edge/dist").glob("*.tar.gz"))) as packed:
        packed.extractall(copy, filter="data")
    return next(copy.glob("edge_gateway-*"))


@pytest.fixture(scope="module")
def wheel(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel that is built from a copy of the archive alone."""
    copy = shutil.copytree(archive, tmp_path_factory.mktemp("wheel") / "edge")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "dist", "."],
        cwd=copy, env=ENVIRON, check=True, capture_output=True, timeout=110)
    return zipfile.ZipFile(next((copy / "dist").glob("*.whl")))


def test_the_archive_holds_everything(archive: Path) -> None:
    """All that is in the repository is in the archive, tests and examples too, and nothing compiled."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    wanted = {name for name in tracked.splitlines() if (ROOT / name).is_file()}
    if not wanted:                              # an archive itself, without git
        wanted = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*")
                  if path.is_file() and not UNSEEN.intersection(path.parts) and path.suffix not in (".so", ".c")}
    there = {str(path.relative_to(archive)) for path in archive.rglob("*") if path.is_file()}
    assert wanted - there == set()
    assert [name for name in there if name.endswith((".so", ".pyc")) or name.startswith("edge/_fast/gateway.c")] == []


def test_it_holds_everything_but_sources(wheel: zipfile.ZipFile) -> None:
    """Modules, stubs, contracts and all other data of edge are in the wheel."""
    wanted = {str(path.relative_to(ROOT)) for path in (ROOT / "edge").rglob("*")
              if path.is_file() and path.suffix not in SOURCES and "__pycache__" not in path.parts}
    assert "edge/py.typed" in wanted and "edge/config/first.yaml" in wanted
    assert wanted - set(wheel.namelist()) == set()
    assert [name for name in wheel.namelist() if name.endswith((".c", ".html"))] == []


def test_it_brings_the_examples(wheel: zipfile.ZipFile) -> None:
    """What deploy/ holds is installed below the environment, in share/edge, but for what makes it."""
    brought = {name.partition(".data/data/share/edge/")[2] for name in wheel.namelist()}
    held = {path.relative_to(ROOT / "deploy") for path in (ROOT / "deploy").rglob("*") if path.is_file()}
    assert {str(path) for path in held if path.suffix != ".py" and "__pycache__" not in path.parts} <= brought


def test_it_has_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    """The wheel brings the `edge` command, its licence and a compiled module."""
    names = {Path(name).name: name for name in wheel.namelist()}
    assert b"edge = edge.__main__:main" in wheel.read(names["entry_points.txt"])
    assert b"License-Expression: Apache-2.0" in wheel.read(names["METADATA"])
    assert "LICENSE" in names and any(name.endswith(".so") for name in names)
