"""A fleet under one limit on a virtual clock: hosts, the post between them and Redis, and all that goes wrong there.

Hosts act by the product's own functions (edge/control/fleet/purse.py) and Redis by the model of its script. A step is
one thing that happens at one place: a request, a word to Redis, its arrival, an answer's, a lapse, a fault. The oracle
(meter.py) sees every unit that is used; what is out is summed up as it changes, so that a step costs the same with
five hosts and with five hundred. Times in us, but for the hosts' own clocks, whose ns run a little fast or slow.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque

from edge._fast import Held
from edge.control.fleet import purse
from edge.control.fleet.lives import SILENCE
from tests.fleet import level, lives
from tests.fleet.meter import Meter, Violation

NOTHING = Held(0, 0, 0, 0, 0, 0, 0, 0, 0)
INTERVALS = (500_000, 1_000_000, 10_000_000, 100_000_000)
BURSTS = (1, 5, 50, 1000, 20_000)
SKEW = 20                   # ns by which a host's microsecond is longer or shorter than a thousand
STEPS_OF_CLOCK = (-3_600_000_000, -5_000_000, -700_000, -3000, -3000, 3000, 30_000, 900_000, 5_000_000, 600_000_000)
FAULTS = (("crash", 6), ("stop", 3), ("start", 9), ("pause", 4), ("reload", 8), ("edit", 2), ("flush", 1),
          ("restart", 1), ("promote", 1), ("lose", 1), ("bury", 1), ("copy", 3), ("step_clock", 1))


class Host:
    """A host, its clock, its reservations (taken at, units) and the version of the limit's numbers that it has."""

    __slots__ = ("born", "counted", "held", "name", "numbers", "offset", "paused_until", "rate", "reservations")

    def __init__(self, name: str, offset: int, rate: int, numbers: level.Numbers) -> None:
        self.name, self.offset, self.rate, self.numbers = name, offset, rate, numbers
        self.held: Held = NOTHING
        self.born = self.counted = self.paused_until = 0
        self.reservations: list[tuple[int, int]] = []

    def clock(self, now: int) -> int:
        """What its clock says, ns."""
        return self.offset + now * self.rate

    def take(self, now: int, units: int) -> bool:
        """As purse_take does."""
        held = self.held
        if now >= held.expires or held.units < units:
            return False
        self.held = held._replace(units=held.units - units, reserved=held.reserved + units)
        return True

    def settle(self, now: int, at: int, units: int, used: int) -> None:
        """As purse_settle does."""
        forgotten = at < self.born
        more = 0 if forgotten and used < units else used - units
        left = purse.worth(self.held, now) - more if more else self.held.units
        reserved = self.held.reserved if forgotten else max(0, self.held.reserved - units)
        self.held = self.held._replace(units=left, reserved=reserved)

    def renew(self, now: int, life: int, expires: int) -> bool:
        """As Purses.renew does. Whether it lasts for longer."""
        held = self.held
        if held.life != life or not now < held.expires < min(expires, held.until):
            return False
        self.held = held._replace(expires=min(expires, held.until))
        return True

    def lapse(self, now: int) -> None:
        """As Purses.lapse does."""
        if purse.lapsed(self.held, now):
            self.held = self.held._replace(units=min(0, self.held.units), reserved=0)
            self.born = now


