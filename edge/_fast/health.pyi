"""Circuit breakers, benched keys and the retry budget as Python sees them; workers use health.pxd."""

from typing import Any, Final, NamedTuple

from edge._fast.slab import Slab

STATES: Final[tuple[str, ...]]
FORCINGS: Final[tuple[str, ...]]

class HealthTotal(NamedTuple):
    """What all workers know of one target. `open_for` and `benched` (by provider key) in seconds from now."""

    state: str
    open_for: float
    forced: str
    ailing: bool
    failures: int
    opened: int
    probes: int
    shut_out: int
    benched: list[float]
    failed: list[int]

class Healths:
    """The health of targets by index. Times are ns of CLOCK_MONOTONIC."""

    slab: Slab
    def __init__(self, slab: Slab) -> None: ...
    def total(self, target: int, keys: int = 0, now: int | None = None) -> HealthTotal: ...
    def force(self, target: int, state: str) -> None: ...
    def ail(self, target: int, ailing: bool) -> None: ...
    def forgive(self, target: int) -> None: ...
    def ask(self, target: int, worker: int, now: int) -> str: ...
    def tell(self, target: int, good: bool, breaker: Any, now: int, sent: int) -> bool: ...
    def end_probe(self, target: int) -> None: ...
    def bench(self, target: int, key: int, until: int) -> None: ...
    def key(self, target: int, keys: int, first: int, now: int) -> int: ...
    def may_retry(self, now: int, share: float) -> bool: ...
