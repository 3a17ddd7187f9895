"""Each fault shows on a bare socket what it says."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import get_args

import pytest

from edge.simulator.faults import Case
from tests.simulator.wire import Wire, ask, chat, messages, request
from tests.support.simulator import Simulator

DONE = b"data: [DONE]\n\n"
OPENAI: dict[Case, tuple[int, str, str | None]] = {
    "rate": (429, "requests", "rate_limit_exceeded"), "quota": (429, "insufficient_quota", "insufficient_quota"),
    "billing": (429, "insufficient_quota", "billing_hard_limit_reached"),
    "key": (401, "invalid_request_error", "invalid_api_key"),
    "permission": (403, "invalid_request_error", "missing_scope"),
    "region": (403, "request_forbidden", "unsupported_country_region_territory"),
    "context": (400, "invalid_request_error", "context_length_exceeded"), "overloaded": (503, "server_error", None),
    "server": (500, "server_error", None), "model": (404, "invalid_request_error", "model_not_found")}
ANTHROPIC: dict[Case, tuple[int, str, str]] = {
    "rate": (429, "rate_limit_error", "rate limit"),
    "quota": (400, "invalid_request_error", "credit balance is too low"),
    "billing": (402, "billing_error", "billing"), "key": (401, "authentication_error", "invalid x-api-key"),
    "permission": (403, "permission_error", "permission"), "region": (403, "forbidden", "not allowed"),
    "context": (400, "invalid_request_error", "prompt is too long: "), "overloaded": (529, "overloaded_error", ""),
    "server": (500, "api_error", ""), "model": (404, "not_found_error", "")}


def test_without_a_fault(simulator: Simulator) -> None:
    """A plain answer is complete and leaves the connection open, as does a stream, an event in each chunk."""
    plain = ask(simulator.port, chat())
    assert (plain.status, plain.end) == (200, "open")
    assert b"content-length: %d\r\n" % len(plain.body) in plain.head
    assert json.loads(plain.body)["object"] == "chat.completion"
    stream = ask(simulator.port, chat(stream=True))
    assert b"content-type: text/event-stream" in stream.head
    assert stream.chunks[-2:] == [DONE, b""]
    assert all(chunk.startswith(b"data: ") and chunk.count(b"\n\n") == 1 for chunk in stream.chunks[:-1])
    assert stream.end == "open"


def test_status_and_body(simulator: Simulator) -> None:
    """A status has the provider's own error, or the body that was asked for."""
    seen = ask(simulator.port, chat("status=503"))
    assert (seen.status, json.loads(seen.body)["error"]["type"]) == (503, "server_error")
    seen = ask(simulator.port, messages("status=529"))
    assert (seen.status, json.loads(seen.body)["error"]["type"]) == (529, "overloaded_error")
    seen = ask(simulator.port, chat("status=502;body=<html>; a proxy's own page</html>"))
    assert (seen.status, seen.body) == (502, b"<html>; a proxy's own page</html>")
    assert b"content-type: text/plain" in seen.head
    seen = ask(simulator.port, chat('body={"error": "x"}'))
    assert (seen.status, seen.body) == (200, b'{"error": "x"}')
    assert b"content-type: application/json" in seen.head
    seen = ask(simulator.port, chat("status=201"))
    assert (seen.status, json.loads(seen.body)["object"]) == (201, "chat.completion")


def test_retry_after(simulator: Simulator) -> None:
    """Retry-After comes in seconds, in milliseconds or as a date."""
    assert b"\r\nretry-after: 7\r\n" in ask(simulator.port, chat("status=429;retry-after=7")).head
    assert b"\r\nretry-after-ms: 1500\r\n" in ask(simulator.port, chat("status=429;retry-after=ms:1500")).head
    head = ask(simulator.port, chat("status=429;retry-after=date:30")).head.decode()
    told = head.split("\r\nretry-after: ")[1].split("\r\n")[0]
    assert 25 < parsedate_to_datetime(told).timestamp() - time.time() <= 30


