"""The data port's routes: what each path is, and what its body must hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.dialects.capabilities import Capability, bits
from edge.dialects.kinds import Kind

Dialect = Literal["none", "chat", "responses", "messages", "object"]
Type = Literal["string", "number", "boolean", "array", "object"]
# What the gateway itself reads of a body: who is to answer, how, how often and at what length at most, whether that
# goes on without the client, and which ids it holds.
Role = Literal["model", "models", "stream", "stream_options", "prompts", "choices", "drafts", "most_output", "lasts",
               "keeps", "forgets", "refers"]


_METHODS = {"POST": (b"POST",), "GET": (b"GET", b"HEAD"),
            "*": (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE")}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A top-level member: the JSON types it may have (`null` counts as absent), and its range where it is a number.

    Sources: OpenAI API reference (chat, completions, responses, embeddings), Anthropic API reference (messages). With
    `default` a member that is absent is sent on with that value. One that `refers` holds ids that providers gave out:
    a string, several, or an object with an `id`; by one that `keeps` the provider keeps the answer, under an id, and
    unless by one that `forgets` it does not; one of `most_output` says how many tokens the answer may have. One that
    `needs` a capability does where its value shows it.
    """

    name: str
    types: tuple[Type, ...]
    required: bool = False
    default: int | None = None
    low: float | None = None
    high: float | None = None
    role: Role | None = None
    needs: Literal["tools", "vision", "json"] | None = None

    @property
    def needed(self) -> int:
        """The same as bits."""
        return bits([self.needs] if self.needs else ())


@dataclass(frozen=True, slots=True)
class Route:
    """One path. `name` is its metric label and its scope; `json` says that the body is JSON and held to `fields`.

    Only models with the `capability` are made for it.
    """

    name: str
    method: str
    path: str
    surface: Kind
    dialect: Dialect = "none"
    json: bool = True
    fields: tuple[FieldRule, ...] = ()
    capability: Capability | None = None

    @property
    def asks(self) -> int:
        """The same as bits."""
        return bits([self.capability] if self.capability else ())

    @property
    def methods(self) -> tuple[bytes, ...]:
        """Those that it takes; a provider may take fewer of a relayed path."""
        return _METHODS[self.method]


_MODEL = FieldRule("model", ("string",), required=True, role="model")
_PREVIOUS = FieldRule("previous_response_id", ("string",), role="refers")
_CONVERSATION = FieldRule("conversation", ("string", "object"), role="refers")
_MODELS = FieldRule("models", ("array",), role="models")    # more, for a provider that routes itself (OpenRouter)
ASKED = (FieldRule("model", ("string",), role="model"), _MODELS)     # of relayed bodies: all that is looked for,
REFERRED = (_PREVIOUS, _CONVERSATION,           # and, where several providers may have given out ids, these
            *(FieldRule(name, ("string",), role="refers") for name in ("input_file_id", "training_file", "file_id")),
            FieldRule("file_ids", ("array",), role="refers"))
_STREAM = FieldRule("stream", ("boolean",), role="stream")
_STORE = FieldRule("store", ("boolean",), role="keeps")
_FORGET = FieldRule("store", ("boolean",), role="forgets")
_STREAM_OPTIONS = FieldRule("stream_options", ("object", "boolean"), role="stream_options")
_TEMPERATURE = FieldRule("temperature", ("number",), low=0, high=2)
_TOP_P = FieldRule("top_p", ("number",), low=0, high=1)


def _count(name: str, *, required: bool = False, low: float = 1, role: Role | None = None) -> FieldRule:
    return FieldRule(name, ("number",), required, low=low, role=role)


def _most(name: str, *, required: bool = False, low: float = 1) -> FieldRule:
    return _count(name, required=required, low=low, role="most_output")


_CHOICES = _count("n", role="choices")


def _object(*names: str) -> tuple[FieldRule, ...]:
    return tuple(FieldRule(name, ("object",)) for name in names)


def _array(*names: str) -> tuple[FieldRule, ...]:
    return tuple(FieldRule(name, ("array",)) for name in names)


_TEXTS: tuple[Type, ...] = ("string", "array")
_SAMPLING = (FieldRule("stop", _TEXTS), FieldRule("seed", ("number",)),
             FieldRule("frequency_penalty", ("number",), low=-2, high=2),
             FieldRule("presence_penalty", ("number",), low=-2, high=2), _STREAM_OPTIONS, *_object("logit_bias"))
