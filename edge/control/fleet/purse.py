"""The host's side of a shared limit, as pure functions of (what is held, event, ns on the host's own monotonic clock).

One message of a limit is under way at a time: sending one voids every earlier answer. A purse is empty one silence
after the last message of whatever limit was sent that Redis answered as the same life's, so it is empty before Redis
counts its host as dead; and one lease after the last one of its own limit. What a message gives back leaves the purse
when it is sent; if the message is lost, so are these units. Units of one life are not known to the next, so no answer
of the next may lengthen their lease: they are spent or run out first. Debts (units below 0) do not run out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from edge._fast import Held
from edge.control.fleet import lives
from edge.control.fleet.lives import SILENCE

LEASE = 10 * SILENCE
"""How long drawn units may be spent at all, ns from when they were asked for. Redis waits longer by a tenth."""
RECLAIM = (lives.RECLAIM, 11_000_000)
"""How long Redis counts a purse as outstanding, us: from the host's last word, and from that of the limit itself."""


def packed(words: Iterable[int]) -> bytes:
    """A message as level.lua gets it."""
    return struct.pack("<10d", *words)


def lapsed(held: Held, now: int) -> bool:
    """Whether Redis may count these units as gone."""
    return now >= held.expires


def worth(held: Held, now: int) -> int:
    """The units that may be spent; below 0: a debt."""
    return min(held.units, 0) if lapsed(held, now) else held.units


def known(held: Held, full: int, now: int) -> int:
    """The life that Redis must know this level from; 0: nobody may have spoken of it for so long that it is gone.

    Redis keeps a level for twice the time in which it fills (`full`, ns) and twice its own lease.
    """
    return held.life if now < held.sent + 2 * (full + LEASE) else 0


def send(held: Held, back: int, now: int) -> Held:
    """What is held once the next message is on its way, which says so; its number is `seq`.

    The number is a time, so that who has forgotten the last one still finds a higher one.
    """
    return held._replace(units=worth(held, now) - back, seq=max(held.seq + 1, now // 1000), sent=now)


def take(held: Held, life: int, seq: int, granted: int, now: int) -> Held:
    """What is held once an answer came: the same if it is not the last message's, came twice, or too late."""
    if seq != held.seq or seq == held.ack or granted < 0 or now >= held.sent + SILENCE:
        return held
    if life != held.life and not lapsed(held, now) and (held.units > 0 or held.reserved > 0):
        return held
    return held._replace(units=worth(held, now) + granted, expires=held.sent + SILENCE, until=held.sent + LEASE,
                         ack=seq, life=life)
