"""Balances of points: exact under concurrency, and right again whoever is killed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge._fast import Balances, Slab
from tests.fast.processes import in_processes

WORKERS, STEPS = 3, 4000
ALL, MONTH, DAY, HOUR = range(4)


def made(*parts: int | None) -> tuple[Balances, int, Slab]:
    """A balance of so many points, by part."""
    slab = Slab(WORKERS)
    balances = Balances(slab)
    index = balances.claim(b"#1")
    balances.grant(index, (*parts, *[None] * (4 - len(parts))))
    return balances, index, slab


steps = st.lists(st.tuples(st.integers(0, WORKERS - 1), st.integers(0, 400), st.one_of(st.none(), st.integers(0, 900))),
                 max_size=60)


@given(steps, st.integers(0, 1000), st.integers(0, 1000))
def test_it_counts_as_a_sum(steps: list[tuple[int, int, int | None]], granted: int, month: int) -> None:
    """What may be reserved is what was granted, less what is held and what was settled, to the last micro-point."""
    balances, index, _ = made(granted, month)
    held: list[tuple[int, int]] = []
    used = 0
    for worker, cost, settled in steps:
        if settled is None:
            rest = granted - used, month - used
            found = balances.take(worker, index, cost)
            assert found == (ALL + 1 if cost > rest[ALL] else MONTH + 1 if cost > rest[MONTH] else 0)
            if not found:
                used += cost
                held.append((worker, cost))
        elif held:
            worker, cost = held.pop()
            balances.settle(worker, index, cost, settled)
            used += settled - cost
        assert balances.left(index) == (granted - used, month - used, None, None)
        assert balances.held(index) == sum(cost for _, cost in held)


def hammer(number: int, balances: Balances, index: int) -> int:
    """Reserves and settles as fast as it can; what it has settled."""
    settled = 0
    for step in range(STEPS):
        cost = 1 + (step * 7 + number) % 5
        if balances.take(number, index, cost) == 0:
            balances.settle(number, index, cost, cost - 1)
            settled += cost - 1
    return settled


def test_workers_at_once_take_no_more_than_there_is() -> None:
    """However many workers reserve and settle at the same moment, together they settle no more than was granted."""
    balances, index, _ = made(10_000)
    settled = sum(in_processes(WORKERS, hammer, balances, index))
    assert balances.left(index)[ALL] == 10_000 - settled and 0 <= 10_000 - settled < 5
    assert balances.held(index) == 0


def grab(number: int, balances: Balances, index: int) -> int:
    """Takes one after the other while there is one."""
    count = 0
    while balances.take(number, index, 1) == 0:
        count += 1
    return count


def test_all_of_it_can_be_had() -> None:
    """Workers that reserve until they are refused get together what was granted, to the last micro-point."""
    balances, index, _ = made(5000)
    assert sum(in_processes(WORKERS, grab, balances, index)) == 5000 == balances.held(index)


def test_what_a_dead_worker_held_comes_back() -> None:
    """The reservations of a worker that has died are free, and what it had settled stays spent."""
    balances, index, _ = made(1000)
    assert balances.take(0, index, 300) == balances.take(1, index, 500) == 0
    balances.settle(0, index, 0, 100)
    balances.forget(0)
    assert balances.left(index)[ALL] == 1000 - 500 - 100
    balances.forget(1)
    assert balances.left(index)[ALL] == 900


def test_nobody_is_refused_for_what_nobody_has_granted() -> None:
    """A balance of which control has not spoken yet refuses nothing for good: who asks learns that it is not known."""
    slab = Slab(1)
    balances = Balances(slab)
    assert balances.find(b"key") == 0
    index = balances.claim(b"key")
    assert balances.claim(b"key") == balances.find(b"key") == index and balances.claim(b"other") != index
    assert balances.take(0, index, 1) == -1
    balances.grant(index, (None, None, None, 1))
    assert balances.take(0, index, 2) == HOUR + 1 and balances.take(0, index, 1) == 0


def test_what_is_granted_can_be_said_again() -> None:
    """A credit is in force at once, whatever was spent meanwhile, and a balance may be in debt."""
    balances, index, _ = made(100)
    assert balances.take(0, index, 100) == 0
    balances.settle(0, index, 100, 250)
    assert balances.left(index)[ALL] == -150 and balances.take(0, index, 1) == ALL + 1
    balances.grant(index, (400, None, None, None))
    assert balances.left(index)[ALL] == 150 and balances.take(0, index, 150) == 0
