"""The host's side of a shared limit, as pure functions of (what is held, event, ns on the host's own monotonic clock).

One message is under way at a time: sending one voids every earlier answer. A purse is empty one lease after the
message that was answered was sent, so it is empty before Redis counts it as gone. What a message gives back leaves the
purse when it is sent; if the message is lost, so are these units. Units of one epoch are not known to the next, so
no answer of the next may lengthen their lease: they are spent or run out first. Debts (units below 0) do not run out.
"""

from __future__ import annotations

from edge._fast import Held

LEASE = 1_000_000_000
"""How long drawn units may be spent, ns from when they were asked for. Redis waits longer by a tenth: see RECLAIM."""
RECLAIM = 1_100_000
"""How long Redis counts a purse as outstanding, us from when it heard of it."""


def lapsed(held: Held, now: int) -> bool:
    """Whether Redis may count these units as gone."""
    return now >= held.expires


def worth(held: Held, now: int) -> int:
    """The units that may be spent; below 0: a debt."""
    return min(held.units, 0) if lapsed(held, now) else held.units


def known(held: Held, full: int, now: int) -> int:
    """The epoch that its level is of; 0: nobody may have spoken of it for so long that it is gone without a fault.

    Redis keeps a level for twice the time in which it fills (`full`, ns) and twice its own lease.
    """
    return held.epoch if now < held.sent + 2 * (full + LEASE) else 0


def send(held: Held, back: int, now: int) -> Held:
    """What is held once the next message is on its way, which says so; its number is `seq`.

    The number is a time, so that who has forgotten the last one still finds a higher one.
    """
    return held._replace(units=worth(held, now) - back, seq=max(held.seq + 1, now // 1000), sent=now)


def take(held: Held, epoch: int, seq: int, granted: int, now: int) -> Held:
    """What is held once an answer came: the same if it is not the last message's, came twice, or too late."""
    if seq != held.seq or seq == held.ack or granted < 0 or now >= held.sent + LEASE:
        return held
    if epoch != held.epoch and not lapsed(held, now) and (held.units > 0 or held.reserved > 0):
        return held
    return held._replace(units=worth(held, now) + granted, expires=held.sent + LEASE, ack=seq, epoch=epoch)
