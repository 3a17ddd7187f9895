"""Anthropic's own SDK, sync and async, through a running gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anthropic
import pytest

from tests.gateway.conftest import key_of
from tests.gateway.sdk import ARGUMENTS, ASKED, LONGEST_WAIT, SCHEMA, Attempts, all_of, done
from tests.support.gateway import KEY, Gateway
from tests.support.simulator import Simulator

MODEL = "claude-opus-4-6"
CALL = {"model": MODEL, "max_tokens": 64, "messages": ASKED}
TOOLS = {"tools": [{"name": "get_weather", "input_schema": SCHEMA}], "tool_choice": {"type": "any"}}


@pytest.fixture(params=[anthropic.Anthropic, anthropic.AsyncAnthropic], ids=["sync", "async"])
async def client(request: pytest.FixtureRequest, gateway: Gateway, simulator: Simulator) -> AsyncIterator[Any]:
    """A client that does not retry."""
    made = request.param(base_url=gateway.url, api_key=KEY, max_retries=0)
    yield made
    await done(made.close())


@pytest.fixture
async def direct(simulator: Simulator) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """A client of the provider itself."""
    async with anthropic.AsyncAnthropic(base_url=simulator.url, api_key="sk-any", max_retries=0) as made:
        yield made


def told(answer: Any) -> dict[str, Any]:
    """An answer without its id."""
    data: dict[str, Any] = answer.to_dict()
    if "message" in data:
        data["message"] = {name: value for name, value in data["message"].items() if name != "id"}
    return {name: value for name, value in data.items() if name != "id"}


async def test_message(client: Any, direct: anthropic.AsyncAnthropic) -> None:
    """A message through the gateway is the provider's own, and has an id of the gateway's."""
    answer = await done(client.messages.create(**CALL))
    assert told(answer) == told(await direct.messages.create(**CALL))
    assert answer._request_id.startswith("req-")


async def test_streamed_message(client: Any, direct: anthropic.AsyncAnthropic) -> None:
    """A streamed message has the text of the plain one, event by event as the provider made it, and its usage."""
    events = await all_of(client.messages.create(**CALL, stream=True))
    assert [told(event) for event in events] == [told(event) for event in await all_of(
        direct.messages.create(**CALL, stream=True))]
    plain = await direct.messages.create(**CALL)
    deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert "".join(deltas) == plain.content[0].text
    assert (events[-2].usage.output_tokens, events[-1].type) == (plain.usage.output_tokens, "message_stop")


async def test_accumulated_stream(client: Any, direct: anthropic.AsyncAnthropic) -> None:
    """The SDK puts a stream together to the plain message."""
    if isinstance(client, anthropic.AsyncAnthropic):
        async with client.messages.stream(**CALL) as stream:
            final = await stream.get_final_message()
    else:
        with client.messages.stream(**CALL) as stream:
            final = stream.get_final_message()
    plain = await direct.messages.create(**CALL)
    assert (final.content[0].text, final.stop_reason) == (plain.content[0].text, plain.stop_reason)
    assert (final.usage.input_tokens, final.usage.output_tokens) == (
        plain.usage.input_tokens, plain.usage.output_tokens)


async def test_tool_calls(client: Any) -> None:
    """A tool's call comes whole, plain and streamed."""
    plain = await done(client.messages.create(**CALL, **TOOLS))
    assert (plain.stop_reason, plain.content[0].name, plain.content[0].input) == ("tool_use", "get_weather", ARGUMENTS)
    events = await all_of(client.messages.create(**CALL, **TOOLS, stream=True))
    parts = [event.delta.partial_json for event in events if event.type == "content_block_delta"]
    assert "".join(parts) == '{"city":"example","days":1}'


async def test_count_tokens(client: Any, direct: anthropic.AsyncAnthropic) -> None:
    """The token count is the provider's."""
    asked = {"model": MODEL, "messages": ASKED}
    assert await done(client.messages.count_tokens(**asked)) == await direct.messages.count_tokens(**asked)


async def test_models(client: Any) -> None:
    """The models listed are the configuration's, patterns left out, in Anthropic's shape."""
    models = await all_of(client.models.list())
    assert [model.id for model in models] == ["alias", "scripted-alias", "only-openai", "only-anthropic"]
    assert all(model.type == "model" and model.created_at for model in models)
    assert await done(client.models.retrieve("only-anthropic")) == models[3]
    with pytest.raises(anthropic.NotFoundError, match="nobody-has-it"):
        await done(client.models.retrieve("nobody-has-it"))


