"""What requests reserve of a bucket: settled to the unit, and nothing is let through for what comes back late."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from tests.fast.test_slab import SECOND, bucket


def too_much(uses: list[tuple[int, int]], interval: int, burst: int) -> float:
    """The most units beyond burst + rate x t that a window of (time, units) has; 0: none."""
    uses = sorted(uses)
    return max((sum(units for _, units in uses[first:last + 1]) - burst - (uses[last][0] - uses[first][0]) / interval
                for first in range(len(uses)) for last in range(first, len(uses))), default=0)


reservations = st.lists(st.tuples(st.sampled_from(["reserve", "reserve", "settle"]), st.integers(0, 100),
                                  st.integers(0, SECOND)), max_size=40)


@given(burst=st.integers(1, 60), steps=reservations)
def test_what_is_reserved_comes_back_to_no_full_bucket(burst: int, steps: list[tuple[str, int, int]]) -> None:
    """However late a reservation is settled, no window has used more than burst + rate x t, whether what was used
    counts from the request's beginning or from its end; and to the unit what was not used is there again."""
    slab, now, interval = bucket(100, burst), 0, SECOND // 100
    flying: list[tuple[int, int]] = []
    begun: list[tuple[int, int]] = []
    ended: list[tuple[int, int]] = []
    for what, number, passed in [*steps, *[("settle", 0, SECOND)] * len(steps)]:
        now += passed % (burst * interval)
        if what == "reserve":
            cost, before = 1 + number % burst, slab.left(0, now)
            taken = slab.reserve(0, cost, now) == 0
            assert taken == (cost <= before)
            if taken:
                flying.append((now, cost))
        elif flying:
            at, cost = flying.pop(number % len(flying))
            used = number % (cost + 1)
            before = slab.left(0, now)
            slab.settle(0, cost, used, at, now)
            assert slab.left(0, now) == before + cost - used
            begun.append((at, used))
            ended.append((now, used))
    assert too_much(begun, interval, burst) <= 0
    assert too_much(ended, interval, burst) <= 0


def test_what_a_dead_worker_has_reserved_is_spent() -> None:
    """Nobody knows which of what is reserved was its: time pays for all of it, and no late settlement gives it back."""
    begun = time.monotonic_ns() - SECOND
    slab = bucket(1, 60, begun)
    slab.beat(0, {"in_flight": 1})
    assert slab.reserve(0, 40, begun) == 0
    slab.worker_died(0)
    assert slab.left(0) == 20
    slab.settle(0, 40, 10, begun, time.monotonic_ns())
    assert slab.left(0) == 20
    now = time.monotonic_ns()
    assert slab.reserve(0, 20, now) == 0
    slab.settle(0, 20, 0, now, now)
    assert slab.left(0, now + 10 * SECOND) in (30, 31)
    assert slab.left(0, now + 41 * SECOND) == 60