@pytest.mark.parametrize("said", ["true", "false"])
def test_should_retry(simulator: Simulator, said: str) -> None:
    """A provider's advice on a retry stands beside whatever it answers."""
    for fault in ("status=503", "error=context", "tokens=3"):
        head = ask(simulator.port, chat(f"{fault};should-retry={said}")).head
        assert f"\r\nx-should-retry: {said}\r\n".encode() in head


@pytest.mark.parametrize(("milliseconds", "told"), [
    (0, b"0ms"), (120, b"120ms"), (1000, b"1s"), (7660, b"7.66s"), (360_000, b"6m0s"), (3_600_000, b"1h0m0s")])
def test_limit_reset_of_openai(simulator: Simulator, milliseconds: int, told: bytes) -> None:
    """A spent limit tells, as OpenAI does, that no request is left and how long until there are some."""
    lines = ask(simulator.port, chat(f"error=rate;limit-reset={milliseconds}")).head.split(b"\r\n")
    limits = [line for line in lines if b"remaining-requests" in line or b"reset-requests" in line]
    assert limits == [b"x-ratelimit-remaining-requests: 0", b"x-ratelimit-reset-requests: " + told]


def test_limit_reset_of_anthropic(simulator: Simulator) -> None:
    """A spent limit tells, as Anthropic does, that no request is left and when there are some."""
    lines = ask(simulator.port, messages("error=rate;limit-reset=30000")).head.decode().split("\r\n")
    told = dict(line.split(": ", 1) for line in lines if line.startswith("anthropic-ratelimit-requests-"))
    reset = datetime.fromisoformat(told["anthropic-ratelimit-requests-reset"].upper()).timestamp()
    assert told["anthropic-ratelimit-requests-remaining"] == "0"
    assert 25 < reset - time.time() <= 31


@pytest.mark.parametrize("case", OPENAI)
def test_error_of_openai(simulator: Simulator, case: Case) -> None:
    """Each case is told as OpenAI tells it: by a status, inside a 200, and as an event of a stream."""
    status, kind, code = OPENAI[case]
    for spec, got, stream in ((f"error={case}", status, False), (f"error={case}", status, True),
                              (f"error-in-200={case}", 200, False)):
        seen = ask(simulator.port, chat(spec, stream=stream))
        error = json.loads(seen.body)["error"]
        assert (seen.status, error["type"], error["code"]) == (got, kind, code)
    seen = ask(simulator.port, chat(f"error-event=0,{case}", stream=True))
    assert [json.loads(chunk[6:])["error"]["code"] for chunk in seen.chunks[:-1]] == [code]
    body = {"model": "m", "input": "hi", "stream": True}
    seen = ask(simulator.port, request(body, path="/v1/responses", spec=f"error-event=1,{case}"))
    event = json.loads(seen.chunks[1].partition(b"data: ")[2])
    assert (event["type"], event["code"], event["sequence_number"]) == ("error", code or kind, 1)


@pytest.mark.parametrize("case", ANTHROPIC)
def test_error_of_anthropic(simulator: Simulator, case: Case) -> None:
    """Each case is told as Anthropic tells it: by a status, inside a 200, and as an event of a stream."""
    status, kind, words = ANTHROPIC[case]
    for spec, got in ((f"error={case}", status), (f"error-in-200={case}", 200)):
        seen = ask(simulator.port, messages(spec))
        error = json.loads(seen.body)["error"]
        assert (seen.status, error["type"]) == (got, kind)
        assert words in error["message"]
    seen = ask(simulator.port, messages(f"error-event=2,{case}", stream=True))
    assert seen.chunks[2].startswith(b'event: error\ndata: {"type":"error","error":{"type":"%s"' % kind.encode())


def test_every_case_is_told() -> None:
    """Both providers have an error for each case."""
    assert set(OPENAI) == set(ANTHROPIC) == set(get_args(Case))


def test_error_in_200(simulator: Simulator) -> None:
    """A success may hold the provider's error, also where a stream was asked for."""
    for data in (chat("error-in-200"), chat("error-in-200", stream=True)):
        seen = ask(simulator.port, data)
        assert (seen.status, json.loads(seen.body)["error"]["type"]) == (200, "server_error")


