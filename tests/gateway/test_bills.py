"""Bills: whatever a client or a provider does, no request is billed less than it has cost, and none for nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from tests.gateway import client
from tests.gateway.books import PRICES, Books, bearer
from tests.gateway.check import check
from tests.gateway.client import ask, post, receive, request
from tests.gateway.script import Script, answer, chunk, completion, stream_head
from tests.simulator.wire import Wire
from tests.support.gateway import Gateway

TEXT = "hello " * 100               # of an answer: more tokens than its form has
OUTPUT = PRICES["output"]


@pytest.fixture(scope="module")
def books(start: Callable[..., Gateway]) -> Iterator[Books]:
    """One that tests share, whose keys have names of their own."""
    with start(store="edge.db", workers=1, prices={"scripted*": PRICES, "sim-*": PRICES}) as edge:
        yield Books(edge)


NUMBERS = count(1)


def fresh() -> str:
    """The name of a key that no other test has."""
    return f"key-{next(NUMBERS)}"


def cost(*, input: int, output: int, cached: int = 0) -> int:
    """Of so many tokens."""
    return PRICES["request"] + (input - cached) * PRICES["input"] + cached * PRICES["cached_input"] + output * OUTPUT


def event(text: str, finish: str | None = None, **more: Any) -> bytes:
    """Of a chat stream."""
    return b"data: %b\n\n" % json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "choices": [
        {"index": 0, "delta": {"content": text}, "finish_reason": finish}], **more}).encode()


@pytest.mark.parametrize("usage", [
    {"prompt_tokens": "20", "completion_tokens": "5"}, {"prompt_tokens": 20.0, "completion_tokens": 5.5},
    {"prompt_tokens": -20, "completion_tokens": -5}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    {"prompt_tokens": None}, {"prompt_tokens": [20]}, {"prompt_tokens": True}, {}, None, "20", 20, [],
    {"prompt_tokens": 10**30, "completion_tokens": 10**30}])
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_told(books: Books, script: Script, usage: Any, stream: bool) -> None:
    """Usage that is no usage, is missing, or says nothing of what came, is estimated by what came."""
    name = fresh()
    key = books.key(name, points=1000)
    reply = (stream_head() + chunk(event("he") + event(TEXT) + event("", "stop", usage=usage) + b"data: [DONE]\n\n")
             + chunk(b"")) if stream else answer(completion(TEXT, usage=usage))
    found = client.scripted(books.edge, script, post("openai", model="scripted", stream=stream, headers=bearer(key)),
                            reply)
    assert found.status == 200 and "x-edge-cost" not in found.fields
    [(points, tokens, cached, output, _, estimated)] = books.costs(name)
    assert estimated == 1 and points == cost(input=tokens, output=output) and cached == 0
    assert tokens > 5 and 100 < output < 300


@pytest.mark.parametrize(("usage", "tokens"), [
    ({"prompt_tokens": 20, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99}}, (20, 20, 5)),
    ({"prompt_tokens": 20, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": -9}}, (20, 0, 5)),
    ({"prompt_tokens": 10**18, "completion_tokens": 10**18}, (10**7, 0, 10**7)),
    ({"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 125}, (20, 0, 105)),
    ({"prompt_tokens": 20, "completion_tokens": 0}, (20, 0, 0))])
def test_what_is_told(books: Books, script: Script, usage: Any, tokens: tuple[int, int, int]) -> None:
    """What is told is billed as it is told, within bounds, by a stream as by a plain answer; twice told is once."""
    for stream in (False, True):
        name = fresh()
        key = books.key(name, points=10**9)
        reply = (stream_head() + chunk(event("x", usage=usage) + event("", "stop", usage=usage) + b"data: [DONE]\n\n")
                 + chunk(b"")) if stream else answer(completion(usage=usage))
        found = client.scripted(books.edge, script, post(
            "openai", model="scripted", stream=stream, headers=bearer(key)), reply)
        assert found.status == 200
        [(points, *told, _, estimated)] = books.costs(name)
        assert (tuple(told), estimated) == (tokens, 0)
        assert points == cost(input=tokens[0], cached=tokens[1], output=tokens[2])


def test_embeddings(books: Books, script: Script) -> None:
    """Embeddings have no output: what their provider tells is all there is, and nothing is estimated."""
    key = books.key("embeddings", points=1000)
    body = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1] * 999}],
            "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    found = client.scripted(books.edge, script, client.request(
        {"model": "scripted", "input": "hello"}, path="/v1/embeddings", headers=bearer(key)),
        answer(json.dumps(body).encode()))
    assert found.status == 200 and found.fields["x-edge-cost"].startswith(f"0.{cost(input=8, output=0):06} ")
    assert [(points, *tokens, estimated) for points, *tokens, _, estimated in books.costs("embeddings")] == [
        (cost(input=8, output=0), 8, 0, 0, 0)]


@pytest.mark.parametrize("status", ["400 Bad Request", "429 Too Many Requests", "500 Internal Server Error"])
def test_who_leaves_an_error(books: Books, script: Script, status: str) -> None:
    """A provider's error costs nothing, also where the client does not wait for its end."""
    name = f"error-{status[:3]}"
    key = books.key(name, points=1000)
    with Wire(books.edge.port) as wire:
        wire.send(post("openai", model="scripted", headers=bearer(key)))
        meeting = script.meet()
        meeting.asked()
        meeting.send(b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{" % status.encode())
        meeting.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            meeting.socket.recv(1)          # the gateway has read it, and waits for more
    assert meeting.has_closed()
    assert books.costs(name) == []


@pytest.mark.parametrize("events", [1, 2, 20])
def test_who_leaves_a_stream(books: Books, script: Script, events: int) -> None:
    """Who leaves before the end has had what came, however few events that were and however much was in each."""
    name = f"leaves-{events}"
    key = books.key(name, points=1000)
    with Wire(books.edge.port) as wire:
        wire.send(post("openai", model="scripted", stream=True, headers=bearer(key)))
        meeting = script.meet()
        meeting.asked()
        meeting.send(stream_head() + chunk(
            b"".join(event(f"{number} {TEXT * 10}") for number in range(events))))
        seen = receive(wire, f'"{events - 1} hello'.encode())
        receive(wire, b"hello \"", seen.rpartition(f'"{events - 1} hello'.encode())[2])
    assert meeting.has_closed()
    [(points, tokens, _, output, _, estimated)] = books.costs(name)
    assert estimated == 1 and points == cost(input=tokens, output=output)
    assert 1000 * events < output < 2000 * events


def test_who_leaves_a_long_answer(books: Books, script: Script) -> None:
    """Who leaves an answer that was too long to be held just before the usage at its end has had what was reserved."""
    key = books.key("long", points=10_000)
    body = completion("hello " * 300_000, usage={"prompt_tokens": 20, "completion_tokens": 300_000})
    with Wire(books.edge.port) as wire:
        wire.send(post("openai", model="scripted", headers=bearer(key)))
        meeting = script.meet()
        meeting.asked()
        sent = answer(body)
        meeting.send(sent[:-100])
        size = 0
        wire.socket.settimeout(10)
        while size < len(body) - 100:
            size += len(wire.socket.recv(1 << 20))
    assert meeting.has_closed()
    [(points, tokens, _, output, _, estimated)] = books.costs("long")
    assert estimated == 1 and output == PRICES["most_output"] and points == cost(input=tokens, output=output)


@pytest.mark.parametrize(("path", "more", "times"), [
    ("/v1/chat/completions", {"n": 128}, 128), ("/v1/chat/completions", {"n": 20, "max_tokens": 100}, 20),
    ("/v1/chat/completions", {"max_tokens": 10**300}, 10**5), ("/v1/chat/completions", {"max_tokens": 2000}, 20),
    ("/v1/completions", {"prompt": ["a"] * 20}, 20), ("/v1/completions", {"prompt": [[1], [2, 3]], "n": 10}, 20),
    ("/v1/completions", {"prompt": "a", "best_of": 20}, 20), ("/v1/responses", {"max_output_tokens": 2000}, 20)])
def test_what_is_reserved(books: Books, path: str, more: dict[str, Any], times: int) -> None:
    """A request reserves all answers that it asks for, so that none of them is more than there is."""
    name = fresh()
    one = 100 * OUTPUT          # what an answer may cost
    assert one * times > 3 * 10**6 > 3 * one
    key = books.key(name, points=3)
    plain = {"/v1/completions": {"prompt": "hello"}, "/v1/responses": {"input": "hello"}}.get(
        path, {"messages": client.HELLO})
    usual = ask(books.edge.port, client.request({"model": "sim-1", **plain}, path=path, headers=bearer(key)))
    assert usual.status == 200
    found = ask(books.edge.port, client.request({"model": "sim-1", **plain, **more}, path=path, headers=bearer(key)))
    check(found, "openai", "openai", "key_balance_insufficient", {"admitted": True})


def test_a_prompt_of_tokens(books: Books) -> None:
    """A prompt that is written as tokens is one, however many tokens it has."""
    key = books.key("numbers", points=3)
    found = ask(books.edge.port, client.request({"model": "sim-1", "prompt": [17] * 200}, path="/v1/completions",
                                                headers=bearer(key)))
    assert found.status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_in_the_background(books: Books, script: Script, stream: bool) -> None:
    """A response that goes on without its client costs what it may, as nobody will tell what it has."""
    name = f"background-{stream}"
    key = books.key(name, points=1000)
    asked = client.request({"model": "scripted", "input": "hello", "background": True, "stream": stream,
                            "max_output_tokens": 5000}, path="/v1/responses", headers=bearer(key))
    made = {"id": "resp_1", "object": "response", "status": "queued", "output": [], "usage": None}
    if stream:
        with Wire(books.edge.port) as wire:
            wire.send(asked)
            meeting = script.meet()
            meeting.asked()
            begun = {"type": "response.created", "sequence_number": 0, "response": made}
            meeting.send(stream_head() + chunk(b"event: response.created\ndata: %b\n\n" % json.dumps(begun).encode()))
            receive(wire, b"resp_1")
        assert meeting.has_closed()
    else:
        assert client.scripted(books.edge, script, asked, answer(json.dumps(made).encode())).status == 200
    [(points, tokens, _, output, _, estimated)] = books.costs(name)
    assert estimated == 1 and output == 5000 and points == cost(input=tokens, output=output)
    name = f"{name}-told"
    key = books.key(name, points=1000)
    whole = {**made, "status": "completed", "usage": {"input_tokens": 20, "output_tokens": 5, "total_tokens": 25}}
    reply = answer(json.dumps(whole).encode())
    if stream:
        end = {"type": "response.completed", "sequence_number": 1, "response": whole}
        last = b"event: response.completed\ndata: %b\n\n" % json.dumps(end).encode()
        reply = stream_head() + chunk(last) + chunk(b"")
    found = client.scripted(books.edge, script, client.request(
        {"model": "scripted", "input": "hello", "background": True, "stream": stream}, path="/v1/responses",
        headers=bearer(key)), reply)
    assert found.status == 200
    assert [(points, estimated) for points, *_, estimated in books.costs(name)] == [(cost(input=20, output=5), 0)]


def test_what_has_no_price(books: Books) -> None:
    """Who pays may have work done that no price is known of only where its key names the scope."""
    paying, trusted = books.key("relays", points=10), books.key("relays-named", points=10, scopes=["relay"])
    for path, body in (("/v1/batches", {"input_file_id": "f"}), ("/v1/images/generations", {"prompt": "a"}),
                       ("/v1/responses/compact", {"model": "unknown", "input": "a"}),
                       ("/v1/audio/speech", {"model": "unknown", "input": "a"})):
        refused, passed = (ask(books.edge.port, request(body, path=path, headers=bearer(key)))
                           for key in (paying, trusted))
        check(refused, "openai", "openai", "scope_missing", {})
        assert passed.fields.get("x-edge-condition") != "scope_missing"
        assert ask(books.edge.port, request(body, path=path)).fields.get("x-edge-condition") != "scope_missing"
    found = ask(books.edge.port, request({"model": "sim-1", "prompt": "a"}, path="/v1/images/generations",
                                         headers=bearer(paying)))
    assert found.fields.get("x-edge-condition") != "scope_missing"
    assert ask(books.edge.port, request(path="/v1/files", method="GET", headers=bearer(paying))).status != 403


def test_other_models(books: Books) -> None:
    """Who pays names one model, whose price is known, and no others that its provider may take instead."""
    key = books.key("others", points=10)
    for models in (["dear/model"], [1e400], []):
        found = books.ask(key, models=models)
        assert found.status == (200 if not models else 400), models
    assert ask(books.edge.port, post("openai", models=["any"])).status == 200


def test_a_balance_below_nothing(books: Books, script: Script) -> None:
    """An account that has spent more than it had can be given less than it owes, and a reference is of one sum."""
    books.made("accounts", name="owing")
    books.made("accounts/owing/credit", points=1, reference="one")
    key = books.key("owing", account="owing")
    usage = {"prompt_tokens": 20, "completion_tokens": 5000, "total_tokens": 5020}
    assert client.scripted(books.edge, script, post("openai", model="scripted", headers=bearer(key)),
                           answer(completion(usage=usage))).status == 200
    books.costs("owing")
    assert books.call("GET", "accounts/owing/balance").json()["balance"] == "-9.007"
    assert books.made("accounts/owing/credit", points=4, reference="two")["balance"] == "-5.007"
    assert books.call("POST", "accounts/owing/credit", {"points": -1}).status_code == 409
    found = books.call("POST", "accounts/owing/credit", {"points": 5, "reference": "two"})
    assert found.status_code == 409 and "two" in found.text and "4" in found.text
    assert books.made("accounts/owing/credit", points="4.0", reference="two")["balance"] == "-5.007"
    assert books.made("accounts/owing/credit", points="5.007")["balance"] == "0"
    assert books.made("accounts/owing/credit", points=0)["balance"] == "0"
