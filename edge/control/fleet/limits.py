"""The shared limits of one host that are in use: when control must speak of one, what it says, and what it hears."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge._fast import Held, Purses
from edge.control.fleet import purse
from edge.control.fleet.book import BATCH, MOST, group
from edge.control.fleet.demand import Demand
from edge.control.state import State
from edge.values.directory import all_limits
from edge.values.registry import terms

IDLE = 2 * purse.SILENCE    # a limit that nobody wants is forgotten then
FOREVER = 2**62
MARGIN = purse.SILENCE // 2 # before a lease ends what is in use is spoken of


@dataclass(slots=True)
class Shared:
    """A limit in use. Times in ns."""

    index: int
    name: str
    interval: int
    burst: int
    demand: Demand = field(default_factory=Demand)
    asked: bool = False             # a message is under way,
    wanted: int = 0                 # for so many,
    alone: int = 0                  # which tells of so many that were taken without Redis
    hosts: int = 1                  # that wanted some last
    left: int = 0                   # that the fleet had then
    foreign: bool = False           # another configuration's numbers rule
    wanted_at: int = 0              # last
    group: int = 0                  # of limits that are spoken of together
    kept: bool = False              # what this host has is little where there is plenty
    fault: str = ""                 # what is wrong with its key

    @property
    def plenty(self) -> bool:
        """Whether the fleet had half of the burst, beside all that hosts hold."""
        return 2 * self.left >= self.burst

    @property
    def target(self) -> int:
        """So much is asked for. Where there is plenty, of what is seldom wanted that is what some seconds take."""
        ahead = min(self.demand.level(16, 4), self.burst // 16) if self.plenty else 0
        return max(self.demand.target, ahead)

    @property
    def high(self) -> int:
        """What is beyond the target goes back then."""
        return max(self.demand.high, self.target)


class Limits:
    """Of one version of the configuration."""

    script, key, seq = "level", "limit", 2
    common: tuple[str, ...] = ("epoch", "lives")

    def __init__(self, purses: Purses, tick: int, *, cluster: bool = False) -> None:
        self.purses = purses
        self.tick = tick
        self.cluster = cluster
        self.active: dict[int, Shared] = {}
        self.names: dict[int, str] = {}
        self.numbers: dict[str, tuple[float, int]] = {}
        self.most, self.more = MOST, False      # of a round; and whether there was more to speak of in the last one

    def load(self, state: State) -> None:
        """Another version."""
        self.state = state
        before, self.numbers = self.numbers, {name: each for name, each in terms(state.snapshot).items() if each[0]}
        self.names = {state.registry.bucket(name): name for name in self.numbers}
        for each in all_limits(state.slab):
            if isinstance(each.terms, tuple):
                self.numbers[each.name], self.names[each.index] = each.terms, each.name
        for index, name in self.names.items():
            if self.numbers[name] != before.get(name, self.numbers[name]):
                self.purses.tell(index, 0, 0)       # when there is more was reckoned by other numbers: it is asked anew
        for index, shared in list(self.active.items()):
            if self.names.get(index) != shared.name:
                del self.active[index]
            else:
                shared.interval, shared.burst = self.of(shared.name)

    def of(self, name: str) -> tuple[int, int]:
        """Interval and burst of a limit."""
        interval, window = self.state.slab.terms(*self.numbers[name])
        return interval, window // interval

    def has(self, shared: Shared) -> bool:
        """Whether it is in use still."""
        return self.active.get(shared.index) is shared

    def due(self, asking: list[int], now: int) -> list[Shared]:
        """Those to speak of, and which nobody speaks of yet: those that requests miss first, then who waits longest.

        `asking` are those that workers call control to.
        """
        missed = {}
        for index in asking:
            if index not in self.active and index in self.names:
                name = self.names[index]
                self.active[index] = Shared(index, name, *self.of(name), wanted_at=now,
                                            group=group(name, cluster=self.cluster))
            if index in self.active:
                missed[index] = self.active[index]
        found = self.purses.due([index for index, each in {**missed, **self.active}.items() if not each.asked], now)
        self.more = len(found) > self.most
        for index in found[:self.most]:
            self.active[index] = self.active.pop(index)
        return [self.active[index] for index in found[:self.most]]

    def adapt(self, *, answered: bool) -> None:
        """A round is half as large when the last one had no answer in time, and grows again."""
        self.most = min(MOST, self.most + BATCH) if answered else max(BATCH, self.most // 2)

    def held(self, index: int, now: int) -> Held:
        """What a purse holds. What Redis may have forgotten is gone first, also what was reserved."""
        held = self.purses.held(index)
        while purse.lapsed(held, now) and (held.units > 0 or held.reserved > 0):
            self.purses.lapse(index, held, now)
            held = self.purses.held(index)
        return held

    def say(self, shared: Shared, now: int) -> list[int] | None:
        """What the next message says: see level.lua. None: nothing, and the limit is out of use."""
        purses, demand, index = self.purses, shared.demand, shared.index
        lapsed = max(0, purses.held(index).units)
        held = self.held(index, now)
        demand.units -= max(0, lapsed - max(0, held.units))     # which nobody has spent
        said = purses.said(index, now)
        unused = shared.kept and held.units == demand.units and not held.reserved and not said.alone
        demand.look(held.units, said.lack, now)
        leases = shared.interval <= self.tick
        wanted, back = self.wants(shared, held.units, said.lack, leases=leases)
        if wanted:
            shared.wanted_at = now
        if not (wanted or back or said.alone or held.units or held.reserved) and now >= shared.wanted_at + IDLE:
            del self.active[index]
            return None
        if unused and held.units > 0 and not wanted:
            purses.watch(index, demand.low, FOREVER, held.until, now)       # it lapses, and nobody may come for it
            return None
        while not purses.hold(index, held, after := purse.send(held, back, now)):
            held = purses.held(index)
            back = min(back, max(0, held.units))
        demand.units = after.units
        shared.asked, shared.alone = True, said.alone
        shared.wanted = min(wanted, shared.burst)
        life = purse.known(held, shared.interval * shared.burst, now)
        least = max(1, said.lack) if wanted else 0
        return [shared.interval, shared.burst, after.seq, after.ack, life,
                max(0, after.units) + after.reserved, back, said.alone, shared.wanted, min(least, shared.wanted)]

    @staticmethod
    def wants(shared: Shared, units: int, lack: int, *, leases: bool) -> tuple[int, int]:
        """How many units are asked for, and how many go back. Limits of few units are drawn as they are missed."""
        low, target, high = (shared.demand.low, shared.target, shared.high) if leases else (0, 0, 0)
        if lack or units < low:
            return max(lack, target - units), 0
        return 0, max(0, units - target) if units > high else 0

    @staticmethod
    def flat(words: list[int]) -> list[bytes]:
        """As the script gets it."""
        return [purse.packed(words)]

    def hear(self, shared: Shared, life: int, seq: int, answer: str, now: int) -> None:
        """The answer. A limit that is out of the configuration by now has none: its purse is another's."""
        if not self.has(shared):
            return
        purses, index = self.purses, shared.index
        shared.asked = False
        if answer.startswith("-2 "):
            return self.fail(shared, answer[3:], now)
        granted, credit, interval, burst, shared.hosts = map(int, answer.split())
        shared.fault, shared.alone = "", 0
        purses.mute(index, 0)
        while True:
            before = self.held(index, now)
            after = purse.take(before, life, seq, granted, now)
            if after is before or purses.hold(index, before, after):
                break
        shared.demand.units += max(0, granted) if after is not before else 0
        shared.left = max(0, credit // interval)
        shared.foreign = (interval, burst) != (shared.interval, shared.burst)
        leases = shared.interval <= self.tick
        origin = now - credit
        purses.share(index, shared.left)
        # Where all want more than there is, what comes is shared out once a tick, or each request would ask for it.
        scarce = leases and (granted < shared.wanted or not shared.left)
        purses.tell(index, origin, now + self.tick if scarce else 0)
        again = now if granted >= shared.wanted else max(now + self.tick, origin + interval)
        low, high, due = 0, after.units, now + IDLE
        if leases:
            low, high = shared.demand.low, shared.high
        shared.kept = leases and shared.plenty and 0 < after.units <= shared.burst // 4
        if after.units < 0:
            due = again
        elif shared.kept:
            high, due = max(high, after.units), after.until - MARGIN
        elif after.units > 0 or after.reserved > 0:
            due = after.sent + purse.SILENCE - 3 * self.tick - 2 * (now - after.sent)
        purses.watch(index, low, high, due, again)

    def renew(self, group: int, life: int, sent: int, now: int) -> None:
        """Redis has counted this host as alive, by a word that was sent then."""
        indices = [index for index, each in self.active.items() if each.group == group]
        self.purses.renew(indices, life, sent + purse.SILENCE, now)

    def fail(self, shared: Shared, fault: str, now: int) -> None:
        """There was no answer, or none of use."""
        if not self.has(shared):
            return
        shared.asked = False
        shared.fault = fault
        if fault:
            self.purses.mute(shared.index, now)
        if shared.alone:
            self.purses.unsaid(shared.index, shared.alone)
            shared.alone = 0
        self.purses.watch(shared.index, shared.demand.low, FOREVER, now + self.tick, now + self.tick)