def test_empty(simulator: Simulator) -> None:
    """An empty answer is complete as HTTP and has nothing in it."""
    seen = ask(simulator.port, chat("empty"))
    assert (seen.status, seen.body, seen.end) == (200, b"", "open")
    assert ask(simulator.port, chat("empty", stream=True)).body == b"0\r\n\r\n"


def test_lengths(simulator: Simulator) -> None:
    """An answer's text can be made N bytes, or N tokens, which are as many events of a stream."""
    seen = ask(simulator.port, chat("big=300000"))
    assert len(json.loads(seen.body)["choices"][0]["message"]["content"]) == 300000
    seen = ask(simulator.port, chat("big=300000", stream=True))
    texts = [json.loads(chunk[6:])["choices"][0]["delta"].get("content", "") for chunk in seen.chunks[:-2]]
    assert len("".join(texts)) == 300000
    seen = ask(simulator.port, chat("tokens=100", stream=True))
    assert len(seen.chunks) == 100 + 4      # the role, the finish, [DONE] and the last chunk


def test_delay(simulator: Simulator) -> None:
    """Events of a stream come apart by the delay."""
    begun = time.monotonic()
    seen = ask(simulator.port, chat("tokens=10;delay=20", stream=True))
    assert seen.chunks[-1] == b""
    assert time.monotonic() - begun > 12 * 0.02


def test_latency_and_jitter(simulator: Simulator) -> None:
    """The head comes no sooner than the latency, and no later than latency and jitter need."""
    with Wire(simulator.port) as wire:
        begun = time.monotonic()
        assert wire.send(chat("latency=100;jitter=100")).answer().status == 200
        assert 0.1 <= time.monotonic() - begun < 2


def test_hang(simulator: Simulator) -> None:
    """A hanging provider takes the request, sends nothing, and keeps the connection."""
    seen = ask(simulator.port, chat("hang"))
    assert (seen.data, seen.end) == (b"", "open")
    simulator.wait_for(lambda state: [one["sent"] for one in state["cancelled"]] == [0])


def test_early(simulator: Simulator) -> None:
    """An early answer comes before the body, which is then read, so that the connection can go on."""
    simulator.fault("early;status=401", times=1, path="/v1/files")
    with Wire(simulator.port) as wire:
        assert wire.send(request(path="/v1/files", headers={"content-length": "5"})).answer().status == 401
        assert wire.send(b"12345" + chat()).answer().status == 200
    with Wire(simulator.port) as wire:
        head = chat("early").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        assert wire.send(head).answer().status == 400       # a body that is not there is no JSON
    assert simulator.requests()[0]["body"] == "12345"


def test_interim(simulator: Simulator) -> None:
    """Interim heads come before the answer, as many as were asked for."""
    seen = ask(simulator.port, chat("interim=3"))
    heads = seen.data.split(b"\r\n\r\n")[:4]
    assert [head[9:12] for head in heads] == [b"103", b"100", b"103", b"200"]


@pytest.mark.parametrize(("spec", "repeated"), [("interim=0", b"HTTP/1.1 103 "), ("endless-head", b"\r\nx-more-")])
def test_heads_without_end(simulator: Simulator, spec: str, repeated: bytes) -> None:
    """Interim heads, or the lines of one head, come for as long as the client stays."""
    with Wire(simulator.port) as wire:
        wire.send(chat(spec))
        data = b""
        while data.count(repeated) < 50:
            data += wire.socket.recv(1 << 16)
        assert b"\r\ncontent-length:" not in data.partition(b"\r\nx-more-0")[2]
    simulator.wait_for(lambda state: len(state["cancelled"]) == 1)


def test_drip(simulator: Simulator) -> None:
    """A drip is the whole answer in small pieces with pauses between."""
    begun = time.monotonic()
    seen = ask(simulator.port, chat("drip=50,5"))
    assert b"content-length: %d\r\n" % len(seen.body) in seen.head
    assert time.monotonic() - begun > len(seen.data) / 50 * 0.005
    with Wire(simulator.port) as wire:
        wire.send(chat("drip=1,100"))
        assert [wire.socket.recv(100) for _ in range(3)] == [b"H", b"T", b"T"]


