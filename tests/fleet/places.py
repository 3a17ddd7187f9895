"""The Redis side of a shared limit of concurrent requests, as a pure function of (limit, message, time); places.lua is
the same on a server.

Rules that keep all that hosts may fill within `most`: what a host holds is what it says, or what it was granted last if
that is more; nothing is granted beyond what the others' leases leave; a lease is reclaimed no earlier than the host
stops filling it; a message older than the last one is void. What runs already is a fact, and counts even if it is too
much: a host fills a lease no longer than Redis answers it, and the lease goes on for some time. An epoch begins with a
rest of a life's silence (see lives.py), in which hosts say what they have and get no more, and fill no more of what
they had; a limit that a host remembers from this life of its own, and that was lost, with one of a lease. Of different
numbers the smallest one rules, until no host has said it for a lease. No lease is made longer by a clock of Redis's
that is put back.

Where all needs are more than there is each host is due a fair part of it, and what cannot be divided goes round: so
hosts take turns under a limit of fewer places than hosts. What a host holds beyond its due it gives back as its
requests end, if others lack theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tests.fleet.lives import RECLAIM

LAST = 5_500_000
"""How long Redis counts what a host holds, us from when it heard of it: longer than the host does by 10 %."""
TURN = 2_000_000


@dataclass(frozen=True)
class Message:
    """What a host says of one limit. `life` is that of its last answer, 0 when its lease is over."""

    most: int
    seq: int
    life: int
    held: int
    need: int
    wanted: int

    def flat(self) -> list[int]:
        """As the script gets it."""
        return list(vars(self).values())


@dataclass(frozen=True)
class Lease:
    """What a host has at most, what of it it needs, and until when (us)."""

    seq: int
    granted: int
    held: int
    need: int
    reclaim: int


@dataclass(frozen=True)
class Limit:
    """How many places there are in an epoch, as was said at `most_at`; who has them; until `rest` nobody gets more."""

    born: int
    rest: int
    most: int
    most_at: int
    leases: dict[str, Lease] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """granted -1: the message is older than one already heard. claims is what others lack of their due."""

    granted: int
    left: int
    most: int
    claims: int
    rest: int


def speak(limit: Limit | None, epoch: tuple[int, int], host: str, said: Message,
          now: int) -> tuple[Limit | None, Answer]:
    """A host's message about one limit, heard at `now` (us); `epoch`: when that and the host's life began (us)."""
    before, (born, life) = limit, epoch
    limit = _known(limit, born, said, life, now)
    live = {name: replace(lease, reclaim=min(lease.reclaim, now + LAST))
            for name, lease in limit.leases.items() if lease.reclaim > now}
    mine = live.pop(host, None)
    free = limit.most - sum(lease.held for lease in live.values())
    heard = mine is None or said.seq > mine.seq
    held, need = (said.held, said.need) if mine is None or heard else (mine.held, mine.need)
    due = entitle({host: need, **{name: lease.need for name, lease in live.items()}}, limit.most, now)
    claims = sum(max(0, due[name] - lease.held) for name, lease in live.items())
    rest = max(0, limit.rest - now)
    if mine is not None and not heard:
        granted = mine.granted if said.seq == mine.seq else -1
        kept = before and replace(before, leases={**live, host: limit.leases[host]})
        return kept, Answer(granted, free - held, limit.most, claims, rest)
    granted = max(0, min(said.wanted, free, held if rest else max(due[host], free - claims)))
    held = max(held, granted)
    live[host] = Lease(said.seq, granted, held, need, now + LAST)
    return replace(limit, leases=live), Answer(granted, free - held, limit.most, claims, rest)


def entitle(needs: dict[str, int], most: int, now: int) -> dict[str, int]:
    """What each host is due."""
    if sum(needs.values()) <= most:
        return needs
    short, rest = dict(needs), most
    while True:
        low = rest // len(short)
        above = {name: need for name, need in short.items() if need > low}
        rest -= sum(short.values()) - sum(above.values())
        if len(above) == len(short):
            break
        short = above
    spare, turn = rest - low * len(short), now // TURN
    parts = {name: low + ((place - turn) % len(short) < spare) for place, name in enumerate(sorted(short))}
    return needs | parts


def _known(limit: Limit | None, born: int, said: Message, life: int, now: int) -> Limit:
    """The limit by the number that rules."""
    if limit is None or limit.born != born:
        lost = limit is None and said.life == life
        return Limit(born, now + LAST if lost else born + RECLAIM, said.most, now)
    limit = replace(limit, rest=min(limit.rest, now + LAST))
    if said.most <= limit.most or limit.most_at + LAST <= now or limit.most_at > now:
        return replace(limit, most=said.most, most_at=now)
    return limit
