"""What hosts share is kept under loss, delay, doubles, reordering, crashes, skew, steps of clocks and new epochs."""

from __future__ import annotations

import pytest

from tests.fleet.meter import Meter, Violation
from tests.fleet.prove import Run, live

# More of all of it: python -m tests.fleet.prove
WORLDS = [Run("limiter", seed, 0, 6000) for seed in range(8)] + [Run("limiter", 8, 500, 6000)] + [
    Run("breakers", seed, 0, 6000) for seed in range(6)] + [Run("breakers", 6, 100, 10_000)]


@pytest.mark.parametrize("run", WORLDS, ids=lambda run: f"{run.name}-{run.seed}-{run.hosts}")
def test_the_world_keeps_its_promises(run: Run) -> None:
    """Over any window no more than burst + rate * t is used, one probe is on its way, and openings are told in time."""
    found = live(run, quiet=True)
    assert not found.broken, f"{run}: {found.broken}"


def test_the_oracle_sees_too_much() -> None:
    """A unit more than burst + rate * t in one window is found, whatever came before, and one that is due is not."""
    meter = Meter(1_000_000, 10, 0)
    meter.use(10, 0)
    meter.use(5, 5000)
    with pytest.raises(Violation):
        meter.use(1, 5900)
    meter = Meter(1_000_000, 10, 0)
    meter.use(10, 0)
    meter.rule(1_000_000, 5, 0, 1000)
    meter.use(1, 1000)
    meter.use(4, 5000)
    with pytest.raises(Violation):
        meter.use(6, 100_000)


def test_the_oracle_lets_out_what_was_out() -> None:
    """What was out when a burst shrank may be used, and then no more than the smaller burst."""
    meter = Meter(1_000_000, 10, 0)
    meter.rule(1_000_000, 2, 8, 0)
    meter.use(8, 0)
    meter.advance(20_000)
    meter.tighten(0)
    meter.use(2, 20_000)
    with pytest.raises(Violation):
        meter.use(1, 20_000)
