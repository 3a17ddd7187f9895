"""The shape of the file: names, types, ranges, defaults, and what each key is for.

Checks that need more than one key, a file or the environment are in `build`. Nothing is coerced (strict), and
an unknown key is an error. What `about` says of a key makes the way out of its errors and the JSON Schema.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from edge.dialects.kinds import Kind
from edge.values import snapshot
from edge.values.snapshot import Bounds

MAX_WORKERS = 64            # rows of the shared memory (slab.pxd)
MAX_KEYS = 65535            # its buckets, less the gateway's own
MAX_PROVIDER_KEYS = 32      # places of benched keys in a target's record
MAX_PLAN = 64               # targets of a model: bits of those that a request has tried
MAX_SECONDS = 86400.0
# Heads are put together in buffers of a fixed size, into which all of these fit at once (gateway.pyx).
MAX_HEAD = 65536            # bytes of a client's head
MAX_URL = 2048              # characters of a base URL
MAX_HEADERS = 16384         # bytes of all headers of a provider
MAX_SECRET = 8192           # bytes of a secret
MAX_MODEL = 512             # characters of a model's name
MAX_FIELD_NAME = 256        # bytes of a header's name, as of clients' (head.pxd)

_BOUNDS = Bounds()
UPSTREAM = snapshot.Provider("", "openai", "")
_RETRY = snapshot.Retry()
_BREAKER = snapshot.Breaker()
_CHECK = snapshot.HealthCheck("/")


def about(description: str, example: object = None) -> Any:
    """What a key is for, and how it is written."""
    return Field(description=description, examples=None if example is None else [example])


def wrong(message: str, way_out: str) -> PydanticCustomError:
    """An error in our own words. Braces are doubled: pydantic formats the message with its context."""
    return PydanticCustomError("edge", message.replace("{", "{{").replace("}", "}}"), {"way_out": way_out})


Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
Period = Annotated[float, Field(ge=0.1, le=MAX_SECONDS, allow_inf_nan=False)]
Patience = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Burst = Annotated[int, Field(ge=1, le=10**9)]
Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1, le=(1 << 31) - 1)]
Few = Annotated[int, Field(ge=1, le=1000)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=4096)]
Url = Annotated[str, Field(min_length=1, max_length=MAX_URL)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Hash = Annotated[str, Field(pattern=r"^blake2b:[0-9a-f]{64}$")]


class Strict(BaseModel):
    """What all sections share: no coercion, no unknown keys, no changes."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RateLimit(Strict):
    """The gateway's own limit. A number that is left out is TokenPak's."""

    requests_per_second: Annotated[Rate, about("requests per second, 0 for no limit", 100)] = 100.0
    burst_size: Annotated[Burst, about("requests that may come at once", 500)] = 500


class KeyRateLimit(Strict):
    """One key's limit."""

    requests_per_second: Annotated[Rate, about("requests per second, 0 for no limit", 10)]
    burst_size: Annotated[
        Burst | None, about("requests that may come at once; one second's worth unless set", 20)] = None

    @property
    def burst(self) -> int:
        """As set, or one second's worth."""
        return self.burst_size or max(1, math.ceil(self.requests_per_second))


class Timeouts(Strict):
    """A provider's timeouts in seconds; 0 switches one off."""

    connect: Annotated[Seconds, about("TCP and TLS handshake", 5)] = UPSTREAM.connect_timeout
    first_byte: Annotated[Seconds | None, about(
        "of a stream, request sent to response head; `timeout` unless set", 30)] = None
    idle: Annotated[Seconds, about("between two reads of an answer", 60)] = UPSTREAM.idle_timeout
    total: Annotated[Seconds | None, about("a whole exchange", 600)] = None


