"""Limits of what is there at once: never one more over all processes, and a dead one's places are free."""

from __future__ import annotations

import mmap
import os
import random
import signal
import time
from multiprocessing.connection import Connection

import pytest

from edge._fast.shared import slab as m
from edge._fast.shared.slab import Slab
from tests.fast.processes import FORK, in_processes

SECONDS = 0.5
LIMIT = 7           # an index


def limited(workers: int, most: int) -> Slab:
    """A slab with a limit."""
    slab = Slab(workers)
    slab.set_concurrency(LIMIT, most)
    return slab


def alone(number: int, slab: Slab, shared: mmap.mmap) -> int:
    """Adds 1 to a shared number as one may who is alone there; how often."""
    done, until = 0, time.monotonic() + SECONDS
    while time.monotonic() < until:
        if slab.enter_limit(number, LIMIT):
            value = int.from_bytes(shared[:8], "little")
            shared[:8] = (value + 1).to_bytes(8, "little")
            slab.leave_limit(number, LIMIT)
            done += 1
    return done


def test_one_place_is_held_by_one() -> None:
    """Of processes that all want the one place at all times, no two ever have it."""
    slab, shared = limited(3, 1), mmap.mmap(-1, 8)
    done = in_processes(3, alone, slab, shared)
    assert min(done) > 100
    assert int.from_bytes(shared[:8], "little") == sum(done)
    assert slab.concurrency(LIMIT) == (1, 0)


def rounds(number: int, slab: Slab, shared: mmap.mmap) -> list[bool]:
    """Round after round two processes ask at the same moment, and give back when both have asked; who got a place."""
    got: list[bool] = []
    until = time.monotonic() + SECONDS

    def meet(point: int) -> None:
        shared[number] = point
        while shared[1 - number] not in (point, (point + 1) % 4, 9):
            os.sched_yield()
    while time.monotonic() < until:
        meet(1)
        got.append(slab.enter_limit(number, LIMIT))
        meet(2)
        if got[-1]:
            slab.leave_limit(number, LIMIT)
        meet(3)
        meet(0)
    shared[number] = 9
    return got


def test_a_place_is_not_left_free() -> None:
    """Two that ask at the same moment for the last place: one gets it, never both, and never neither."""
    first, second = in_processes(2, rounds, limited(2, 1), mmap.mmap(-1, 8))
    both = list(zip(first, second, strict=False))
    assert len(both) > 5
    assert {sum(pair) for pair in both[:-1]} == {1}


def test_more_and_fewer_places() -> None:
    """Who is there stays when places become fewer, and nobody comes until enough have left."""
    slab = limited(2, 2)
    assert [slab.enter_limit(worker, LIMIT) for worker in (0, 1, 0)] == [True, True, False]
    slab.set_concurrency(LIMIT, 3)
    assert [slab.enter_limit(1, LIMIT), slab.enter_limit(0, LIMIT)] == [True, False]
    slab.set_concurrency(LIMIT, 1)
    for _ in range(2):
        slab.leave_limit(1, LIMIT)
        assert not slab.enter_limit(0, LIMIT)
    slab.leave_limit(0, LIMIT)
    assert slab.concurrency(LIMIT) == (1, 0) and slab.enter_limit(0, LIMIT)
    slab.set_concurrency(LIMIT, 0)
    assert all(slab.enter_limit(1, LIMIT) for _ in range(100))


def come_and_go(number: int, slab: Slab, said: Connection) -> None:
    """A worker that takes and gives back as fast as it can, until it is killed."""
    rng = random.Random(os.getpid())
    held = 0
    said.send(True)
    while True:
        if held and rng.random() < 0.5:
            slab.leave_limit(number, LIMIT)
            held -= 1
        elif slab.enter_limit(number, LIMIT):
            held += 1


def test_a_killed_workers_places_come_back() -> None:
    """Whenever a worker is killed, what it held is free, to the unit, and what others hold is not."""
    slab = limited(3, 5)
    assert slab.enter_limit(2, LIMIT)
    ours, theirs = FORK.Pipe(duplex=False)
    rng = random.Random(1)
    for _ in range(15):
        workers = [FORK.Process(target=come_and_go, args=(number, slab, theirs), daemon=True) for number in (0, 1)]
        for worker in workers:
            worker.start()
        for _worker in workers:
            ours.recv()
        time.sleep(rng.uniform(0, 0.01))            # a moment of theirs: any will do
        for number, worker in enumerate(workers):
            os.kill(worker.pid or 0, signal.SIGKILL)
            worker.join(30)
            slab.beat(number)
            slab.worker_died(number)
        assert slab.concurrency(LIMIT) == (5, 1)
    assert [slab.enter_limit(0, LIMIT) for _ in range(5)] == [True] * 4 + [False]


def test_the_next_generation_counts_too() -> None:
    """Workers of an older program count what more workers of the next one hold, and the other way round."""
    old = limited(1, 2)
    new = Slab(3, os.dup(old.descriptor))
    assert new.enter_limit(m.GENERATION + 2, LIMIT) and old.enter_limit(0, LIMIT)
    assert not old.enter_limit(0, LIMIT) and not new.enter_limit(m.GENERATION, LIMIT)
    new.beat(m.GENERATION + 2)
    new.retired(m.GENERATION + 2)
    assert new.concurrency(LIMIT) == (2, 1)


def test_a_new_owner_begins_with_none() -> None:
    """An index that another owner gets holds nothing of the one before."""
    slab = limited(2, 1)
    assert slab.enter_limit(1, LIMIT)
    slab.clear([], [LIMIT], [], [])
    assert slab.concurrency(LIMIT) == (0, 0)


@pytest.mark.parametrize("index", [-1, m.MAX_BUCKETS])
def test_indices_are_checked(index: int) -> None:
    """An index outside the slab is an IndexError."""
    slab = Slab(1)
    for call in (lambda: slab.set_concurrency(index, 1), lambda: slab.concurrency(index),
                 lambda: slab.enter_limit(0, index), lambda: slab.leave_limit(0, index)):
        with pytest.raises(IndexError):
            call()
