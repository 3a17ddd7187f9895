"""What one version of the configuration means for a request: plain values, made once, swapped whole.

`edge.config` makes a `Snapshot` out of a file; supervisor, control and workers hold the same one.
It is picklable, compares by value, and its secrets print as `***`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from edge.dialects.capabilities import Capability
from edge.dialects.kinds import KINDS, Kind
from edge.values.hours import Hours

KeyState = Literal["active", "disabled", "frozen", "revoked", "suspended", "exhausted", "pending"]


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
class StorePlace:
    """Where the store is: in a file, or by its URL in PostgreSQL. People are told its name, never the URL.

    `journals` is the folder of what requests have cost and it does not know yet.
    """

    name: str
    journals: str
    url: Secret | None = None

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Limit:
    """A token bucket: `rate` requests per second, `burst` at once. `rate` 0: unlimited."""

    rate: float
    burst: int


Outage = Literal["share", "closed", "open"]     # what a limit does while Redis does not answer


@dataclass(frozen=True, slots=True)
class Minute:
    """Units that a minute may use, by what is counted: names of KINDS_OF_LIMITS.

    `shadow`: they refuse nothing, nor do the other limits of the same owner. `outage` is theirs too; None: as Redis's
    section says.
    """

    units: tuple[tuple[str, int], ...] = ()
    shadow: bool = False
    outage: Outage | None = None
    seconds: float = 60.0               # in which they are full again: a quota's are those of a day, or of a month


@dataclass(frozen=True, slots=True)
class ModelLimit:
    """What all keys together may use of a model: a name or a pattern of the snapshot's models."""

    model: str
    limit: Limit | None
    minute: Minute
    concurrent_requests: int = 0        # 0: any number


@dataclass(frozen=True, slots=True)
class Listing:
    """What a provider asks, by the names of its models or patterns of them: the first that fits counts."""

    provider: str
    prices: tuple[Prices, ...]


@dataclass(frozen=True, slots=True)
class Prices:
    """What requests for a model cost, in micro-points. `most_output`: tokens reserved where nobody says how many."""

    model: str
    input: int = 0
    cached_input: int = 0
    output: int = 0
    request: int = 0
    most_output: int = 4096
    cache_hit: int = 0                  # in place of all these: for an answer from the response cache


@dataclass(frozen=True, slots=True)
class Redis:
    """What hosts share their limits through. Times in seconds."""

    kind: Literal["redis", "sentinel", "cluster"]
    nodes: tuple[tuple[str, int], ...]
    database: int = 0
    master: str = ""                    # as sentinels call it
    username: str | None = None
    password: Secret | None = None
    tls: bool = False
    ca_bundle: str | None = None
    prefix: str = "edge"                # of all keys: one for each fleet
    tick: float = 0.05                  # between two calls
    patience: float = 0.005             # that a request waits for one
    outage: Outage = "share"
    grace: float = 1.0                  # from Redis's last answer until `closed` and `open` begin


@dataclass(frozen=True, slots=True)
class Retry:
    """Further attempts at a request of which the client has seen no byte. Times in seconds."""

    max: int = 3                        # for one request
    backoff: float = 1.0                # before the first at the same target; doubles, give or take half, up to 30
    budget: float = 0.1                 # share of the host's requests that may be further attempts
    max_wait: float = 2.0               # that all pauses of a request may take together; longer waits are the client's


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a target is left alone, and how it comes back. Times in seconds."""

    enabled: bool = True
    failures: int = 5                   # one after the other open it
    failure_rate: float = 0.5           # so does this share ...
    minimum: int = 20                   # ... of at least so many attempts ...
    window: float = 10.0                # ... within this time
    open_time: float = 5.0              # doubles each time it opens anew, give or take a quarter
    max_open_time: float = 60.0
    ramp: float = 10.0                  # from closed again to its whole share, where there are other targets
    all_open: Literal["pass", "refuse"] = "pass"    # what a request meets when no target is left


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """GETs of control's own that a provider must answer with 2xx. Times in seconds."""

    path: str                           # behind the base URL
    interval: float = 10.0
    timeout: float = 2.0
    unhealthy: int = 3                  # failures in a row that take its targets out
    healthy: int = 2                    # successes in a row that bring them back