async def test_raw_headers(client: Any) -> None:
    """Raw answers show the gateway's ids and limits beside the provider's own headers."""
    raw = await done(client.messages.with_raw_response.create(**CALL))
    assert raw.headers["x-request-id"] == raw.headers["request-id"] == raw.request_id
    assert "anthropic-organization-id" not in raw.headers
    assert raw.headers["x-ratelimit-limit"] == "100000"
    assert (await done(raw.parse())).content[0].text


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_both_places_of_the_key(gateway: Gateway, simulator: Simulator, header: str) -> None:
    """The key is taken as Bearer, as newer SDKs send it, and as x-api-key, as older ones do."""
    value = {"authorization": f"Bearer {KEY}", "x-api-key": KEY}[header]
    async with anthropic.AsyncAnthropic(base_url=gateway.url, auth_token="unused", max_retries=0) as client:
        headers: dict[str, Any] = {"authorization": anthropic.omit, "x-api-key": anthropic.omit, header: value}
        assert (await client.messages.create(**CALL, extra_headers=headers)).content


# name: settings -> class, status, type; attempts with two retries.
ERRORS: dict[str, tuple[dict[str, Any], type[anthropic.APIStatusError], tuple[int, str], int]] = {
    "value": ({"extra_body": {"temperature": 1.5}}, anthropic.BadRequestError, (400, "invalid_request_error"), 1),
    "type": ({"extra_body": {"max_tokens": "5"}}, anthropic.BadRequestError, (400, "invalid_request_error"), 1),
    "missing": ({"extra_body": {"max_tokens": None}}, anthropic.BadRequestError, (400, "invalid_request_error"), 1),
    "key": ({"extra_headers": {"authorization": "Bearer sk-wrong"}}, anthropic.AuthenticationError,
            (401, "authentication_error"), 1),
    "key form": ({"extra_headers": {"authorization": "Basic eDp5"}}, anthropic.AuthenticationError,
                 (401, "authentication_error"), 1),
    "key model": ({"extra_headers": {"authorization": f"Bearer {key_of('one-model')}"}},
                  anthropic.PermissionDeniedError, (403, "permission_error"), 1),
    "model": ({"model": "nobody-has-it"}, anthropic.NotFoundError, (404, "not_found_error"), 1),
    "other dialect": ({"model": "only-openai"}, anthropic.HTTPNotImplementedError, (501, "invalid_request_error"), 1),
    "model is off": ({"model": "sim-off"}, anthropic.PermissionDeniedError, (403, "permission_error"), 1),
    "not made for it": ({"model": "sim-chat", "tools": [{"name": "x", "input_schema": {"type": "object"}}]},
                        anthropic.BadRequestError, (400, "invalid_request_error"), 1),
    "provider 400": ({"model": "fault:status=400"}, anthropic.BadRequestError, (400, "invalid_request_error"), 1),
    "provider 401": ({"model": "fault:status=401"}, anthropic.InternalServerError, (502, "api_error"), 1),
    "provider 404": ({"model": "fault:status=404"}, anthropic.NotFoundError, (404, "not_found_error"), 1),
    "provider 409": ({"model": "fault:status=409"}, anthropic.ConflictError, (409, "conflict_error"), 1),
    "provider 413": ({"model": "fault:status=413"}, anthropic.ContentTooLargeError, (413, "request_too_large"), 1),
    "provider 422": ({"model": "fault:status=422"}, anthropic.UnprocessableEntityError,
                     (422, "invalid_request_error"), 1),
    "provider 429": ({"model": "fault:status=429;retry-after=7"}, anthropic.RateLimitError,
                     (429, "rate_limit_error"), 3),
    "provider 429, far off": ({"model": "fault:status=429;retry-after=3600"}, anthropic.RateLimitError,
                              (429, "rate_limit_error"), 1),
    "provider 500": ({"model": "fault:status=500"}, anthropic.InternalServerError, (502, "api_error"), 3),
    "provider 529": ({"model": "fault:status=529;retry-after=7"}, anthropic.OverloadedError,
                     (529, "overloaded_error"), 3),
    "provider refuses": ({"model": "closed"}, anthropic.InternalServerError, (502, "api_error"), 3),
    # What a provider has and did not answer is not sent again by the SDK either.
    "provider hangs": ({"model": "brief", "extra_headers": {"x-simulate": "hang"}}, anthropic.GatewayTimeoutError,
                       (504, "timeout_error"), 1),
    "provider breaks off": ({"model": "fault:cut=1000"}, anthropic.InternalServerError, (502, "api_error"), 1),
    "provider babbles": ({"model": "fault:malformed=head"}, anthropic.InternalServerError, (502, "api_error"), 1),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_typed_errors(client: Any, name: str) -> None:
    """Every error is the class that the SDK has for it, plain and streamed, with type, message and id."""
    settings, kind, expected, _ = ERRORS[name]
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            await done(client.messages.create(**{**CALL, "stream": stream, "extra_body": {}, **settings}))
        error = caught.value
        assert type(error) is kind
        assert (error.status_code, error.type) == expected
        assert error.api_message and error.api_message in error.message
        assert error.request_id == error.response.headers["x-request-id"]
        if "provider 4" not in name or error.status_code in (429, 502):     # those bodies are the provider's own
            assert error.body["request_id"] == error.request_id


@pytest.mark.parametrize("name", ERRORS)
def test_attempts(name: str, gateway: Gateway, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK tries again where that can help and only there, and waits as long as the answer says."""
    settings, kind, _, attempts = ERRORS[name]
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=2) as client:
        watched = Attempts(anthropic.Anthropic, monkeypatch, gateway, simulator)
        with pytest.raises(kind) as caught:
            client.messages.create(**{**CALL, **settings})
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
    watched = Attempts(anthropic.Anthropic, monkeypatch, gateway, simulator)
    with anthropic.Anthropic(base_url=gateway.url, api_key=key_of("limited-anthropic"), max_retries=1) as client, \
            pytest.raises(anthropic.RateLimitError) as caught:
        for _ in range(2):
            client.messages.create(**CALL)
    assert (caught.value.type, caught.value.status_code) == ("rate_limit_error", 429)
    assert caught.value.response.headers["retry-after"] in caught.value.api_message
    assert [0 < wait <= 50 for wait in watched.waits] == [True]
    assert watched.at_provider() <= 1


# contract -> what has its own class in the SDK there: class, status, type of a provider that hangs.
TIMEOUTS: dict[str, tuple[type[anthropic.APIStatusError], int, str]] = {
    "tokenfactory": (anthropic.RequestTimeoutError, 408, "timeout_error"),
    "tokenpak": (anthropic.GatewayTimeoutError, 504, "gateway_timeout"),
}


@pytest.mark.parametrize("contract", TIMEOUTS)
async def test_other_contracts(serving: Callable[..., Gateway], contract: str) -> None:
    """Errors of other contracts are typed too: their envelope is one that the SDK reads."""
    kind, status, name = TIMEOUTS[contract]
    async with anthropic.AsyncAnthropic(base_url=serving(contract=contract).url, api_key=KEY, max_retries=0) as client:
        with pytest.raises(kind) as caught:
            await client.messages.create(**{**CALL, "model": "brief"}, extra_headers={"x-simulate": "hang"})
    assert (caught.value.status_code, caught.value.type) == (status, name)
    assert caught.value.body["request_id"] == caught.value.request_id


async def test_permission_by_scope(client: Any) -> None:
    """A key without the scope of a route is PermissionDeniedError there."""
    scoped = client.with_options(api_key=key_of("chat-only"))
    with pytest.raises(anthropic.PermissionDeniedError) as caught:
        await done(scoped.messages.count_tokens(model=MODEL, messages=ASKED))
    assert (caught.value.type, "count_tokens" in caught.value.api_message) == ("permission_error", True)


async def test_unknown_endpoint(client: Any) -> None:
    """A path that no route serves is NotFoundError, and names the path."""
    with pytest.raises(anthropic.NotFoundError, match="/v1/messages/nowhere") as caught:
        await done(client.get("/v1/messages/nowhere", cast_to=object))
    assert caught.value.type == "not_found_error"


async def test_client_timeout(client: Any, simulator: Simulator) -> None:
    """A client whose own timeout comes first raises APITimeoutError, and the provider's request is cancelled."""
    with pytest.raises(anthropic.APITimeoutError):
        await done(client.messages.create(**{**CALL, "model": "fault:hang"}, timeout=0.2))
    simulator.wait_for(lambda state: [each["model"] for each in state["cancelled"]] == ["fault:hang"])


BROKEN = ("error-event=4,server", "cut=2200", "reset=2200", "malformed=chunk")


@pytest.mark.parametrize("fault", BROKEN)
async def test_broken_streams(client: Any, fault: str) -> None:
    """A stream that breaks raises with a type, after the events that were good, and never ends cleanly."""
    stream = await done(client.messages.create(**{**CALL, "model": f"fault:{fault}"}, stream=True))
    seen: list[Any] = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        await all_of(stream, seen)
    error = caught.value
    assert seen[0].type == "message_start"
    assert "message_stop" not in [event.type for event in seen]
    assert error.type == "api_error"
    assert error.api_message
    assert error.body["request_id"] == error.request_id == stream.response.headers["request-id"]
