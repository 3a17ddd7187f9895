"""The shared limits of one host that are in use: when control must speak of one, what it says, and what it hears."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge._fast import Held, Purses
from edge.control.fleet import purse
from edge.control.fleet.book import BATCH, MOST
from edge.control.fleet.demand import SPAN, Demand
from edge.control.state import State
from edge.values.registry import terms

IDLE = 2 * purse.LEASE      # a limit that nobody wants is forgotten then
FOREVER = 2**62
RARE = SPAN / 1e9           # one unit a second: where there is plenty, what is wanted less is drawn anew each time


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
    fault: str = ""                 # what is wrong with its key


class Limits:
    """Of one version of the configuration."""

    script, key, seq = "level", "limit", 2

    def __init__(self, purses: Purses, tick: int) -> None:
        self.purses = purses
        self.tick = tick
        self.active: dict[int, Shared] = {}
        self.names: dict[int, str] = {}
        self.numbers: dict[str, tuple[float, int]] = {}
        self.most, self.more = MOST, False      # of a round; and whether there was more to speak of in the last one

    def load(self, state: State) -> None:
        """Another version."""
        self.state = state
        before, self.numbers = self.numbers, {name: each for name, each in terms(state.snapshot).items() if each[0]}
        self.names = {state.registry.bucket(name): name for name in self.numbers}
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
                self.active[index] = Shared(index, name, *self.of(name), wanted_at=now)
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
        demand.look(held.units, said.lack, now)
        leases = shared.interval <= self.tick
        wanted, back = self.wants(demand, held.units, said.lack, leases=leases)
        if wanted:
            shared.wanted_at = now
        if not (wanted or back or said.alone or held.units or held.reserved) and now >= shared.wanted_at + IDLE:
            del self.active[index]
            return None
        while not purses.hold(index, held, after := purse.send(held, back, now)):
            held = purses.held(index)
            back = min(back, max(0, held.units))
        demand.units = after.units
        shared.asked, shared.alone = True, said.alone
        shared.wanted = min(wanted, shared.burst)
        epoch = purse.known(held, shared.interval * shared.burst, now)
        least = max(1, said.lack) if wanted else 0
        return [shared.interval, shared.burst, after.seq, after.ack, epoch,
                max(0, after.units) + after.reserved, back, said.alone, shared.wanted, min(least, shared.wanted)]

    @staticmethod
    def wants(demand: Demand, units: int, lack: int, *, leases: bool) -> tuple[int, int]:
        """How many units are asked for, and how many go back. Limits of few units are drawn as they are missed."""
        debt = max(0, -units)
        if not leases:
            return (max(lack, debt), 0) if lack or debt else (0, max(0, units))
        if units > demand.high:
            return 0, units - demand.target
        if lack or debt or (units < demand.low and demand.rate > RARE):
            return max(lack, demand.target - units), 0
        return 0, 0

    def hear(self, shared: Shared, epoch: int, seq: int, answer: list[str], now: int) -> None:
        """The answer. A limit that is out of the configuration by now has none: its purse is another's."""
        if not self.has(shared):
            return
        purses, index = self.purses, shared.index
        shared.asked = False
        granted, credit, interval, burst, hosts = answer
        if int(granted) == -2:
            return self.fail(shared, str(credit), now)
        shared.fault, shared.alone = "", 0
        self.purses.mute(shared.index, 0)
        while True:
            before = self.held(index, now)
            after = purse.take(before, epoch, seq, int(granted), now)
            if after is before or purses.hold(index, before, after):
                break
        shared.demand.units += max(0, int(granted)) if after is not before else 0
        shared.hosts = int(hosts)
        shared.left = max(0, int(credit) // int(interval))
        shared.foreign = (int(interval), int(burst)) != (shared.interval, shared.burst)
        leases = shared.interval <= self.tick
        origin = now - int(credit)
        purses.share(index, shared.left)
        # Where all want more than there is, what comes is shared out once a tick, or each request would ask for it.
        scarce = leases and (int(granted) < shared.wanted or not shared.left)
        purses.tell(index, origin, now + self.tick if scarce else 0)
        again = now if int(granted) >= shared.wanted else max(now + self.tick, origin + int(interval))
        low, high, due = 0, after.units, now + IDLE
        if leases:
            low, high = shared.demand.low, shared.demand.high
        if after.units < 0:
            due = again
        elif leases and shared.demand.rate <= RARE and not after.reserved and after.units <= shared.left:
            low, high = 0, FOREVER      # what is left of it lapses: there is plenty, and nobody may come for it
        elif after.units > 0 or after.reserved > 0:
            due = after.sent + purse.LEASE - 3 * self.tick - 2 * (now - after.sent)
        purses.watch(index, low, high, due, again)

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