class HealthCheck(Strict):
    """GETs that a provider must answer with 2xx, times in seconds; a path alone is the short form."""

    path: Annotated[Text, about("what to GET, behind base_url", "/models")]
    interval: Annotated[Period, about("seconds from one to the next", 10)] = _CHECK.interval
    timeout: Annotated[Period, about("seconds until the answer's status", 2)] = _CHECK.timeout
    unhealthy: Annotated[Few, about("failures in a row that take its targets out", 3)] = _CHECK.unhealthy
    healthy: Annotated[Few, about("successes in a row that bring them back", 2)] = _CHECK.healthy


def _check(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


Check = Annotated[HealthCheck, BeforeValidator(_check), WithJsonSchema(
    {"anyOf": [{"type": "string"}, HealthCheck.model_json_schema()]})]


class Provider(Strict):
    """An upstream service."""

    kind: Annotated[Kind, about("its dialect; a provider named openai or anthropic needs none", "openai")]
    base_url: Annotated[Url, about(
        "as its SDK takes it: with /v1 for openai, without for anthropic; a query goes into every request",
        "https://api.openai.com/v1")]
    key: Annotated[SecretStr | None, about("the provider's key", "env:OPENAI_API_KEY")] = None
    keys: Annotated[list[SecretStr], Field(max_length=MAX_PROVIDER_KEYS), about(
        "several keys, 32 at most", ["env:KEY_1", "file:key-2"])] = []
    key_header: Annotated[str | None, about(
        "the header that carries the key; unless set api-key at Azure's hosts, else authorization (as Bearer) for "
        "openai, x-api-key for anthropic",
        "api-key")] = None
    headers: Annotated[dict[str, SecretStr], about("sent with every request", {"api-version": "1"})] = {}
    timeouts: Annotated[Timeouts, about("in seconds", {"connect": 5})] = Timeouts()
    max_connections: Annotated[Count | None, about(
        "per worker; as many as descriptors allow unless set", 1024)] = None
    max_idle: Annotated[int, Field(ge=0, le=(1 << 31) - 1), about("kept alive per worker", 256)] = UPSTREAM.max_idle
    keep_alive: Annotated[Seconds, about("seconds a connection may idle", 55)] = UPSTREAM.keep_alive
    ca_bundle: Annotated[Text | None, about("a PEM file of more roots to trust", "/etc/ssl/our.pem")] = None
    proxy: Annotated[SecretStr | None, about(
        "the URL of a proxy, a reference to one, or none; HTTPS_PROXY and its kin unless set",
        "socks5h://127.0.0.1:1080")] = None
    models: Annotated[list[Text], about("patterns of the names it serves; empty: all", ["gpt-*"])] = []
    stream_usage: Annotated[bool | None, about(
        "ask for the tokens of chat streams, and take them out again for clients that have not asked "
        "(stream_options.include_usage); true at api.openai.com unless set", True)] = None
    adaptive: Annotated[bool, about(
        "fewer requests at once while it says or shows that it has too many", True)] = UPSTREAM.adaptive
    health_check: Annotated[Check | None, about("whether it is well is asked without a request", "/models")] = None


class ClientKey(Strict):
    """A key that clients present."""

    name: Annotated[Name, about("what logs and metrics call it: up to 64 letters, digits, . - _", "team-a")]
    key: Annotated[SecretStr | None, about("a reference to the key", "env:TEAM_A_KEY")] = None
    hash: Annotated[Hash | None, about("what `edge auth` prints", "blake2b:<64 hexadecimal digits>")] = None
    rate_limit: Annotated[
        KeyRateLimit | None, about("the key's own limit", {"requests_per_second": 10})] = None
    disabled: Annotated[bool, about("refuse it", True)] = False
    expires: Annotated[str | None, about(
        "ISO date or time, UTC unless it says otherwise; a date alone means its first second",
        "2027-01-31T12:00:00Z")] = None
    models: Annotated[list[Text], about("patterns of the models it may use; empty: all", ["gpt-*"])] = []
    scopes: Annotated[list[Text], about("routes it may use; empty: all", ["chat", "models"])] = []
    priority: Annotated[Literal["high", "normal", "low"], about(
        "who waits for whom when there is not enough for all", "high")] = "normal"


class Target(Strict):
    """Where a model is served."""

    provider: Annotated[Text, about("a name under `providers`", "openai")]
    model: Annotated[Text | None, about("its name there; the name asked for unless set", "gpt-5-mini")] = None
    priority: Annotated[Annotated[int, Field(ge=0, le=255)] | None, about(
        "lower ones come first; its place in the list, from 0, unless set", 0)] = None
    weight: Annotated[Annotated[int, Field(ge=1, le=10**6)], about(
        "its share among those of equal priority", 3)] = 1


class Contracts(Strict):
    """The error contract of each surface."""

    openai: Annotated[Text, about("the contract of OpenAI-shaped routes", "openai")] = "openai"
    anthropic: Annotated[Text, about("the contract of /v1/messages", "anthropic")] = "anthropic"


class Admin(Strict):
    """Control's own port: metrics and the admin API."""

    listen_addr: Annotated[Text, about("an IP address", "127.0.0.1")] = "127.0.0.1"
    port: Annotated[Port | None, about("the data port + 1 unless set", 8767)] = None
    key: Annotated[SecretStr | None, about("needed when the address is not loopback", "env:ADMIN_KEY")] = None


class Limits(Strict):
    """What a client may send, and how long it may take."""

    head_bytes: Annotated[int, Field(ge=1024, le=MAX_HEAD), about(
        "request line and headers", 32768)] = _BOUNDS.head_bytes
    target_bytes: Annotated[int, Field(ge=256, le=MAX_HEAD), about(
        "path and query", 8192)] = _BOUNDS.target_bytes
    body_bytes: Annotated[int, Field(ge=1, le=1 << 40), about("request body", 33554432)] = _BOUNDS.body_bytes
    upload_bytes: Annotated[int, Field(ge=0, le=1 << 50), about(
        "of a file on a relayed path, its length told: beyond body_bytes it is not held", 1073741824)
        ] = _BOUNDS.upload_bytes
    head_timeout: Annotated[Patience, about("seconds for a request's head", 10)] = _BOUNDS.head_timeout
    body_timeout: Annotated[Patience, about(
        "seconds that a body may pause, or the reading of an answer", 60)] = _BOUNDS.body_timeout
    body_rate: Annotated[int, Field(ge=0, le=10**9), about(
        "bytes per second that a client must send or take on average; 0 for any", 256)] = _BOUNDS.body_rate
    keep_alive: Annotated[Seconds, about("seconds a connection may idle", 75)] = _BOUNDS.keep_alive
    connections: Annotated[Count, about("client connections per worker", 16384)] = _BOUNDS.connections
    address_connections: Annotated[int, Field(ge=0, le=1 << 30), about(
        "of them, from one address (IPv6: one /64); 0 for no limit", 100)] = _BOUNDS.address_connections
    memory_bytes: Annotated[int, Field(ge=0, le=1 << 50), about(
        "held for requests and answers, per worker; 0: half of the machine's, shared by the workers", 0)
        ] = _BOUNDS.memory_bytes


class Queue(Strict):
    """Requests that wait for a connection to a provider."""

    queue_size: Annotated[int, Field(ge=0, le=1 << 20), about(
        "per worker and provider; 0: nobody waits", 1024)] = _BOUNDS.queue
    timeout: Annotated[Period, about("seconds that one waits at most", 10)] = _BOUNDS.queue_timeout


def _backoff(value: object) -> object:
    """TokenPak's `exponential` is what ours always is."""
    return _RETRY.backoff if value == "exponential" else value


Backoff = Annotated[float, Field(ge=0, le=30, allow_inf_nan=False), BeforeValidator(_backoff), WithJsonSchema(
    {"anyOf": [{"type": "number", "minimum": 0, "maximum": 30}, {"const": "exponential"}]})]


class Retry(Strict):
    """Further attempts at a request of which the client has seen no byte."""

    max: Annotated[int, Field(ge=0, le=10), about("for one request; 0: none", 3)] = _RETRY.max
    backoff: Annotated[Backoff, about(
        "seconds before the first at the same target; doubles, give or take half, up to 30", 1)] = _RETRY.backoff
    max_wait: Annotated[Seconds, about("seconds that all pauses of a request may take together", 2)] = _RETRY.max_wait
    budget: Annotated[Share, about("share of all requests that may be further attempts", 0.1)] = _RETRY.budget


class Cors(Strict):
    """Pages that may use the gateway from a browser."""

    origins: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=100), about(
        "their origins, * for any; empty: none", ["https://app.example.com"])] = []


