"""A provider for all, and gateways as each test needs them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator


@pytest.fixture(scope="package")
def running() -> Iterator[Simulator]:
    """The provider's process."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    """The provider, forgetful between tests."""
    yield running
    running.reset()


@pytest.fixture
def edge(simulator: Simulator) -> Iterator[Gateway]:
    """A gateway of the test's own, with two workers."""
    with Gateway(configuration(simulator.url, workers=2, drain_timeout=10)) as gateway:
        yield gateway
