"""Anthropic's own SDK against the simulator."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest

from tests.support.simulator import Simulator

ASKED = [{"role": "user", "content": "What is the capital of France?"}]
ECHO = "You said: What is the capital of France?"
MODEL = "claude-opus-4-6"
TOOL = {"name": "get_weather", "input_schema": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}}


@pytest.fixture
def client(simulator: Simulator) -> Iterator[anthropic.Anthropic]:
    """A client that does not retry."""
    with anthropic.Anthropic(base_url=simulator.url, api_key="sk-ant-test", max_retries=0) as made:
        yield made


def test_plain_message(client: anthropic.Anthropic) -> None:
    """A message repeats the prompt, has usage, and is the same for the same request."""
    first, second = (client.messages.create(model=MODEL, max_tokens=64, messages=ASKED) for _ in range(2))
    assert first.content[0].text.startswith(ECHO)
    assert first.content[0].text == second.content[0].text
    assert first.stop_reason == "end_turn"
    assert first.usage.output_tokens == 16
    assert first._request_id.startswith("req_")
    assert first.id != second.id


def test_max_tokens(client: anthropic.Anthropic) -> None:
    """An answer that the client's bound cuts short has that many tokens and says so."""
    message = client.messages.create(model=MODEL, max_tokens=3, messages=ASKED)
    assert (message.content[0].text, message.stop_reason) == ("You said:", "max_tokens")
    assert message.usage.output_tokens == 3


def test_streamed_message(client: anthropic.Anthropic) -> None:
    """A stream has Anthropic's events in order, the plain answer's text and its usage."""
    plain = client.messages.create(model=MODEL, max_tokens=64, messages=ASKED)
    events = list(client.messages.create(model=MODEL, max_tokens=64, messages=ASKED, stream=True))
    kinds = [event.type for event in events]
    assert kinds == ["message_start", "content_block_start", *["content_block_delta"] * 16,
                     "content_block_stop", "message_delta", "message_stop"]
    assert "".join(event.delta.text for event in events[2:18]) == plain.content[0].text
    with client.messages.stream(model=MODEL, max_tokens=64, messages=ASKED) as stream:
        final = stream.get_final_message()
    assert final.content[0].text == plain.content[0].text
    assert (final.usage.input_tokens, final.usage.output_tokens) == (plain.usage.input_tokens, 16)


def test_tools(client: anthropic.Anthropic) -> None:
    """A tool that must be used is used, with an input that fits its schema, plain and streaming alike."""
    settings = {"model": MODEL, "max_tokens": 64, "messages": ASKED, "tools": [TOOL]}
    assert client.messages.create(**settings).stop_reason == "end_turn"
    for choice in ({"type": "any"}, {"type": "tool", "name": "get_weather"}):
        plain = client.messages.create(**settings, tool_choice=choice)
        assert plain.stop_reason == "tool_use"
        assert plain.content[0].input == {"city": "example", "days": 1}
        with client.messages.stream(**settings, tool_choice=choice) as stream:
            final = stream.get_final_message()
        assert final.content[0].input == plain.content[0].input
        assert final.content[0].name == "get_weather"


def test_count_tokens(client: anthropic.Anthropic) -> None:
    """The token count is the number that a message is billed for, and grows with the system prompt."""
    counted = client.messages.count_tokens(model=MODEL, messages=ASKED).input_tokens
    assert counted == client.messages.create(model=MODEL, max_tokens=1, messages=ASKED).usage.input_tokens
    more = client.messages.count_tokens(model=MODEL, messages=ASKED, system="Be brief.")
    assert more.input_tokens > counted


def test_models(client: anthropic.Anthropic) -> None:
    """Models are listed in Anthropic's shape, and any can be fetched."""
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve("anything").id == "anything"


def test_files(client: anthropic.Anthropic) -> None:
    """A file goes in and out in Anthropic's shape."""
    made = client.beta.files.upload(file=("x.txt", b"12345", "text/plain"))
    assert (made.size_bytes, made.filename, made.mime_type) == (5, "x.txt", "text/plain")
    assert [file.id for file in client.beta.files.list()] == [made.id]
    assert client.beta.files.delete(made.id).id == made.id
    with pytest.raises(anthropic.NotFoundError, match="File not found"):
        client.beta.files.retrieve_metadata(made.id)


