"""The simulator's own API: rules for faults, and what it says of the requests it got."""

from __future__ import annotations

import http.client
import json
import time

import pytest

from tests.simulator.wire import Wire, ask, chat, messages, request
from tests.support.simulator import Simulator


def test_a_rule_is_for_its_times(simulator: Simulator) -> None:
    """A rule gives its fault to as many fitting requests as it says, and to no other."""
    simulator.fault("status=503", times=2, model="gpt-*")
    with Wire(simulator.port) as wire:
        statuses = [wire.send(chat(model=model)).answer().status
                    for model in ("gpt-4o", "o3", "gpt-5.5", "gpt-4o")]
    assert statuses == [503, 200, 503, 200]


def test_rules_match(simulator: Simulator) -> None:
    """A rule fits by model, path and key together; the first that fits is the one."""
    simulator.faults([{"match": {"path": "/v1/messages", "model": "claude-*"}, "fault": "status=529"},
                      {"match": {"key": "sk-bad"}, "fault": "status=401"},
                      {"match": {"model": "o3"}, "fault": "status=500"},
                      {"fault": "status=418"}])
    def seen(data: bytes) -> int:
        return ask(simulator.port, data, 0.05).status
    assert seen(messages()) == 529
    bad = {"authorization": "Bearer sk-bad"}
    assert seen(request({}, headers=bad)) == 401
    assert seen(request({}, path="/v1/messages", headers={"x-api-key": "sk-bad"})) == 401
    assert seen(chat(model="o3")) == 500
    assert seen(chat()) == 418


def test_header_before_model_before_rule(simulator: Simulator) -> None:
    """A fault in the request's header goes before one in its model's name, and that before a rule."""
    simulator.fault("status=500", model="*")
    with Wire(simulator.port) as wire:
        assert wire.send(chat("status=501", model="fault:status=502")).answer().status == 501
        assert wire.send(chat(model="fault:status=502")).answer().status == 502
        assert wire.send(chat()).answer().status == 500


@pytest.mark.parametrize(("body", "told"), [
    ([], "the body must be"), ({"fault": "hang"}, "the body must be"),
    ({"faults": [{"match": {}}]}, "an entry has `fault`"),
    ({"faults": [{"fault": "hang", "x": 1}]}, "nothing else"),
    ({"faults": [{"fault": "hang", "times": 0}]}, "`times` is"),
    ({"faults": [{"fault": "hang", "times": True}]}, "`times` is"),
    ({"faults": [{"fault": "hang", "match": {"header": "x"}}]}, "`match` is"),
    ({"faults": [{"fault": "hung"}]}, "`hung` is no fault"),
    ({"faults": [{"fault": 7}]}, "`fault` is a text")])
def test_bad_rules(simulator: Simulator, body: object, told: str) -> None:
    """Rules that cannot be read are a 400 that says why, and none of them is kept."""
    seen = ask(simulator.port, request(body, path="/_simulate"))
    assert seen.status == 400
    assert told in json.loads(seen.body)["error"]["message"]
    assert simulator.state()["faults"] == []


def test_other_methods(simulator: Simulator) -> None:
    """The API tells which methods it has."""
    seen = ask(simulator.port, request(path="/_simulate", method="PUT"))
    assert seen.status == 405
    assert b"\r\nallow: get, post, delete\r\n" in seen.head


def test_log(simulator: Simulator) -> None:
    """The log shows each request as it reached the simulator: target, headers in order, body, connection."""
    path = "/v1/chat/completions?x=1"
    with Wire(simulator.port) as wire:
        wire.send(request({"a": "ü"}, path=path, headers={"X-One": "1", "x-one": "2"})).answer()
        wire.send(chat("status=500")).answer()
    first, second = simulator.requests()
    assert first["target"] == path
    ones = [pair for pair in first["headers"] if pair[0].lower() == "x-one"]
    assert ones == [["X-One", "1"], ["x-one", "2"]]
    assert json.loads(first["body"]) == {"a": "ü"}
    assert (first["status"], second["status"]) == (400, 500)
    assert (second["fault"], second["model"], second["outcome"]) == ("status=500", "gpt-4o", "sent")
    assert first["connection"] == second["connection"]
    assert first["size"] == len(first["body"])
    state = simulator.state(last=1)
    assert state["requests"] == 2
    assert [entry["number"] for entry in state["log"]] == [second["number"]]
    assert state["by_path"] == {"/v1/chat/completions": 2}


def test_reset(simulator: Simulator) -> None:
    """A reset forgets requests, faults and files."""
    simulator.fault("status=500")
    ask(simulator.port, chat(), 0.05)
    simulator.reset()
    state = simulator.state()
    assert (state["requests"], state["log"], state["faults"]) == (0, [], [])