def test_stall(simulator: Simulator) -> None:
    """A stream stalls after N events, a plain answer in the middle of its body, and both stay open."""
    seen = ask(simulator.port, chat("stall=3", stream=True))
    assert (len(seen.chunks), seen.end) == (3, "open")
    seen = ask(simulator.port, chat("stall=0", stream=True))
    assert (seen.status, seen.body, seen.end) == (200, b"", "open")
    seen = ask(simulator.port, chat("stall=999", stream=True))
    assert (seen.chunks[-1][:6], DONE in seen.chunks, seen.end) == (b"data: ", False, "open")
    seen = ask(simulator.port, chat("stall"))
    assert 0 < len(seen.body) < int(seen.head.split(b"content-length: ")[1].split(b"\r\n")[0])


def test_stall_that_ends(simulator: Simulator) -> None:
    """A stall with a time goes on after it."""
    begun = time.monotonic()
    seen = ask(simulator.port, chat("stall=3,120", stream=True), quiet=1)
    assert seen.chunks[-2:] == [DONE, b""]
    assert time.monotonic() - begun > 0.12


@pytest.mark.parametrize("size", [0, 1, 100, 700, 1500])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "end"), [("cut", "fin"), ("reset", "reset")])
def test_cut_and_reset(simulator: Simulator, fault: str, end: str, size: int, stream: bool) -> None:
    """A cut is a FIN, a reset a RST, after exactly N bytes of the answer."""
    seen = ask(simulator.port, chat(f"{fault}={size};tokens=300", stream=stream))
    assert (len(seen.data), seen.end) == (size, end)


def test_refuse(simulator: Simulator) -> None:
    """A refusing provider resets its connections, refuses new ones, and is back when the time is over."""
    with Wire(simulator.port) as idle, Wire(simulator.port) as wire:
        assert idle.send(chat()).answer().status == 200
        wire.send(chat("refuse=300"))
        assert [wire.read(2).end, idle.read(2).end] == ["reset", "reset"]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", simulator.port), timeout=2)
    state = simulator.wait_for(lambda state: True)
    assert [entry["outcome"] for entry in state["log"]] == ["sent", "ended"]
    assert ask(simulator.port, chat()).status == 200


def test_mute(simulator: Simulator) -> None:
    """A mute provider resets its connections, lets new ones connect, and reads them when the time is over."""
    with Wire(simulator.port) as wire:
        assert wire.send(chat("mute=300")).read(2).end == "reset"
    begun = time.monotonic()
    seen = ask(simulator.port, chat(), 0.1)
    assert (seen.data, seen.end) == (b"", "open")
    with Wire(simulator.port) as wire:
        assert wire.send(chat()).answer().status == 200
    assert time.monotonic() - begun > 0.25


def test_close_idle(simulator: Simulator) -> None:
    """The connection of an answer that promised to keep it is closed when it is idle."""
    for spec in ("close-idle", "close-idle=30"):
        seen = ask(simulator.port, chat(spec), quiet=2)
        assert (seen.status, seen.end) == (200, "fin")
        assert b"connection: close" not in seen.head
        assert json.loads(seen.body)


def test_close_idle_spares_who_is_in_use(simulator: Simulator) -> None:
    """A request that has come before the connection was to be closed gets its whole answer."""
    with Wire(simulator.port) as wire:
        assert wire.send(chat("close-idle=300")).answer().status == 200
        assert b"data: [DONE]" in wire.send(chat("tokens=40;delay=15", stream=True)).answer().body


def test_malformed_head(simulator: Simulator) -> None:
    """A malformed head has a status line that is none."""
    assert ask(simulator.port, chat("malformed=head")).data.startswith(b"HTTP/1.1 20O OK\r\n")


@pytest.mark.parametrize("stream", [False, True])
def test_malformed_chunk(simulator: Simulator, stream: bool) -> None:
    """A malformed chunk has a size that is none, behind a good one."""
    seen = ask(simulator.port, chat("malformed=chunk", stream=stream))
    assert b"transfer-encoding: chunked" in seen.head
    size, _, rest = seen.body.partition(b"\r\n")
    assert rest[int(size, 16):].startswith(b"\r\nzz\r\n")


