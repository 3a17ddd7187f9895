"""The data plane as the worker sees it: it fills the tables, opens connections, and calls tick() and turn()."""

import socket
from asyncio import BufferedProtocol
from collections.abc import Callable, Sequence
from typing import Any, Final

from typing_extensions import disjoint_base

from edge._fast.contract.render import Template
from edge._fast.shared.slab import Slab

STATES: Final[tuple[str, ...]]
VERDICTS: Final[tuple[str, ...]]
TRANSITIONS: Final[dict[tuple[str, str], str]]
KINDS_OF_LIMITS: Final[tuple[str, ...]]
KEY_STATES: Final[tuple[Any, ...]]

@disjoint_base
class Surface:
    """A client's dialect (edge.dialects.surfaces.Surface) with its error templates by condition; `native`: its own."""

    def __init__(
        self, surface: Any, templates: list[Template | None], native: bool, tells_limits: bool
    ) -> None: ...

@disjoint_base
class Route:
    """One path: its rules (edge.dialects.routes.Route), and after `bind` what the configuration says of it."""

    name: str
    def __init__(self, route: Any, index: int, surface: Surface) -> None: ...
    def bind(
        self, unrouted: int, target: Target | None = None,
        own: Callable[[Any, bytes, Callable[[str], bool] | None, str], tuple[int, bytes | None]] | None = None,
        open_to_all: bool = False, other: Route | None = None, pinned: bool = False,
    ) -> Route: ...
    def share(self, makers: tuple[Target, ...]) -> Route: ...

@disjoint_base
class Limits:
    """Buckets by index, each with what it counts (one of KINDS_OF_LIMITS) and how many a full one holds.


    `outage` is share, closed or open where hosts share the limits, and None where they do not.
    """

    def __init__(self, slab: Slab, takes: Sequence[tuple[int, str, int]], shadow: bool, outage: str | None) -> None: ...

@disjoint_base
class Tenant:
    """A key, as its row in the directory has it; made by the data plane alone."""

    name: str

@disjoint_base
class Policy:
    """What keys have in common (of an edge.values.snapshot.Key): scopes as bits by route index, models, hours, limits.

    `takes` are the limits: the number of the row's bucket, what it counts, how many a full one holds.
    """

    def __init__(
        self, policy: Any, takes: tuple[tuple[int, str, int], ...], outage: str | None, scopes: int,
        allows: Callable[[str], bool] | None, hours: Callable[[float], str | None] | None
    ) -> None: ...

@disjoint_base
class Target:
    """A provider's pool, the model's name there as JSON (None: as asked), and series by route index."""

    name: str
    priority: int
    def __init__(self, pool: Pool, model: bytes | None, series: list[int]) -> None: ...
    def place(self, name: str, index: int, priority: int, weight: int) -> Target: ...

@disjoint_base
class Model:
    """A name and its targets, by surface."""

    name: str
    def __init__(
        self, name: str, targets: dict[Any, tuple[Target, ...]], limits: Limits | None, prices: Prices | None = None
    ) -> None: ...
    def with_traits(self, listed: str, off: bool, lacks: int, prices: Prices | None = None) -> Model: ...

@disjoint_base
class Prices:
    """What requests for a model cost (edge.values.snapshot.Prices)."""

    def __init__(self, prices: Any) -> None: ...

@disjoint_base
class Pool:
    """Connections to one provider (edge.values.snapshot.Provider)."""

    name: str
    provider: Any
    def __init__(
        self, gateway: Gateway, provider: Any, base: bytes, strip: int, heads: tuple[bytes, ...], load: int
    ) -> None: ...
    def update(self, provider: Any, heads: tuple[bytes, ...]) -> None: ...
    def connection(self) -> BufferedProtocol: ...
    def opened(self, sock: socket.socket) -> None: ...
    def failed(self, condition: int, reason: str) -> None: ...
    def retire(self) -> None: ...
    def sweep(self) -> None: ...

@disjoint_base
class Gateway:
    """One worker's data plane. `epoll` is readable when `turn` has work."""

    slab: Slab
    index: int
    epoll: int
    draining: bool
    pools: dict[str, Pool]
    def __init__(
        self, slab: Slab, stripe: int, connect: Callable[[Pool], None],
        log_fault: Callable[[BaseException, str | None], None],
    ) -> None: ...
    @staticmethod
    def check(tables: Any) -> None: ...
    def load(self, tables: Any) -> None: ...
    def listen(self, sock: socket.socket) -> None: ...
    def turn(self) -> None: ...
    def tick(self) -> None: ...
    def decode(self) -> None: ...
    def redraw(self) -> None: ...
    def drain(self) -> None: ...
    def retire(self) -> None: ...
    @property
    def deaf(self) -> bool: ...
    @property
    def taken(self) -> dict[tuple[str, str], int]: ...
    @property
    def clients(self) -> int: ...
    @property
    def busy(self) -> int: ...
    def close(self) -> None: ...
