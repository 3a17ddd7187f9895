"""The host's side of a shared limit of concurrent requests, as pure functions of (what is held, event, ns on the host's
own monotonic clock).

An allotment is how many places of the limit this host may fill. One message is under way at a time: sending one voids
every earlier answer, and says all that the host has, so that a lost one costs nothing. An allotment ends one lease
after the message that was answered was sent, so before Redis counts it as gone. What the host gives back it gives up
before it says so. Requests that are on their way when an allotment ends go on, and the next message tells of them.
"""

from __future__ import annotations

from edge._fast import ALLOTTED, Allotted

LEASE = ALLOTTED
"""How long places may be filled, ns from when they were asked for. Redis waits longer by a tenth: see RECLAIM."""
RECLAIM = 3_300_000
"""How long Redis counts them as held, us from when it heard of it."""


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


def take(held: Allotted, epoch: int, seq: int, granted: int, now: int) -> Allotted:
    """What is held once an answer came: the same if it is not the last message's, came twice, or too late."""
    if seq != held.seq or seq == held.ack or granted < 0 or now >= held.sent + LEASE:
        return held
    return held._replace(places=granted, expires=held.sent + LEASE, ack=seq, epoch=epoch)


def known(held: Allotted, now: int) -> int:
    """The epoch that Redis must still know this host from; 0: none."""
    return 0 if lapsed(held, now) else held.epoch
