"""Providers: where each is, what it is sent, how long it may take, and whether it is well."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema

from edge.config.sections.base import Count, Few, Period, Seconds, Strict, Text, about
from edge.config.sections.maximums import MAX_PROVIDER_KEYS, MAX_URL
from edge.dialects.kinds import Kind
from edge.values import snapshot

UPSTREAM = snapshot.Provider("", "openai", "")
_CHECK = snapshot.HealthCheck("/")

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL)]


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
