"""The data port's routes: what each path is, and what its body must hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Surface = Literal["openai", "anthropic"]
Dialect = Literal["none", "chat", "responses", "messages", "object"]


_METHODS = {"POST": (b"POST",), "GET": (b"GET", b"HEAD"),
            "*": (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE")}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A top-level member: the JSON types it may have (`null` counts as absent), and its range where it is a number.

    Sources: OpenAI API reference (chat, completions, responses, embeddings), Anthropic API reference (messages).
    """

    name: str
    types: tuple[str, ...]
    required: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One path. `name` is its metric label and its scope; `json` says that the body is JSON and held to `fields`."""

    name: str
    method: str
    path: str
    surface: Surface
    dialect: Dialect = "none"
    json: bool = True
    fields: tuple[FieldRule, ...] = ()

    @property
    def methods(self) -> tuple[bytes, ...]:
        """Those that it takes; a provider may take fewer of a relayed path."""
        return _METHODS[self.method]


_MODEL = FieldRule("model", ("string",), required=True)
_STREAM = FieldRule("stream", ("boolean",))
_STREAM_OPTIONS = FieldRule("stream_options", ("object", "boolean"))
_TEMPERATURE = FieldRule("temperature", ("number",), low=0, high=2)
_TOP_P = FieldRule("top_p", ("number",), low=0, high=1)


def _count(name: str, required: bool = False, low: float = 1) -> FieldRule:
    return FieldRule(name, ("number",), required, low=low)


ROUTES: tuple[Route, ...] = (
    Route("chat", "POST", "/v1/chat/completions", "openai", "chat", fields=(
        _MODEL, FieldRule("messages", ("array",), required=True), _STREAM, _STREAM_OPTIONS, _TEMPERATURE, _TOP_P,
        _count("max_tokens"), _count("max_completion_tokens"), _count("n"))),
    Route("completions", "POST", "/v1/completions", "openai", "chat", fields=(
        _MODEL, FieldRule("prompt", ("string", "array")), _STREAM, _STREAM_OPTIONS, _TEMPERATURE, _TOP_P,
        _count("max_tokens", low=0), _count("n"))),
    Route("responses", "POST", "/v1/responses", "openai", "responses", fields=(
        _MODEL, FieldRule("input", ("string", "array")), _STREAM, _TEMPERATURE, _TOP_P, _count("max_output_tokens"))),
    Route("embeddings", "POST", "/v1/embeddings", "openai", "chat", fields=(
        _MODEL, FieldRule("input", ("string", "array"), required=True), _count("dimensions"))),
    Route("messages", "POST", "/v1/messages", "anthropic", "messages", fields=(
        _MODEL, FieldRule("messages", ("array",), required=True), _count("max_tokens", required=True), _STREAM,
        FieldRule("temperature", ("number",), low=0, high=1), _TOP_P)),
    Route("count_tokens", "POST", "/v1/messages/count_tokens", "anthropic", "object", fields=(
        _MODEL, FieldRule("messages", ("array",), required=True))),
)

# Paths that go to a provider as they are, by the provider's kind. An operator's own `routes` come first.
RELAYED: tuple[tuple[str, Surface], ...] = (
    ("/v1/messages/batches*", "anthropic"),
    ("/v1/audio/*", "openai"), ("/v1/batches*", "openai"), ("/v1/chat/completions/*", "openai"),
    ("/v1/conversations*", "openai"), ("/v1/containers*", "openai"), ("/v1/evals*", "openai"),
    ("/v1/files*", "openai"), ("/v1/fine_tuning/*", "openai"), ("/v1/images/*", "openai"),
    ("/v1/moderations", "openai"), ("/v1/responses/*", "openai"), ("/v1/uploads*", "openai"),
    ("/v1/vector_stores*", "openai"), ("/v1/videos*", "openai"),
)

# Both SDKs ask for the models at one path. Where the catalogue names none, providers answer.
MODELS = Route("models", "GET", "/v1/models", "openai", json=False)

# Routes that the gateway answers itself.
OWN: tuple[Route, ...] = (
    MODELS,
    Route("health", "GET", "/health", "openai", json=False),
    Route("livez", "GET", "/livez", "openai", json=False),
    Route("readyz", "GET", "/readyz", "openai", json=False),
    Route("stats", "GET", "/stats", "openai", json=False),
)

RELAY = "relay"         # the name that all relayed paths share

# Of every route, as a scope and as a metric label.
NAMES: tuple[str, ...] = (*(route.name for route in ROUTES), RELAY, *(route.name for route in OWN))
