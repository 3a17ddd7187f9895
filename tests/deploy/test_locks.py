"""What is locked, what is made of it, and the wheels that would be built."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.deploy.tools import CHECKS, ROOT, tool

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILES = {"requirements.txt": PROJECT["project"]["dependencies"],
         "requirements-build.txt": PROJECT["build-system"]["requires"]}


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """A file's packages: version and hashes."""
    text = (ROOT / "deploy" / name).read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        package = re.fullmatch(r"([\w.-]+)==(\S+)(?: ; [^-]+)?((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line)
        assert package is not None, line
        found[canonicalize_name(package[1])] = package[2], package[3].split()
    return found


@pytest.mark.parametrize("name", FILES)
def test_all_that_is_needed_is_locked(name: str) -> None:
    """Every requirement is there in a version that fits, and everything there has hashes."""
    there = locked(name)
    for wanted in map(Requirement, FILES[name]):
        assert wanted.specifier.contains(Version(there[canonicalize_name(wanted.name)][0]), prereleases=True), wanted
    assert all(hashes for _, hashes in there.values())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What `make locks` and `make sbom` read, where they may write."""
    for name in ("Makefile", "pyproject.toml", "setup.py", *(f"deploy/{name}" for name in FILES)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def make(folder: Path, target: str) -> None:
    """A target of the Makefile, with the environment that there is."""
    done = subprocess.run(["make", "-C", str(folder), f"VENV={Path(sys.prefix)}", target], capture_output=True,
                          text=True, check=False, timeout=280)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.mark.skipif(not CHECKS, reason="make check-deploy runs it: it asks PyPI")
@pytest.mark.timeout(300)
def test_locks_are_what_make_writes(copy: Path) -> None:
    """`make locks` has nothing to change: whoever changes a requirement locks it."""
    make(copy, "locks")
    for name in FILES:
        assert (copy / "deploy" / name).read_text() == (ROOT / "deploy" / name).read_text(), "make locks"


@pytest.mark.skipif(not CHECKS, reason="make check-deploy runs it: it asks PyPI")
@pytest.mark.timeout(300)
def test_the_sbom_tells_all_that_is_locked(copy: Path) -> None:
    """`make sbom` names each locked package that this Python takes, its version and its licence, as what edge needs."""
    make(copy, "sbom")
    said = json.loads((copy / "dist/sbom.json").read_text())
    there = locked("requirements.txt")
    found = {canonicalize_name(each["name"]): each for each in said["components"]}
    assert {name: each["version"] for name, each in found.items()} == {name: there[name][0] for name in found}
    assert set(there) - set(found) <= {"backports-zstd"}            # Python 3.14 has its own
    assert [name for name, each in found.items() if not each.get("licenses")] == []
    assert said["metadata"]["component"]["name"] == "edge-gateway" and said["bomFormat"] == "CycloneDX"


def test_wheels_are_for_all_that_edge_is_for() -> None:
    """The tool that builds wheels takes the configuration: Python 3.11 to 3.14, on two machines."""
    done = subprocess.run([tool("cibuildwheel"), "--platform", "linux", "--print-build-identifiers", str(ROOT)],
                          capture_output=True, text=True, check=False, timeout=60)
    assert set(done.stdout.split()) == {f"cp3{minor}-manylinux_{machine}" for minor in (11, 12, 13, 14)
                                        for machine in ("x86_64", "aarch64")}, done.stderr
    assert PROJECT["project"]["requires-python"] == ">=3.11"
