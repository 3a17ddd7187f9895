"""The real SDKs read our answers and events as they read their providers'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from edge._fast import Condition as C
from tests.contract.answers import CONTRACTS, read, template, values

OPENAI_CLASSES = {400: openai.BadRequestError, 401: openai.AuthenticationError, 403: openai.PermissionDeniedError,
                  404: openai.NotFoundError, 422: openai.UnprocessableEntityError, 429: openai.RateLimitError}
ANTHROPIC_CLASSES = {400: anthropic.BadRequestError, 401: anthropic.AuthenticationError,
                     403: anthropic.PermissionDeniedError, 404: anthropic.NotFoundError,
                     429: anthropic.RateLimitError}
CASES = [C.json_invalid, C.field_value, C.key_missing, C.scope_missing, C.model_unknown, C.rate_limited,
         C.provider_error, C.internal_error, C.draining]
CHUNK = (b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
         b'"delta":{"content":"hi"},"finish_reason":null}]}\n\n')
START = (b'event: message_start\ndata: {"type":"message_start","message":{"id":"1","type":"message","role":"assistant",'
         b'"model":"m","content":[],"stop_reason":null,"stop_sequence":null,'
         b'"usage":{"input_tokens":1,"output_tokens":1}}}\n\n')


class Wire(httpx2.BaseTransport):
    """Answers every request with the same bytes and counts them."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.answer = (status, headers, body)
        self.requests = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Called by the SDK's client."""
        self.requests += 1
        status, headers, body = self.answer
        return httpx2.Response(status, headers=headers, content=body)


def refusing(name: str, surface: str, condition: C, **given: object) -> Wire:
    """A gateway that refuses everything."""
    raw = template(name, surface, condition).render(values(**given), b"", False)
    found = read(raw)
    return Wire(found.status, found.headers, raw.partition(b"\r\n\r\n")[2])


def chat(wire: Wire, retries: int = 0, **more: Any) -> Any:
    """An OpenAI client's call."""
    client = openai.OpenAI(api_key="sk-x", base_url="http://edge/v1", max_retries=retries,
                           http_client=httpx2.Client(transport=wire))
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], **more)


def message(wire: Wire, retries: int = 0, **more: Any) -> Any:
    """An Anthropic client's call."""
    client = anthropic.Anthropic(api_key="sk-x", base_url="http://edge", max_retries=retries,
                                 http_client=httpx2.Client(transport=wire))
    return client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}], **more)


@pytest.mark.parametrize("condition", CASES, ids=lambda c: c.name)
@pytest.mark.parametrize("name", [name for name in CONTRACTS if name != "anthropic"])
def test_openai_s_sdk_types_our_errors(name: str, condition: C) -> None:
    """OpenAI's SDK raises the class of the status, with code, type, param and request id."""
    wire = refusing(name, "openai", condition, field="n", model="m")
    with pytest.raises(openai.APIStatusError) as caught:
        chat(wire)
    error = caught.value
    body = error.body
    assert isinstance(body, dict)
    assert type(error) is OPENAI_CLASSES.get(error.status_code, openai.InternalServerError)
    assert (error.code, error.type, error.param) == (body["code"], body["type"], body.get("param"))
    assert error.request_id == "req-0123456789abcdef" and body["message"] in str(error)


@pytest.mark.parametrize("condition", CASES, ids=lambda c: c.name)
@pytest.mark.parametrize("name", CONTRACTS)
def test_anthropic_s_sdk_types_our_errors(name: str, condition: C) -> None:
    """Anthropic's SDK raises the class of the status and finds type, message and request id in every contract."""
    wire = refusing(name, "anthropic", condition, field="n", model="m")
    with pytest.raises(anthropic.APIStatusError) as caught:
        message(wire)
    error = caught.value
    expected = ANTHROPIC_CLASSES.get(error.status_code)
    assert type(error) is expected or error.status_code >= 500 or error.status_code == 422
    body = error.body
    assert isinstance(body, dict) and body["type"] == "error"
    assert (error.type, error.api_message) == (body["error"]["type"], body["error"]["message"])
    assert error.request_id == body["request_id"] == "req-0123456789abcdef"


@pytest.mark.parametrize(("condition", "wait", "attempts"), [
    (C.rate_limited, 1, 2), (C.provider_error, 1, 2), (C.draining, 1, 2), (C.provider_auth, 1, 1),
    (C.not_implemented, 1, 1), (C.config_invalid, 1, 1), (C.rate_limited, 3600_000, 1), (C.key_missing, 1, 1),
], ids=str)
@pytest.mark.parametrize(("call", "surface"), [(chat, "openai"), (message, "anthropic")])
def test_sdks_retry_only_what_a_retry_can_mend(call: Callable[..., Any], surface: str, condition: C, wait: int,
                                               attempts: int) -> None:
    """Both SDKs try again where it helps within a minute, and otherwise raise at once."""
    wire = refusing(surface, surface, condition, retry_after=wait)
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)):
        call(wire, 1)
    assert wire.requests == attempts


@pytest.mark.parametrize("name", CONTRACTS)
def test_openai_s_sdk_raises_inside_a_stream(name: str) -> None:
    """An error event makes OpenAI's SDK raise after the chunks that came before, with the contract's code."""
    event = template(name, "openai", C.provider_cut).event(values(reason="reset"))
    wire = Wire(200, {"content-type": "text/event-stream"}, CHUNK + event)
    seen = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in chat(wire, stream=True):
            seen.append(chunk)
    assert len(seen) == 1 and "ended the response early: reset" in caught.value.message
    body = caught.value.body
    assert isinstance(body, dict) and caught.value.type == body["type"]


@pytest.mark.parametrize("name", CONTRACTS)
def test_openai_s_sdk_raises_inside_a_stream_of_responses(name: str) -> None:
    """An error event makes OpenAI's SDK raise on /v1/responses too."""
    event = template(name, "openai", C.provider_stalled).event(values(reason="no data"))
    client = openai.OpenAI(api_key="sk-x", base_url="http://edge/v1", max_retries=0, http_client=httpx2.Client(
        transport=Wire(200, {"content-type": "text/event-stream"}, event)))
    with pytest.raises(openai.APIError, match="no data"):
        list(client.responses.create(model="m", input="hi", stream=True))


@pytest.mark.parametrize("name", CONTRACTS)
def test_anthropic_s_sdk_raises_inside_a_stream(name: str) -> None:
    """An error event makes Anthropic's SDK raise after the events that came before, with type and message."""
    event = template(name, "anthropic", C.provider_cut).event(values(reason="reset"))
    wire = Wire(200, {"content-type": "text/event-stream", "request-id": "r"}, START + event)
    seen = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        for part in message(wire, stream=True):
            seen.append(part.type)
    assert seen == ["message_start"] and caught.value.api_message == "The provider ended the response early: reset"
    body = caught.value.body
    assert isinstance(body, dict) and caught.value.type == body["error"]["type"]


@pytest.mark.parametrize("name", CONTRACTS)
@pytest.mark.parametrize("surface", ["openai", "anthropic"])
def test_a_stream_that_broke_has_no_good_end(name: str, surface: str) -> None:
    """The error event is alone: no [DONE], no message_stop, no finish_reason."""
    for condition in (C.provider_cut, C.provider_stalled, C.provider_error, C.internal_error):
        event = template(name, surface, condition).event(values())
        assert event.count(b"data:") == event.count(b"event:") == 1
        assert not any(word in event for word in (b"[DONE]", b"message_stop", b"finish_reason"))
