"""The shared memory: buckets exact over processes, counters whole, gauges freed with their worker."""

from __future__ import annotations

import os
import re
import signal
from bisect import bisect_left
from multiprocessing.connection import Connection
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge._fast.shared import slab as m
from edge._fast.shared.slab import Slab
from tests.fast.processes import FORK, in_processes
from tests.laws.sources import ROOT

SECOND = 1_000_000_000


class SlowBucket:
    """The textbook's: so many units in the bucket, refilled on every look, in whole nanoseconds of credit."""

    def __init__(self, interval: int, burst: int, now: int) -> None:
        self.interval, self.full = interval, burst * interval
        self.credit, self.seen = self.full, now

    def look(self, now: int) -> None:
        """Refill."""
        self.credit = min(self.full, self.credit + now - self.seen)
        self.seen = now

    def take(self, cost: int, now: int) -> int:
        """0 when taken, else how long to wait."""
        self.look(now)
        price = cost * self.interval
        if price > self.full:
            return m.UNLIMITED
        if price > self.credit:
            return price - self.credit
        self.credit -= price
        return 0

    def give(self, cost: int, now: int) -> None:
        """Put back."""
        self.look(now)
        self.credit = min(self.full, self.credit + cost * self.interval)

    def left(self, now: int) -> int:
        """Whole units in the bucket."""
        self.look(now)
        return self.credit // self.interval


def bucket(rate: float, burst: int, now: int = 0) -> Slab:
    """A slab whose bucket 0 has these terms."""
    slab = Slab(1)
    slab.set_bucket(0, rate, burst, now)
    return slab


# Buckets

steps = st.lists(st.tuples(st.sampled_from(["take", "take", "take", "give", "look"]),
                           st.integers(0, 6), st.integers(0, 3 * SECOND)), max_size=40)


@given(rate=st.floats(1e-3, 1e9), burst=st.integers(1, 8), began=st.integers(0, 10**15), steps=steps)
def test_bucket_agrees_with_the_textbook(
        rate: float, burst: int, began: int, steps: list[tuple[str, int, int]]) -> None:
    """A bucket takes, refuses, waits, gives back and counts what is left exactly as the textbook's does."""
    slab, now = bucket(rate, burst, began), began
    assert slab.take(0, 1, began) == 0
    interval = slab.full_in(0, began)
    assert 0 <= interval - SECOND / rate <= 1 + 1e-6 * interval     # never faster than asked
    slab.give(0, 1)
    oracle = SlowBucket(interval, burst, began)
    for what, cost, passed in steps:
        now += passed % (3 * interval)
        if what == "take":
            assert slab.take(0, cost, now) == oracle.take(cost, now)
        elif what == "give" and slab.full_in(0, now) >= cost * interval:
            slab.give(0, cost)
            oracle.give(cost, now)
        assert slab.left(0, now) == oracle.left(now)
        assert slab.full_in(0, now) == oracle.full - oracle.credit


