"""Programs of others that judge what deploy/ holds."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKS = bool(os.environ.get("CHECK_DEPLOY"))      # `make check-deploy`: nothing is left out
FETCHED = ROOT / ".deploy/usr/bin"                      # where it puts what PyPI does not have

OURS = Path(sys.executable).parent                      # where it puts what PyPI has


def tool(name: str) -> str:
    """A program's path. Where it is missing the test is skipped, and failed under `make check-deploy`."""
    found = next(filter(None, (shutil.which(name, path=path) for path in (None, FETCHED, OURS))), None)
    if found is None:
        (pytest.fail if CHECKS else pytest.skip)(f"{name} is not installed")
    return found