def test_malformed_json(simulator: Simulator) -> None:
    """A malformed body is complete as HTTP, but its JSON breaks off; in a stream the second event's."""
    seen = ask(simulator.port, chat("malformed=json"))
    assert b"content-length: %d\r\n" % len(seen.body) in seen.head
    with pytest.raises(ValueError):
        json.loads(seen.body)
    for seen in (ask(simulator.port, chat("malformed=json", stream=True)),
                 ask(simulator.port, messages("malformed=json", stream=True))):
        datas = [chunk.partition(b"data: ")[2] for chunk in seen.chunks if b"data: {" in chunk]
        json.loads(datas[0])
        with pytest.raises(ValueError):
            json.loads(datas[1])
        json.loads(datas[2])


def test_malformed_length(simulator: Simulator) -> None:
    """A malformed length is two Content-Lengths that disagree."""
    lines = ask(simulator.port, chat("malformed=length")).head.split(b"\r\n")
    lengths = [line for line in lines if line.startswith(b"content-length: ")]
    assert len(lengths) == len(set(lengths)) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_extra_bytes(simulator: Simulator, stream: bool) -> None:
    """Extra bytes come behind an answer that is complete."""
    seen = ask(simulator.port, chat("extra-bytes=5", stream=stream), quiet=0.5)
    assert seen.data.endswith(b"0\r\n\r\nxxxxx" if stream else b"}xxxxx")


def test_error_event(simulator: Simulator) -> None:
    """An error event comes after N events in the dialect's own shape, and the stream ends there."""
    seen = ask(simulator.port, chat("error-event=2", stream=True))
    assert len(seen.chunks) == 4
    assert json.loads(seen.chunks[2][6:])["error"]["type"] == "server_error"
    seen = ask(simulator.port, messages("error-event=2", stream=True))
    assert seen.chunks[2].startswith(b'event: error\ndata: {"type":"error","error":{"type":"overloaded')
    assert seen.chunks[3] == b""
    seen = ask(simulator.port, chat("error-event=0", stream=True))
    assert len(seen.chunks) == 2


@pytest.mark.parametrize("data", [
    chat("no-terminal", stream=True), messages("no-terminal", stream=True),
    request({"model": "m", "input": "hi", "stream": True}, path="/v1/responses", spec="no-terminal")])
def test_no_terminal(simulator: Simulator, data: bytes) -> None:
    """A stream without its terminal event ends as if it were complete."""
    seen = ask(simulator.port, data)
    assert (seen.chunks[-1], seen.end) == (b"", "open")
    for terminal in (b"[DONE]", b"message_stop", b"response.completed"):
        assert terminal not in seen.data


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("say", [chat, messages])
def test_redirect(simulator: Simulator, say: Callable[..., bytes], stream: bool) -> None:
    """A redirect has its Location, and a body."""
    seen = ask(simulator.port, say("status=307;location=https://elsewhere.example/v1?a=b", stream=stream))
    assert (seen.status, "error" in json.loads(seen.body)) == (307, True)
    assert b"\r\nlocation: https://elsewhere.example/v1?a=b\r\n" in seen.head


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_content_encoding(simulator: Simulator, coding: str, stream: bool) -> None:
    """A Content-Encoding is said of bytes that are as they were."""
    seen = ask(simulator.port, chat(f"content-encoding={coding}", stream=stream))
    assert b"\r\ncontent-encoding: %s\r\n" % coding.encode() in seen.head
    assert DONE in seen.chunks if stream else json.loads(seen.body)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json"])
def test_type(simulator: Simulator, kind: str) -> None:
    """A plain answer or a stream comes under any Content-Type, or none."""
    for data in (chat(f"type={kind}" if kind else "type", stream=True), messages(f"type={kind}")):
        seen = ask(simulator.port, data)
        told = [line.partition(b": ")[2].decode() for line in seen.head.split(b"\r\n") if b"content-type" in line]
        assert told == ([kind] if kind else [])
    seen = ask(simulator.port, chat("type=text/html;body=<p>;</p>", stream=True))
    assert (seen.status, seen.body) == (200, b"<p>;</p>") and b"content-type: text/html\r\n" in seen.head


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [204, 304])
def test_no_content(simulator: Simulator, status: int, stream: bool) -> None:
    """An answer that must have no body has neither a body nor a framing, and leaves the connection open."""
    seen = ask(simulator.port, chat(f"status={status}", stream=stream))
    assert (seen.status, seen.body, seen.end) == (status, b"", "open")
    assert b"content-length" not in seen.head and b"transfer-encoding" not in seen.head


