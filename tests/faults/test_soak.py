"""A few seconds of what `python -m tests.faults.soak` does for long, and how it tells growth from noise."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import uvloop

from tests.faults.soak import soak, start, trend
from tests.support.looks import at_rest, faults

SECONDS = 4


def test_everything_at_once() -> None:
    """Providers that fail in every way and clients that behave in none leave nothing in flight and no traceback."""
    with ExitStack() as stack:
        gateway = start(stack, workers=2)
        watch, traffic = uvloop.run(soak(gateway, clients=16, seconds=SECONDS, seed=7))
        at_rest(gateway)
        assert faults(gateway) == []
    assert traffic.ended[200] > 20 and traffic.left > 20
    assert 0 not in traffic.ended
    assert len(watch.times) >= SECONDS - 1
    assert {figure.what for figure in watch.samples} == {"memory", "descriptors", "connections", "in flight"}


def test_trend() -> None:
    """A line's slope is told per hour, and what it makes over the time."""
    line = trend([0, 900, 1800], [10, 12, 14])
    assert (line.middle, line.hours) == (12, 0.5)
    assert (line.slope, line.growth) == (pytest.approx(8), pytest.approx(4))
