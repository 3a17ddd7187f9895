"""The whole file."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema

from edge.config.sections.admin import Admin
from edge.config.sections.base import Name, Network, Port, Seconds, Strict, Text, about, wrong
from edge.config.sections.failures import CircuitBreaker, Retry
from edge.config.sections.keys import ClientKey, KeyRateLimit, RateLimit
from edge.config.sections.limits import Limits, Overload, Queue
from edge.config.sections.maximums import MAX_WORKERS
from edge.config.sections.models import FallBack, Listed, Targets
from edge.config.sections.observation import AccessLog, Tracing
from edge.config.sections.points import Points, Prices
from edge.config.sections.providers import Provider
from edge.config.sections.redis import Redis
from edge.config.sections.surfaces import ContractChoice, Contracts, Cors
from edge.values.snapshot import Bounds

_BOUNDS = Bounds()
_SIZE = re.compile(r"(\d{1,18}) ?(?:([KMGT])(i?)B?|B)?", re.IGNORECASE)


def _workers(value: object) -> object:
    return None if value == "auto" else value


def _size(value: object) -> object:
    found = _SIZE.fullmatch(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if found is None:
        raise wrong("must be a number of bytes or a size like 500MB", "for example cache_max_size: 500MB")
    return int(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index((found[2] or " ").upper())


Workers = Annotated[
    Annotated[int, Field(ge=1, le=MAX_WORKERS)] | None, BeforeValidator(_workers),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MAX_WORKERS}]})]
Size = Annotated[Annotated[int, Field(ge=1, le=1 << 40)], BeforeValidator(_size),
                 WithJsonSchema({"type": ["integer", "string"]})]
CacheSeconds = Annotated[int, Field(ge=1, le=366 * 86400)]


class Settings(Strict):
    """The whole file."""

    port: Annotated[Port, about("the port clients connect to", 8766)]
    listen_addr: Annotated[Text, about("the address clients connect to", "127.0.0.1")]
    workers: Annotated[Workers, about("processes that serve requests; auto: one per core", "auto")] = None
    providers: Annotated[dict[str, Provider], about(
        "upstream services by name", {"openai": {"key": "env:OPENAI_API_KEY"}})]
    keys: Annotated[list[ClientKey], about(
        "the keys clients present", [{"name": "team-a", "hash": "blake2b:..."}])] = []
    store: Annotated[SecretStr | None, about(
        "where keys are that admins make: a file, made if need be, or a reference to a URL of PostgreSQL; none unless "
        "this is here", "/var/lib/edge/edge.db")] = None
    workspace: Annotated[Name | None, about(
        "keys of other workspaces may not come here; all may unless this is here", "search")] = None
    key_secret: Annotated[SecretStr | None, about(
        "keys the hashes of client keys: 16 to 64 bytes; a change voids every hash", "env:KEY_SECRET")] = None
    trusted_proxies: Annotated[list[Network], about(
        "networks of proxies in front, whose X-Forwarded-For or PROXY header says who the client is",
        ["10.0.0.0/8", "2001:db8::/32"])] = []
    proxy_protocol: Annotated[bool, about(
        "each connection must begin with a PROXY header, 1 or 2; trusted_proxies says whose counts", True)] = False
    bearer_only: Annotated[bool, about("no x-api-key on /v1/messages", True)] = False
    models: Annotated[dict[str, Targets], about(
        "names or patterns that clients ask for, and where they are served",
        {"fast": "openai/gpt-5-mini"})] = {}
    catalogue: Annotated[dict[str, Listed], about(
        "what models are made for and whether they are on, by names or patterns that clients ask for",
        {"text-embedding-*": {"capabilities": ["embeddings"]}})] = {}
    routes: Annotated[dict[str, Text], about(
        "paths relayed as they are to a provider", {"/v1/rerank": "cohere"})] = {}
    rate_limit: Annotated[RateLimit | None, about(
        "the gateway's own limit; none unless this is here", {"requests_per_second": 100})] = None
    model_limits: Annotated[dict[str, KeyRateLimit], about(
        "limits of models, by their names or patterns under `models`, for all keys together",
        {"fast": {"tokens_per_minute": 1000000}})] = {}
    prices: Annotated[dict[str, Prices], about(
        "what requests for models cost, by their names or patterns under `models`",
        {"fast": {"input": 250, "output": 2000}})] = {}
    points: Annotated[Points, about("what a point is worth", {"worth": 10000, "currency": "EUR"})] = Points()
    redis: Annotated[Redis | None, about(
        "what hosts share their limits through; each its own unless this is here",
        {"url": "redis://redis.internal:6379"})] = None
    rate_limit_headers: Annotated[Literal["provider", "gateway"], about(
        "whose limits SDKs read in x-ratelimit-limit-requests, anthropic-ratelimit-tokens-limit and the like: the "
        "provider's, as they come, or the gateway's", "gateway")] = "provider"
    timeout: Annotated[Seconds | None, about(
        "seconds until a stream begins, and for the whole of a plain answer", 30)] = None
    provider_rate_limit: Annotated[Literal["pass", "mask"], about(
        "a provider's 429 reaches the client as 429 (pass) or as 502 (mask)", "pass")] = "pass"
    revoked_key: Annotated[Literal[401, 403] | None, about(
        "the status of a key that was revoked; as its contract has it unless this is here", 403)] = None
    anthropic_members: Annotated[bool, about(
        "errors of /v1/messages stand in Anthropic's frame, whatever the contract; false: as on the other routes",
        False)] = True
    retry: Annotated[Retry, about("further attempts when a provider fails", {"max": 3})] = Retry()
    circuit_breaker: Annotated[CircuitBreaker, about(
        "when a target is left alone for a time", {"enabled": True})] = CircuitBreaker()
    fallback: Annotated[dict[str, FallBack], about(
        "what stands in for a model or a provider, behind all that `models` names; has:tools,vision is all models that "
        "have these capabilities", {"fast": ["anthropic/claude-haiku-4-5"], "openai": ["azure"]})] = {}
    cors: Annotated[Cors, about(
        "pages that may use it from a browser", {"origins": ["https://app.example.com"]})] = Cors()
    sticky: Annotated[Text | None, about(
        "a header of requests: the same value has the same target of those of equal priority",
        "x-session-id")] = None
    queue: Annotated[Queue, about("requests that wait for a connection", {"queue_size": 1024})] = Queue()
    limits: Annotated[Limits, about("what a client may send", {"body_bytes": 33554432})] = Limits()
    overload: Annotated[Overload, about(
        "shares of memory and disk from which on all requests but those of high priority are refused",
        {"memory": 0.95})] = Overload()
    contract: Annotated[ContractChoice, about(
        "the error contract, one name or one per surface", "tokenpak")] = Contracts()
    contract_files: Annotated[list[Text], about("your own contracts", ["contract.yaml"])] = []
    admin: Annotated[Admin, about("metrics and the admin API", {"port": 8767})] = Admin()
    access_log: Annotated[AccessLog | None, about(
        "a line for each request; none unless this is here", {"path": "/var/log/edge/access.log"})] = None
    tracing: Annotated[Tracing | None, about(
        "spans for a tracing backend; none unless this is here",
        {"endpoint": "http://otel-collector.internal:4318/v1/traces"})] = None
    keepalive: Annotated[Seconds, about(
        "seconds of silence in a stream until a comment (`: ping`) is sent; 0: none", 15)] = _BOUNDS.keepalive
    drain_timeout: Annotated[Seconds, about("seconds that running requests get to finish", 30)] = 30.0
    debug: Annotated[bool, about("log more", True)] = False
    cache_max_size: Annotated[Size | None, about(
        "bytes of answers that are kept for who asks the same again; none unless this is here", "500MB")] = None
    cache_ttl: Annotated[CacheSeconds, about("seconds for which an answer is kept", 600)] = 3600
    cache_dir: Annotated[Text | None, about(
        "a folder for the answers, which then outlast a restart; in memory unless set", "/var/cache/edge")] = None