@pytest.mark.parametrize(("form", "told"), [
    ("blank", b"data: [DONE] \n\n"), ("tight", b"data:[DONE]\n\n"), ("open", b"data: [DONE]\n"),
    ("cr", b"data: [DONE]\r\r"), ("crlf", b"data: [DONE]\r\n\r\n")])
def test_terminal(simulator: Simulator, form: str, told: bytes) -> None:
    """The terminal event is written as servers do that are not quite in order, and the stream ends cleanly."""
    seen = ask(simulator.port, chat(f"terminal={form}", stream=True))
    assert (seen.chunks[-2:], seen.end) == ([told, b""], "open")
    [last] = ask(simulator.port, messages(f"terminal={form}", stream=True)).chunks[-2:-1]
    assert last.startswith(b"event: message_stop") and last.endswith(told[len(told.rstrip()):])


def test_hold(simulator: Simulator) -> None:
    """A stream that is held has its terminal event but not its framing's end, until the time is over."""
    seen = ask(simulator.port, chat("hold", stream=True))
    assert (seen.chunks[-1], seen.end) == (DONE, "open")
    begun = time.monotonic()
    with Wire(simulator.port) as wire:
        assert wire.send(chat("hold=120", stream=True)).answer().chunks[-2:] == [DONE, b""]
    assert time.monotonic() - begun > 0.12
    assert ask(simulator.port, chat("hold")).complete


@pytest.mark.parametrize("text", ["hello", "[1]", '{"broken', "null", ""])
def test_event(simulator: Simulator, text: str) -> None:
    """An event with any data comes behind the first one of a stream, which goes on."""
    for data in (chat(f"event={text}", stream=True), messages(f"event={text}", stream=True)):
        seen = ask(simulator.port, data)
        assert seen.chunks[1] == b"data: %s\n\n" % text.encode()
        assert json.loads(seen.chunks[0].partition(b"data: ")[2]) and seen.chunks[-1] == b""


@pytest.mark.parametrize(("spec", "at", "code"), [
    ("response-failed", 1, "server_error"), ("response-failed=4,rate", 4, "rate_limit_exceeded")])
def test_response_failed(simulator: Simulator, spec: str, at: int, code: str) -> None:
    """A response fails after N events with an event of its own, which is the last."""
    data = request({"model": "m", "input": "hi", "stream": True}, path="/v1/responses", spec=spec)
    seen = ask(simulator.port, data)
    assert seen.chunks[at].startswith(b"event: response.failed\n") and seen.chunks[at + 1:] == [b""]
    told = json.loads(seen.chunks[at].partition(b"data: ")[2])
    assert (told["sequence_number"], told["response"]["status"]) == (at, "failed")
    assert told["response"]["error"]["code"] == code
    assert DONE in ask(simulator.port, chat(spec, stream=True)).chunks


def test_faults_combine(simulator: Simulator) -> None:
    """Faults of one spec work together."""
    begun = time.monotonic()
    seen = ask(simulator.port, chat("latency=50;tokens=100;drip=100,1;cut=950", stream=True))
    assert (len(seen.data), seen.end) == (950, "fin")
    assert time.monotonic() - begun > 0.05


def test_bad_spec(simulator: Simulator) -> None:
    """A spec that is not in the language is a 400 in the dialect's shape that lists the language."""
    for data in (chat("statuss=1"), messages("statuss=1"), chat(model="fault:statuss=1")):
        seen = ask(simulator.port, data)
        message = json.loads(seen.body)["error"]["message"]
        assert seen.status == 400
        assert message.startswith("`statuss` is no fault.")
        assert "stall[=N[,MS]]" in message
