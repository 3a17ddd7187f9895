"""The way in one process, by seeds: nothing is left behind, whatever happens in whatever order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = 25_000
RUN = Path(__file__).with_name("run.py")


@pytest.mark.unsanitized
def test_nothing_is_left_behind() -> None:
    """After each of many seeded runs all is given back, and together they take every row but those of several hosts."""
    done = subprocess.run([sys.executable, RUN, "--runs", str(RUNS)], capture_output=True, text=True, check=False,
                          timeout=500, cwd=RUN.parents[2])
    assert done.returncode == 0, done.stderr[-4000:]
    assert "nothing left behind" in done.stdout
    assert all("draw" in row for row in re.findall(r"^ +0 (.+)$", done.stdout, re.MULTILINE)), done.stdout