def test_reset_while_a_request_is_open(simulator: Simulator) -> None:
    """What was open at a reset does not show as cancelled after it."""
    with Wire(simulator.port) as wire:
        wire.send(chat("stall", stream=True))
        simulator.wait_for(lambda state: state["streams"] == 1)
        simulator.reset()
    assert simulator.wait_for(lambda state: state["connections"]["open"] == 1)["cancelled"] == []


def test_cancelled_stream(simulator: Simulator) -> None:
    """A client that leaves a stream is seen at once, with the time and the bytes it had got."""
    with Wire(simulator.port) as wire:
        wire.send(chat("tokens=10000;delay=5", stream=True))
        wire.socket.recv(100)
        assert simulator.wait_for(lambda state: state["streams"] == 1)["cancelled"] == []
        left = time.time()
    state = simulator.wait_for(lambda state: state["cancelled"])
    (cancelled,) = state["cancelled"]
    assert (cancelled["path"], cancelled["model"]) == ("/v1/chat/completions", "gpt-4o")
    assert cancelled["stream"]
    assert -0.01 < cancelled["at"] - left < 0.1
    assert cancelled["sent"] > 0
    assert state["streams"] == 0


def test_slow_client_holds_the_stream(simulator: Simulator) -> None:
    """A client that does not read stops the stream, so that its bytes wait here and not in memory."""
    with Wire(simulator.port) as wire:
        wire.socket.setsockopt(6, 10, 4096)      # TCP_WINDOW_CLAMP
        wire.send(chat("big=100000000", stream=True))
        wire.socket.recv(100)
        simulator.wait_for(lambda state: state["streams"] == 1)
    (cancelled,) = simulator.wait_for(lambda state: state["cancelled"])["cancelled"]
    assert cancelled["sent"] < 30_000_000


def test_pipelined_requests(simulator: Simulator) -> None:
    """Requests sent at once are answered one after the other, in order."""
    data = chat("tokens=2;delay=5", stream=True) + chat("status=500") + request(
        path="/v1/models", method="GET", headers={"connection": "close"})
    seen = ask(simulator.port, data, 2)
    assert seen.end == "fin"
    assert [seen.data.count(line) for line in (b"HTTP/1.1 200 OK", b"HTTP/1.1 500 ")] == [2, 1]
    places = [seen.data.index(mark) for mark in (b"[DONE]", b"HTTP/1.1 500 ", b'"object":"list"')]
    assert places == sorted(places)


def test_bad_http(simulator: Simulator) -> None:
    """Bytes that are no request are a 400 and the end of the connection."""
    seen = ask(simulator.port, b"nonsense\r\n\r\n", 2)
    assert (seen.status, seen.end) == (400, "fin")


def test_expect_continue(simulator: Simulator) -> None:
    """A client that waits for 100 Continue gets it, then its answer."""
    with Wire(simulator.port) as wire:
        head, _, body = chat().partition(b"\r\n\r\n")
        wire.send(head + b"\r\nexpect: 100-continue\r\n\r\n")
        assert wire.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert wire.send(body).answer().status == 200


def test_http_1_0(simulator: Simulator) -> None:
    """A client of HTTP/1.0 gets no chunks, and the stream ends with the connection."""
    seen = ask(simulator.port, chat(stream=True).replace(b"HTTP/1.1", b"HTTP/1.0"), 2)
    assert b"transfer-encoding" not in seen.head
    assert seen.body.endswith(b"data: [DONE]\n\n")
    assert seen.end == "fin"


def test_not_json(simulator: Simulator) -> None:
    """A body that is not JSON is the provider's own 400."""
    for path in ("/v1/chat/completions", "/v1/messages"):
        seen = ask(simulator.port, request(b"{", path=path, headers={"anthropic-version": "2023-06-01"}))
        assert seen.status == 400
        assert "JSON" in json.loads(seen.body)["error"]["message"]


def test_anthropic_version_is_required(simulator: Simulator) -> None:
    """A message without anthropic-version is refused as Anthropic does."""
    seen = ask(simulator.port, messages().replace(b"anthropic-version", b"x-version"))
    assert json.loads(seen.body)["error"]["message"] == "anthropic-version: header is required"


def test_many_streams(simulator: Simulator) -> None:
    """Hundreds of streams run side by side and every one is complete."""
    connections = [http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=20) for _ in range(300)]
    body = json.dumps({"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "hi"}]})
    for connection in connections:
        connection.request("POST", "/v1/chat/completions", body, {"x-simulate": "tokens=20;delay=10"})
    answers = [connection.getresponse().read() for connection in connections]
    for connection in connections:
        connection.close()
    assert all(answer.endswith(b"data: [DONE]\n\n") for answer in answers)
