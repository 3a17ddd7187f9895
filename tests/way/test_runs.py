"""The way in one process, by seeds: nothing is left behind, whatever happens in whatever order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = 4_000
RUN = (sys.executable, "-m", "tests.way.run")
ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    """What the program says when nothing is wrong."""
    done = subprocess.run([*RUN, *arguments], capture_output=True, text=True, check=False, timeout=500, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.unsanitized
def test_nothing_is_left_behind() -> None:
    """After each of many seeded runs all is given back, and together they take every row but those of several hosts."""
    said = run("--runs", str(RUNS))
    assert "nothing left behind" in said
    assert all("draw" in row for row in re.findall(r"^ +0 (.+)$", said, re.MULTILINE)), said


@pytest.mark.unsanitized
def test_a_seed_shows_the_same_again() -> None:
    """One seed alone goes as it went behind many others: what it was drawn from is all that it depends on."""
    many, one = run("--seed", "120", "--runs", "127"), run("--seed", "246")
    assert re.findall(r"trace (\w+)", many) == re.findall(r"trace (\w+)", one) != []
