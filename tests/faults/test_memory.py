"""A worker takes hardly more memory than what came in, and gives it back: the short form of `tests.faults.memory`."""

from __future__ import annotations

import pytest

from tests.faults.memory import measure


@pytest.mark.unsanitized
@pytest.mark.parametrize("way", ["half, plain", "whole, chunked", "answers that nobody reads"])
def test_memory_for_what_came_in(way: str) -> None:
    """Resident memory grows by less than three times what came in, and is given back within seconds."""
    row = measure(way, 30, 2_000_000)
    assert row.ratio < 3, row
    assert row.left < 8_000_000, row
