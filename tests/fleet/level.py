"""The Redis side of a shared limit, as a pure function of (level, message, time); level.lua is the same on a server.

credit is the level in time (ns): a unit costs `interval`. Rules that keep credit + everything outstanding <= burst:
a host's lease is reclaimed no earlier than the host stops spending; a message older than the last one is void; a
grant whose answer the host has not acknowledged by its next message comes back, because the host will never take
it; units of a dead host are forgotten, not credited. A level that is not there is one that has rested since the
epoch's birth, and an epoch begins empty and rests for one lease, in which unknown purses of the last one expire.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

RECLAIM = 1_100_000
"""How long Redis counts a purse as outstanding, us from when it heard of it: longer than purse.LEASE by 10 %."""


@dataclass(frozen=True)
class Message:
    """What a host says of one limit: the limit's numbers, what it holds, what it gives back and what it wants."""

    interval: int
    burst: int
    seq: int
    ack: int
    held: int
    back: int
    wanted: int


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
    """A limit's credit (ns) at a time (us), and its leases by host."""

    credit: int
    at: int
    leases: dict[str, Lease] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """granted -1: the message is older than one already heard; wait is us until there is a unit again."""

    granted: int
    left: int
    wait: int
    hosts: int


def speak(level: Level | None, born: int, host: str, said: Message, now: int) -> tuple[Level, Answer]:
    """One host's message about one limit, heard at `now` (us) in the epoch born at `born` (us)."""
    level = level or Level(0, born + RECLAIM)
    live = {name: lease for name, lease in level.leases.items() if lease.reclaim > now}
    mine = live.pop(host, None)
    out = sum(lease.held for lease in live.values())
    wanting = sum(lease.wants for lease in live.values())
    full, credit, at = said.burst * said.interval, level.credit, level.at
    if now > at:
        credit, at = credit + min((now - at) * 1000, full), now
    # What was outstanding until now left no room for it to fill meanwhile.
    before = sum(lease.held for lease in level.leases.values())
    credit = max(0, min(credit, full - before * said.interval))
    if mine and said.seq <= mine.seq:
        granted = mine.granted if said.seq == mine.seq else -1
    else:
        credit, held = _heard(mine, said, credit)
        credit = max(0, min(credit, full - (out + held) * said.interval))
        units = credit // said.interval
        granted = min(said.wanted, units, max(1, units // (wanting + 1)))
        credit -= granted * said.interval
        mine = Lease(said.seq, granted, held + granted, now + RECLAIM, int(said.wanted > 0))
    credit = max(0, min(credit, full - (out + mine.held) * said.interval))
    left = credit // said.interval
    wait = 0 if left else -((credit - said.interval) // 1000) + max(0, at - now)
    heard = replace(level, credit=credit, at=at, leases={**live, host: mine})
    return heard, Answer(granted, left, wait, wanting + mine.wants)


def _heard(mine: Lease | None, said: Message, credit: int) -> tuple[int, int]:
    """The credit with what came back, and what the host still holds."""
    if mine is None:
        return credit, 0
    known = mine.held
    if said.ack != mine.seq:
        credit, known = credit + mine.granted * said.interval, known - mine.granted
    held = min(said.held, known)
    return credit + min(said.back, known - held) * said.interval, held
