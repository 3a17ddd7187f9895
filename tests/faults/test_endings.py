"""When a stream is complete, and how one ends that is not: tables of endings, each in every framing."""

from __future__ import annotations

import json
import time
from typing import Any

import h11
import pytest

from tests.faults.pair import MESSAGES, Pair
from tests.faults.stage import SSE, Stage, head, plain, streamed
from tests.gateway.events import CHAT_USAGE, DIALECTS, DONE, event, piece
from tests.gateway.script import chunk
from tests.support.talk import Talk, ask, request

FINISH = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
SECOND = event({"choices": [{"index": 1, "delta": {"content": "b"}}]})
SECOND_FINISH = event({"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]})
USAGE = event({"choices": [], "usage": CHAT_USAGE})
TEXT = piece(content="hello")
MESSAGE = b"".join(DIALECTS["messages"].events[:-1])
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
RESPONSE = b"".join(DIALECTS["responses"].events[:-1])
COMPLETED = DIALECTS["responses"].events[-1]

WHOLE: dict[str, tuple[str, int, bytes, bytes]] = {
    "no [DONE]": ("chat", 1, TEXT + FINISH, TEXT + FINISH + DONE),
    "no [DONE] behind usage": ("chat", 1, TEXT + FINISH + USAGE, TEXT + FINISH + USAGE + DONE),
    "[DONE] and a blank": ("chat", 1, TEXT + FINISH + b"data: [DONE] \n\n", TEXT + FINISH + b"data: [DONE] \n\n"),
    "[DONE] without its empty line": ("chat", 1, TEXT + FINISH + b"data: [DONE]\n", TEXT + FINISH + DONE),
    "[DONE] without any line's end": ("chat", 1, TEXT + FINISH + b"data: [DONE]", TEXT + FINISH + DONE),
    "[DONE] and CR LF": ("chat", 1, TEXT + b"data: [DONE]\r\n", TEXT + b"data: [DONE]\r\n\n"),
    "[DONE] without a finish": ("chat", 1, TEXT + DONE, TEXT + DONE),
    "a finish without its empty line": ("chat", 1, TEXT + FINISH[:-1], TEXT + FINISH + DONE),
    "a finish without any line's end": ("chat", 1, TEXT + FINISH[:-2], TEXT + FINISH + DONE),
    "half of an event behind the finish": ("chat", 1, TEXT + FINISH + USAGE[:20], TEXT + FINISH + DONE),
    "a comment behind the finish": ("chat", 1, TEXT + FINISH + b": x", TEXT + FINISH + DONE),
    "two choices": ("chat", 2, TEXT + FINISH + SECOND + SECOND_FINISH, TEXT + FINISH + SECOND + SECOND_FINISH + DONE),
    "no message_stop": ("messages", 1, MESSAGE, MESSAGE + STOP),
    "message_stop without its empty line": ("messages", 1, MESSAGE + STOP[:-2], MESSAGE + STOP),
    "a response without its empty line": ("responses", 1, RESPONSE + COMPLETED[:-2], RESPONSE + COMPLETED),
    "completions": ("completions", 1, b"".join(DIALECTS["completions"].events[:-1]), DIALECTS["completions"].stream),
}


def framings(data: bytes) -> dict[str, bytes]:
    """The same bytes in every framing that ends."""
    return {"one chunk": streamed(data), "a length": plain(data, SSE), "until the end": head(SSE) + data,
            "a chunk for each byte": head(f"{SSE}transfer-encoding: chunked\r\n") + b"".join(
                chunk(data[at:at + 1]) for at in range(len(data))) + chunk(b"")}


@pytest.mark.parametrize("name", WHOLE)
def test_a_stream_that_is_whole(stage: Stage, name: str) -> None:
    """A stream whose choices have all finished and whose framing has ended is a success; its last event is added."""
    dialect, n, data, expected = WHOLE[name]
    for framing, sent in framings(data).items():
        stage.play(sent)
        more = {"n": n} if n > 1 else {}
        found = ask(stage.edge.port, request({**DIALECTS[dialect].body, "model": "lone", "stream": True, **more},
                                             path=DIALECTS[dialect].path))
        assert (found.status, found.body) == (200, expected), framing
    sent = framings(data)["one chunk"]
    stage.play(sent[:-5])
    found = stage.ask(dialect, stream=True)
    cut = b"event: error" in found.body
    assert cut or b"[DONE]" in data or b"message_stop" in data, "a cut stays a cut"


CUT: dict[str, tuple[str, int, bytes]] = {
    "no finish": ("chat", 1, TEXT), "a finish that is null": ("chat", 1, TEXT + event(
        {"choices": [{"index": 0, "finish_reason": None}]})), "an empty finish": ("chat", 1, TEXT + event(
            {"choices": [{"index": 0, "finish_reason": ""}]})),
    "usage alone": ("chat", 1, TEXT + USAGE), "one of two": ("chat", 2, TEXT + FINISH),
    "one of two that began": ("chat", 1, SECOND + TEXT + FINISH),
    "half of a finish": ("chat", 1, TEXT + FINISH[:-9]),
    "a message without its stop": ("messages", 1, b"".join(DIALECTS["messages"].events[:-2])),
    "a response without its end": ("responses", 1, RESPONSE),
    "half of a response's end": ("responses", 1, RESPONSE + COMPLETED[:-9]),
    "[DONE] of another dialect": ("responses", 1, RESPONSE + DONE),
}


@pytest.mark.parametrize("name", CUT)
def test_a_stream_that_is_cut(stage: Stage, name: str) -> None:
    """A stream that ends before its choices have finished ends as an error, never with [DONE]."""
    dialect, n, data = CUT[name]
    for framing, sent in framings(data).items():
        stage.play(sent)
        more = {"n": n} if n > 1 else {}
        found = ask(stage.edge.port, request({**DIALECTS[dialect].body, "model": "lone", "stream": True, **more},
                                             path=DIALECTS[dialect].path))
        assert found.status == 200 and b"event: error\n" in found.body, framing
        assert not found.body.endswith(DONE) and STOP not in found.body


JUNK = [b"data: {not json}\n\n", b"data: Internal Server Error\n\n", b"data: <html>\n\n", b"data: [1]\n\n",
        b'data: {"choices":[{"delta":{"content":"bro\n\n', b"event: x\ndata: null\n\n", b"data: {\ndata: a}\n\n"]


@pytest.mark.parametrize("name", ["chat", "responses", "messages"])
@pytest.mark.parametrize("junk", JUNK)
def test_an_event_that_nobody_can_read(stage: Stage, junk: bytes, name: str) -> None:
    """An event whose data is no JSON object is not passed on: the stream ends as an error, the provider's fault."""
    first = DIALECTS[name].events[0]
    labels = {"route": name, "condition": "provider_response_invalid"}
    before = stage.edge.metric("edge_requests_total", **labels)
    stage.play(streamed(first + junk + DIALECTS[name].stream))
    found = stage.ask(name, stream=True)
    assert found.body.startswith(first + b"event: error\n") and junk not in found.body
    stage.play(streamed(junk + DIALECTS[name].stream))
    assert stage.ask(name, stream=True).status == 502
    stage.edge.wait(lambda: stage.edge.metric("edge_requests_total", **labels) == before + 2)
    assert stage.edge.log_lines()[-1]["reason"] == "an event that is not a JSON object"


FAILURES: list[tuple[dict[str, Any], str]] = [
    ({"code": "server_error", "message": "m"}, "provider_error"),
    ({"code": "rate_limit_exceeded", "message": "m"}, "provider_rate_limited"),
    ({"code": "insufficient_quota", "message": "m"}, "provider_quota"),
    ({"code": "invalid_prompt", "message": "m"}, "provider_rejected"),
    ({"code": "context_length_exceeded", "message": "m"}, "context_length"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("error", "condition"), FAILURES)
def test_a_response_that_says_it_has_failed(stage: Stage, error: dict[str, Any], condition: str, stream: bool) -> None:
    """response.failed is relayed as it is, and counted as what its error says."""
    response = {"id": "resp_1", "object": "response", "status": "failed", "error": error}
    failed = event({"type": "response.failed", "sequence_number": 2, "response": response}, "response.failed")
    body = RESPONSE + failed if stream else json.dumps(response).encode()
    labels = {"route": "responses", "condition": condition}
    before = stage.edge.metric("edge_requests_total", **labels)
    stage.play(streamed(body) if stream else plain(body))
    found = stage.ask("responses", stream=stream)
    assert (found.status, found.body) == (200, body)
    stage.edge.wait(lambda: stage.edge.metric("edge_requests_total", **labels) == before + 1)
    if stream:
        stage.play(streamed(failed))
        assert stage.ask("responses", stream=stream).status >= 400


@pytest.mark.parametrize("size", [(8 << 20) + 9, 9 << 20, 20 << 20])
def test_a_long_event_that_is_cut(stage: Stage, size: int) -> None:
    """A stream that ends within an event too long to be held is a cut one, at once."""
    before = stage.edge.metric("edge_requests_total", condition="provider_cut")
    data = TEXT + b'data: {"a":"' + b"x" * size
    stage.play(plain(data, SSE))
    begun = time.monotonic()
    with pytest.raises(h11.RemoteProtocolError):
        stage.ask("chat", stream=True)
    stage.edge.wait(lambda: stage.edge.metric("edge_requests_total", condition="provider_cut") == before + 1)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("words", ["Incorrect API key: sk-provider.", "sk-provider", "sk-sk-provider, sk-provider"])
def test_a_failed_response_that_repeats_our_key(stage: Stage, words: str, stream: bool) -> None:
    """A provider's key that stands in what is relayed of its failure reaches no client, and the rest is as it was."""
    def body(words: str) -> bytes:
        response = {"id": "resp_1", "status": "failed", "error": {"code": "invalid_api_key", "message": words}}
        failed = event({"type": "response.failed", "response": response}, "response.failed")
        return RESPONSE + failed if stream else json.dumps(response).encode()

    stage.play(streamed(body(words)) if stream else plain(body(words)))
    found = stage.ask("responses", stream=stream)
    assert found.body == body(words.replace("sk-provider", "*" * 11))
    assert "sk-provider" not in stage.edge.log()


@pytest.mark.parametrize("name", ["chat", "responses", "messages"])
def test_an_event_too_long_to_be_held(stage: Stage, name: str) -> None:
    """An event of any length goes on as it is, also a response's last; the stream goes on behind it, or is cut."""
    dialect = DIALECTS[name]
    first, last = dialect.events[0], dialect.events[-1]
    padding = b'{"a":"' + b"x" * (9 << 20) + b'",'
    long = TEXT if name == "chat" else dialect.events[1 if name == "responses" else 3]
    for events in ((first, long.replace(b"{", padding, 1), *dialect.events[1:]),
                   (long.replace(b"{", padding, 1), *dialect.events),
                   (first, last.replace(b'"response": {', b'"response": ' + padding) if name == "responses" else last)):
        data = b"".join(events)
        stage.play(streamed(data))
        found = stage.ask(name, stream=True)
        assert found.status == 200 and found.body == data
    stage.play(head(f"{SSE}transfer-encoding: chunked\r\n") + chunk(first + long.replace(b"{", padding, 1)[:-9]))
    with Talk(stage.edge.port) as talk:
        talk.send(request({**dialect.body, "model": "lone", "stream": True}, path=dialect.path))
        assert talk.end() in ("open", "fin")
        while data := talk.socket.recv(1 << 20):
            assert not data.endswith(b"0\r\n\r\n") and b"event: error" not in data


LONG = "x" * (9 << 20)
LONG_ERRORS = {
    "chat, an object": ("chat", event({"error": {"message": LONG, "code": "E42"}})),
    "chat, an object behind other members": ("chat", event({"id": "1", "error": {"code": None, "message": LONG}})),
    "chat, words": ("chat", event({"error": LONG})),
    "chat, before what is long": ("chat", event({"error": {"message": "m", "code": "E42"}, "more": LONG})),
    "chat, by its type": ("chat", event({"message": LONG}, "error")),
    "chat, of another type": ("chat", event({"error": {"message": LONG}}, "odd")),
    "completions": ("completions", event({"error": {"message": LONG}})),
    "messages": ("messages", event({"type": "error", "error": {"type": "api_error", "message": LONG}}, "error")),
    "messages without a type": ("messages", event({"type": "error", "error": {"message": LONG}})),
    "responses": ("responses", event({"type": "error", "code": "E42", "message": LONG}, "error")),
    "responses without a type": ("responses", event({"type": "error", "code": "E42", "message": LONG})),
    "responses, an object": ("responses", event({"error": {"message": LONG}})),
}


@pytest.mark.parametrize("case", LONG_ERRORS)
def test_an_error_too_long_to_be_held(stage: Stage, case: str) -> None:
    """A provider's error of any length is one error of the contract, whatever follows it, and before the first event a
    status; it is counted as the provider's."""
    name, error = LONG_ERRORS[case]
    first, *rest = DIALECTS[name].events
    labels = {"route": DIALECTS[name].route, "condition": "provider_error"}
    before = stage.edge.metric("edge_requests_total", **labels)
    for behind in (b"", b"".join(rest), error):
        stage.play(streamed(first + error + behind))
        found = stage.ask(name, stream=True)
        ours = found.body.removeprefix(first)
        assert ours.startswith(b"event: error\ndata: {") and len(ours) < 2000
        assert ours.count(b"\n\n") == ours.count(b"event: ") == (2 if name == "responses" else 1)
    stage.play(streamed(error))
    assert stage.ask(name, stream=True).status == 502
    stage.edge.wait(lambda: stage.edge.metric("edge_requests_total", **labels) == before + 4)


def test_a_long_response_that_says_it_has_failed(stage: Stage) -> None:
    """response.failed with a picture in it is relayed as it is, ends the stream, and is counted as a failure."""
    response = {"id": "resp_1", "status": "failed", "error": {"code": "server_error", "message": "m"}, "output": LONG}
    failed = event({"type": "response.failed", "sequence_number": 2, "response": response}, "response.failed")
    labels = {"route": "responses", "condition": "provider_error"}
    before = stage.edge.metric("edge_requests_total", **labels)
    stage.play(streamed(RESPONSE + failed + TEXT))
    assert stage.ask("responses", stream=True).body == RESPONSE + failed
    stage.play(streamed(failed))
    assert stage.ask("responses", stream=True).status == 502
    stage.edge.wait(lambda: stage.edge.metric("edge_requests_total", **labels) == before + 2)


# Behind a stream's first event; each at a target of its own.
BREAKS = [(route, fault) for route, faults in {
    "chat": ("cut=900", "reset=900", "error-event=2", "error-event=2,overloaded", "event=no JSON", "stall=2",
             'event={"error":{"message":"on fire","code":500}}', "malformed=chunk", "malformed=json"),
    "responses": ("cut=1500", "response-failed=2", "no-terminal", "stall=2", "error-event=2"),
    "messages": ("cut=1700", "error-event=2,overloaded", "event=no JSON", "malformed=chunk"),
}.items() for fault in faults]


def test_streams_that_all_break_open_the_circuit(pair: Pair) -> None:
    """A target whose streams all break behind their first event, however, is left alone after as many as are said."""
    kinds = {route: "anthropic" if route == "messages" else "openai" for route, _ in BREAKS}
    models = {f"m{number}": [f"{name}-{kinds[route]}" for name in ("first", "second")]
              for number, (route, _) in enumerate(BREAKS)}
    edge = pair.edge(circuit_breaker={"failures": 3, "open_time": 60}, models=models,
                     provider={"timeouts": {"idle": 0.4}})
    for model, (route, fault) in zip(models, BREAKS, strict=True):
        pair.first.fault(fault, model=model)
        dialect = DIALECTS[route]
        for _ in range(4):
            answer = ask(edge.port, request({**dialect.body, "model": model, "stream": True}, path=dialect.path))
            assert answer.status == 200, (route, fault)
        asked = [json.loads(found["body"])["model"] for found in pair.first.requests()]
        assert asked.count(model) == 3, (route, fault)
        assert answer.header("x-edge-target") == f"second-{kinds[route]}/{model}"


def test_complete_streams_keep_nobody_waiting(pair: Pair) -> None:
    """Where all connections are taken one whose stream is complete is soon another's, though its framing goes on."""
    edge = pair.edge(provider={"max_connections": 1}, queue={"timeout": 30})
    begun = time.monotonic()
    for _ in range(14):
        data = request({"model": "lone", "stream": True, "messages": MESSAGES}, x_simulate="hold")
        assert ask(edge.port, data).body.endswith(DONE)
    assert time.monotonic() - begun < 10        # each would keep its connection for a second


OWN: list[tuple[str, bytes, str, dict[str, Any]]] = [
    ("chat", event({"error": {"message": "the GPU is on fire", "type": "fire", "code": "E42", "param": None}}), "error",
     {"message": "the GPU is on fire", "type": "fire", "code": "E42"}),
    ("chat", event({"error": {"message": "busy", "type": "server_error", "code": 503}}), "error",
     {"message": "busy", "type": "server_error", "code": "503"}),
    ("chat", event({"error": "in a word"}), "error", {"message": "in a word"}),
    ("chat", event({"message": "m", "code": "c"}, "error"), "error", {"message": "m", "code": "c"}),
    ("messages", event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error"),
     "error", {"message": "Overloaded", "type": "overloaded_error"}),
    ("responses", event({"type": "error", "code": "E42", "message": "on fire", "param": None, "sequence_number": 2},
                        "error"), "error", {"message": "on fire", "code": "E42"}),
]


@pytest.mark.parametrize(("name", "error", "kind", "expected"), OWN)
def test_a_provider_s_own_words(stage: Stage, name: str, error: bytes, kind: str, expected: dict[str, Any]) -> None:
    """An error that the provider tells in mid-stream keeps its words, type and code in the contract's event; before the
    first event it is a status, and in neither is it 200 OK."""
    first = DIALECTS[name].events[0]
    stage.play(streamed(first + error + DIALECTS[name].stream))
    found = stage.ask(name, stream=True)
    lines = found.body.removeprefix(first).split(b"\n")
    assert lines[0] == f"event: {kind}".encode()
    told = json.loads(lines[1].removeprefix(b"data: "))["error"]
    assert {key: told[key] for key in expected} == expected
    stage.play(streamed(error))
    found = stage.ask(name, stream=True)
    assert found.status >= 400
    assert b"200" not in found.body and b"OK" not in found.body


@pytest.mark.parametrize("rest", [b"", b"data: junk\n\n", DIALECTS["responses"].error, b"event: response.comp"])
@pytest.mark.parametrize("numbered", [False, True])
def test_a_response_that_breaks(stage: Stage, rest: bytes, numbered: bool) -> None:
    """A stream of /v1/responses that breaks ends with `error` and then `response.failed`, both numbered on."""
    begun = RESPONSE if numbered else RESPONSE.replace(b'"sequence_number"', b'"a_number"')
    stage.play(streamed(begun + rest))
    found = stage.ask("responses", stream=True)
    events = found.body.removeprefix(begun).split(b"\n\n")
    assert [each.split(b"\n")[0] for each in events] == [b"event: error", b"event: response.failed", b""]
    error, failed = (json.loads(each.partition(b"data: ")[2]) for each in events[:2])
    assert (error["type"], error["sequence_number"]) == ("error", 2)
    assert isinstance(error["message"], str) and isinstance(error["code"], str) and "param" in error
    assert error["error"]["message"] == error["message"]
    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 3)
    response = failed["response"]
    assert (response["id"], response["status"], response["model"]) == ("resp_1", "failed", "lone")
    assert response["error"] == {"code": error["code"], "message": error["message"]}
