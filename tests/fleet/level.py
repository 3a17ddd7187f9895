"""Redis's side of a shared limit, as pure functions of (lives, level, message, time); level.lua is the same there.

credit is the level in time (ns): a unit costs `interval`. Rules that keep credit + everything outstanding <= burst:
a host's lease is reclaimed no earlier than the host stops spending; a message older than the last one is void; a
grant whose answer the host has not acknowledged by its next message comes back, because the host will never take
it; units of a dead host are forgotten, not credited; what outstanding units are to come back for (reservations) stays
outstanding.

Each word of a host is a sign that it lives, whatever limit it is of. A lease is as good as the life in which it was
given, which silence ends; and it ends by itself some time after the last word of its own limit, so that what a host has
forgotten to give back is not lost for good. An epoch in which nobody is known to live is a new one.

A level that is not there is one that has rested since the epoch's birth, and an epoch begins empty and rests for a
life's silence, in which unknown purses of the last one expire. Where a host remembers a level from this life of its own
it was lost: all of it is out then, in nobody's hands, for the time of a lease.

Of two configurations the smaller numbers rule, until nobody has said them for twice that silence; units stay units.
Time that has gone by is paid by the numbers that ruled then. Redis's clock may go back: nothing is put off for longer
than from the start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

RECLAIM = 1_100_000
"""How long a life goes on without a word, us: longer than the host spends without an answer by 10 %."""
LAST = 11_000_000
"""How long Redis counts a purse as outstanding, us from when it heard of it, if the host lives so long; likewise."""


class Life(NamedTuple):
    """Of a host: its name, which is when it began (us), and when silence ends it."""

    name: int
    until: int


Lives = dict[str, Life]
NOBODY = ""


class Numbers(NamedTuple):
    """What a limit grants: a unit each `interval` (ns), `burst` at most."""

    interval: int
    burst: int


class Message(NamedTuple):
    """What a host says of one limit: the limit's numbers, what it holds, what it gives back and what it wants.

    `ack` is the last answer that it has, `life` that answer's; 0: the level may have gone by its age since then.
    `charge` was taken without asking. Of what is wanted, `least` is of no use by less.
    """

    numbers: Numbers
    seq: int
    ack: int
    life: int
    held: int
    back: int
    charge: int
    wanted: int
    least: int

    def flat(self) -> list[int]:
        """As the script gets it."""
        return [*self.numbers, *self[1:]]


class Lease(NamedTuple):
    """What a host is known to hold at most, in which life and until when (us), and whether it wanted some."""

    seq: int
    granted: int
    held: int
    life: int
    reclaim: int
    wants: int


@dataclass(frozen=True, slots=True)
class Level:
    """A limit's credit (ns) at a time (us) in an epoch, its numbers and when each was said last, its leases by host."""

    credit: int
    at: int
    born: int
    numbers: Numbers
    said_at: Numbers
    leases: dict[str, Lease] = field(default_factory=dict)


class Answer(NamedTuple):
    """granted -1: the message is older than one already heard. credit is that of now: below 0 there is nothing."""

    granted: int
    credit: int
    interval: int
    burst: int
    hosts: int


def live(lives: Lives, host: str, now: int) -> tuple[Lives, int]:
    """A host's word: all lives, and the name of its own."""
    before = lives.get(host)
    name = before.name if before and before.until > now else now
    return {**lives, host: Life(name, now + RECLAIM)}, name


def met(lives: Lives, level: Level | None, born: int, now: int) -> Lives:
    """Lives after one was looked for of each host with a lease: what has ended stays so, if time itself goes back."""
    leases = level.leases if level and level.born == born else {}
    names = {host for host, lease in leases.items() if lease.reclaim > now}
    return {name: life._replace(until=min(life.until, now + RECLAIM)) if name in names else life
            for name, life in lives.items() if name not in names or life.until > now}


def speak(level: Level | None, born: int, lives: Lives, host: str, said: Message, now: int) -> tuple[Level, Answer]:
    """One living host's message about one limit, heard at `now` (us) in the epoch born at `born` (us)."""
    known = said.life == lives[host].name
    if level is None or level.born != born:
        lost = {NOBODY: Lease(0, 0, said.numbers.burst, 0, now + LAST, 0)} if level is None and known else {}
        level = Level(0, now if lost else born + RECLAIM, born, said.numbers, Numbers(now, now), lost)
    live, before = _leases(level, lives, now)
    mine = live.pop(host, None)
    out = sum(lease.held for lease in live.values())
    wanting = sum(lease.wants for lease in live.values() if lease.reclaim > now + LAST - RECLAIM)
    at = min(level.at, now + RECLAIM)
    interval, burst = level.numbers
    full = burst * interval
    credit = level.credit + min(max(0, now - at) * 1000, 2 * full)
    # What was outstanding until now left no room for it to fill meanwhile.
    credit, at = min(credit, max(0, full - before * interval)), max(at, now)
    numbers, said_at = _agreed(level, said.numbers, now)
    if numbers != level.numbers:
        credit = credit if numbers.interval == interval else credit // interval * numbers.interval
        interval, full = numbers.interval, numbers.burst * numbers.interval
    if mine and said.seq <= mine.seq:
        granted = mine.granted if said.seq == mine.seq else -1
    else:
        credit, held = _heard(mine, said, known, credit, interval)
        credit = min(credit, max(0, full - (out + held) * interval))
        credit = max(credit - said.charge * interval, min(credit, -full))
        units = max(0, credit // interval)
        granted = min(said.wanted, units, max(said.least, units // (wanting + 1)))
        credit -= granted * interval
        mine = Lease(said.seq, granted, held + granted, lives[host].name, now + LAST, int(said.wanted > 0))
    credit = min(credit, max(0, full - (out + mine.held) * interval))
    live[host] = mine
    told = credit - max(0, at - now) * 1000
    return Level(credit, at, born, numbers, said_at, live), Answer(granted, told, *numbers, wanting + mine.wants)


def _leases(level: Level, lives: Lives, now: int) -> tuple[dict[str, Lease], int]:
    """Those that are good, and what all held."""
    alive = {name: life.name for name, life in lives.items() if life.until > now} | {NOBODY: 0}
    good = {host: lease._replace(reclaim=min(lease.reclaim, now + LAST)) for host, lease in level.leases.items()
            if lease.reclaim > now and lease.life == alive.get(host)}
    return good, sum(lease.held for lease in level.leases.values())


def _agreed(level: Level, said: Numbers, now: int) -> tuple[Numbers, Numbers]:
    """The numbers that rule, and when each was said last: the longest interval and the smallest burst of late."""
    (interval, burst), (interval_at, burst_at) = level.numbers, level.said_at
    if said.interval >= interval or interval_at + 2 * RECLAIM <= now or interval_at > now:
        interval, interval_at = said.interval, now
    if said.burst <= burst or burst_at + 2 * RECLAIM <= now or burst_at > now:
        burst, burst_at = said.burst, now
    return Numbers(interval, burst), Numbers(interval_at, burst_at)


def _heard(mine: Lease | None, said: Message, known: bool, credit: int, interval: int) -> tuple[int, int]:
    """The credit with what came back, and what the host still holds."""
    believed = said.held if known else 0
    if mine is None:
        return credit, believed
    known = mine.held
    if said.ack != mine.seq:
        credit, known = credit + mine.granted * interval, known - mine.granted
    held = max(believed, min(said.held, known))
    return credit + min(said.back, max(0, known - held)) * interval, held
