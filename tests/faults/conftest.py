"""Two providers, and gateways before them as each test needs them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.pair import Pair
from tests.faults.stage import Stage, staged
from tests.support.simulator import Simulator


@pytest.fixture(scope="package")
def providers() -> Iterator[tuple[Simulator, Simulator]]:
    """Their processes."""
    with Simulator() as first, Simulator() as second:
        yield first, second


@pytest.fixture
def pair(providers: tuple[Simulator, Simulator]) -> Iterator[Any]:
    """Both, forgetful between tests; `pair.edge(...)` starts a gateway that the test's end stops."""
    with Pair(*providers) as both:
        yield both
    for provider in providers:
        provider.reset()


@pytest.fixture(scope="package")
def stage() -> Iterator[Stage]:
    """A gateway in front of a provider that plays what the test says."""
    yield from staged()
