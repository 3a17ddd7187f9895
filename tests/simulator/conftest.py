"""One simulator for the area's tests, forgetful between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.simulator import Simulator


@pytest.fixture(scope="package")
def running() -> Iterator[Simulator]:
    """The simulator's process."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    """A simulator without faults, requests or files."""
    yield running
    running.reset()
