"""The simulated endpoints, and what a provider checks before it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from edge.simulator import chat, extras, files, messages, responses
from edge.simulator.answer import Answer, Call
from edge.simulator.errors import failure
from edge.simulator.request import Request


@dataclass(frozen=True, slots=True)
class Field:
    """A member that a provider looks at before it answers: its JSON types, and its bounds as a number."""

    name: str
    types: tuple[type, ...]
    required: bool = False
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers a path. With `fields` its body is a JSON object."""

    answer: Callable[[Call], Answer]
    fields: tuple[Field, ...] = ()


MODEL = Field("model", (str,), required=True)
MESSAGES = Field("messages", (list,), required=True)
STREAM = Field("stream", (bool,))
N = Field("n", (int,), low=1, high=128)
TOOLS = (Field("tools", (list,)), Field("tool_choice", (str, dict)))


def _bound(name: str, required: bool = False) -> Field:
    return Field(name, (int,), required, low=1)


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("POST", "/v1/chat/completions"): Endpoint(chat.chat, (
        MODEL, MESSAGES, STREAM, N, *TOOLS, _bound("max_tokens"), _bound("max_completion_tokens"))),
    ("POST", "/v1/completions"): Endpoint(chat.completions, (
        MODEL, Field("prompt", (str, list)), STREAM, N, Field("max_tokens", (int,), low=0))),
    ("POST", "/v1/messages"): Endpoint(messages.messages, (
        MODEL, _bound("max_tokens", required=True), MESSAGES, STREAM, Field("tools", (list,)),
        Field("tool_choice", (dict,)))),
    ("POST", "/v1/messages/count_tokens"): Endpoint(messages.count_tokens, (MODEL, MESSAGES)),
    ("POST", "/v1/responses"): Endpoint(responses.responses, (
        MODEL, Field("input", (str, list)), STREAM, *TOOLS, _bound("max_output_tokens"))),
    ("POST", "/v1/embeddings"): Endpoint(extras.embeddings, (
        MODEL, Field("input", (str, list), required=True), Field("dimensions", (int,), low=1, high=8192))),
    ("POST", "/v1/moderations"): Endpoint(extras.moderations, (Field("input", (str, list), required=True),)),
    ("POST", "/v1/images/generations"): Endpoint(extras.images, (
        Field("prompt", (str,), required=True), Field("n", (int,), low=1, high=10))),
    ("POST", "/v1/images/edits"): Endpoint(extras.edits),
    ("POST", "/v1/audio/speech"): Endpoint(extras.speech, (MODEL, Field("input", (str,), required=True))),
    ("POST", "/v1/audio/transcriptions"): Endpoint(extras.transcription),
    ("POST", "/v1/audio/translations"): Endpoint(extras.transcription),
    ("GET", "/v1/models"): Endpoint(extras.models),
    ("GET", "/v1/models/*"): Endpoint(extras.model),
    ("GET", "/v1/files"): Endpoint(files.listing),
    ("POST", "/v1/files"): Endpoint(files.upload),
    ("GET", "/v1/files/*"): Endpoint(files.fetch),
    ("DELETE", "/v1/files/*"): Endpoint(files.delete),
}
COLLECTIONS = ("/v1/models/", "/v1/files/")     # any path below one is `*`

# How each provider's validator names a type, in its own sentences.
OPENAI_TYPES = {str: "a string", list: "an array", int: "an integer", bool: "a boolean", float: "a decimal",
                dict: "an object", type(None): "null"}
ANTHROPIC_TYPES = {str: "a valid string", list: "a valid list", int: "a valid integer",
                   bool: "a valid boolean", dict: "a valid dictionary"}


def body_of(request: Request) -> Any:
    """The JSON in the request's body; None when it has none, or it cannot be read."""
    if not request.body or (request.header(b"content-type") or "").startswith("multipart/"):
        return None
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return None


