"""Limits of concurrent requests that hosts share, as control sees them. Times are ns of CLOCK_MONOTONIC."""

from collections.abc import Iterable
from typing import NamedTuple

from typing_extensions import disjoint_base

from edge._fast.shared.slab import Slab

ALLOTTED: int
ALIVE: int

class Allotted(NamedTuple):
    """How many places a host may fill until when, and what was said of it last."""

    places: int
    expires: int
    seq: int
    ack: int
    sent: int
    life: int
    until: int

class Crowd(NamedTuple):
    """Requests that have a place; and since control's last look who began to wait, of those that waited who has got a
    place, and who was refused."""

    used: int
    waiting: int
    placed: int
    refused: int

@disjoint_base
class Places:
    """The allotments of one host, by the indices of their limits' buckets."""

    slab: Slab
    def __init__(self, slab: Slab) -> None: ...
    def due(self, indices: Iterable[int], called: set[int], now: int) -> list[int]: ...
    def held(self, index: int) -> Allotted: ...
    def crowd(self, index: int) -> Crowd: ...
    def used(self, index: int) -> int: ...
    def hold(self, index: int, held: Allotted, of: int) -> int: ...
    def renew(self, indices: Iterable[int], life: int, expires: int, now: int) -> list[int]: ...
    def tell(self, index: int, left: int, unasked: int, eager: bool) -> None: ...
    def watch(self, index: int, low: int, high: int, due: int, again: int) -> None: ...
    def share(self, most: int) -> int: ...
    def left(self, index: int, now: int | None = None) -> int: ...
    def set_alone(self, index: int, since: int) -> None: ...
    def counted(self) -> list[int]: ...
    def take(self, stripe: int, index: int, now: int | None = None, waits: bool = False) -> bool | None: ...
    def give(self, stripe: int, index: int) -> bool: ...
