"""A fleet and one provider on a virtual clock: hosts, what they find of it, and how they tell each other.

Hosts judge and speak by the product's own code (Healths and Circuits, a target of one shared memory for each), Redis by
the model of its script. Calls take their time, and some are lost on the way there or back; hosts die, with the probe on
its way too, and new ones come; Redis is emptied. Times in us, but for the hosts' own clocks.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable

from edge._fast import Healths, Slab
from edge.control.fleet.circuits import HELD, OPEN, PROBE, Circuits, Known
from edge.control.fleet.process import LOOK, WAIT
from edge.control.fleet.reasons import TIMEOUT
from edge.values.snapshot import Breaker as Rules
from tests.fleet import breakers
from tests.fleet.breakers import Breaker

TARGET = "one/m"
RULES = Rules(failures=3, open_time=2.0, max_open_time=8.0, ramp=0.0)
TOLD_WITHIN = 500_000       # us in which all know of an opening
US = 1000                   # ns
CUT_OFF = 750_000           # us without an answer after which a host may judge for itself
HEALED = 30_000_000         # us of health after which all hosts ask again


class Violation(AssertionError):
    """Two probes were on their way, an opening was not told in time, or a breaker did not close."""


class Host:
    """A host: its place in the shared memory, its clock, and since when it has been without an answer."""

    def __init__(self, name: str, index: int, offset: int, healths: Healths) -> None:
        self.name, self.index, self.offset = name, index, offset
        self.circuits = Circuits(name)
        self.circuits.healths, self.circuits.enabled = healths, True
        self.circuits.known = {TARGET: Known(index, ())}
        self.known = self.circuits.known[TARGET]
        self.heard_at = self.lost_at = self.good_at = -10**9

    def clock(self, now: int) -> int:
        """What its clock says, ns."""
        return (now + self.offset) * US


class BreakersWorld:
    """So many hosts. A step is one thing that happens: a request, its end, a call, its arrival, its answer, a fault."""

    def __init__(self, seed: int, hosts: int = 0) -> None:
        self.rng = random.Random(seed)
        self.random = self.rng.random
        self.size = hosts or self.rng.choice([1, 2, 3, 8, 30])
        self.healths = Healths(Slab(1))
        self.now = 20_000_000
        self.broken_until = self.count = self.made = 0
        self.flushed_at = -PROBE                            # since then nobody knows of the probes that were lent
        self.calm = False
        self.redis: dict[str, Breaker] = {}
        self.hosts: dict[str, Host] = {}
        self.free = list(range(4000))
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.probes: dict[int, tuple[str, int]] = {}        # by number: whose, and until when it counts
        self.happened: Counter[str] = Counter()
        self.last: deque[object] = deque(maxlen=200)
        for _ in range(self.size):
            self.start()
        self.after(0, self.fault)

    def after(self, delay: float, what: Callable[[], None]) -> None:
        """Something happens then, us from now."""
        self.count += 1
        heapq.heappush(self.queue, (self.now + int(delay), self.count, what))

    def step(self) -> None:
        """The next thing that happens."""
        self.now, _, what = heapq.heappop(self.queue)
        what()

    def start(self) -> None:
        """A new host, or one that has forgotten all."""
        self.made += 1
        index = self.free.pop(0)
        self.free.append(index)
        self.healths.heal(index)
        host = Host(f"host{self.made}", index, self.rng.randint(0, 10**9), self.healths)
        host.known.opened = host.known.said = self.healths.sight(index, 0).opened
        host.known.shut_out = self.healths.sight(index, 0).shut_out
        self.hosts[host.name] = host
        self.after(self.random() * LOOK * 1e6, lambda: self.look(host))
        self.after(self.random() * 100_000, lambda: self.ask(host, 10 ** self.rng.uniform(4, 6.7)))

    def here(self, host: Host) -> bool:
        """Whether it still lives."""
        return self.hosts.get(host.name) is host

    def ask(self, host: Host, pause: float) -> None:
        """A request comes, and the next one after a while."""
        if not self.here(host):
            return
        self.after(self.rng.expovariate(1 / pause), lambda: self.ask(host, pause))
        now = host.clock(self.now)
        found = self.healths.ask(host.index, 0, now)
        if found == "shut":
            self.healths.miss(host.index)
            return
        good = self.now >= self.broken_until
        took = 10 ** self.rng.uniform(3.5, 5.5) if self.random() < 0.98 else self.random() * 5_000_000
        if found == "probe":
            self.probe(host, took)
        self.after(took, lambda: self.outcome(host, found, now, good=good))

    def probe(self, host: Host, took: float) -> None:
        """It is the fleet's only one, unless its host has been without Redis for so long that it judges for itself."""
        self.happened["probe"] += 1
        alone = self.now - host.heard_at > CUT_OFF
        self.last.append((self.now, host.name, "probes", "alone" if alone else ""))
        if alone or self.now < self.flushed_at + PROBE:
            return
        self.probes = {number: (name, until) for number, (name, until) in self.probes.items() if until > self.now
                       and (name not in self.hosts or self.hosts[name].heard_at > self.now - CUT_OFF)}
        if self.probes:
            raise Violation(f"{host.name} probes, and so do {[name for name, _ in self.probes.values()]}")
        self.probes[self.count] = host.name, self.now + int(took)

    def outcome(self, host: Host, found: str, sent: int, *, good: bool) -> None:
        """An outcome. One that comes too late for its host is nobody's."""
        if not self.here(host):
            return
        now = host.clock(self.now)
        if good:
            host.good_at = self.now
        opens = self.healths.tell(host.index, good, RULES, now, sent, self.rng.getrandbits(32)) and not good
        if found == "probe":
            self.healths.end_probe(host.index)
            self.probes = {number: each for number, each in self.probes.items() if each[0] != host.name}
        if opens:
            self.happened["opening"] += 1
            self.last.append((self.now, host.name, "opens"))
            begun = self.now
            self.after(TOLD_WITHIN, lambda: self.known_to_all(host, begun))

    def known_to_all(self, opener: Host, begun: int) -> None:
        """All have heard of it, but who just had a success, or no answer, or is new; or it is closed again."""
        current = self.redis.get(TARGET)
        if current is None or current.state != OPEN or opener.lost_at >= begun or not self.here(opener) or (
                self.flushed_at >= begun):
            return
        if f",{opener.name}," not in current.voters or current.since > begun + TOLD_WITHIN:
            return
        for host in self.hosts.values():
            excused = (host.lost_at >= begun or host.heard_at < 0
                       or host.good_at >= begun - HELD // US)
            until = self.healths.sight(host.index, 0).open_until
            if not until and not excused:
                raise Violation(f"{host.name} does not know of what {opener.name} has found at {begun}")

    def look(self, host: Host) -> None:
        """A host's control speaks with Redis; it waits for the answer before it speaks again."""
        if not self.here(host):
            return
        words = host.circuits.words(host.clock(self.now))
        chance = self.random() if not self.calm else 0.5
        there, back = 500 + self.random() * 10_000, 500 + self.random() * 10_000
        if chance < 0.02:
            host.lost_at = self.now + int(TIMEOUT * 1e6)
            self.after(TIMEOUT * 1e6, lambda: self.lose(host))
            if chance < 0.01:                       # it is the answer that is lost
                self.after(there, lambda: self.hear(host, words))
        else:
            self.after(there, lambda: self.answer(host, self.hear(host, words), back))

    def lose(self, host: Host) -> None:
        """A call had no answer."""
        host.circuits.forget()
        self.after(WAIT * 1e6, lambda: self.look(host))

    def hear(self, host: Host, words: list[tuple[str, str, int, int]]) -> list[list[str]]:
        """Redis hears a host, and tells it what all have found."""
        for what, target, span, known in words:
            before = self.redis.get(target, Breaker())
            after = self.redis[target] = breakers.hear(before, host.name, (what, span, known), self.now)
            if after != before:
                self.last.append((self.now, host.name, what, after))
        self.redis = breakers.told(self.redis, self.now)
        told = [[name, str(each.generation), each.state, str(each.until), each.voters,
                 each.prober if each.lease > self.now else "-"] for name, each in self.redis.items()]
        return [[str(self.now), *(value for each in told for value in each)], []]

    def answer(self, host: Host, said: list[list[str]], back: float) -> None:
        """It comes back, and the next look is due."""
        def comes() -> None:
            host.circuits.hear(said, host.clock(self.now))
            host.heard_at = self.now
            self.after(LOOK * 1e6, lambda: self.look(host))
        self.after(back, comes)

    def fault(self) -> None:
        """One thing that goes wrong: the provider, a host, or Redis."""
        if self.calm:
            return
        self.after(self.rng.expovariate(1 / 1_000_000), self.fault)
        chance = self.random()
        if chance < 0.5:
            self.broken_until = self.now + int(10 ** self.rng.uniform(5, 7.3))
            self.happened["breakdown"] += 1
        elif chance < 0.96:
            prober = self.redis.get(TARGET, Breaker()).prober
            name = prober if prober in self.hosts and self.random() < 0.5 else self.rng.choice(list(self.hosts))
            del self.hosts[name]
            lease = self.redis.get(TARGET, Breaker()).lease if name == prober else 0
            self.probes = {number: (whose, min(until, lease) if whose == name else until)
                           for number, (whose, until) in self.probes.items()}
            self.happened["dead prober" if name == prober else "crash"] += 1
            self.last.append((self.now, name, "dies"))
            self.start()
        else:
            self.redis = {}
            self.flushed_at = self.now
            self.happened["flush"] += 1

    def end(self) -> None:
        """All is well from now on, and after a while every host asks the provider again."""
        self.calm, self.broken_until = True, 0
        until = self.now + HEALED
        while self.now < until:
            self.step()
        shut = [host.name for host in self.hosts.values() if self.healths.sight(host.index, 0).open_until]
        if shut:
            raise Violation(f"after {HEALED / 1e6:g} s of health {shut} do not ask")
