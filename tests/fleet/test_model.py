"""The purse protocol keeps its bound under loss, delay, duplication, reordering, crashes, skew and new epochs."""

from __future__ import annotations

import heapq
import os
import random
from dataclasses import dataclass, field

import pytest

from edge._fast import Held
from edge.control.fleet import purse
from tests.fleet import level

NOTHING = Held(0, 0, 0, 0, 0, 0, 0)
STEPS = int(os.environ.get("EDGE_FLEET_STEPS", "4000"))


@dataclass
class Host:
    """A host with a clock of its own (us beside the world's), and its reservations: (taken at, units)."""

    offset: int
    held: Held = NOTHING
    born: int = 0
    reservations: list[tuple[int, int]] = field(default_factory=list)

    def take(self, now: int, units: int) -> bool:
        """As purse_take does."""
        if purse.lapsed(self.held, now) or self.held.units < units:
            return False
        self.held = self.held._replace(units=self.held.units - units, reserved=self.held.reserved + units)
        return True

    def settle(self, now: int, at: int, units: int, used: int) -> None:
        """As purse_settle does."""
        back = units - used if used >= units or at >= self.born else 0
        base = purse.worth(self.held, now)
        self.held = self.held._replace(
            units=base + back if back else self.held.units,
            reserved=max(0, self.held.reserved - units) if at >= self.born else self.held.reserved)

    def lapse(self, now: int) -> None:
        """As Purses.lapse does."""
        if purse.lapsed(self.held, now):
            self.held = self.held._replace(units=min(0, self.held.units), reserved=0)
            self.born = now

    def forfeit(self, now: int) -> int:
        """What was reserved when the lease has run out is spent, whatever comes of it."""
        spent = sum(units for _, units in self.reservations) if purse.lapsed(self.held, now) else 0
        self.reservations = [] if spent else self.reservations
        return spent


class Fleet:
    """Hosts and one level on a virtual clock (us); every step is checked."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 10_000_000
        self.numbers = level.Numbers(1, self.rng.choice([500_000, 1_000_000, 10_000_000, 100_000_000]),
                                     self.rng.choice([1, 5, 50, 1000]))
        self.born = self.now
        self.level: level.Level | None = None
        self.hosts: dict[str, Host] = {}
        self.post: list[tuple[int, int, str, object]] = []
        self.count = self.made = self.admitted = 0
        self.debt, self.paid_at = 0, self.now
        for _ in range(self.rng.choice([1, 2, 3, 5, 12])):
            self.boot()

    def boot(self) -> None:
        """A new host."""
        self.made += 1
        self.hosts[f"host{self.made}"] = Host(self.rng.randint(0, 10**12))

    def clock(self, host: Host) -> int:
        """What a host's clock says, ns."""
        return (self.now + host.offset) * 1000

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
        for when, host in sorted((host.held.expires // 1000 - host.offset, name) for name, host in self.hosts.items()):
            self.admit(self.hosts[host].forfeit(self.clock(self.hosts[host])), max(when, self.paid_at))
        while self.post and self.post[0][0] <= self.now:
            _, _, name, what = heapq.heappop(self.post)
            self.arrive(name, what)
        name = self.rng.choice(list(self.hosts))
        host, event = self.hosts[name], self.rng.random()
        if event < 0.4:
            for _ in range(self.rng.randint(1, 30)):
                self.spend(host)
        elif event < 0.6:
            self.settle(host)
        elif event < 0.985:
            self.speak(name, host)
        elif event < 0.992:
            del self.hosts[name]
            self.boot()
        else:
            self.level, self.born = None, self.now

    def spend(self, host: Host) -> None:
        """A request takes what it may use, and has used it; or some of it will come back."""
        units = self.rng.choice([1, 1, 1, 2, 10])
        if host.take(self.clock(host), units):
            if self.rng.random() < 0.5:
                host.settle(self.clock(host), self.clock(host), units, units)
                self.admit(units)
            else:
                host.reservations.append((self.clock(host), units))

    def settle(self, host: Host) -> None:
        """The end of a request that has used less than it took."""
        if host.reservations:
            at, units = host.reservations.pop(self.rng.randrange(len(host.reservations)))
            used = self.rng.randint(0, units)
            host.settle(self.clock(host), at, units, used)
            self.admit(used)

    def speak(self, name: str, host: Host) -> None:
        """A host's next message."""
        now = self.clock(host)
        host.lapse(now)
        back = self.rng.choice([0, 0, max(0, purse.worth(host.held, now)) // 2])
        host.held = purse.send(host.held, back, now)
        wanted = self.rng.choice([0, 1, 10, self.numbers.burst])
        held = host.held
        self.mail(name, level.Message(self.numbers, held.seq, held.ack, held.epoch, max(0, held.units) + held.reserved,
                                      back, 0, wanted, min(1, wanted)))

    def arrive(self, name: str, what: object) -> None:
        """A message reaches Redis, or an answer its host."""
        if isinstance(what, level.Message):
            self.level, answer = level.speak(self.level, self.born, name, what, self.now)
            self.mail(name, (self.born, what.seq, answer.granted))
        elif isinstance(what, tuple) and name in self.hosts:
            host = self.hosts[name]
            host.held = purse.take(host.held, *what, self.clock(host))

    def admit(self, units: int, now: int = 0) -> None:
        """A bucket of the limit's own numbers that sees every use: it overflows when any window is exceeded."""
        if units:
            now = now or self.now
            self.debt = max(0, self.debt - (now - self.paid_at) * 1000) + units * self.numbers.interval
            self.paid_at = now
            self.admitted += units

    def check(self) -> None:
        """The invariants."""
        full = self.numbers.burst * self.numbers.interval
        assert self.debt <= full
        held = sum(max(0, purse.worth(host.held, self.clock(host))) for host in self.hosts.values())
        assert held <= self.numbers.burst
        if self.level and self.level.born == self.born:
            leases = [lease for lease in self.level.leases.values() if lease.reclaim > self.now]
            out = sum(lease.held for lease in leases)
            assert max(0, self.level.credit) + max(held, out) * self.numbers.interval <= full


@pytest.mark.parametrize("seed", range(int(os.environ.get("EDGE_FLEET_SEEDS", "12"))))
def test_no_window_admits_more_than_the_limit(seed: int) -> None:
    """Over any window no more than burst + rate * t is used, and level and purses never exceed the burst."""
    fleet = Fleet(seed)
    for step in range(STEPS):
        fleet.step()
        try:
            fleet.check()
        except AssertionError:
            pytest.fail(f"seed {seed}, step {step}: {fleet.level} {fleet.hosts}")
    assert fleet.admitted