class LimiterWorld:
    """So many hosts, and one level. Violation: the limit was not kept."""

    def __init__(self, seed: int, hosts: int = 0) -> None:
        self.rng = random.Random(seed)
        self.random = self.rng.random
        self.size = hosts or self.pick((1, 2, 3, 5, 12))
        self.pace = max(200, 100_000 // self.size)
        self.now = self.due = 10_000_000
        self.ahead = 0                              # of Redis's clock
        self.leapt = 0                              # how much of that it was put forward: time has passed, for limits
        self.versions = [level.Numbers(self.pick(INTERVALS), self.pick(BURSTS))]
        self.meter = Meter(*self.versions[0], self.now)
        self.run, self.epoch = 1, (0, 0)            # of the server; and when the epoch was born, on which run
        self.level: level.Level | None = None
        self.lives: lives.Lives = {}
        self.lost = False
        self.backup: tuple[level.Level | None, lives.Lives, tuple[int, int]] = (None, {}, (0, 0))
        self.hosts: dict[str, Host] = {}
        self.names: list[str] = []
        self.queue: list[tuple[int, int, str, object]] = []
        self.count = self.made = self.out = self.tightens_at = 0
        self.happened: Counter[str] = Counter()
        self.last: deque[object] = deque(maxlen=200)
        for _ in range(self.size):
            self.start()

    def pick(self, from_: tuple) -> object:         # type: ignore[type-arg]
        """One of them."""
        return from_[int(self.random() * len(from_))]

    @property
    def redis_now(self) -> int:
        """What Redis's clock says."""
        return self.now + self.ahead

    def step(self) -> None:
        """The next thing that happens."""
        if self.queue and self.queue[0][0] <= self.due:
            self.now, _, name, what = heapq.heappop(self.queue)
            self.arrive(name, what)
        else:
            self.now = self.due
            self.due += int(self.random() * 2 * self.pace)
            if self.random() < 0.1 / self.size:
                self.due += int(self.random() * 1_500_000)
            self.act()
        meter = self.meter
        if self.out > meter.most:
            raise Violation(f"{self.out} units are out, and not {meter.most}")
        if meter.most > meter.burst and self.now >= self.tightens_at:
            self.tightens_at = self.now + 50_000
            meter.tighten(self.most_out())

    def act(self) -> None:
        """Somebody does something."""
        chance = self.random()
        if chance < 0.3 / (3 + self.size) or not self.names:
            return self.fault()
        host = self.hosts[self.names[int(self.random() * len(self.names))]]
        if chance < 0.4:
            for _ in range(1 + int(self.random() * 5)):
                self.spend(host)
        elif chance < 0.6:
            self.settle(host)
        elif host.paused_until <= self.now:
            if self.random() < 0.6:
                self.mail(host.name, (self.run, host.clock(self.now)))
            else:
                self.speak(host)
        return None

    def weigh(self, host: Host) -> None:
        """What a host holds that it may spend, or that may come back, has changed."""
        held = host.held
        counted = max(0, held.units) + held.reserved if host.clock(self.now) < held.expires else 0
        self.out += counted - host.counted
        host.counted = counted

    def most_out(self) -> int:
        """What hosts hold, and what may be on its way to them."""
        leases = self.level.leases if self.level else {}
        counted = {name: host.counted for name, host in self.hosts.items()}
        lent = {name: lease.held for name, lease in leases.items()}
        return sum(max(counted.get(name, 0), lent.get(name, 0)) for name in {**counted, **lent})

    def relax(self, units: float, time: int = lives.RECLAIM) -> None:
        """For that time so many more may be out, and used."""
        self.meter.relax(units)
        self.tightens_at = max(self.tightens_at, self.now + time)

    def use(self, units: int) -> None:
        """A provider has worked for so many."""
        if units:
            self.meter.use(units, self.now + self.leapt)

    def spend(self, host: Host) -> None:
        """A request takes what it may use, and has used it; or some of it will come back."""
        units = (1, 1, 1, 2, 10, max(1, host.numbers.burst // 20))[int(self.random() * 6)]
        now = host.clock(self.now)
        if host.take(now, units):
            if self.random() < 0.5:
                host.settle(now, now, units, units)
                self.use(units)
            else:
                host.reservations.append((now, units))
            self.weigh(host)

    def settle(self, host: Host) -> None:
        """The end of a request that has used less than it took; or more, which is a debt and no matter of the limit."""
        if host.reservations:
            at, units = host.reservations.pop(int(self.random() * len(host.reservations)))
            used = int(self.random() * (units + 1))
            host.settle(host.clock(self.now), at, units, used + 2 * (units + 1) * (self.random() < 0.02))
            self.use(used)
            self.weigh(host)

    def speak(self, host: Host, *, last: bool = False) -> None:
        """A host's next message."""
        now = host.clock(self.now)
        host.lapse(now)
        worth = max(0, purse.worth(host.held, now))
        back = worth if last else (0, 0, worth // 2, worth)[int(self.random() * 4)]
        interval, burst = host.numbers
        life = purse.known(host.held, interval * burst, now)
        held = host.held = purse.send(host.held, back, now)
        self.weigh(host)
        wanted = 0 if last else (0, 1, 10, burst)[int(self.random() * 4)]
        charge = int(self.random() * 3) if self.random() < 0.2 / self.size else 0
        self.mail(host.name, (self.run, level.Message(
            host.numbers, held.seq, held.ack, life, max(0, held.units) + held.reserved, back, charge, wanted,
            min(1, wanted))))

    def mail(self, name: str, what: object) -> None:
        """Sends something: lost, once or twice, soon or late."""
        chance = self.random()
        for _ in range(0 if chance < 0.1 else 2 if chance > 0.9 else 1):
            slow = self.random() < 0.1
            self.count += 1
            when = self.now + 1 + int(self.random() * (2_500_000 if slow else 20_000))
            heapq.heappush(self.queue, (when, self.count, name, what))

    def arrive(self, name: str, what: object) -> None:
        """A message reaches Redis, an answer its host, or the time comes at which a host's units are void."""
        if isinstance(what, int):
            self.lapsed(name, what)
        elif len(what) == 2:                        # type: ignore[arg-type]
            run, said = what                        # type: ignore[misc]
            if run == self.run:
                self.hear(name, said)
        elif name in self.hosts:
            host = self.hosts[name]
            host.lapse(now := host.clock(self.now))
            life, sent, seq, granted = what         # type: ignore[misc]
            if seq:
                before = host.held
                host.held = purse.take(before, life, seq, granted, now)
                changed = host.held is not before
            else:
                changed = host.renew(now, life, sent + SILENCE)
            if changed:
                self.weigh(host)
                self.count += 1
                until = -(-(host.held.expires - host.offset) // host.rate)
                heapq.heappush(self.queue, (until, self.count, name, host.held.expires))

    def lapsed(self, name: str, expires: int) -> None:
        """What was reserved when the lease has run out is spent, whatever comes of it."""
        host = self.hosts.get(name)
        if host is not None and host.held.expires == expires:
            self.use(sum(units for at, units in host.reservations if at >= host.born))
            host.reservations = []
            self.weigh(host)

    def hear(self, name: str, said: level.Message | int) -> None:
        """Redis hears a host, of which a number is a sign that it lives, and says when that was sent."""
        if self.epoch[1] != self.run or not self.lives:
            self.epoch, self.lives = (self.redis_now, self.run), {}
        born = self.epoch[0]
        self.lives, life = lives.live(self.lives, name, self.redis_now)
        if isinstance(said, int):
            self.mail(name, (life, said, 0, 0))
            return
        if self.lost:
            self.lost = False
            if said.life != life:       # a key that is gone, and nobody says that it was there
                self.relax(said.numbers.burst + self.meter.burst, level.LAST)
        leases = self.level.leases if self.level and self.level.born == born else {}
        self.lives = lives.met(self.lives, leases, self.redis_now)
        self.level, answer = level.speak(self.level, born, self.lives, name, said, self.redis_now)
        numbers, credit = self.level.numbers, self.level.credit
        if numbers != (self.meter.interval, self.meter.burst):
            self.happened["change"] += 1
            self.meter.rule(*numbers, self.most_out(), self.now + self.leapt)
        if credit > 0 and not self.meter.relaxed:
            out = max(self.out, sum(lease.held for lease in self.level.leases.values()))
            if credit + out * numbers.interval > numbers.burst * numbers.interval:
                raise Violation(f"a credit of {credit / numbers.interval:.3f} while {out} of {numbers.burst} are out")
        self.last.append((self.now, name, said, answer))
        self.mail(name, (life, 0, said.seq, answer.granted))

    def end(self) -> None:
        """Something was let through, all the same."""
        if not self.meter.used:
            raise Violation("nobody got anything")

    def fault(self) -> None:
        """One thing that goes wrong, or is done to the fleet."""
        names, weights = zip(*FAULTS, strict=True)
        [name] = self.rng.choices(names, weights)
        self.happened[name] += 1
        self.last.append((self.now, name))
        getattr(self, name)()

    def start(self) -> None:
        """A new host."""
        if len(self.hosts) < self.size:
            self.made += 1
            name = f"host{self.made}"
            self.hosts[name] = Host(name, self.rng.randint(0, 10**15), 1000 + self.rng.randint(-SKEW, SKEW),
                                    self.versions[-1])
            self.names.append(name)

    def gone(self, name: str) -> None:
        """One host less. What its requests have reserved is used."""
        host = self.hosts.pop(name)
        self.names.remove(name)
        self.out -= host.counted
        self.use(sum(units for at, units in host.reservations if at >= host.born))

    def crash(self) -> None:
        """A host dies."""
        if self.names:
            self.gone(self.rng.choice(self.names))

    def stop(self) -> None:
        """A host ends, and gives back what it has."""
        if self.names:
            host = self.hosts[self.rng.choice(self.names)]
            self.speak(host, last=True)
            self.gone(host.name)

    def pause(self) -> None:
        """A host's control stands still, while its workers go on."""
        if self.names:
            host = self.hosts[self.rng.choice(self.names)]
            host.paused_until = self.now + self.rng.randint(0, 3_000_000)

    def reload(self) -> None:
        """Some hosts read their configuration, which may be an old one."""
        for name in self.rng.sample(self.names, 1 + len(self.names) // 4 if self.names else 0):
            self.hosts[name].numbers = self.versions[-1] if self.random() < 0.9 else self.rng.choice(self.versions)

    def edit(self) -> None:
        """The limit has other numbers from now on; or those of before."""
        self.versions.append(level.Numbers(self.pick(INTERVALS), self.pick(BURSTS)))    # type: ignore[arg-type]
        del self.versions[:-3]

    def flush(self) -> None:
        """FLUSHALL."""
        self.level, self.lives, self.epoch, self.lost = None, {}, (0, 0), False

    def restart(self) -> None:
        """Another run of the server, with nothing of before. What was on its way to the last one never comes."""
        self.flush()
        self.run += 1

    def promote(self) -> None:
        """A replica that had not heard the last seconds becomes the server."""
        self.run += 1
        (self.level, self.lives, self.epoch), self.lost = self.backup, False

    def lose(self) -> None:
        """The limit's key alone is gone."""
        if self.level is not None and self.epoch[1] == self.run:
            self.level, self.lost = None, True

    def bury(self) -> None:
        """What is known of lives alone is gone."""
        self.lives = {}

    def copy(self) -> None:
        """A replica has heard all until now."""
        self.backup = self.level, self.lives, self.epoch

    def step_clock(self) -> None:
        """Redis's clock is put forward or back."""
        by = self.rng.choice(STEPS_OF_CLOCK)
        self.ahead += by
        if by > 0:
            self.leapt += by
        if by > 25_000:     # more than a lease has in hand: purses that hosts still spend are forgotten, and fill anew
            self.meter.advance(self.now + self.leapt)
            self.relax(lives.RECLAIM * 1000 / self.meter.interval + 1)
