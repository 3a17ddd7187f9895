"""What one version of the configuration means for a request: plain values, made once, swapped whole.

`edge.config` makes a `Snapshot` out of a file; supervisor, control and workers hold the same one.
It is picklable, compares by value, and its secrets print as `***`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["openai", "anthropic"]


class Secret:
    """A value that never shows itself: `str`, `repr` and `format` give `***`; `reveal()` is the one way out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class Limit:
    """A token bucket: `rate` requests per second, `burst` at once. `rate` 0: unlimited."""

    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class Provider:
    """An upstream service. Times in seconds; 0 switches a timeout off."""

    name: str
    kind: Kind
    base_url: str                       # as its SDK takes it: with /v1 for openai, without for anthropic
    keys: tuple[Secret, ...] = ()
    headers: tuple[tuple[str, Secret], ...] = ()
    connect_timeout: float = 5.0
    first_byte_timeout: float = 30.0    # request sent to response head
    idle_timeout: float = 60.0          # between two reads of an answer
    total_timeout: float = 600.0
    max_connections: int = 1024         # per worker
    max_idle: int = 256                 # kept alive per worker
    keep_alive: float = 55.0
    ca_bundle: str | None = None
    proxy: Secret | None = None         # http:// or socks5:// URL, credentials inside
    models: tuple[str, ...] = ()        # patterns of the model names it serves; empty: whatever a route sends it


@dataclass(frozen=True, slots=True)
class Target:
    """A provider, and the model's name there (None: the name that the client asked for)."""

    provider: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A name clients may ask for, or a pattern with `*`, and where it is served, in order of preference."""

    name: str
    targets: tuple[Target, ...]
    owned_by: str = "edge"


@dataclass(frozen=True, slots=True)
class Relay:
    """A path pattern (`*` at the end) relayed as it is to one provider."""

    path: str
    provider: str


@dataclass(frozen=True, slots=True)
class Key:
    """A client's key at rest: `digest` is blake2b-256 of the key, keyed with the gateway's `key_secret`."""

    name: str
    digest: bytes
    limit: Limit | None = None
    disabled: bool = False
    expires: float | None = None        # Unix time
    models: tuple[str, ...] = ()        # allowed patterns; empty: all
    scopes: tuple[str, ...] = ()        # names of routes (edge.routes); empty: all


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a client may send, and how long it may take. Bytes and seconds."""

    head_bytes: int = 32768
    target_bytes: int = 8192
    body_bytes: int = 33554432
    head_timeout: float = 10.0
    body_timeout: float = 60.0
    keep_alive: float = 75.0
    connections: int = 16384            # per worker
    queue: int = 1024                   # requests per worker and provider that wait for a connection


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of everything a request needs to know."""

    version: int
    port: int
    listen_addr: str
    workers: int
    admin_addr: str
    admin_port: int
    providers: tuple[Provider, ...]
    models: tuple[Model, ...] = ()
    relays: tuple[Relay, ...] = ()
    keys: tuple[Key, ...] = ()
    limit: Limit | None = None
    bounds: Bounds = field(default_factory=Bounds)
    contracts: tuple[tuple[str, str], ...] = (("openai", "openai"), ("anthropic", "anthropic"))
    contract_files: tuple[str, ...] = ()        # the operator's own contracts
    bearer_only: bool = False           # no x-api-key on /v1/messages
    mask_rate_limit: bool = False       # provider_rate_limit: mask
    key_secret: Secret | None = None
    admin_key: Secret | None = None
    drain_timeout: float = 30.0
    debug: bool = False
    warnings: tuple[str, ...] = ()
