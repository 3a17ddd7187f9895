"""Lines from workers to control: whole, in order, and none twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge._fast import Lines, Slab

ROOM, HEAD = 1 << 21, 4


@pytest.fixture(scope="module")
def slab() -> Iterator[Slab]:
    """Two workers that have had clients."""
    slab = Slab(2)
    for worker in range(2):
        slab.beat(worker, {"accepted": 1})
    yield slab


steps = st.lists(st.one_of(st.none(), st.tuples(
    st.integers(0, 1), st.integers(0, 800_000), st.booleans(), st.booleans())), max_size=40)


@given(steps)
def test_what_goes_in_comes_out(slab: Slab, steps: list[tuple[int, int, bool, bool] | None]) -> None:
    """Lines come out once, whole and in their order, for the log and to be kept; what has no room is counted."""
    lines = Lines(slab)
    lines.take()
    lost, used = lines.lost, [0, 0]
    waiting: list[list[tuple[bytes, bool, bool]]] = [[], []]
    for number, step in enumerate([*steps, None]):
        if step is None:
            logged, kept, _ = lines.take()
            every = waiting[0] + waiting[1]
            assert logged == b"".join(line for line, log, _ in every if log)
            assert kept == [line for line, _, keep in every if keep]
            waiting, used = [[], []], [0, 0]
            continue
        worker, size, log, keep = step
        line = bytes([number]) * size
        fits = used[worker] + size + HEAD <= ROOM
        assert lines.put(worker, line, log, keep) == fits
        if fits:
            waiting[worker].append((line, log, keep))
            used[worker] += size + HEAD
        else:
            lost += 1
        assert lines.lost == lost


def resident() -> int:
    """Pages of shared memory that this process has touched."""
    return int(Path("/proc/self/statm").read_text().split()[2])


def test_unused_memory_is_not_touched() -> None:
    """Workers without a client cost no memory: to take their lines makes no page."""
    lines, before = Lines(Slab(64)), resident()
    assert lines.take() == (b"", [], [])
    made = resident()
    assert lines.take() == (b"", [], []) and resident() == made < before + 2 * 65
