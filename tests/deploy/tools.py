"""Programs of others that judge what deploy/ holds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKS = bool(os.environ.get("CHECK_DEPLOY"))      # `make check-deploy`: nothing is left out
FETCHED = ROOT / ".deploy/usr/bin"                      # where it puts what PyPI does not have


def tool(name: str) -> str:
    """A program's path. Where it is missing the test is skipped, and failed under `make check-deploy`."""
    found = shutil.which(name) or shutil.which(name, path=FETCHED)
    if found is None:
        (pytest.fail if CHECKS else pytest.skip)(f"{name} is not installed")
    return found
