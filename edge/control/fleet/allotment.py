"""The host's side of a shared limit of concurrent requests, as pure functions of (what is held, event, ns on the host's
own monotonic clock).

An allotment is how many places of the limit this host may fill. One message is under way at a time: sending one voids
every earlier answer, and says all that the host has, so that a lost one costs nothing. An allotment ends one silence
after the last message of whatever limit was sent that Redis answered as the same life's, and one lease after the last
one of its own limit, so before Redis counts it as gone. What the host gives back it gives up before it says so.
Requests that are on their way when an allotment ends go on, and the next message tells of them.
"""

from __future__ import annotations

from edge._fast import ALLOTTED, Allotted
from edge.control.fleet import lives
from edge.control.fleet.lives import SILENCE

LEASE = ALLOTTED
"""How long places may be filled at all, ns from when they were asked for. Redis waits longer by a tenth."""
RECLAIM = (lives.RECLAIM, 5_500_000)
"""How long Redis thinks that the host lives, us from its last word; and counts them as held, from that of the limit."""


def lapsed(held: Allotted, now: int) -> bool:
    """Whether Redis may have given these places to others."""
    return now >= held.expires


def worth(held: Allotted, now: int) -> int:
    """How many places may be filled."""
    return 0 if lapsed(held, now) else held.places


def send(held: Allotted, keep: int, now: int) -> Allotted:
    """What is held once the next message is on its way, at most `keep`; its number is `seq`.

    The number is a time, so that who has forgotten the last one still finds a higher one.
    """
    return held._replace(places=min(keep, worth(held, now)), seq=max(held.seq + 1, now // 1000), sent=now)


def take(held: Allotted, life: int, seq: int, granted: int, now: int) -> Allotted:
    """What is held once an answer came: the same if it is not the last message's, came twice, or too late."""
    if seq != held.seq or seq == held.ack or granted < 0 or now >= held.sent + SILENCE:
        return held
    return held._replace(places=granted, expires=held.sent + SILENCE, until=held.sent + LEASE, ack=seq, life=life)


def known(held: Allotted, now: int) -> int:
    """The life that Redis must still know this host from; 0: none."""
    return 0 if lapsed(held, now) else held.life
