"""OpenAI's own SDK, sync and async, through a running gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest

from tests.gateway.conftest import key_of
from tests.gateway.sdk import ARGUMENTS, ASKED, LONGEST_WAIT, SCHEMA, Attempts, all_of, done
from tests.support.gateway import KEY, Gateway
from tests.support.simulator import Simulator

MODEL = "gpt-4o"
TOOL = {"name": "get_weather", "parameters": SCHEMA}
USAGE = {"include_usage": True}


@pytest.fixture(params=[openai.OpenAI, openai.AsyncOpenAI], ids=["sync", "async"])
async def client(request: pytest.FixtureRequest, gateway: Gateway, simulator: Simulator) -> AsyncIterator[Any]:
    """A client that does not retry."""
    made = request.param(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)
    yield made
    await done(made.close())


@pytest.fixture
async def direct(simulator: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    """A client of the provider itself."""
    async with openai.AsyncOpenAI(base_url=simulator.openai_url, api_key="sk-any", max_retries=0) as made:
        yield made


def told(answer: Any) -> dict[str, Any]:
    """An answer without what differs from one answer to the next."""
    data: dict[str, Any] = answer.to_dict()
    return {name: value for name, value in data.items() if name not in ("id", "created", "created_at", "completed_at")}


async def test_chat(client: Any, direct: openai.AsyncOpenAI) -> None:
    """A chat completion through the gateway is the provider's own, and has an id of the gateway's."""
    answer = await done(client.chat.completions.create(model=MODEL, messages=ASKED))
    assert told(answer) == told(await direct.chat.completions.create(model=MODEL, messages=ASKED))
    assert answer._request_id.startswith("req-")


async def test_streamed_chat(client: Any, direct: openai.AsyncOpenAI) -> None:
    """A streamed chat has the text of the plain one, chunk by chunk as the provider made it, and ends with usage."""
    asked = {"model": MODEL, "messages": ASKED, "stream": True, "stream_options": USAGE}
    chunks = await all_of(client.chat.completions.create(**asked))
    assert [told(chunk) for chunk in chunks] == [told(chunk) for chunk in await all_of(
        direct.chat.completions.create(**asked))]
    plain = await direct.chat.completions.create(model=MODEL, messages=ASKED)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert (text, chunks[-1].usage) == (plain.choices[0].message.content, plain.usage)


async def test_completions(client: Any, direct: openai.AsyncOpenAI) -> None:
    """A completion is the provider's own, and has the same text and usage when it is streamed."""
    asked = {"model": "gpt-3.5-turbo-instruct", "prompt": "Once upon"}
    plain = await done(client.completions.create(**asked))
    assert told(plain) == told(await direct.completions.create(**asked))
    chunks = await all_of(client.completions.create(**asked, stream=True, stream_options=USAGE))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == plain.choices[0].text
    assert chunks[-1].usage == plain.usage


