"""A Redis of a test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """It may be stopped, killed and emptied."""
    with Server() as server:
        yield server
