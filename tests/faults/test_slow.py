"""A sample of what `python -m tests.faults.slowloris` measures."""

from __future__ import annotations

from contextlib import ExitStack

from tests.faults.attack import Plan
from tests.faults.slowloris import phases, ratio, start

PLAN = Plan(idle=400, heads=40, bodies=40, answers=10, settle=1)


def test_slow_clients_beside_normal_load() -> None:
    """Clients that drip their heads and bodies, read slowly or say nothing take nothing from those who do not."""
    with ExitStack() as stack:
        without, beside = phases(start(stack), PLAN, seconds=1.5, rounds=1)
    assert all(phase.connections >= PLAN.all * 0.9 for phase in beside)
    assert {one.status for phase in (*without, *beside) for one in phase.ended} == {200}
    assert ratio(without, beside) > 0.5     # the command holds it to 0.95, on a machine that does nothing else
