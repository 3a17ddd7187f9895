"""The host's side of a shared limit, as pure functions of (purse, event, time on the host's own monotonic clock, us).

One message is under way at a time: sending one voids every earlier answer. A purse is empty one lease after the
message that was answered was sent, so it is empty before Redis counts it as gone. What a message gives back leaves the
purse when it is sent; if the message is lost, so are these units. Units of one epoch are not known to the next, so
no answer of the next may lengthen their lease: they are spent or run out first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

LEASE = 1_000_000
"""How long drawn units may be spent, us from when they were asked for."""


@dataclass(frozen=True)
class Purse:
    """Units to spend until `expires`; `seq` and `sent` of the last message, `ack` and `epoch` of the last answer."""

    units: int = 0
    expires: int = 0
    seq: int = 0
    ack: int = 0
    sent: int = 0
    epoch: int = 0


def worth(purse: Purse, now: int) -> int:
    """The units that may be spent."""
    return purse.units if now < purse.expires else 0


def spend(purse: Purse, now: int) -> tuple[Purse, bool]:
    """Takes one unit, if there is one."""
    if worth(purse, now) < 1:
        return purse, False
    return replace(purse, units=purse.units - 1), True


def send(purse: Purse, back: int, now: int) -> Purse:
    """The purse once the next message is on its way; what it holds is then `worth`, its number `seq`."""
    return replace(purse, units=worth(purse, now) - back, seq=purse.seq + 1, sent=now)


def take(purse: Purse, epoch: int, seq: int, granted: int, now: int) -> Purse:
    """The purse once an answer came: void if it is not the answer to the last message, came twice, or too late."""
    if seq != purse.seq or seq == purse.ack or granted < 0 or now >= purse.sent + LEASE:
        return purse
    if epoch != purse.epoch and worth(purse, now):
        return purse
    return replace(purse, units=worth(purse, now) + granted, expires=purse.sent + LEASE, ack=seq, epoch=epoch)