@dataclass(frozen=True, slots=True)
class Provider:
    """An upstream service. Times in seconds; 0 switches a timeout off."""

    name: str
    kind: Kind
    base_url: str                       # as its SDK takes it: with /v1 for openai, without for anthropic
    keys: tuple[Secret, ...] = ()
    key_header: str | None = None       # the field that carries the key; None: its kind's
    headers: tuple[tuple[str, Secret], ...] = ()
    connect_timeout: float = 5.0
    first_byte_timeout: float = 30.0    # of a stream: request sent to response head
    plain_timeout: float = 600.0        # of a plain answer: request sent to its end
    idle_timeout: float = 60.0          # between two reads of an answer
    total_timeout: float = 600.0        # a whole exchange, further attempts included
    max_connections: int = 0            # per worker; 0: as many as there are descriptors
    max_idle: int = 256                 # kept alive per worker
    keep_alive: float = 55.0
    ca_bundle: str | None = None
    proxy: Secret | None = None         # http:// or socks5:// URL, credentials inside
    models: tuple[str, ...] = ()        # patterns of the model names it serves; empty: whatever a route sends it
    stream_usage: bool = False          # asked for the tokens of chat streams whose clients have not asked
    adaptive: bool = True               # fewer requests at once while the provider says or shows that it has too many
    health_check: HealthCheck | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A provider, and the model's name there (None: the name that the client asked for).

    The lowest `priority` with a target that may be used is used; `weight` is a target's share among its equals.
    """

    provider: str
    model: str | None = None
    priority: int = 0
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Model:
    """A name clients may ask for, or a pattern with `*`, and where it is served, by priority; fallbacks come last."""

    name: str
    targets: tuple[Target, ...]
    owned_by: str = "edge"


@dataclass(frozen=True, slots=True)
class Traits:
    """What the catalogue says of a name, or of all that fit a pattern. Without `capabilities` it does not say what they
    are made for; whether they are `enabled` an operator may say otherwise while the gateway runs.
    """

    name: str
    capabilities: tuple[Capability, ...] | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Relay:
    """A path pattern (`*` at the end) relayed as it is to one provider."""

    path: str
    provider: str


@dataclass(frozen=True, slots=True)
class Former:
    """The secret that a key had before it was rotated: it works until then (Unix time)."""

    digest: bytes
    until: float


@dataclass(frozen=True, slots=True)
class Key:
    """A client's key at rest: `digest` is blake2b-256 of the key, keyed with the gateway's `key_secret`.

    Or what a party says of its keys: see edge.values.parties.
    """

    name: str
    digest: bytes
    limit: Limit | None = None
    minute: Minute = Minute()
    concurrent_requests: int = 0        # 0: any number
    state: KeyState = "active"
    expires: float | None = None        # Unix time
    hours: tuple[Hours, ...] = ()       # when it may be used; empty: always
    allowed_addresses: tuple[str, ...] = ()     # networks; empty: all
    denied_addresses: tuple[str, ...] = ()
    models: tuple[str, ...] = ()        # allowed patterns; empty: all
    denied_models: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()        # names of routes (edge.dialects.routes); empty: all
    priority: int = 1                   # 0 high, 1 normal, 2 low: who waits for whom when there is not enough for all
    cache: bool = False                 # its requests may get, and leave, answers in the response cache
    points: tuple[int, ...] = (0, 0, 0, 0)      # micro-points in all, a month, a day, an hour; 0: as the account has
    former: Former | None = None
    providers: tuple[str, ...] = ()     # names; empty: all
    parties: tuple[int, ...] = (0, 0, 0, 0)     # who stands behind it, by number: edge.values.parties


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a client may send, and how long it may take. Bytes and seconds."""

    head_bytes: int = 32768
    target_bytes: int = 8192
    body_bytes: int = 33554432
    upload_bytes: int = 1073741824      # of a relayed body that goes on as it comes, where body_bytes is too little
    head_timeout: float = 10.0
    body_timeout: float = 60.0          # that a body may pause, or the reading of an answer
    body_rate: int = 256                # bytes per second that a client must send or take on average; 0: any
    keep_alive: float = 75.0
    connections: int = 16384            # per worker
    address_connections: int = 0        # per worker and client address; 0: as many as there are
    memory_bytes: int = 0               # held for requests and answers, per worker; 0: half of the machine's, shared
    queue: int = 1024                   # requests per worker and provider that wait for a connection
    keepalive: float = 15.0             # seconds of silence in a stream until a comment is sent; 0: none is
    queue_timeout: float = 10.0         # and how long