@given(times=st.lists(st.integers(0, 20 * SECOND), min_size=1, max_size=60), burst=st.integers(1, 5))
def test_clock_that_goes_backwards_admits_no_more_and_recovers(times: list[int], burst: int) -> None:
    """In whatever order times come, a bucket admits at most burst + rate x their span, and fills up after."""
    slab = bucket(10, burst, min(times))
    admitted = sum(slab.take(0, 1, now) == 0 for now in times)
    assert admitted <= burst + 10 * (max(times) - min(times)) / SECOND
    assert slab.left(0, max(times) + burst * SECOND // 10) == burst


@given(cost=st.integers(1, 5), spent=st.integers(0, 5), passed=st.integers(0, SECOND))
def test_wait_is_the_exact_time_until_it_can_succeed(cost: int, spent: int, passed: int) -> None:
    """One nanosecond before the announced time a step is refused, at that time it succeeds."""
    slab = bucket(7, 5)
    slab.take(0, spent, 0)
    wait = slab.take(0, cost, passed)
    if wait:
        assert slab.take(0, cost, passed + wait - 1) == 1
        assert slab.take(0, cost, passed + wait) == 0


def test_more_than_a_full_bucket_is_never_taken() -> None:
    """A cost above the burst is refused for good, also where the product would not fit a word."""
    slab = bucket(1, 3)
    assert slab.take(0, 4, 0) == slab.take(0, 2**62, 0) == m.UNLIMITED
    assert slab.left(0, 0) == 3


def test_bucket_without_terms_is_unlimited() -> None:
    """A bucket that was never set, or was set to rate 0, admits everything and is always full."""
    slab = Slab(1)
    for _ in range(2):
        assert [slab.take(0, 10**12) for _ in range(3)] == [0, 0, 0]
        slab.give(0, 5)
        assert (slab.left(0), slab.limit(0), slab.full_in(0)) == (m.UNLIMITED, m.UNLIMITED, 0)
        slab.set_bucket(0, 0, 0)


def test_buckets_are_apart() -> None:
    """A step of one bucket changes no other, from the first index to the last."""
    slab = Slab(1)
    for index in (0, 1, m.MAX_BUCKETS - 1):
        slab.set_bucket(index, 1, 2)
    slab.take(1, 2)
    assert [slab.left(index) for index in (0, 1, m.MAX_BUCKETS - 1)] == [2, 0, 2]


@pytest.mark.parametrize(("rate", "burst"),
                         [(-1, 1), (float("nan"), 1), (float("inf"), 1), (1, 0), (1e-9, 10)])
def test_terms_that_are_none_are_refused(rate: float, burst: int) -> None:
    """A negative or infinite rate, an empty bucket, or one that takes ages to fill is a ValueError."""
    with pytest.raises(ValueError, match="a bucket of"):
        Slab(1).set_bucket(0, rate, burst)


def test_indices_are_checked() -> None:
    """An index outside the slab is an IndexError, a negative cost a ValueError."""
    slab = Slab(2)
    for call in (lambda: slab.take(m.MAX_BUCKETS), lambda: slab.left(-1), lambda: slab.worker_total(2),
                 lambda: slab.series_total(m.MAX_SERIES), lambda: slab.worker_died(-1),
                 lambda: slab.account(0, 0, m.N_OUTCOMES, (0, 0, 0), (0, 0, 0))):
        with pytest.raises(IndexError):
            call()
    slab.set_bucket(0, 1, 2)
    for step in (lambda: slab.take(0, -1), lambda: slab.give(0, -1), lambda: slab.give(0, 3)):
        with pytest.raises(ValueError, match="cost"):
            step()
    for workers in (0, m.MAX_WORKERS + 1):
        with pytest.raises(ValueError, match="workers"):
            Slab(workers)


@given(spent=st.integers(0, 10), rate=st.sampled_from([0.1, 1.0, 50.0]), burst=st.integers(1, 20),
       passed=st.integers(0, 5 * SECOND))
def test_new_terms_keep_what_is_missing(spent: int, rate: float, burst: int, passed: int) -> None:
    """Units missing from a bucket at a change of its terms are missing after it, up to the new burst."""
    slab = bucket(2, 10)
    slab.take(0, spent, 0)
    missing = slab.full_in(0, passed) / (SECOND / 2)
    slab.set_bucket(0, rate, burst, passed)
    assert slab.limit(0) == burst
    assert slab.full_in(0, passed) == pytest.approx(min(missing, burst) * SECOND / rate, abs=2)


def test_same_terms_again_change_nothing() -> None:
    """A reload that leaves a limit alone does not disturb its bucket."""
    slab = bucket(3, 10)
    slab.take(0, 7, 0)
    slab.set_bucket(0, 3, 10, 10)
    assert (slab.left(0, 0), slab.full_in(0, 0)) == (3, 7 * (SECOND // 3 + 1))


def greedy(_number: int, slab: Slab, until: int) -> tuple[int, int, int]:
    """Take until `until`; units taken, time of the last refusal, time of the last try."""
    admitted, refused, now = 0, 0, 0
    while now < until:
        now = m.monotonic()
        if slab.take(0, 1, now) == 0:
            admitted += 1
        else:
            refused = now
    return admitted, refused, now


def test_bucket_is_exact_over_processes() -> None:
    """Greedy processes together get burst + rate x t, and not one unit more or less."""
    began = m.monotonic()
    slab = bucket(20_000, 20_000, began)        # not full again before the end, however late a process starts
    assert slab.take(0, 20_000, began) == 0
    results = in_processes(3, greedy, slab, began + SECOND // 2)
    granted = (20_000 + sum(result[0] for result in results)) * 50_000
    assert granted <= 20_000 * 50_000 + max(result[2] for result in results) - began
    # A refusal shows that less than one unit was left at its time.
    assert granted > 20_000 * 50_000 + max(result[1] for result in results) - began - 50_000


def test_bucket_is_exact_while_its_rate_changes() -> None:
    """Changes of the rate under load mint no units: what is admitted stays between the two rates' bounds."""
    began = m.monotonic()
    slab = bucket(20_000, 20_000, began)
    slab.take(0, 20_000, began)
    until = began + SECOND // 2

    def work(number: int) -> tuple[int, int, int]:
        if number:
            return greedy(number, slab, until)
        changes = 0
        while m.monotonic() < until:
            changes += 1
            slab.set_bucket(0, 20_000 if changes % 2 else 10_000, 20_000)
        return 0, 0, changes

    results = in_processes(3, work)
    changes = min(result[2] for result in results)
    admitted = sum(result[0] for result in results)
    assert changes > 10
    assert admitted <= 20_000 * (max(result[2] for result in results) - began) / SECOND
    # Each change rounds what is missing up to a whole nanosecond.
    assert admitted > 10_000 * (max(result[1] for result in results) - began - changes) / SECOND - 1


def take_both(_number: int, slab: Slab) -> int:
    """Take a unit of both limits, or of none; how many were taken."""
    got = 0
    for _ in range(2_000):
        if slab.take(0, 1, 0) == 0:
            if slab.take(1, 1, 0) == 0:
                got += 1
            else:
                slab.give(0, 1)
    return got


def test_two_limits_are_taken_all_or_none() -> None:
    """A unit of the first limit comes back whenever the second refuses, in any number of processes."""
    slab = Slab(1)
    slab.set_bucket(0, 0.001, 3_000, 0)
    slab.set_bucket(1, 0.001, 1_000, 0)
    assert sum(in_processes(3, take_both, slab)) == 1_000
    assert (slab.left(0, 0), slab.left(1, 0)) == (2_000, 0)


# Counters

@given(st.one_of(st.integers(-5, 700 * SECOND), st.sampled_from(m.LONG_BOUNDS + m.SHORT_BOUNDS).flatmap(
    lambda bound: st.integers(round(bound * SECOND) - 1, round(bound * SECOND) + 1))))
def test_observation_falls_into_its_bucket(ns: int) -> None:
    """A time is counted under the first bound that is not below it, and summed; one below 0 counts as 0."""
    slab = Slab(1)
    slab.account(0, 2, 0, (ns, ns, ns), (0, 0, 0))
    total = slab.series_total(2)
    for histogram, bounds in ((total.total, m.LONG_BOUNDS), (total.first_byte, m.LONG_BOUNDS),
                              (total.overhead, m.SHORT_BOUNDS)):
        at = bisect_left([round(bound * SECOND) for bound in bounds], ns)
        assert histogram.counts == [int(i == at) for i in range(m.N_BOUNDS + 1)]
        assert histogram.sum_ns == max(ns, 0)


def test_relayed_statuses_have_slots_of_their_own() -> None:
    """Each listed status has one slot, 200 is 'ok', and whatever else a provider says shares the last."""
    listed = {status: m.slot_of(status) for status in m.RELAYED_STATUSES}
    assert sorted(listed.values()) == list(range(m.RELAYED, m.RELAYED + len(m.RELAYED_STATUSES)))
    other = m.RELAYED + len(m.RELAYED_STATUSES)
    assert other < m.N_OUTCOMES
    assert m.slot_of(200) == 0
    assert {m.slot_of(status) for status in (-1, 0, 99, 299, 418, 599, 600, 10**6)} == {other}


def work_until_killed(number: int, slab: Slab, said: Connection) -> None:
    """A worker that has requests in flight and never comes to their end."""
    slab.beat(number, {"connections": 3, "upstream_connections": 2, "accepted": 3})
    slab.enter(number, 5, 4)
    slab.account(number, 5, 0, (1, 1, 1), (10, 20, 5))
    said.send(True)
    signal.pause()


def test_dead_worker_keeps_its_counts_and_frees_its_slots() -> None:
    """After kill -9 a worker's counts stand, its gauges are 0, and its successor continues the stripe."""
    slab = Slab(2)
    slab.enter(0, 5, 1)
    ours, theirs = FORK.Pipe(duplex=False)
    for life in (1, 2):
        process = FORK.Process(target=work_until_killed, args=(1, slab, theirs), daemon=True)
        process.start()
        ours.recv()
        assert slab.series_total(5).in_flight == 5
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join(30)
        slab.worker_died(1)
        slab.restarted(1)
        worker, series = slab.worker_total(1), slab.series_total(5)
        assert (worker.connections, worker.upstream_connections, series.in_flight) == (0, 0, 1)
        assert (worker.accepted, worker.restarts, series.outcomes[0]) == (3 * life, life, life)
        assert series[2:5] == (10 * life, 20 * life, 5 * life)


def test_generations_count_side_by_side() -> None:
    """A worker's figures are those of both generations, and when one has retired its gauges and its heartbeat are 0."""
    slab = Slab(2)
    for stripe in (1, m.GENERATION + 1):
        slab.beat(stripe, {"connections": 3, "accepted": 4})
        slab.enter(stripe, 5, 2)
        slab.account(stripe, 5, 0, (1, 1, 1), (1, 1, 1))
    assert slab.heartbeat(1) < slab.heartbeat(m.GENERATION + 1) == slab.worker_total(1).heartbeat_ns
    assert (slab.worker_total(1)[1:3], slab.series_total(5).in_flight) == ((8, 6), 4)
    slab.retired(m.GENERATION + 1)
    worker, series = slab.worker_total(1), slab.series_total(5)
    assert (worker[1:3], series.in_flight, series.outcomes[0]) == ((8, 3), 2, 2)
    assert worker.heartbeat_ns == slab.heartbeat(1)
    assert slab.worker_total(0)[:3] == (0, 0, 0)


def test_control_has_a_stripe() -> None:
    """Control shows that it lives in either generation, and no worker's figure tells of it."""
    slab = Slab(m.MAX_WORKERS)
    for stripe in (m.CONTROL, m.GENERATION + m.CONTROL):
        assert slab.heartbeat(stripe) == 0
        slab.beat(stripe)
        assert slab.heartbeat(stripe) > 0
    assert all(slab.worker_total(worker).heartbeat_ns == 0 for worker in range(m.MAX_WORKERS))
    for stripe in (2 * m.GENERATION, -1):
        with pytest.raises(IndexError):
            slab.heartbeat(stripe)


def test_memory_is_taken_over_by_its_descriptor() -> None:
    """A slab made of another's descriptor is that one, with as many workers as either; any other file is refused."""
    first = Slab(2)
    first.account(1, 5, 0, (1, 1, 1), (1, 1, 1))
    second = Slab(3, os.dup(first.descriptor))
    assert (second.workers, second.series_total(5).outcomes[0]) == (3, 1)
    second.account(2, 5, 0, (1, 1, 1), (1, 1, 1))
    assert Slab(1, os.dup(first.descriptor)).series_total(5).outcomes[0] == 2
    size = os.fstat(first.descriptor).st_size
    for length in (0, size, size + 1):
        other = os.memfd_create("other")
        os.ftruncate(other, length)
        with pytest.raises(ValueError, match="another"):
            Slab(2, other)
        os.close(other)             # it is still ours


def test_the_layout_knows_every_declaration() -> None:
    """Fields that change place, name or type give the memory another layout: a version that has others begins anew."""
    source = (ROOT / "edge/_fast/shared/slab.pxd").read_text()
    assert crc32(re.sub(r"\s*#.*", "", source).encode()) == m.DECLARED
    assert crc32(re.sub(r"\s*#.*", "", source.replace("int64_t failures ", "int64_t probe ", 1)).encode()) != m.DECLARED


def shared_bytes() -> int:
    """Shared memory that this process has touched."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssShmem:")[1].split()[0]) * 1024


def test_untouched_memory_costs_nothing() -> None:
    """A slab for 64 workers takes pages only for what was written, also after everything was read."""
    before = shared_bytes()
    slab = Slab(m.MAX_WORKERS)
    slab.set_bucket(0, 1, 1)
    slab.account(3, 1, 0, (1, 1, 1), (0, 0, 0))
    for index in range(m.MAX_SERIES):
        slab.series_total(index)
    for worker in range(m.MAX_WORKERS):
        slab.worker_died(worker)
    assert shared_bytes() - before <= (2 * m.MAX_WORKERS + 4) * 4096


def test_steps_are_cheap() -> None:
    """A bucket step takes at most 100 ns and an observation at most 50 ns, at their best of five."""
    slab = bucket(1e6, 1000)
    assert 0 < min(slab.bench_take(0, 20_000) for _ in range(5)) <= 100
    assert 0 < min(slab.bench_observe(0, 2, 20_000) for _ in range(5)) <= 50


# ---- who made an id ----


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, m.MAX_POOLS - 1)), max_size=200))
def test_makers_of_ids_are_known(said: list[tuple[int, int]]) -> None:
    """While there are few, an id is its last maker's, as in a dictionary; one that nobody has made is nobody's."""
    slab, known = Slab(1), dict[int, int]()
    for number, pool in said:
        slab.made(b"id-%d" % number, pool)
        known[number] = pool
    for number in range(50):
        assert slab.maker_of(b"id-%d" % number) == known.get(number, -1)


def test_makers_of_old_ids_go_first() -> None:
    """A full table forgets: the oldest of what comes together, so that nearly all that is new is known."""
    slab, hour = Slab(1), 3600 * SECOND
    for number in range(3 * m.MAX_IDS):
        slab.made(b"id-%d" % number, number % m.MAX_POOLS, number * hour // 1000)
    found = [slab.maker_of(b"id-%d" % number) for number in range(3 * m.MAX_IDS)]
    assert all(pool in (-1, number % m.MAX_POOLS) for number, pool in enumerate(found))
    assert sum(pool >= 0 for pool in found) == m.MAX_IDS
    newest = found[-m.MAX_IDS // 2:]
    assert sum(pool < 0 for pool in newest) < len(newest) / 20
    assert sum(pool >= 0 for pool in found[:m.MAX_IDS]) < m.MAX_IDS / 100


def test_makers_of_ids_made_at_once_are_spread() -> None:
    """What comes within minutes does not always take the same places."""
    slab = Slab(1)
    for number in range(4 * m.MAX_IDS):
        slab.made(b"id-%d" % number, 1, SECOND)
    assert sum(slab.maker_of(b"id-%d" % number) == 1 for number in range(3 * m.MAX_IDS, 4 * m.MAX_IDS)) > m.MAX_IDS / 2


def test_makers_that_are_gone_are_forgotten() -> None:
    """A pool's index that is given to another provider takes no ids along; the others keep theirs."""
    slab = Slab(1)
    for number in range(1000):
        slab.made(b"id-%d" % number, number % 10)
    slab.clear([], [], [], [3, 7, 200])
    for number in range(1000):
        assert slab.maker_of(b"id-%d" % number) == (-1 if number % 10 in (3, 7) else number % 10)
    with pytest.raises(IndexError):
        slab.made(b"x", m.MAX_POOLS)


def make_ids(number: int, slab: Slab) -> None:
    """A process that says of many ids, which others say of as well, whose they are."""
    for turn in range(20_000):
        slab.made(b"id-%d" % (turn % 500), (turn % 500) % m.MAX_POOLS)
        assert slab.maker_of(b"id-%d" % (turn % 500)) == (turn % 500) % m.MAX_POOLS, number


def test_makers_are_shared() -> None:
    """Processes that write and read the same ids at once agree about all of them."""
    slab = Slab(4)
    in_processes(4, make_ids, slab)
    assert all(slab.maker_of(b"id-%d" % number) == number % m.MAX_POOLS for number in range(500))
