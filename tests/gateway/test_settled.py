"""What an answer has used: told by its provider, whatever it says and in whatever form it ends, or estimated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway import client
from tests.gateway.client import ask, asked, post, receive, scripted
from tests.gateway.minute import left
from tests.gateway.script import Script, answer, chunk, completion, message, stream_head
from tests.simulator.wire import Wire
from tests.support.gateway import Gateway

Start = Callable[..., Gateway]
MANY = 6000             # tokens a minute, of which a hundred come back each second
KINDS = ("tokens", "input_tokens", "output_tokens")
MINUTE = {f"{kind}_per_minute": MANY for kind in KINDS}
MOST = 10_000_000       # of one request, each way
BODY = len(json.dumps(asked("openai", model="scripted"))) // 4


def spent(gateway: Gateway, begun: float) -> dict[str, range]:
    """By kind, the least and the most that may have been used since then: some of it has come back meanwhile."""
    rest = {kind: left(gateway, kind) for kind in KINDS}
    back = int((time.monotonic() - begun) * MANY / 60) + 2
    return {kind: range(MANY - left, MANY - left + back) for kind, left in rest.items()}


@pytest.mark.parametrize(("usage", "input_tokens", "output_tokens"), [
    # reasoning beside the output: xAI, Gemini
    ({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135}, 32, 103),
    ({"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81}, 21, 60),
    ({"prompt_tokens": 7, "total_tokens": 50}, 7, 43), ({"total_tokens": 50}, 50, None),
    ({"completion_tokens": 9, "total_tokens": 50}, 41, 9),
    # within it, and cached tokens within the input: OpenAI
    ({"prompt_tokens": 9, "completion_tokens": 80, "total_tokens": 89,
      "prompt_tokens_details": {"cached_tokens": 8},
      "completion_tokens_details": {"reasoning_tokens": 64}}, 9, 80),
    ({"prompt_tokens": 9, "completion_tokens": 80, "total_tokens": 3}, 9, 80),
    # half of it
    ({"completion_tokens": 7}, BODY, 7), ({"prompt_tokens": 30}, 30, None),
    # none
    ({}, BODY, None), (None, BODY, None), ("much", BODY, None), ([1, 2], BODY, None),
    ({"prompt_tokens": -5, "completion_tokens": -10**18, "total_tokens": -1}, BODY, None),
    ({"prompt_tokens": 3.5, "completion_tokens": "7"}, BODY, None),
    ({"prompt_tokens": {"a": 1}, "completion_tokens": [7], "total_tokens": True}, BODY, None),
    ({"prompt_tokens": 10**30, "completion_tokens": 5}, BODY, 5),
])
def test_what_a_provider_tells(limited: Start, script: Script, usage: Any, input_tokens: int,
                               output_tokens: int | None) -> None:
    """The tokens that a plain answer tells are those that were used; what it does not tell, or not as a number of
    tokens, is estimated: of the request by its body, of the answer by its own."""
    gateway = limited(MINUTE)
    begun = time.monotonic()
    body = completion(usage=usage)
    found = scripted(gateway, script, post("openai", model="scripted", max_tokens=500), answer(body))
    assert found.status == 200 and found.body == body
    counts = spent(gateway, begun)
    output_tokens = len(body) // 4 if output_tokens is None else output_tokens
    input_tokens += 5 if input_tokens == BODY else 0        # max_tokens itself
    assert input_tokens in counts["input_tokens"] and output_tokens in counts["output_tokens"]
    assert input_tokens + output_tokens in counts["tokens"]


@pytest.mark.parametrize("told", [MOST + 1, 2**62, 2**63 - 1])
@pytest.mark.parametrize("surface", client.SURFACES)
def test_absurd_usage(limited: Start, script: Script, surface: str, told: int) -> None:
    """A number of tokens that nothing can have used counts as the most that anything can, and breaks no count."""
    gateway = limited({"output_tokens_per_minute": MANY})
    usage = ({"prompt_tokens": told, "completion_tokens": told} if surface == "openai" else
             {"input_tokens": told, "cache_read_input_tokens": told, "cache_creation_input_tokens": told,
              "output_tokens": told})
    body = completion(usage=usage) if surface == "openai" else message(usage=usage)
    assert scripted(gateway, script, post(surface, model="scripted"), answer(body)).status == 200
    assert left(gateway, "output_tokens") == 0
    found = ask(gateway.port, post(surface, model="scripted"))
    assert found.fields["x-edge-condition"] == "rate_limited"
    assert abs(int(found.fields["retry-after"]) - MOST / MANY * 60) < 70
    for kind in ("input", "output"):
        assert gateway.metric("edge_tokens_total", type=kind) == MOST


def piece(kind: str, **data: Any) -> bytes:
    """An event of Anthropic's, in a chunk."""
    return chunk(f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode())


BEGUN = piece("message_start", message={"id": "m", "type": "message", "role": "assistant", "content": [],
                                        "usage": {"input_tokens": 25, "output_tokens": 1}})