@dataclass(frozen=True, slots=True)
class Overload:
    """Shares from which on requests are refused, but for those of high priority; 0: never."""

    memory: float = 0.0                 # of the control group's limit, or the machine's
    memory_stalls: float = 0.0          # of the time, in which work waits for memory
    disk: float = 0.0                   # of what the gateway writes to


@dataclass(frozen=True, slots=True)
class Caching:
    """How much is kept of answers, for how many seconds, and in which folder; None: in memory."""

    size: int
    ttl: int
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class AccessLog:
    """A line per request. `path` is a file, or `-`: standard output; `sample` is the share that conditions have."""

    path: str
    form: Literal["json", "console"] = "json"
    sample: tuple[tuple[str, float], ...] = ()      # of the others all


AdminScope = Literal["viewer", "operator", "owner"]     # each may what those before it may


@dataclass(frozen=True, slots=True)
class AdminToken:
    """Who may use the admin port."""

    name: str
    secret: Secret
    scope: AdminScope


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where spans go (OTLP over HTTP), with which header fields, and of requests that went well which share."""

    endpoint: str
    share: float
    service: str
    headers: tuple[tuple[str, Secret], ...] = ()


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
    catalogue: tuple[Traits, ...] = ()      # names, then patterns in their order: the first that fits counts
    relays: tuple[Relay, ...] = ()
    keys: tuple[Key, ...] = ()
    limit: Limit | None = None
    minute: Minute = Minute()
    concurrent_requests: int = 0        # 0: any number
    model_limits: tuple[ModelLimit, ...] = ()
    prices: tuple[Prices, ...] = ()
    ledger_days: int = 400              # entries are kept
    list_prices: tuple[Listing, ...] = ()   # of models that have no other
    worth: int = 0                      # of a point, in millionths of the currency; 0: that is nobody's business
    currency: str = "USD"
    redis: Redis | None = None
    bounds: Bounds = field(default_factory=Bounds)
    contracts: tuple[tuple[str, str], ...] = tuple((kind, kind) for kind in KINDS)
    contract_files: tuple[str, ...] = ()        # the operator's own contracts; read, and not needed any more
    wording: tuple[tuple[str, Any], ...] = ()   # contract.Contract by surface, and for the admin API
    trusted_proxies: tuple[str, ...] = ()
    proxy_protocol: bool = False
    bearer_only: bool = False           # no x-api-key on /v1/messages
    flags: tuple[str, ...] = ()         # of the contracts' variants: edge.contract.files.FLAGS
    anthropic_members: bool = True      # errors of /v1/messages are framed as Anthropic's
    tells_limits: bool = False          # rate_limit_headers: gateway
    workspace: str | None = None        # whose keys alone may come, of those that have any
    store: StorePlace | None = None     # the keys' database
    key_secret: Secret | None = None
    admin_key: Secret | None = None
    admin_tokens: tuple[AdminToken, ...] = ()
    retry: Retry = field(default_factory=Retry)
    breaker: Breaker = field(default_factory=Breaker)
    overload: Overload = field(default_factory=Overload)
    cors: tuple[str, ...] = ()          # origins whose pages may read answers; * for all
    sticky: str | None = None           # request header whose value decides among targets of equal priority
    drain_timeout: float = 30.0
    debug: bool = False
    cache: Caching | None = None        # of the process's start: another one comes with the next
    access_log: AccessLog | None = None
    tracing: Tracing | None = None
    warnings: tuple[str, ...] = ()
    source: str = field(default="", compare=False)      # the file's absolute path, or "quick start"
    read_at: float = field(default=0.0, compare=False)  # Unix time
