"""Redis's side of a shared limit, as pure functions of (lives, level, message, time); level.lua is the same there.

credit is the level in time (ns): a unit costs `interval`. Rules that keep credit + everything outstanding <= burst:
a host's lease is reclaimed no earlier than the host stops spending; a message older than the last one is void; a
grant whose answer the host has not acknowledged by its next message comes back, because the host will never take
it; units of a dead host are forgotten, not credited; what outstanding units are to come back for (reservations) stays
outstanding.

What was taken without Redis is charged, once: of a message whose answer the host does not have the charge is taken
back, as the host says it again. What of it may still come back is outstanding from then on, as if it had been drawn.

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

from tests.fleet.lives import NOBODY, RECLAIM, Lives, good

LAST = 11_000_000
"""How long Redis counts a purse as outstanding, us from when it heard of it, if the host lives so long; likewise."""


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
    """What a host is known to hold at most, in which life and until when (us), and whether it wanted some. What it got
    and what it was charged last."""

    seq: int
    granted: int
    charged: int
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


def speak(level: Level | None, born: int, lives: Lives, host: str, said: Message, now: int) -> tuple[Level, Answer]:
    """One living host's message about one limit, heard at `now` (us) in the epoch born at `born` (us)."""
    known = said.life == lives[host].name
    if level is None or level.born != born:
        lost = {NOBODY: Lease(0, 0, 0, said.numbers.burst, 0, now + LAST, 0)} if level is None and known else {}
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
        before_charge = credit
        credit = max(credit - said.charge * interval, min(credit, -full))
        charged = (before_charge - credit) // interval
        credit = min(credit, max(0, full - (out + held) * interval))
        units = max(0, credit // interval)
        granted = min(said.wanted, units, max(said.least, units // (wanting + 1)))
        credit -= granted * interval
        mine = Lease(said.seq, granted, charged, held + granted, lives[host].name, now + LAST, int(said.wanted > 0))
    credit = min(credit, max(0, full - (out + mine.held) * interval))
    live[host] = mine
    told = credit - max(0, at - now) * 1000
    return Level(credit, at, born, numbers, said_at, live), Answer(granted, told, *numbers, wanting + mine.wants)


def _leases(level: Level, lives: Lives, now: int) -> tuple[dict[str, Lease], int]:
    """Those that are good, and what all held."""
    live = {host: lease._replace(reclaim=min(lease.reclaim, now + LAST)) for host, lease in level.leases.items()
            if good(lives, host, lease, now)}
    return live, sum(lease.held for lease in level.leases.values())


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
    before = mine.held if mine else 0
    if mine and said.ack != mine.seq:
        credit, before = credit + (mine.granted + mine.charged) * interval, before - mine.granted
    held = said.held if known else min(said.held, max(before, said.charge))
    return credit + min(said.back, max(0, before - held)) * interval, held
