"""Limits that hosts share as control sees them; workers use purse.pxd. Times are ns of CLOCK_MONOTONIC."""

from collections.abc import Iterable
from typing import NamedTuple

from typing_extensions import disjoint_base

from edge._fast.shared.slab import Slab

class Held(NamedTuple):
    """What a purse holds (below 0: a debt) until when, and what was said of it last."""

    units: int
    expires: int
    seq: int
    ack: int
    sent: int
    life: int
    until: int
    reserved: int
    lent: int

class Said(NamedTuple):
    """What workers have left for control: the most that one has missed, units taken alone (below 0: such that come
    back), and of all these those that may still come back."""

    lack: int
    alone: int
    lent: int

class FleetTotal(NamedTuple):
    """What a host knows of Redis and its peers. `rank` is how many of `hosts` come before it, `away` since when (0: it
    answers), `grace` how long from then on."""

    host: int
    hosts: int
    rank: int
    slow: bool
    away: int
    grace: int

@disjoint_base
class Purses:
    """The purses of one host, by the indices of their limits' buckets."""

    slab: Slab
    def __init__(self, slab: Slab) -> None: ...
    def asking(self) -> list[int]: ...
    def due(self, indices: Iterable[int], now: int) -> list[int]: ...
    def held(self, index: int) -> Held: ...
    def said(self, index: int, now: int) -> Said: ...
    def unsaid(self, index: int, alone: int) -> None: ...
    def share(self, index: int, left: int) -> None: ...
    def hold(self, index: int, before: Held, after: Held) -> bool: ...
    def renew(self, indices: Iterable[int], life: int, expires: int, now: int) -> None: ...
    def lapse(self, index: int, before: Held, now: int) -> bool: ...
    def forget(self, index: int, now: int) -> None: ...
    def tell(self, index: int, origin: int, unasked: int) -> None: ...
    def watch(self, index: int, low: int, high: int, due: int, again: int) -> None: ...
    def mute(self, index: int, since: int) -> None: ...
    def left(self, index: int, now: int | None = None) -> int: ...
    def take(self, index: int, cost: int = 1, now: int | None = None) -> int: ...
    def settle(self, index: int, cost: int, used: int, taken_at: int, now: int | None = None) -> None: ...
    def take_alone(self, index: int, cost: int = 1, now: int | None = None) -> int: ...
    def settle_alone(self, index: int, cost: int, used: int, now: int | None = None) -> None: ...
    @property
    def fleet(self) -> FleetTotal: ...
    def set_fleet(
        self, *, hosts: int | None = None, rank: int | None = None, slow: bool | None = None, away: int | None = None,
        grace: int | None = None
    ) -> None: ...
