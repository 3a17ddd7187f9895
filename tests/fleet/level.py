"""The Redis side of a shared limit, as a pure function of (level, message, time); level.lua is the same on a server.

credit is the level in time (ns): a unit costs `interval`. Rules that keep credit + everything outstanding <= burst:
a host's lease is reclaimed no earlier than the host stops spending; a message older than the last one is void; a
grant whose answer the host has not acknowledged by its next message comes back, because the host will never take
it; units of a dead host are forgotten, not credited; what outstanding units are to come back for (reservations) stays
outstanding. A level that is not there is one that has rested since the epoch's birth, and an epoch begins empty and
rests for one lease, in which unknown purses of the last one expire; but where a host remembers a level of this epoch,
it was lost, and is empty. Of two configurations the one that was read later rules for all; units stay units.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

RECLAIM = 1_100_000
"""How long Redis counts a purse as outstanding, us from when it heard of it: longer than the host's lease by 10 %."""


@dataclass(frozen=True)
class Numbers:
    """What a limit grants, and since when (ms) a configuration says so."""

    since: int
    interval: int
    burst: int


@dataclass(frozen=True)
class Message:
    """What a host says of one limit: the limit's numbers, what it holds, what it gives back and what it wants.

    `ack` is the last answer that it has, `epoch` that answer's; 0: the level may have gone by its age since then.
    `charge` was taken without asking. Of what is wanted, `least` is of no use by less.
    """

    numbers: Numbers
    seq: int
    ack: int
    epoch: int
    held: int
    back: int
    charge: int
    wanted: int
    least: int

    def flat(self) -> list[int]:
        """As the script gets it."""
        return [*vars(self.numbers).values(), *list(vars(self).values())[1:]]


@dataclass(frozen=True)
class Lease:
    """What a host is known to hold at most, until when (us), and whether it wanted some."""

    seq: int
    granted: int
    held: int
    reclaim: int
    wants: int


@dataclass(frozen=True)
class Level:
    """A limit's credit (ns) at a time (us) in an epoch, its numbers, and its leases by host."""

    credit: int
    at: int
    born: int
    numbers: Numbers
    leases: dict[str, Lease] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """granted -1: the message is older than one already heard. credit is that of now: below 0 there is nothing."""

    granted: int
    credit: int
    interval: int
    burst: int
    hosts: int


def speak(level: Level | None, born: int, host: str, said: Message, now: int) -> tuple[Level, Answer]:
    """One host's message about one limit, heard at `now` (us) in the epoch born at `born` (us)."""
    level = _known(level, born, said, now)
    numbers, interval = level.numbers, level.numbers.interval
    full = numbers.burst * interval
    live = {name: lease for name, lease in level.leases.items() if lease.reclaim > now}
    mine = live.pop(host, None)
    out = sum(lease.held for lease in live.values())
    wanting = sum(lease.wants for lease in live.values())
    credit, at = level.credit, level.at
    if now > at:
        credit, at = credit + min((now - at) * 1000, 2 * full), now
    # What was outstanding until now left no room for it to fill meanwhile.
    before = sum(lease.held for lease in level.leases.values())
    credit = min(credit, max(0, full - before * interval))
    if mine and said.seq <= mine.seq:
        granted = mine.granted if said.seq == mine.seq else -1
    else:
        credit, held = _heard(mine, said, credit, interval)
        credit = min(credit, max(0, full - (out + held) * interval))
        credit = max(credit - said.charge * interval, min(credit, -full))
        units = max(0, credit // interval)
        granted = min(said.wanted, units, max(said.least, units // (wanting + 1)))
        credit -= granted * interval
        mine = Lease(said.seq, granted, held + granted, now + RECLAIM, int(said.wanted > 0))
    credit = min(credit, max(0, full - (out + mine.held) * interval))
    heard = replace(level, credit=credit, at=at, leases={**live, host: mine})
    told = credit - max(0, at - now) * 1000
    return heard, Answer(granted, told, interval, numbers.burst, wanting + mine.wants)


def _known(level: Level | None, born: int, said: Message, now: int) -> Level:
    """The level by the numbers that rule."""
    if level is None or level.born != born:
        lost = level is None and said.epoch == born
        return Level(0, max(born + RECLAIM, now * lost), born, said.numbers)
    before = level.numbers
    if said.numbers.since <= before.since:
        return level
    credit = level.credit
    if said.numbers.interval != before.interval:
        credit = credit // before.interval * said.numbers.interval
    return replace(level, credit=credit, numbers=said.numbers)


def _heard(mine: Lease | None, said: Message, credit: int, interval: int) -> tuple[int, int]:
    """The credit with what came back, and what the host still holds."""
    if mine is None:
        return credit, 0
    known = mine.held
    if said.ack != mine.seq:
        credit, known = credit + mine.granted * interval, known - mine.granted
    held = min(said.held, known)
    return credit + min(said.back, known - held) * interval, held
