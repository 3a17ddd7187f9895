"""A sample of what `python -m tests.faults.overload` measures, and how it weighs what it saw."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.faults.load import Ended
from tests.faults.overload import Offer, run, weigh
from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator


def test_within_capacity() -> None:
    """What a provider has room for is answered well, all of it."""
    offer = Offer(capacity=200, loads=[0.5], seconds=1.5, warm=0.5, even=True)
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator(capacity=10, latency=50))
        gateway = stack.enter_context(Gateway(configuration(simulator.url)))
        seen = run(gateway, offer, 0.5, seed=1)
        assert simulator.state()["peak"] <= 10
    assert (seen.shed, seen.failed) == (0, 0)
    assert seen.good == pytest.approx(100, rel=0.2)
    assert seen.p50 >= 0.05


def test_weights() -> None:
    """Goodput is what ended in time behind the warm-up, and only good answers have times."""
    offer = Offer(capacity=1, loads=[1], seconds=3, warm=1)
    seen = weigh([Ended(10.0, 0.5, 200), Ended(10.5, 1.0, 200), Ended(11.5, 0.25, 200), Ended(11.6, 0.0, 503),
                  Ended(12.0, 0.1, 502), Ended(12.9, 2.0, 200)], offer)
    assert (seen.offered, seen.good, seen.shed, seen.failed) == (2, 1, 0.5, 1)
    assert (seen.p50, seen.p99) == (0.25, 2.0)
