"""The shared limits of concurrent requests of one host that are in use: what control says of one, and what it hears.

A limit of many places is leased: this host has some ahead of what is used, and asks for more before they are filled.
One of few is had on demand: each place is asked for when a request misses it, and goes back when that ends, so that a
place that is free is free for all hosts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, exp, sqrt

from edge._fast import Crowd, Places, Purses
from edge.control.fleet import allotment
from edge.control.fleet.book import MOST, group
from edge.control.fleet.lives import SILENCE
from edge.control.fleet.names import Mark, Names

LEASED = 16                 # places of a limit for each host, from which on it is leased
REFRESH = allotment.LEASE * 2 // 5      # ns between two messages of a limit of which there is nothing to say
FOREVER = 2**31
PAST = 1_250_000_000        # ns for which who was refused is expected again: a second is what it was told
SETTLING = 1_000_000_000    # ns in which all hosts have said what they have, after Redis was away for all
UNTOLD = -1                 # what Redis knows of is none of this life
PROMPT = 2_000_000          # ns between two questions while a request waits


@dataclass(slots=True)
class Demand:
    """Who wants places. Times in ns."""

    used: int = 0               # at the last look,
    recent: float = 0.0         # and at most in the last second or so
    looked: int = 0
    waiting: int = 0            # requests that have missed one and wait,
    until: int = 0              # so long
    refused: int = 0            # and those that were refused, and may come again
    expected: int = 0           # until then

    def look(self, crowd: Crowd, patience: int, now: int) -> None:
        """So many are there, have asked and were refused."""
        self.waiting = max(0, self.waiting - crowd.placed - crowd.refused) if now < self.until else 0
        if crowd.waiting:
            self.waiting, self.until = self.waiting + crowd.waiting, now + patience
        self.refused = max(0, self.refused - max(0, crowd.used - self.used)) if now < self.expected else 0
        if crowd.refused:
            self.refused, self.expected = max(self.refused, crowd.refused), now + PAST
        self.recent = max(crowd.used, self.recent * exp((self.looked - now) / PAST))
        self.used, self.looked = crowd.used, now

    @property
    def need(self) -> int:
        """What would be used if there were enough."""
        return self.used + self.waiting + self.refused

    @property
    def ahead(self) -> int:
        """So many more may come before there is an answer."""
        most = max(self.recent, self.need)
        return ceil(2 * sqrt(most)) + self.waiting if most >= 0.5 else 0

    @property
    def wanted(self) -> int:
        """What is had of a leased limit, if there is enough."""
        return max(self.need, ceil(self.recent - 0.5)) + self.ahead


@dataclass(slots=True)
class Counted:
    """A limit in use."""

    index: int
    name: str
    most: int
    mark: Mark = 0                  # of what its number is from
    demand: Demand = field(default_factory=Demand)
    asked: bool = False             # a message is under way,
    wanted: int = 0                 # for so many,
    of: int = 0                     # of a limit of so many,
    told: int = 0                   # that tells of so many
    left: int = 0                   # that nobody had then
    claims: int = 0                 # what others lacked
    rests: int = 0                  # until then nobody gets more, whoever gives back
    foreign: bool = False           # another configuration's number rules
    wanted_at: int = 0
    group: int = 0                  # of limits that are spoken of together
    fault: str = ""


class Concurrency:
    """Of one version of the configuration. Times in ns."""

    script, key, seq = "places", "places", 1
    common: tuple[str, ...] = ("epoch", "lives")

    def __init__(self, places: Places, purses: Purses, times: tuple[int, int], *, cluster: bool = False) -> None:
        self.places, self.purses, self.cluster = places, purses, cluster
        self.tick, self.patience = times
        self.active: dict[int, Counted] = {}
        self.names: Names | None = None
        self.settled = 0                # until then hosts say what they have, and ask for no more
        self.hosts = 1

    def load(self, names: Names, now: int) -> None:
        """Another version, or other keys. Before the first one another control may have spoken of some."""
        begun, self.names = self.names is not None, names
        for index, counted in list(self.active.items()):
            if names.mark(index) != counted.mark:
                self.begin(index, counted, now)
        for index in () if begun else self.places.counted():
            self.begin(index, None, now)

    def begin(self, index: int, before: Counted | None, now: int) -> None:
        """A limit is in use; or with another number.

        What is on its way under one that is gone is still told, while its index is nobody's.
        """
        found = self.names.of(index) if self.names else None
        if found is None:
            return
        if not isinstance(found.terms, int) or (before and before.name != found.name):
            self.active.pop(index, None)
        elif before:
            before.most, before.mark = found.terms, found.mark
            self.places.watch(index, 0, FOREVER, now, now)
        else:
            self.active[index] = Counted(index, found.name, found.terms, found.mark, wanted_at=now,
                                         group=group(found.name, cluster=self.cluster))

    def has(self, counted: Counted) -> bool:
        """Whether it is in use still."""
        return self.active.get(counted.index) is counted

    def due(self, asking: list[int], now: int) -> list[Counted]:
        """Those to speak of, and which nobody speaks of yet. `asking` are those that workers call control to."""
        fleet = self.purses.fleet
        self.hosts = fleet.hosts
        if fleet.away and now >= fleet.away + SILENCE:
            self.settled = now + SETTLING
        for index in asking:
            if index not in self.active:
                self.begin(index, None, now)
        found = self.places.due([index for index, each in self.active.items() if not each.asked], set(asking), now)
        return [self.active[index] for index in found[:MOST]]

    def leases(self, counted: Counted) -> bool:
        """Whether it has many places."""
        return counted.most >= LEASED * self.hosts

    def say(self, counted: Counted, now: int) -> list[int] | None:
        """What the next message says: see places.lua. None: nothing. A limit that nobody uses is out of use."""
        places, demand, index = self.places, counted.demand, counted.index
        held = places.held(index)
        demand.look(places.crowd(index), self.patience, now)
        wanted = demand.wanted if self.leases(counted) else demand.need
        settling = allotment.lapsed(held, now) and now < self.settled
        if settling:
            wanted = max(demand.used, min(wanted, places.share(counted.most)))
        elif now < counted.rests or self.purses.fleet.away:
            wanted = max(wanted, held.places)
        if wanted:
            counted.wanted_at = now
        elif not counted.told and not demand.used and now >= counted.wanted_at + allotment.LEASE:
            del self.active[index]
            return None
        if wanted == held.places == counted.told and counted.of == counted.most and now < held.sent + REFRESH:
            return None
        counted.asked, counted.wanted, counted.of = True, wanted, counted.most
        after = allotment.send(held, wanted, now)
        used = places.hold(index, after, counted.most)
        counted.told = max(after.places, used, wanted if settling else 0)
        return [counted.most, after.seq, allotment.known(held, now), counted.told,
                max(used, demand.need), min(wanted, counted.most)]

    @staticmethod
    def flat(words: list[int]) -> list[int]:
        """As the script gets it."""
        return words

    def hear(self, counted: Counted, life: int, seq: int, answer: list[int], now: int) -> None:
        """The answer. A limit that is out of use has none: its index is another's, perhaps."""
        if not self.has(counted):
            return
        counted.asked = False
        granted, left, most, claims, rest = answer
        if int(granted) == -2:
            return self.fail(counted, str(left), now)
        counted.fault, counted.left, counted.claims = "", max(0, int(left)), int(claims)
        counted.foreign = int(most) != counted.of
        before = self.places.held(counted.index)
        after = allotment.take(before, life, seq, int(granted), now)
        if after is not before:
            counted.told = max(counted.told, after.places)
            self.places.hold(counted.index, after, counted.of)
        self.places.set_alone(counted.index, 0)
        counted.rests = now + int(rest) * 1000
        self.watch(counted, after.places, int(rest) * 1000, now)

    def watch(self, counted: Counted, places: int, rest: int, now: int) -> None:
        """When to look at it again, and what workers are told."""
        demand, leases, short = counted.demand, self.leases(counted), places < counted.wanted
        again, unasked, low, high = now, 0, demand.used, FOREVER
        if short:
            again = now + (rest or (PROMPT if demand.waiting else self.tick))
            unasked = now + max(rest, (1 + leases) * self.tick)
        idle = places - demand.need                         # of this host's, beyond what is needed
        if idle + demand.refused > 0 and not self.purses.fleet.slow:
            demand.expected = min(demand.expected, now + 2 * self.tick)     # who was refused comes soon, or elsewhere
        due = self.places.held(counted.index).sent + REFRESH
        if leases:
            low, high = demand.used - (0 if counted.claims else demand.ahead), places - demand.ahead // 2
            if short or (idle > 0 and (counted.claims or counted.left < counted.most // 8)):
                due = min(due, now + self.tick)
            elif idle > 0:
                due = min(due, now + 4 * self.tick)
        elif short or idle > 0 or demand.refused or places < counted.told:
            due = min(due, now + self.tick)
        if short and (demand.waiting or rest):
            due = min(due, again)
        self.places.watch(counted.index, min(low, counted.told), high, due, again)
        self.places.tell(counted.index, counted.left, unasked, not leases or places < counted.told)

    def renew(self, group: int, life: int, sent: int, now: int) -> None:
        """Redis has counted this host as alive, by a word that was sent then. What it has forgotten it is told anew."""
        indices = [index for index, each in self.active.items() if each.group == group]
        for index in self.places.renew(indices, life, sent + SILENCE, now):
            self.active[index].told = UNTOLD
            self.places.watch(index, 0, FOREVER, now, now)

    def fail(self, counted: Counted, fault: str, now: int) -> None:
        """There was no answer, or none of use."""
        if not self.has(counted):
            return
        if fault and not counted.fault:
            self.places.set_alone(counted.index, now)
        counted.asked, counted.fault = False, fault
        self.places.watch(counted.index, 0, FOREVER, now + self.tick, now + self.tick)
