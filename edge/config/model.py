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

from edge.catalogue import Bounds, Kind
from edge.catalogue import Provider as Upstream

MAX_WORKERS = 64            # rows of the shared memory (slab.pxd)
MAX_KEYS = 65535            # its buckets, less the gateway's own
MAX_SECONDS = 86400.0

_BOUNDS = Bounds()
_UPSTREAM = Upstream("", "openai", "")


def about(description: str, example: object = None) -> Any:
    """What a key is for, and how it is written."""
    return Field(description=description, examples=None if example is None else [example])


def wrong(message: str, way_out: str) -> PydanticCustomError:
    """An error in our own words. Braces are doubled: pydantic formats the message with its context."""
    return PydanticCustomError("edge", message.replace("{", "{{").replace("}", "}}"), {"way_out": way_out})


Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Burst = Annotated[int, Field(ge=1, le=10**9)]
Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1, le=1 << 31)]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Hash = Annotated[str, Field(pattern=r"^blake2b:[0-9a-f]{64}$")]


class Strict(BaseModel):
    """What all sections share: no coercion, no unknown keys, no changes."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RateLimit(Strict):
    """The gateway's own limit."""

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

    connect: Annotated[Seconds, about("TCP and TLS handshake", 5)] = _UPSTREAM.connect_timeout
    first_byte: Annotated[
        Seconds | None, about("request sent to response head; `timeout` unless set", 30)] = None
    idle: Annotated[Seconds, about("between two reads of an answer", 60)] = _UPSTREAM.idle_timeout
    total: Annotated[Seconds, about("a whole exchange", 600)] = _UPSTREAM.total_timeout


class Provider(Strict):
    """An upstream service."""

    kind: Annotated[Kind, about("its dialect; a provider named openai or anthropic needs none", "openai")]
    base_url: Annotated[Text, about(
        "as its SDK takes it: with /v1 for openai, without for anthropic", "https://api.openai.com/v1")]
    key: Annotated[SecretStr | None, about("the provider's key", "env:OPENAI_API_KEY")] = None
    keys: Annotated[list[SecretStr], about("several keys", ["env:KEY_1", "file:key-2"])] = []
    headers: Annotated[dict[str, SecretStr], about("sent with every request", {"api-version": "1"})] = {}
    timeouts: Annotated[Timeouts, about("in seconds", {"connect": 5})] = Timeouts()
    max_connections: Annotated[Count, about("per worker", 1024)] = _UPSTREAM.max_connections
    max_idle: Annotated[int, Field(ge=0), about("kept alive per worker", 256)] = _UPSTREAM.max_idle
    keep_alive: Annotated[Seconds, about("seconds a connection may idle", 55)] = _UPSTREAM.keep_alive
    ca_bundle: Annotated[Text | None, about("a PEM file of more roots to trust", "/etc/ssl/our.pem")] = None
    proxy: Annotated[SecretStr | None, about(
        "the URL of a proxy, a reference to one, or none; HTTPS_PROXY and its kin unless set",
        "socks5h://127.0.0.1:1080")] = None
    models: Annotated[list[Text], about("patterns of the names it serves; empty: all", ["gpt-*"])] = []


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


class Target(Strict):
    """Where a model is served."""

    provider: Annotated[Text, about("a name under `providers`", "openai")]
    model: Annotated[Text | None, about("its name there; the name asked for unless set", "gpt-5-mini")] = None


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

    head_bytes: Annotated[int, Field(ge=1024, le=1 << 20), about(
        "request line and headers", 32768)] = _BOUNDS.head_bytes
    target_bytes: Annotated[int, Field(ge=256, le=1 << 20), about(
        "path and query", 8192)] = _BOUNDS.target_bytes
    body_bytes: Annotated[int, Field(ge=1, le=1 << 40), about("request body", 33554432)] = _BOUNDS.body_bytes
    head_timeout: Annotated[Seconds, about("seconds for a request's head", 10)] = _BOUNDS.head_timeout
    body_timeout: Annotated[Seconds, about("seconds between two reads of a body", 60)] = _BOUNDS.body_timeout
    keep_alive: Annotated[Seconds, about("seconds a connection may idle", 75)] = _BOUNDS.keep_alive
    connections: Annotated[Count, about("client connections per worker", 16384)] = _BOUNDS.connections


class Queue(Strict):
    """Requests that wait for a connection to a provider."""

    queue_size: Annotated[int, Field(ge=0, le=1 << 20), about(
        "per worker and provider", 1024)] = _BOUNDS.queue


class CircuitBreaker(Strict):
    """TokenPak's; only `enabled` is documented there, so anything beside it is let through."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    enabled: Annotated[bool, about("whether it is on", True)] = True


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


def _size(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str) or not _SIZE.fullmatch(str(value)):
        raise wrong("must be a number of bytes or a size like 500MB", "for example cache_max_size: 500MB")
    return str(value)


def _section(**keys: object) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": keys}


_STRING = {"type": "string"}
_TARGET = [_STRING, {**_section(provider=_STRING, model=_STRING), "required": ["provider"]}]

Workers = Annotated[
    Annotated[int, Field(ge=1, le=MAX_WORKERS)] | None, BeforeValidator(_workers),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MAX_WORKERS}]})]
Targets = Annotated[
    list[Target], BeforeValidator(_targets),
    WithJsonSchema({"anyOf": [*_TARGET, {"type": "array", "minItems": 1, "items": {"anyOf": _TARGET}}]})]
ContractChoice = Annotated[
    Contracts, BeforeValidator(_contracts),
    WithJsonSchema({"anyOf": [_STRING, _section(openai=_STRING, anthropic=_STRING)]})]
Size = Annotated[str, BeforeValidator(_size), WithJsonSchema({"type": ["integer", "string"]})]

_NOT_YET = "TokenPak's; accepted, not in force yet"


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
    rate_limit: Annotated[RateLimit, about("the gateway's own limit", {"burst_size": 500})] = RateLimit()
    timeout: Annotated[Seconds, about(
        "seconds until a provider's first byte", 30)] = _UPSTREAM.first_byte_timeout
    provider_rate_limit: Annotated[Literal["pass", "mask"], about(
        "a provider's 429 reaches the client as 429 (pass) or as 502 (mask)", "pass")] = "pass"
    queue: Annotated[Queue, about("requests that wait for a connection", {"queue_size": 1024})] = Queue()
    limits: Annotated[Limits, about("what a client may send", {"body_bytes": 33554432})] = Limits()
    contract: Annotated[ContractChoice, about(
        "the error contract, one name or one per surface", "tokenpak")] = Contracts()
    contract_files: Annotated[list[Text], about("your own contracts", ["contract.yaml"])] = []
    admin: Annotated[Admin, about("metrics and the admin API", {"port": 8767})] = Admin()
    drain_timeout: Annotated[Seconds, about("seconds that running requests get to finish", 30)] = 30.0
    debug: Annotated[bool, about("log more", True)] = False
    circuit_breaker: Annotated[CircuitBreaker | None, about(_NOT_YET, {"enabled": True})] = None
    fallback: Annotated[Any, about(_NOT_YET)] = None
    cache_max_size: Annotated[Size | None, about(_NOT_YET, "500MB")] = None
