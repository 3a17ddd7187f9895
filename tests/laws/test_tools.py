"""The checkers that others keep: ruff, mypy, stubtest, cython-lint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.laws.sources import COMPILED, ROOT, files, relative

SCRIPTS = Path(sys.executable).parent
CHECKS = {
    "ruff": ["-m", "ruff", "check", "."],
    "mypy": ["-m", "mypy"],
    "stubtest": ["-m", "mypy.stubtest", "edge._fast", "--allowlist", "tests/laws/stubtest.allow"],
    "cython-lint": [f"{SCRIPTS}/cython-lint", *(relative(path) for path in files(*COMPILED))],
}


@pytest.mark.parametrize("name", CHECKS)
def test_checkers_find_nothing(name: str) -> None:
    """Style, types, stubs and Cython sources pass their checkers as configured in pyproject.toml."""
    environ = {**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}     # cython-lint calls pycodestyle
    done = subprocess.run([sys.executable, *CHECKS[name]], cwd=ROOT, env=environ, capture_output=True,
                          text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
