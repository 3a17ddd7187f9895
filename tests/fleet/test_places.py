"""Allotments of concurrent requests keep their bound under loss, delay, duplication, reordering, crashes, skew, lives
that end, new epochs and changed numbers."""

from __future__ import annotations

import heapq
import os
import random
from dataclasses import dataclass

import pytest

from edge._fast import Allotted
from edge.control.fleet import allotment
from edge.control.fleet.lives import SILENCE
from tests.fleet import lives, places

NOTHING = Allotted(0, 0, 0, 0, 0, 0, 0)
STEPS = int(os.environ.get("EDGE_FLEET_STEPS", "4000"))
SEEDS = int(os.environ.get("EDGE_FLEET_SEEDS", "12"))
LEASE = allotment.LEASE // 1000
LOOK = 200_000              # us between two words of a host that it lives,
TIMEOUT = 500_000           # and until it waits no more for an answer, mostly


@dataclass
class Host:
    """A host with a clock of its own (us beside the world's), its configuration, and its requests: `stray` are those
    that were on their way when its allotment ended, and that Redis may have forgotten. Its next word is `due`,
    and it waits for an answer until `asked` (us)."""

    offset: int
    version: int
    most: int
    held: Allotted = NOTHING
    of: int = 1
    used: int = 0
    stray: int = 0
    due: int = 0
    asked: int = 0

    @property
    def part(self) -> int:
        """As concurrency_part does."""
        return self.held.places if self.most >= self.of else self.held.places * self.most // self.of

    def renew(self, life: int, sent: int, now: int) -> None:
        """As Places.renew does."""
        until = min(sent + SILENCE, self.held.until)
        if self.held.life == life and now < self.held.expires < until:
            self.held = self.held._replace(expires=until)

    def room(self, now: int) -> int:
        """How many more it would let pass."""
        return 0 if allotment.lapsed(self.held, now) else max(0, self.part - self.used)