class CircuitBreaker(Strict):
    """When a target is left alone, and how it comes back. TokenPak's has `enabled` alone."""

    enabled: Annotated[bool, about("whether it is on", True)] = _BREAKER.enabled
    failures: Annotated[Few, about("failures one after the other that open it", 5)] = _BREAKER.failures
    failure_rate: Annotated[float, Field(ge=0.01, le=1, allow_inf_nan=False), about(
        "share of failures within `window` that opens it", 0.5)] = _BREAKER.failure_rate
    minimum: Annotated[Count, about("attempts within `window` below which no share is taken", 20)] = _BREAKER.minimum
    window: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False), about(
        "seconds over which the share is taken", 10)] = _BREAKER.window
    open_time: Annotated[Period, about(
        "seconds until the first probe; doubles each time it opens anew", 5)] = _BREAKER.open_time
    max_open_time: Annotated[Period, about("seconds to which open_time doubles", 60)] = _BREAKER.max_open_time
    ramp: Annotated[Seconds, about(
        "seconds from closed again to its whole share, where there are other targets", 10)] = _BREAKER.ramp
    all_open: Annotated[Literal["pass", "refuse"], about(
        "when no target is left: try all the same (pass), or answer 503 at once (refuse)", "pass")] = _BREAKER.all_open