STATUSES = [(400, anthropic.BadRequestError, "invalid_request_error"),
            (401, anthropic.AuthenticationError, "authentication_error"),
            (403, anthropic.PermissionDeniedError, "permission_error"),
            (404, anthropic.NotFoundError, "not_found_error"),
            (409, anthropic.ConflictError, "conflict_error"),
            (413, anthropic.APIStatusError, "request_too_large"),
            (429, anthropic.RateLimitError, "rate_limit_error"),
            (500, anthropic.InternalServerError, "api_error"),
            (504, anthropic.InternalServerError, "timeout_error"),
            (529, anthropic.InternalServerError, "overloaded_error")]


@pytest.mark.parametrize(("status", "kind", "name"), STATUSES)
@pytest.mark.parametrize("stream", [False, True])
def test_typed_errors(client: anthropic.Anthropic, status: int, kind: type[anthropic.APIStatusError],
                      name: str, stream: bool) -> None:
    """Every status is the error that the SDK has for it, with Anthropic's type, plain and streaming."""
    with pytest.raises(kind) as caught:
        client.messages.create(model=f"fault:status={status}", max_tokens=9, messages=ASKED, stream=stream)
    assert caught.value.status_code == status
    assert caught.value.type == name
    assert caught.value.body["request_id"] == caught.value.request_id


def test_error_event(client: anthropic.Anthropic) -> None:
    """An error event raises Anthropic's error in the middle of a stream."""
    stream = client.messages.create(model="fault:error-event=4", max_tokens=64, messages=ASKED, stream=True)
    # The SDK keeps the ping, which is among the four, to itself.
    seen = [next(stream).type for _ in range(3)]
    assert seen == ["message_start", "content_block_start", "content_block_delta"]
    with pytest.raises(anthropic.APIStatusError) as caught:
        next(stream)
    assert caught.value.type == "overloaded_error"


def test_rate_limit_headers(client: anthropic.Anthropic) -> None:
    """An answer has Anthropic's rate limit headers."""
    raw = client.messages.with_raw_response.create(model=MODEL, max_tokens=9, messages=ASKED)
    for kind in ("requests", "tokens", "input-tokens", "output-tokens"):
        assert int(raw.headers[f"anthropic-ratelimit-{kind}-remaining"]) \
            < int(raw.headers[f"anthropic-ratelimit-{kind}-limit"])
        assert raw.headers[f"anthropic-ratelimit-{kind}-reset"].endswith("Z")


async def test_async_client(simulator: Simulator) -> None:
    """The asynchronous client gets the same plain answers, streams and errors."""
    async with anthropic.AsyncAnthropic(base_url=simulator.url, api_key="k", max_retries=0) as client:
        plain = await client.messages.create(model=MODEL, max_tokens=64, messages=ASKED)
        async with client.messages.stream(model=MODEL, max_tokens=64, messages=ASKED) as stream:
            text = "".join([piece async for piece in stream.text_stream])
        assert text == plain.content[0].text
        with pytest.raises(anthropic.RateLimitError):
            await client.messages.create(model="fault:status=429", max_tokens=9, messages=ASKED)


REFUSED = [({}, "model: Field required"), ({"model": MODEL}, "max_tokens: Field required"),
           ({"model": MODEL, "max_tokens": 9}, "messages: Field required"),
           ({"model": MODEL, "max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
           ({"model": MODEL, "max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
           ({"model": MODEL, "max_tokens": 9, "messages": []}, "messages: at least one message is required")]


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_bad_fields(client: anthropic.Anthropic, body: object, message: str) -> None:
    """A field that is missing or wrong is refused with Anthropic's own 400."""
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.post("/v1/messages", body=body, cast_to=object)
    assert caught.value.body["error"] == {"type": "invalid_request_error", "message": message}


def test_unknown_path(client: anthropic.Anthropic) -> None:
    """A path that Anthropic does not have is Anthropic's own 404."""
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.post("/v1/nothing", body={}, cast_to=object)
    assert caught.value.body["error"] == {
        "type": "not_found_error", "message": "The requested resource could not be found."}


@pytest.mark.parametrize(("headers", "message"), [
    ({"x-api-key": "sk-wrong", "Authorization": anthropic.Omit()}, "invalid x-api-key"),
    ({"Authorization": "Bearer sk-wrong"}, "Invalid bearer token"),
    ({"Authorization": anthropic.Omit()}, "x-api-key header is required")])
def test_wrong_key(headers: dict[str, str], message: str) -> None:
    """A simulator with a key refuses any other as Anthropic does."""
    with (Simulator(key="sk-right") as simulator,
          anthropic.Anthropic(base_url=simulator.url, api_key="sk-right", max_retries=0) as client):
        assert client.models.list().data
        with pytest.raises(anthropic.AuthenticationError) as caught:
            client.models.list(extra_headers=headers)
        assert caught.value.body["error"] == {"type": "authentication_error", "message": message}
