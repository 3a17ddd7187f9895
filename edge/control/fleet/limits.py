"""The shared limits of one host that are in use: when control must speak of one, what it says, and what it hears."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge._fast import Held, Purses
from edge.control.fleet import purse
from edge.control.fleet.book import BATCH, MOST, group
from edge.control.fleet.demand import Demand
from edge.control.fleet.lives import SILENCE
from edge.control.fleet.names import Mark, Names
from edge.control.state import State
from edge.values.directory import Terms

IDLE = 2 * SILENCE    # a limit that nobody wants is forgotten then
FOREVER = 2**62
MARGIN = SILENCE // 2 # before a lease ends what is in use is spoken of


@dataclass(slots=True)
class Shared:
    """A limit in use. Times in ns."""

    index: int
    name: str
    interval: int
    burst: int
    mark: Mark = 0                  # of what its numbers are from
    demand: Demand = field(default_factory=Demand)
    asked: bool = False             # a message is under way,
    wanted: int = 0                 # for so many,
    alone: int = 0                  # which tells of so many that were taken without Redis,
    lending: int = 0                # and of so many that may come back yet;
    lent: int = 0                   # of which Redis knew so many,
    unused: int = 0                 # and has not heard that so many come back
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
    def most(self) -> int:
        """Ahead of need hosts together hold a quarter of the burst, or what comes before they speak again: what one of
        them does not need any more is room that the others lack until it says so."""
        return max(1, self.demand.near, self.burst // (4 * max(1, self.hosts)))

    @property
    def target(self) -> int:
        """So much is asked for. Where there is plenty, of what is seldom wanted that is what some seconds take."""
        ahead = min(self.demand.level(16, 4), self.burst // 16) if self.plenty else 0
        return min(self.most, max(self.demand.target, ahead))

    @property
    def low(self) -> int:
        """Below it more is asked for."""
        return min(self.demand.low, -(-self.target // 2))

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
        self.most, self.more = MOST, False      # of a round; and whether there was more to speak of in the last one

    def load(self, state: State, names: Names) -> None:
        """Another version, or other keys."""
        self.state, self.names = state, names
        for index, shared in list(self.active.items()):
            if names.mark(index) != shared.mark:
                self.begin(index, shared)

    def begin(self, index: int, before: Shared | None, now: int = 0) -> None:
        """A limit is in use; or no more, or with other numbers."""
        found = self.names.of(index)
        if found is None or not isinstance(found.terms, tuple) or (before and before.name != found.name):
            self.active.pop(index, None)
        elif before:
            (before.interval, before.burst), before.mark = self.of(found.terms), found.mark
        else:
            self.active[index] = Shared(index, found.name, *self.of(found.terms), found.mark, wanted_at=now,
                                        group=group(found.name, cluster=self.cluster))

    def of(self, terms: Terms) -> tuple[int, int]:
        """Interval and burst of a limit."""
        assert isinstance(terms, tuple)
        interval, window = self.state.slab.terms(*terms)
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
            if index not in self.active:
                self.begin(index, None, now)
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
        unused = shared.kept and held.units == demand.units and not (held.reserved or said.alone or said.lent)
        demand.look(held.units, said.lack, now)
        leases = shared.interval <= self.tick
        wanted, back = self.wants(shared, held.units, said.lack, leases=leases)
        if wanted:
            shared.wanted_at = now
        idle = not (wanted or back or said.alone or held.units or held.reserved or said.lent)
        if idle and now >= shared.wanted_at + IDLE:
            del self.active[index]
            return None
        if unused and held.units > 0 and not wanted:
            purses.watch(index, shared.low, FOREVER, held.until, now)       # it lapses, and nobody may come for it
            return None
        charge = max(0, said.alone)
        debt = max(0, charge - shared.burst)        # of more than that Redis keeps none
        shared.unused += charge - said.alone
        returned = min(shared.unused, max(0, shared.lent - said.lent))      # it comes back with being lent no more;
        shared.unused -= returned                   # said once, as what is given back: what is lost mints nothing
        while not purses.hold(index, held, after := purse.send(held, back + debt, now)):
            held = purses.held(index)
            back = min(back, max(0, held.units))
        demand.units = after.units
        shared.asked, shared.alone, shared.lending = True, charge - debt, said.lent
        shared.wanted = min(wanted, shared.burst)
        life = purse.known(held, shared.interval * shared.burst, now)
        least = max(1, said.lack) if wanted else 0
        held_now = max(0, after.units) + after.reserved + said.lent
        return [shared.interval, shared.burst, after.seq, after.ack, life, held_now, back + returned, charge - debt,
                shared.wanted, min(least, shared.wanted)]

    @staticmethod
    def wants(shared: Shared, units: int, lack: int, *, leases: bool) -> tuple[int, int]:
        """How many units are asked for, and how many go back. Limits of few units are drawn as they are missed."""
        low, target, high = (shared.low, shared.target, shared.high) if leases else (0, 0, 0)
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
        shared.fault = ""
        purses.mute(index, 0)
        while True:
            before = self.held(index, now)
            after = purse.take(before, life, seq, granted, now)
            if after is before or purses.hold(index, before, after):
                break
        if after is not before:
            shared.alone, shared.lent = 0, shared.lending
            shared.unused = shared.unused if shared.lent else 0
        self.unsay(shared)
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
            low, high = shared.low, shared.high
        shared.kept = leases and shared.plenty and 0 < after.units <= shared.burst // 4
        if after.units < 0:
            due = again
        elif shared.kept:
            high, due = max(high, after.units), after.until - MARGIN
        elif after.units > 0 or after.reserved > 0 or shared.lent:
            due = after.sent + SILENCE - 3 * self.tick - 2 * (now - after.sent)
        purses.watch(index, low, high, min(due, now + self.tick) if shared.unused else due, again)

    def renew(self, group: int, life: int, sent: int, now: int) -> None:
        """Redis has counted this host as alive, by a word that was sent then."""
        indices = [index for index, each in self.active.items() if each.group == group]
        self.purses.renew(indices, life, sent + SILENCE, now)

    def unsay(self, shared: Shared) -> None:
        """What Redis has not heard of is said once more; or it will take it for unsaid: see level.lua."""
        if shared.alone:
            self.purses.unsaid(shared.index, shared.alone)
            shared.alone = 0

    def fail(self, shared: Shared, fault: str, now: int) -> None:
        """There was no answer, or none of use."""
        if not self.has(shared):
            return
        shared.asked = False
        shared.fault = fault
        if fault:
            self.purses.mute(shared.index, now)
        self.unsay(shared)
        self.purses.watch(shared.index, shared.low, FOREVER, now + self.tick, now + self.tick)