_SIZE = re.compile(r"\d+ ?([KMGT]i?B?|B)?", re.IGNORECASE)


def _workers(value: object) -> object:
    return None if value == "auto" else value


def _contracts(value: object) -> object:
    return {"openai": value, "anthropic": value} if isinstance(value, str) else value


def _targets(value: object) -> object:
    """The short forms: one target for a list of one, `provider/model` or `provider` for a target."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise wrong("a model needs at least one target", 'write provider/model, e.g. "openai/gpt-5-mini"')
    return [_target(item) for item in items]


def _target(item: object) -> object:
    if not isinstance(item, str):
        return item
    provider, slash, model = item.partition("/")
    if not provider or (slash and not model):
        raise wrong("a target is provider/model, or a provider alone", 'for example "openai/gpt-5-mini"')
    return {"provider": provider, "model": model} if slash else {"provider": provider}


def _names(value: object) -> object:
    items = value if isinstance(value, list) else [value]
    if not items:
        raise wrong("names nothing to fall back to", "name models or providers, or remove it")
    return items


def _size(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str) or not _SIZE.fullmatch(str(value)):
        raise wrong("must be a number of bytes or a size like 500MB", "for example cache_max_size: 500MB")
    return str(value)


def _section(**keys: object) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": keys}


_STRING = {"type": "string"}
_TARGET = [_STRING, Target.model_json_schema()]

Workers = Annotated[
    Annotated[int, Field(ge=1, le=MAX_WORKERS)] | None, BeforeValidator(_workers),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MAX_WORKERS}]})]
Targets = Annotated[
    list[Target], BeforeValidator(_targets),
    WithJsonSchema({"anyOf": [*_TARGET, {"type": "array", "minItems": 1, "items": {"anyOf": _TARGET}}]})]
ContractChoice = Annotated[
    Contracts, BeforeValidator(_contracts),
    WithJsonSchema({"anyOf": [_STRING, _section(openai=_STRING, anthropic=_STRING)]})]
FallBack = Annotated[
    list[Text], BeforeValidator(_names),
    WithJsonSchema({"anyOf": [_STRING, {"type": "array", "minItems": 1, "items": _STRING}]})]
Size = Annotated[str, BeforeValidator(_size), WithJsonSchema({"type": ["integer", "string"]})]

class Settings(Strict):
    """The whole file."""

    port: Annotated[Port, about("the port clients connect to", 8766)]
    listen_addr: Annotated[Text, about("the address clients connect to", "127.0.0.1")]
    workers: Annotated[Workers, about("processes that serve requests; auto: one per core", "auto")] = None
    providers: Annotated[dict[str, Provider], about(
        "upstream services by name", {"openai": {"key": "env:OPENAI_API_KEY"}})]
    keys: Annotated[list[ClientKey], about(
        "the keys clients present", [{"name": "team-a", "hash": "blake2b:..."}])] = []
    key_secret: Annotated[SecretStr | None, about(
        "keys the hashes of client keys: 16 to 64 bytes; a change voids every hash", "env:KEY_SECRET")] = None
    bearer_only: Annotated[bool, about("no x-api-key on /v1/messages", True)] = False
    models: Annotated[dict[str, Targets], about(
        "names or patterns that clients ask for, and where they are served",
        {"fast": "openai/gpt-5-mini"})] = {}
    routes: Annotated[dict[str, Text], about(
        "paths relayed as they are to a provider", {"/v1/rerank": "cohere"})] = {}
    rate_limit: Annotated[RateLimit | None, about(
        "the gateway's own limit; none unless this is here", {"requests_per_second": 100})] = None
    timeout: Annotated[Seconds | None, about(
        "seconds until a stream begins, and for the whole of a plain answer", 30)] = None
    provider_rate_limit: Annotated[Literal["pass", "mask"], about(
        "a provider's 429 reaches the client as 429 (pass) or as 502 (mask)", "pass")] = "pass"
    retry: Annotated[Retry, about("further attempts when a provider fails", {"max": 3})] = Retry()
    circuit_breaker: Annotated[CircuitBreaker, about(
        "when a target is left alone for a time", {"enabled": True})] = CircuitBreaker()
    fallback: Annotated[dict[str, FallBack], about(
        "what stands in for a model or a provider, behind all that `models` names",
        {"fast": ["anthropic/claude-haiku-4-5"], "openai": ["azure"]})] = {}
    cors: Annotated[Cors, about(
        "pages that may use it from a browser", {"origins": ["https://app.example.com"]})] = Cors()
    sticky: Annotated[Text | None, about(
        "a header of requests: the same value has the same target of those of equal priority",
        "x-session-id")] = None
    queue: Annotated[Queue, about("requests that wait for a connection", {"queue_size": 1024})] = Queue()
    limits: Annotated[Limits, about("what a client may send", {"body_bytes": 33554432})] = Limits()
    contract: Annotated[ContractChoice, about(
        "the error contract, one name or one per surface", "tokenpak")] = Contracts()
    contract_files: Annotated[list[Text], about("your own contracts", ["contract.yaml"])] = []
    admin: Annotated[Admin, about("metrics and the admin API", {"port": 8767})] = Admin()
    keepalive: Annotated[Seconds, about(
        "seconds of silence in a stream until a comment (`: ping`) is sent; 0: none", 15)] = _BOUNDS.keepalive
    drain_timeout: Annotated[Seconds, about("seconds that running requests get to finish", 30)] = 30.0
    debug: Annotated[bool, about("log more", True)] = False
    cache_max_size: Annotated[Size | None, about("TokenPak's; accepted, not in force yet", "500MB")] = None