_TOOL_LIST = FieldRule("tools", ("array",), needs="tools")
_TOOLS = (_TOOL_LIST, FieldRule("tool_choice", ("string", "object")))
_CLAUDE_TOOLS = (FieldRule("system", _TEXTS), _TOOL_LIST, *_object("tool_choice", "thinking"))
_MESSAGES = FieldRule("messages", ("array",), required=True, needs="vision")

ROUTES: tuple[Route, ...] = (
    Route("chat", "POST", "/v1/chat/completions", "openai", "chat", fields=(
        _MODEL, _MODELS, _MESSAGES, _STREAM, _TEMPERATURE, _TOP_P,
        _most("max_tokens"), _most("max_completion_tokens"), _CHOICES, *_SAMPLING, *_TOOLS,
        FieldRule("response_format", ("object",), needs="json"), *_object("metadata"),
        FieldRule("logprobs", ("boolean",)), _STORE), capability="chat"),
    Route("completions", "POST", "/v1/completions", "openai", "chat", fields=(
        _MODEL, _MODELS, FieldRule("prompt", _TEXTS, role="prompts"), _STREAM, _TEMPERATURE, _TOP_P,
        _most("max_tokens", low=0), _CHOICES, _count("best_of", role="drafts"), *_SAMPLING), capability="completions"),
    Route("responses", "POST", "/v1/responses", "openai", "responses", fields=(
        _MODEL, _MODELS, FieldRule("input", _TEXTS, needs="vision"), _STREAM, _TEMPERATURE, _TOP_P,
        _most("max_output_tokens"), *_TOOLS, *_object("metadata", "reasoning"),
        FieldRule("text", ("object",), needs="json"), *_array("include"), _PREVIOUS, _CONVERSATION,
        FieldRule("background", ("boolean",), role="lasts"), _FORGET), capability="chat"),
    Route("embeddings", "POST", "/v1/embeddings", "openai", "chat", fields=(
        _MODEL, _MODELS, FieldRule("input", _TEXTS, required=True), _count("dimensions")), capability="embeddings"),
    Route("messages", "POST", "/v1/messages", "anthropic", "messages", fields=(
        _MODEL, _MODELS, _MESSAGES, _most("max_tokens", required=True), _STREAM,
        FieldRule("temperature", ("number",), low=0, high=1), _TOP_P, _count("top_k", low=0), *_CLAUDE_TOOLS,
        *_array("stop_sequences"), *_object("metadata")), capability="chat"),
    Route("count_tokens", "POST", "/v1/messages/count_tokens", "anthropic", "object", fields=(
        _MODEL, _MESSAGES, *_CLAUDE_TOOLS), capability="chat"),
)

# Paths that go to a provider as they are, by the provider's kind: itself and what is below it where it ends in *, below
# it alone in /*. An operator's own `routes`, in which a * stands for anything, come first.
RELAYED: tuple[tuple[str, Kind], ...] = (
    ("/v1/messages/batches*", "anthropic"),
    ("/v1/audio/*", "openai"), ("/v1/batches*", "openai"), ("/v1/chat/completions/*", "openai"),
    ("/v1/conversations*", "openai"), ("/v1/containers*", "openai"), ("/v1/evals*", "openai"),
    ("/v1/files*", "openai"), ("/v1/fine_tuning/*", "openai"), ("/v1/images/*", "openai"),
    ("/v1/moderations", "openai"), ("/v1/responses/*", "openai"), ("/v1/uploads*", "openai"),
    ("/v1/vector_stores*", "openai"), ("/v1/videos*", "openai"),
)

# What a model must be made for that is asked for on one of them; on the others it is not known.
RELAYED_CAPABILITIES: dict[str, Capability] = {
    "/v1/audio/*": "audio", "/v1/images/*": "images", "/v1/moderations": "moderation", "/v1/videos*": "video"}

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

# Where a relayed POST acts on something stored, or on models deeper inside, whatever its body says at its top; and the
# paths among these that do act on the model at the top.
_STORED = tuple(f"{path.rstrip('/*')}/" for path, _ in RELAYED
                if path not in ("/v1/audio/*", "/v1/images/*", "/v1/moderations"))
_AT_TOP = frozenset({"/v1/fine_tuning/jobs", "/v1/responses/compact", "/v1/responses/input_tokens", "/v1/videos"})


def says_model(path: str) -> bool:
    """Whether the `model` in a relayed POST's body is the one that does the work. (Of an operator's paths it is.)"""
    return path in _AT_TOP or not f"{path}/".startswith(_STORED)


# Of every route, as a scope and as a metric label.
NAMES: tuple[str, ...] = (*(route.name for route in ROUTES), RELAY, *(route.name for route in OWN))