TEXT = piece("content_block_delta", index=0, delta={"type": "text_delta", "text": "word"})
ENDED = piece("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 15}) + piece("message_stop")


@pytest.mark.parametrize("end", ["left", "cut", "error"])
def test_a_stream_without_its_end(limited: Start, script: Script, end: str) -> None:
    """A stream that its client leaves, or that breaks, has used what has come, not what it said at its beginning."""
    gateway = limited(MINUTE)
    begun = time.monotonic()
    with Wire(gateway.port) as wire:
        wire.send(post("anthropic", model="scripted", stream=True, max_tokens=2000))
        meeting = script.meet()
        meeting.asked()
        meeting.send(stream_head() + BEGUN + 300 * TEXT)
        receive(wire, b"message_start")
        if end == "left":
            gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 1)
            wire.socket.close()
            assert meeting.has_closed()
        elif end == "cut":
            meeting.close()
        else:
            meeting.send(piece("error", error={"type": "overloaded_error", "message": "no"}))
        if end != "left":
            receive(wire, b"event: error")
    counts = spent(gateway, begun)
    assert 25 in counts["input_tokens"]
    assert counts["output_tokens"].stop > 200 and counts["output_tokens"].start < 500
    told, estimated = (gateway.metric(f"edge_tokens{kind}_total", type="output") for kind in ("", "_estimated"))
    assert told == 1 and told + estimated in counts["output_tokens"]


def test_a_stream_that_fails(limited: Start, script: Script) -> None:
    """An error in the place of an event is no part of the answer, by which the other events would be measured."""
    gateway = limited(MINUTE)
    event = chunk(b"data: " + json.dumps({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "f",
        "choices": [{"index": 0, "delta": {"content": "word"}, "finish_reason": None}]}).encode() + b"\n\n")
    found = scripted(gateway, script, post("openai", model="scripted", stream=True, max_tokens=2000),
                     stream_head() + 100 * event + chunk(b'data: {"error":{"message":"no"}}\n\n'))
    assert found.body.count(b"word") == 100
    gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 0)
    assert 100 <= gateway.metric("edge_tokens_estimated_total", type="output") < 200


def test_a_stream_with_its_end(limited: Start, script: Script) -> None:
    """What a stream tells at its end is what it has used, however much text it had."""
    gateway = limited(MINUTE)
    begun = time.monotonic()
    found = scripted(gateway, script, post("anthropic", model="scripted", stream=True, max_tokens=2000),
                  stream_head() + BEGUN + 300 * TEXT + ENDED + chunk(b""))
    assert found.body.count(b"word") == 300
    counts = spent(gateway, begun)
    assert 25 in counts["input_tokens"] and 15 in counts["output_tokens"] and 40 in counts["tokens"]


LONG = "x" * (3 << 20)
LONG_USAGE = {"prompt_tokens": 300, "completion_tokens": 200}


@pytest.mark.parametrize(("surface", "body"), [
    ("openai", completion(LONG, usage=LONG_USAGE, system_fingerprint="f")),
    ("openai", completion(f'{LONG}"usage":{{"prompt_tokens":9}}', usage=LONG_USAGE)),
    ("openai", completion(LONG)[:-1] + b' , "usage" :\n{"completion_tokens": 200,"prompt_tokens" : 300 }\r\n} \n'),
    ("anthropic", message(LONG, usage={"input_tokens": 300, "output_tokens": 200})),
])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_long_answers(limited: Start, script: Script, surface: str, body: bytes, framing: str) -> None:
    """An answer that is too long to be held has used what it tells at its end."""
    gateway = limited(MINUTE)
    begun = time.monotonic()
    reply = answer(body) if framing == "length" else (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"".join(chunk(body[at:at + 70_000]) for at in range(0, len(body), 70_000)) + chunk(b""))
    assert scripted(gateway, script, post(surface, model="scripted", max_tokens=5000), reply).body == body
    counts = spent(gateway, begun)
    assert 300 in counts["input_tokens"] and 200 in counts["output_tokens"] and 500 in counts["tokens"]


@pytest.mark.parametrize("cut", [False, True])
def test_long_answers_that_tell_nothing(limited: Start, script: Script, cut: bool) -> None:
    """Of an answer that is too long to be held, and tells nothing, what was reserved stays spent."""
    gateway = limited(MINUTE)
    begun = time.monotonic()
    with Wire(gateway.port) as wire:
        wire.send(post("openai", model="scripted", max_tokens=5000, headers={"connection": "close"}))
        meeting = script.meet()
        meeting.asked()
        meeting.send(answer(completion(LONG))[:(2 << 20) if cut else None]).close()
        while wire.socket.recv(1 << 20):
            pass
    assert 5000 in spent(gateway, begun)["output_tokens"]


def test_embeddings(limited: Start, script: Script) -> None:
    """Embeddings use what their input has, also where a total is all that is told, and where they are long."""
    gateway = limited(MINUTE)
    request = client.request({"model": "scripted", "input": "hello"}, path="/v1/embeddings")
    for floats in (1, 1 << 18):
        for usage in ({"prompt_tokens": 500, "total_tokens": 500}, {"total_tokens": 500}):
            begun, before = time.monotonic(), left(gateway)
            body = json.dumps({"object": "list", "data": [{"embedding": [0.25] * floats}], "usage": usage}).encode()
            assert scripted(gateway, script, request, answer(body)).body == body
            rest = left(gateway)
            assert before - 500 <= rest <= before - 500 + (time.monotonic() - begun) * MANY / 60 + 2
