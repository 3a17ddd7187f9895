"""The host's shared memory as Python sees it; workers write through the C interface of slab.pxd."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple, Self

from typing_extensions import disjoint_base

MAX_WORKERS: Final[int]
CONTROL: Final[int]
GENERATION: Final[int]
MAX_SERIES: Final[int]
MAX_BUCKETS: Final[int]
MAX_LIMITS: Final[int]
FILE_BUCKETS: Final[int]
PARTY_BUCKETS: Final[int]
MAX_KEYS: Final[int]
MAX_POLICIES: Final[int]
MAX_PARTS: Final[int]
PART: Final[int]
DIGEST: Final[int]
NAME_ROOM: Final[int]
MOST_LIMITS: Final[int]
SLOTS_BITS: Final[int]
MAX_BALANCES: Final[int]
BALANCE_BITS: Final[int]
PERIODS: Final[int]
MOST_SWITCHED: Final[int]
SWITCH_SLOTS: Final[int]
NAME_BYTES: Final[int]
MESSAGE_ROOM: Final[int]
HOLDS: Final[int]
N_OUTCOMES: Final[int]
RELAYED: Final[int]
N_BOUNDS: Final[int]
MAX_TARGETS: Final[int]
MAX_POOLS: Final[int]
MAX_PROVIDER_KEYS: Final[int]
MAX_IDS: Final[int]
LINES_ROOM: Final[int]
MAX_WINDOW: Final[int]
DECLARED: Final[int]
UNLIMITED: Final[int]
LONG_BOUNDS: Final[tuple[float, ...]]
SHORT_BOUNDS: Final[tuple[float, ...]]
RELAYED_STATUSES: Final[tuple[int, ...]]

class Source(IntEnum):
    """Who has made a key, and alone writes its row."""

    FILE = ...
    STORE = ...
    PARTIES = ...
    N_SOURCES = ...

class Party(IntEnum):
    """Who stands behind keys, in the order of a key's row."""

    ACCOUNT = ...
    USER = ...
    GROUP = ...
    WORKSPACE = ...
    N_PARTIES = ...

class HistogramTotal(NamedTuple):
    """Observations per bucket (not cumulative; the last is +Inf), and their sum."""

    counts: list[int]
    sum_ns: int

class SeriesTotal(NamedTuple):
    """What all workers counted of one series."""

    in_flight: int
    outcomes: list[int]
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    total: HistogramTotal
    first_byte: HistogramTotal
    overhead: HistogramTotal
    without_usage: int
    estimated_input: int
    estimated_output: int

class WorkerTotal(NamedTuple):
    """What one worker counted whatever the series."""

    heartbeat_ns: int
    accepted: int
    connections: int
    upstream_connections: int
    admitted: int
    refused_key: int
    refused_model: int
    refused_gateway: int
    shadowed: int
    upstream_opened: int
    upstream_reused: int
    restarts: int
    in_flight: int
    retrying: int
    retries: int
    fallbacks: int
    budget_refused: int
    shed: int
    memory: int
    lines_lost: int
    degraded: int
    reservations: int
    expired: int
    points: int
    unbilled: int

class LoadTotal(NamedTuple):
    """What all workers have of one provider: requests there, requests that wait, how many may be there."""

    active: int
    waiting: int
    limit: int
    refused: int

@disjoint_base
class Slab:
    """Shared memory for `workers` workers; children get it through fork. Times are ns of CLOCK_MONOTONIC.

    A process that writes has a stripe: a worker's number, or CONTROL, plus GENERATION in every second generation.
    """

    @property
    def workers(self) -> int: ...
    @property
    def descriptor(self) -> int: ...
    @property
    def host(self) -> int: ...
    def strain_by(self, kind: int, share: int, until: int) -> None: ...
    def begin_sharing(self) -> None: ...
    def __new__(cls, workers: int, descriptor: int = -1) -> Self: ...
    @staticmethod
    def terms(rate: float, burst: int) -> tuple[int, int]: ...
    def clear(
        self, series: Iterable[int], buckets: Iterable[int], targets: Iterable[int], pools: Iterable[int]
    ) -> None: ...
    def made(self, name: bytes, pool: int, now: int | None = None) -> None: ...
    def maker_of(self, name: bytes) -> int: ...
    def hold(self, stripe: int, version: int) -> None: ...
    def oldest(self, stripe: int) -> int: ...
    def set_bucket(self, index: int, rate: float, burst: int, now: int | None = None) -> None: ...
    def set_concurrency(self, index: int, most: int) -> None: ...
    def concurrency(self, index: int) -> tuple[int, int]: ...
    def enter_limit(self, stripe: int, index: int) -> bool: ...
    def leave_limit(self, stripe: int, index: int) -> None: ...
    def take(self, index: int, cost: int = 1, now: int | None = None) -> int: ...
    def give(self, index: int, cost: int = 1) -> None: ...
    def reserve(self, index: int, cost: int, now: int) -> int: ...
    def settle(self, index: int, cost: int, used: int, taken_at: int, now: int) -> None: ...
    def left(self, index: int, now: int | None = None) -> int: ...
    def limit(self, index: int) -> int: ...
    def full_in(self, index: int, now: int | None = None) -> int: ...
    def series_total(self, index: int) -> SeriesTotal: ...
    def worker_total(self, worker: int) -> WorkerTotal: ...
    def lag(self, worker: int) -> HistogramTotal: ...
    def load_total(self, pool: int) -> LoadTotal: ...
    def heartbeat(self, stripe: int) -> int: ...
    def worker_died(self, stripe: int) -> None: ...
    def retired(self, stripe: int) -> None: ...
    def restarted(self, stripe: int) -> None: ...
    def lost_line(self, stripe: int) -> None: ...
    def account(
        self, stripe: int, index: int, outcome: int, times_ns: tuple[int, int, int],
        tokens: tuple[int, int, int],
    ) -> None: ...
    def enter(self, stripe: int, index: int, change: int = 1) -> None: ...
    def beat(self, stripe: int, counts: dict[str, int] = ...) -> None: ...
    def carry(self, stripe: int, pool: int, load: tuple[int, int, int, int]) -> None: ...
    def bench_take(self, index: int, n: int) -> float: ...
    def bench_observe(self, stripe: int, index: int, n: int) -> float: ...

def monotonic() -> int: ...
def slot_of(status: int) -> int: ...
