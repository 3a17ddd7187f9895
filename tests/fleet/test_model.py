"""The purse protocol keeps its bound under loss, delay, duplication, reordering, crashes, skew and new epochs."""

from __future__ import annotations

import heapq
import os
import random

import pytest

from tests.fleet import level, purse

STEPS = int(os.environ.get("EDGE_FLEET_STEPS", "4000"))


class Fleet:
    """Hosts and one level on a virtual clock (us); every step is checked."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.interval = self.rng.choice([500_000, 1_000_000, 10_000_000, 100_000_000])
        self.burst = self.rng.choice([1, 5, 50, 1000])
        self.now = 10_000_000
        self.born = self.now
        self.level: level.Level | None = None
        self.hosts: dict[str, tuple[purse.Purse, int]] = {}
        self.post: list[tuple[int, int, str, object]] = []
        self.count = self.made = self.admitted = 0
        self.debt, self.paid_at = 0, self.now
        for _ in range(self.rng.randint(1, 12)):
            self.boot()

    def boot(self) -> None:
        """A host with a clock of its own."""
        self.made += 1
        self.hosts[f"host{self.made}"] = (purse.Purse(), self.rng.randint(0, 10**12))

    def mail(self, name: str, what: object) -> None:
        """Sends something: lost, once or twice, soon or late."""
        for _ in range(self.rng.choice([0, 1, 1, 1, 1, 1, 2])):
            slow = self.rng.random() < 0.1
            self.count += 1
            when = self.now + self.rng.randint(1, 2_500_000 if slow else 20_000)
            heapq.heappush(self.post, (when, self.count, name, what))

    def step(self) -> None:
        """Lets time pass, delivers what is due, and does one thing at one host."""
        self.now += self.rng.choice([0, 10, 1000, 20_000, 20_000, 50_000, self.rng.randint(0, 1_500_000)])
        while self.post and self.post[0][0] <= self.now:
            _, _, name, what = heapq.heappop(self.post)
            self.arrive(name, what)
        name = self.rng.choice(list(self.hosts))
        mine, offset = self.hosts[name]
        event = self.rng.random()
        if event < 0.55:
            for _ in range(self.rng.randint(1, 30)):
                mine, done = purse.spend(mine, self.now + offset)
                self.admit(done)
        elif event < 0.985:
            back = self.rng.choice([0, 0, purse.worth(mine, self.now + offset) // 2])
            mine = purse.send(mine, back, self.now + offset)
            wanted = self.rng.choice([0, 1, 10, self.burst])
            self.mail(name, level.Message(self.interval, self.burst, mine.seq, mine.ack, mine.units, back, wanted))
        elif event < 0.995:
            del self.hosts[name]
            return self.boot()
        else:
            self.level, self.born = None, self.now
        self.hosts[name] = (mine, offset)

    def arrive(self, name: str, what: object) -> None:
        """A message reaches Redis, or an answer its host."""
        if isinstance(what, level.Message):
            self.level, answer = level.speak(self.level, self.born, name, what, self.now)
            self.mail(name, (self.born, what.seq, answer.granted))
        elif isinstance(what, tuple) and name in self.hosts:
            mine, offset = self.hosts[name]
            self.hosts[name] = (purse.take(mine, *what, self.now + offset), offset)

    def admit(self, done: bool) -> None:
        """A bucket of the limit's own numbers that sees every admission: it overflows when any window is exceeded."""
        self.debt = max(0, self.debt - (self.now - self.paid_at) * 1000) + done * self.interval
        self.paid_at = self.now
        self.admitted += done

    def check(self) -> None:
        """The invariants."""
        assert self.debt <= self.burst * self.interval
        held = sum(purse.worth(mine, self.now + offset) for mine, offset in self.hosts.values())
        assert held <= self.burst
        if self.level:
            leases = [lease for lease in self.level.leases.values() if lease.reclaim > self.now]
            out = sum(lease.held for lease in leases)
            assert self.level.credit + max(held, out) * self.interval <= self.burst * self.interval


@pytest.mark.parametrize("seed", range(int(os.environ.get("EDGE_FLEET_SEEDS", "12"))))
def test_no_window_admits_more_than_the_limit(seed: int) -> None:
    """Over any window no more than burst + rate * t is admitted, and level and purses never exceed the burst."""
    fleet = Fleet(seed)
    for step in range(STEPS):
        fleet.step()
        try:
            fleet.check()
        except AssertionError:
            pytest.fail(f"seed {seed}, step {step}: {fleet.level} {fleet.hosts}")
    assert fleet.admitted