def answer(call: Call) -> Answer:
    """The provider's answer to a request: its own error, or what the endpoint says."""
    request = call.request
    endpoint = ENDPOINTS.get((request.method, _pattern(request.path)))
    if endpoint is None:
        return _unknown(request)
    if request.dialect == "anthropic" and request.header(b"anthropic-version") is None:
        return failure(request, 400, "anthropic-version: header is required")
    if endpoint.fields:
        if not isinstance(call.body, dict):
            return failure(request, 400, _not_json(request))
        for field in endpoint.fields:
            refusal = _check(request, field, call.body.get(field.name))
            if refusal is not None:
                return refusal
    return endpoint.answer(call)


def _pattern(path: str) -> str:
    for collection in COLLECTIONS:
        if path.startswith(collection):
            return collection + "*"
    return path


def wrong_key(request: Request, key: str | None) -> Answer | None:
    """The refusal of a request that does not carry `key`; None when it does, or none is wanted."""
    given = request.key
    if key is None or given == key:
        return None
    if request.dialect == "anthropic":
        if given is None:
            return failure(request, 401, "x-api-key header is required")
        bearer = request.header(b"x-api-key") is None
        return failure(request, 401, "Invalid bearer token" if bearer else "invalid x-api-key")
    if given is None:
        return failure(request, 401, "You didn't provide an API key. You need to provide your API key in an "
                       "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). "
                       "You can obtain an API key from https://platform.openai.com/account/api-keys.")
    shown = f"{given[:8]}{'*' * 8}{given[-4:]}" if len(given) > 16 else "*" * 8
    return failure(request, 401, f"Incorrect API key provided: {shown}. You can find your API key at "
                   "https://platform.openai.com/account/api-keys.", code="invalid_api_key")


def _unknown(request: Request) -> Answer:
    known = any(path == _pattern(request.path) for _, path in ENDPOINTS)
    if request.dialect == "anthropic":
        return failure(request, 405, "Method Not Allowed") if known else failure(request, 404)
    if known:
        return failure(request, 405, f"Not allowed to {request.method} on {request.path}. "
                       "(HINT: Perhaps you meant to use a different HTTP method?)")
    return failure(request, 404, f"Invalid URL ({request.method} {request.path})")


def _not_json(request: Request) -> str:
    if request.dialect == "anthropic":
        return "The request body is not valid JSON"
    return ("We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
            "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not "
            "valid JSON.)")


def _check(request: Request, field: Field, value: Any) -> Answer | None:
    """The provider's refusal of this member's value, in its own words."""
    name, anthropic = field.name, request.dialect == "anthropic"
    if value is None:
        if not field.required:
            return None
        if anthropic:
            return failure(request, 400, f"{name}: Field required")
        if name == "model":
            return failure(request, 400, "you must provide a model parameter")
        return failure(request, 400, f"Missing required parameter: '{name}'.",
                       param=name, code="missing_required_parameter")
    if type(value) not in field.types:
        if anthropic:
            return failure(request, 400, f"{name}: Input should be {ANTHROPIC_TYPES[field.types[0]]}")
        wanted = " or ".join(OPENAI_TYPES[kind] for kind in field.types)
        return failure(request, 400, f"Invalid type for '{name}': expected {wanted}, but got "
                       f"{OPENAI_TYPES[type(value)]} instead.", param=name, code="invalid_type")
    if name == "messages" and not value:
        return (failure(request, 400, "messages: at least one message is required") if anthropic else
                failure(request, 400, "Invalid 'messages': empty array. Expected an array with minimum "
                        "length 1, but got an empty array instead.", param=name, code="empty_array"))
    return _check_bounds(request, field, value)


def _check_bounds(request: Request, field: Field, value: Any) -> Answer | None:
    name, low, high = field.name, field.low, field.high
    if low is not None and value < low:
        anthropic = f"{name}: Input should be greater than or equal to {low}"
        openai, code = f"below minimum value. Expected a value >= {low}", "integer_below_min_value"
    elif high is not None and value > high:
        anthropic = f"{name}: Input should be less than or equal to {high}"
        openai, code = f"above maximum value. Expected a value <= {high}", "integer_above_max_value"
    else:
        return None
    if request.dialect == "anthropic":
        return failure(request, 400, anthropic)
    return failure(request, 400, f"Invalid '{name}': integer {openai}, but got {value} instead.",
                   param=name, code=code)
