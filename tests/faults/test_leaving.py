"""A sample of what `python -m tests.faults.leaving` does many times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.leaving import CANCELLED, POINTS, Stage, leave
from tests.faults.load import percentile

TIMES = 10


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A provider whose line has room for one request."""
    with ExitStack() as stack:
        yield Stage(stack)


@pytest.mark.parametrize("point", POINTS)
def test_leaving(stage: Stage, point: str) -> None:
    """Whenever a client leaves, its upstream request ends at once, and the one place at the provider is free again."""
    left = leave(stage, point, TIMES)
    assert len(left.returned) == TIMES
    assert len(left.cancelled) == (0 if point == "in the queue" else TIMES)
    assert not left.cancelled or percentile(left.cancelled, 0.8) < CANCELLED