async def test_responses(client: Any, direct: openai.AsyncOpenAI) -> None:
    """A response is the provider's own, and streamed its events are all there, numbered without a gap."""
    plain = await done(client.responses.create(model=MODEL, input=ASKED))
    asked = await direct.responses.create(model=MODEL, input=ASKED)
    assert (plain.output_text, plain.usage, plain.status) == (asked.output_text, asked.usage, "completed")
    events = await all_of(client.responses.create(model=MODEL, input=ASKED, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == plain.output_text
    assert (events[-1].type, events[-1].response.usage) == ("response.completed", plain.usage)


async def test_embeddings(client: Any, direct: openai.AsyncOpenAI) -> None:
    """Embeddings are the provider's own, as floats and as the SDK's base64."""
    for settings in ({}, {"encoding_format": "float", "dimensions": 8}):
        asked = {"model": "text-embedding-3-small", "input": ["a", "b"], **settings}
        assert told(await done(client.embeddings.create(**asked))) == told(await direct.embeddings.create(**asked))


@pytest.mark.parametrize("stream", [False, True])
async def test_tool_calls(client: Any, stream: bool) -> None:
    """A tool's call comes whole, plain and streamed."""
    answer = await done(client.chat.completions.create(
        model=MODEL, messages=ASKED, tool_choice="required", tools=[{"type": "function", "function": TOOL}],
        stream=stream))
    if stream:
        made = [call.function for chunk in await all_of(answer) for choice in chunk.choices
                for call in choice.delta.tool_calls or []]
        name, arguments = made[0].name, "".join(function.arguments for function in made)
    else:
        made = answer.choices[0].message.tool_calls[0].function
        name, arguments = made.name, made.arguments
    assert (name, json.loads(arguments)) == ("get_weather", ARGUMENTS)


async def test_models(client: Any) -> None:
    """The models listed are the configuration's, patterns left out, and each is one the SDK can read."""
    models = await all_of(client.models.list())
    assert [model.id for model in models] == ["alias", "scripted-alias", "only-openai", "only-anthropic"]
    assert all(model.object == "model" and model.created > 0 for model in models)
    assert await done(client.models.retrieve("only-openai")) == models[2]
    with pytest.raises(openai.NotFoundError) as caught:
        await done(client.models.retrieve("nobody-has-it"))
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_files(client: Any) -> None:
    """A file uploaded in multipart is listed, comes back byte for byte, and can be deleted."""
    data = bytes(range(256)) * 64 + b"\r\n--not-the-boundary\r\n"
    made = await done(client.files.create(file=("x.bin", data), purpose="user_data"))
    assert (made.bytes, made.filename) == (len(data), "x.bin")
    assert [file.id for file in await all_of(client.files.list())] == [made.id]
    assert (await done(client.files.content(made.id))).content == data
    assert (await done(client.files.delete(made.id))).deleted


async def test_other_endpoints(client: Any) -> None:
    """Images, speech, transcription and moderation pass through, as JSON, bytes and multipart."""
    image = await done(client.images.generate(model="gpt-image-1", prompt="a pixel"))
    speech = await done(client.audio.speech.create(model="tts-1", voice="alloy", input="hello"))
    heard = await done(client.audio.transcriptions.create(model="whisper-1", file=("x.mp3", speech.content)))
    judged = await done(client.moderations.create(input="hello"))
    assert image.data[0].b64_json
    assert speech.content.startswith(b"ID3")
    assert heard.text == f"You said: x.mp3, {len(speech.content)} bytes."
    assert not judged.results[0].flagged


async def test_raw_headers(client: Any) -> None:
    """Raw answers show the gateway's ids and limits beside the provider's own headers."""
    raw = await done(client.chat.completions.with_raw_response.create(model=MODEL, messages=ASKED))
    assert raw.headers["x-request-id"] == raw.headers["request-id"] == raw.request_id
    assert raw.headers["openai-version"] == "2020-10-01" and "openai-organization" not in raw.headers
    assert raw.headers["x-ratelimit-limit"] == "100000"
    assert (await done(raw.parse())).choices[0].message.content
    named = await done(client.chat.completions.create(
        model=MODEL, messages=ASKED, extra_headers={"x-request-id": "my-own.id:1"}))
    assert named._request_id == "my-own.id:1"


# name: settings -> class, status, code, param, type; then attempts at the gateway with two retries.
ERRORS: dict[str, tuple[dict[str, Any], type[openai.APIStatusError], tuple[Any, ...], int]] = {
    "value": ({"temperature": 9}, openai.BadRequestError,
              (400, "invalid_value", "temperature", "invalid_request_error"), 1),
    "type": ({"max_tokens": "5"}, openai.BadRequestError,
             (400, "invalid_type", "max_tokens", "invalid_request_error"), 1),
    "missing": ({"extra_body": {"messages": None}}, openai.BadRequestError,
                (400, "missing_required_parameter", "messages", "invalid_request_error"), 1),
    "key": ({"extra_headers": {"authorization": "Bearer sk-wrong"}}, openai.AuthenticationError,
            (401, "invalid_api_key", None, "invalid_request_error"), 1),
    "key form": ({"extra_headers": {"authorization": "Basic eDp5"}}, openai.AuthenticationError,
                 (401, "invalid_api_key", None, "invalid_request_error"), 1),
    "key model": ({"extra_headers": {"authorization": f"Bearer {key_of('one-model')}"}}, openai.PermissionDeniedError,
                  (403, "model_not_allowed", "model", "invalid_request_error"), 1),
    "model": ({"model": "nobody-has-it"}, openai.NotFoundError,
              (404, "model_not_found", "model", "invalid_request_error"), 1),
    "other dialect": ({"model": "only-anthropic"}, openai.InternalServerError,
                      (501, "not_implemented", None, "invalid_request_error"), 1),
    "model is off": ({"model": "sim-off"}, openai.PermissionDeniedError,
                     (403, "model_not_allowed", "model", "invalid_request_error"), 1),
    "not made for it": ({"model": "sim-chat", "tools": [{"type": "function", "function": {"name": "x"}}]},
                        openai.BadRequestError, (400, "model_capability", "model", "invalid_request_error"), 1),
    "provider 400": ({"model": "fault:status=400"}, openai.BadRequestError,
                     (400, None, None, "invalid_request_error"), 1),
    "provider 401": ({"model": "fault:status=401"}, openai.InternalServerError,
                     (502, "provider_auth", None, "server_error"), 1),
    "provider 404": ({"model": "fault:status=404"}, openai.NotFoundError,
                     (404, "model_not_found", None, "invalid_request_error"), 1),
    "provider 409": ({"model": "fault:status=409"}, openai.ConflictError,
                     (409, None, None, "invalid_request_error"), 1),
    "provider 413": ({"model": "fault:status=413"}, openai.APIStatusError,
                     (413, None, None, "invalid_request_error"), 1),
    "provider 422": ({"model": "fault:status=422"}, openai.UnprocessableEntityError,
                     (422, None, None, "invalid_request_error"), 1),
    "provider 429": ({"model": "fault:status=429;retry-after=7"}, openai.RateLimitError,
                     (429, "rate_limit_exceeded", None, "requests"), 3),
    "provider 429, far off": ({"model": "fault:status=429;retry-after=3600"}, openai.RateLimitError,
                              (429, "rate_limit_exceeded", None, "requests"), 1),
    "provider 500": ({"model": "fault:status=500"}, openai.InternalServerError,
                     (502, "provider_error", None, "server_error"), 3),
    "provider 503": ({"model": "fault:status=503"}, openai.InternalServerError,
                     (503, "provider_overloaded", None, "server_error"), 3),
    "provider refuses": ({"model": "closed"}, openai.InternalServerError,
                         (502, "provider_unreachable", None, "server_error"), 3),
    # What a provider has and did not answer is not sent again by the SDK either.
    "provider hangs": ({"model": "brief", "extra_headers": {"x-simulate": "hang"}}, openai.InternalServerError,
                       (504, "provider_timeout", None, "server_error"), 1),
    "provider breaks off": ({"model": "fault:cut=700"}, openai.InternalServerError,
                            (502, "provider_cut", None, "server_error"), 1),
    "provider babbles": ({"model": "fault:malformed=head"}, openai.InternalServerError,
                         (502, "provider_response_invalid", None, "server_error"), 1),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_typed_errors(client: Any, name: str) -> None:
    """Every error is the class that the SDK has for it, plain and streamed, with code, param, type, message and id."""
    settings, kind, expected, _ = ERRORS[name]
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            await done(client.chat.completions.create(**{
                "model": MODEL, "messages": ASKED, "stream": stream, "extra_body": {}, **settings}))
        error = caught.value
        assert type(error) is kind
        assert (error.status_code, error.code, error.param, error.type) == expected
        assert error.body["message"] and error.body["message"] in error.message
        assert error.request_id == error.response.headers["request-id"]


@pytest.mark.parametrize("name", ERRORS)
def test_attempts(name: str, gateway: Gateway, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK tries again where that can help and only there, and waits as long as the answer says."""
    settings, kind, _, attempts = ERRORS[name]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=2) as client:
        watched = Attempts(openai.OpenAI, monkeypatch, gateway, simulator)
        with pytest.raises(kind) as caught:
            client.chat.completions.create(**{"model": MODEL, "messages": ASKED, **settings})
    assert watched.at_gateway() == attempts
    assert len(watched.waits) == attempts - 1
    wait = caught.value.response.headers.get("retry-after")
    assert all(0 < each <= LONGEST_WAIT for each in watched.waits)
    if wait is not None:
        assert watched.waits == [pytest.approx(float(wait))] * (attempts - 1)
    if "provider" in name and settings["model"] != "closed":
        assert watched.at_provider() == attempts


def test_the_gateways_own_limit(gateway: Gateway, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client over its limit gets RateLimitError, and its SDK waits for the time that the bucket needs to refill."""
    watched = Attempts(openai.OpenAI, monkeypatch, gateway, simulator)
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key_of("limited-openai"), max_retries=1) as client, \
            pytest.raises(openai.RateLimitError) as caught:
        for _ in range(2):
            client.chat.completions.create(model=MODEL, messages=ASKED)
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "requests")
    assert caught.value.response.headers["retry-after"] in caught.value.body["message"]
    assert [0 < wait <= 50 for wait in watched.waits] == [True]
    assert watched.at_provider() <= 1


async def test_unprocessable(serving: Callable[..., Gateway]) -> None:
    """A contract that answers 422 is UnprocessableEntityError to the SDK, with the parameter's name."""
    base_url = f"{serving(contract='tokenfactory').url}/v1"
    async with openai.AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client:
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            await client.chat.completions.create(model=MODEL, messages=ASKED, max_tokens=0)
    assert (caught.value.param, caught.value.code) == ("max_tokens", "field_value")


async def test_permission_by_scope(client: Any) -> None:
    """A key without the scope of a route is PermissionDeniedError there."""
    scoped = client.with_options(api_key=key_of("chat-only"))
    for call in (lambda: scoped.embeddings.create(model=MODEL, input="a"), lambda: all_of(scoped.models.list())):
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await done(call())
        assert (caught.value.code, caught.value.param) == ("missing_scope", None)


async def test_unknown_endpoint(client: Any) -> None:
    """A path that no route serves is NotFoundError, and names the path."""
    with pytest.raises(openai.NotFoundError, match="GET /v1/nowhere") as caught:
        await done(client.get("/nowhere", cast_to=object))
    assert caught.value.code == "unknown_url"


async def test_client_timeout(client: Any, simulator: Simulator) -> None:
    """A client whose own timeout comes first raises APITimeoutError, and the provider's request is cancelled."""
    with pytest.raises(openai.APITimeoutError):
        await done(client.chat.completions.create(model="fault:hang", messages=ASKED, timeout=0.2))
    simulator.wait_for(lambda state: [each["model"] for each in state["cancelled"]] == ["fault:hang"])


BROKEN = {"error-event=4": "provider_error", "cut=1900": "provider_cut", "reset=1900": "provider_cut",
          "malformed=chunk": "provider_response_invalid"}


@pytest.mark.parametrize("fault", BROKEN)
async def test_broken_streams(client: Any, fault: str) -> None:
    """A stream that breaks is an APIError after the chunks that were good, never a clean end."""
    stream = await done(client.chat.completions.create(model=f"fault:{fault}", messages=ASKED, stream=True))
    seen: list[Any] = []
    with pytest.raises(openai.APIError) as caught:
        await all_of(stream, seen)
    error = caught.value
    assert seen and all(chunk.choices[0].finish_reason is None for chunk in seen[:-1])
    assert type(error) is openai.APIError
    assert (error.code, error.type, error.param) == (BROKEN[fault], "server_error", None)
    assert error.message == error.body["message"]
    assert stream.response.headers["x-request-id"].startswith("req-")


async def test_broken_responses(client: Any) -> None:
    """A stream of /v1/responses that breaks raises as well."""
    with pytest.raises(openai.APIError) as caught:
        await all_of(client.responses.create(model="fault:no-terminal", input=ASKED, stream=True))
    assert caught.value.code == "provider_cut"