class Fleet:
    """Hosts and one limit on a virtual clock (us); every step is checked."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 10_000_000
        self.version, self.most = 1, self.rng.choice([1, 2, 7, 50, 1000])
        self.rules, self.ruled = self.most, [(0, 0)]    # in Redis; and until when which others are still in force
        self.born = self.now
        self.limit: places.Limit | None = None
        self.lives: lives.Lives = {}
        self.hosts: dict[str, Host] = {}
        self.post: list[tuple[int, int, str, object]] = []
        self.count = self.made = self.admitted = self.full = 0
        self.slow = self.rng.choice([20_000, 20_000, 200_000])
        for _ in range(self.rng.choice([1, 2, 3, 5, 12, 20])):
            self.boot()

    def boot(self) -> None:
        """A new host."""
        self.made += 1
        self.hosts[f"host{self.made}"] = Host(self.rng.randint(0, 10**12), self.version, self.most)

    def clock(self, host: Host) -> int:
        """What a host's clock says, ns."""
        return (self.now + host.offset) * 1000

    def mail(self, name: str, what: object) -> None:
        """Sends something: lost, once or twice, soon or late."""
        for _ in range(self.rng.choice([0, 1, 1, 1, 1, 1, 2])):
            late = self.rng.random() < 0.05
            self.count += 1
            heapq.heappush(self.post, (self.now + self.rng.randint(1, 6_000_000 if late else self.slow), self.count,
                                       name, what))

    def step(self) -> None:
        """Lets time pass, delivers what is due, and does one thing at one host."""
        took = self.rng.choice([0, 10, 1000, 20_000, 50_000, self.rng.choice([100] * 9 + [2_000_000])])
        self.now += took // max(1, len(self.hosts) // 5)        # of many each has its turn as often
        self.lapse()
        while self.post and self.post[0][0] <= self.now:
            _, _, name, what = heapq.heappop(self.post)
            self.arrive(name, what)
        for name, host in self.hosts.items():
            if self.now >= host.due:
                host.due = self.now + LOOK
                self.mail(name, self.clock(host))
        name = self.rng.choice(list(self.hosts))
        host, event = self.hosts[name], self.rng.random()
        if event < 0.35:
            more = min(host.room(self.clock(host)), self.rng.choice([1, 3, self.most]))
            host.used += more
            self.admitted += more
        elif event < 0.55:
            host.used = self.rng.randint(0, host.used)
        elif event < 0.96:
            if self.now >= host.asked or event > 0.9:
                self.speak(name, host)
        elif event < 0.97:
            host.due = self.now + 3_000_000         # its control stands still
        elif event < 0.98:
            del self.hosts[name]
            self.boot()
        elif event < 0.99:
            self.lives = {}             # and with them the epoch
            self.limit = None if self.rng.random() < 0.5 else self.limit
        else:
            self.reload(host)

    def lapse(self) -> None:
        """What is on its way when an allotment ends, or in spite of a number that was lowered, is a fact."""
        for host in self.hosts.values():
            host.stray = min(host.used, host.used if allotment.lapsed(host.held, self.clock(host)) else host.stray)
        over = [most for until, most in self.ruled if until <= self.now]
        self.ruled = [(until, most) for until, most in self.ruled if until > self.now]
        if over and max(over) > self.allowed():
            for host in self.hosts.values():
                host.stray = host.used

    def reload(self, host: Host) -> None:
        """A host reads a newer configuration, the first one or after another."""
        if host.version == self.version:
            self.version, self.most = self.version + 1, self.rng.choice([1, 2, 7, 50, 1000])
        host.version, host.most = self.version, self.most

    def speak(self, name: str, host: Host) -> None:
        """A host's next message."""
        now = self.clock(host)
        wanted = self.rng.choice([0, host.used, host.used + 3, 2 * self.most, self.most // 2])
        host.held = allotment.send(host.held._replace(places=host.part), wanted, now)
        host.of, host.asked = host.most, self.now + TIMEOUT
        told = max(host.held.places, host.used)
        need = self.rng.randint(host.used, max(host.used, 2 * wanted))
        self.mail(name, places.Message(host.most, host.held.seq, allotment.known(host.held, now), told,
                                       need, min(wanted, host.most)))

    def arrive(self, name: str, what: object) -> None:
        """A message reaches Redis, or an answer its host."""
        if isinstance(what, places.Message | int):
            if not self.lives:
                self.born = self.now
            self.lives, life = lives.live(self.lives, name, self.now)
        if isinstance(what, int):
            self.mail(name, (life, what))
        elif isinstance(what, places.Message):
            self.limit, answer = places.speak(self.limit, (self.born, life), name, what, self.now)
            if self.limit and self.limit.most != self.rules:
                self.ruled.append((self.now + LEASE, self.rules))
                self.rules = self.limit.most
            self.mail(name, (life, what.seq, answer.granted))
        elif isinstance(what, tuple) and name in self.hosts:
            host = self.hosts[name]
            if len(what) == 3:
                host.asked = 0
                host.held = allotment.take(host.held, *what, self.clock(host))
            else:
                host.renew(*what, self.clock(host))

    def total(self) -> int:
        """All requests on their way, and all that hosts would let pass."""
        return sum(host.used + host.room(self.clock(host)) for host in self.hosts.values())

    def strays(self) -> int:
        """Those of them that no limit could keep out."""
        return sum(host.stray for host in self.hosts.values())

    def allowed(self) -> int:
        """The highest number that may be in force at some host."""
        return max([self.rules, *(most for _, most in self.ruled)])

    def check(self) -> None:
        """The invariant."""
        assert self.total() <= self.allowed() + self.strays()
        self.full += self.total() == self.allowed()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_moment_has_more_than_the_limit(seed: int) -> None:
    """At no moment are there more requests, and room for more, than a limit lets through in all."""
    fleet = Fleet(seed)
    for step in range(STEPS):
        fleet.step()
        try:
            fleet.check()
        except AssertionError:
            pytest.fail(f"seed {seed}, step {step}: {fleet.rules} {fleet.ruled} {fleet.limit} {fleet.hosts}")
    assert fleet.admitted
    if os.environ.get("EDGE_FLEET_SAY"):
        print(seed, fleet.admitted, fleet.full)
