"""Providers that say too much, too early, too slowly or without end; the simulator's faults beside a canary."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import time
from collections.abc import Iterable, Iterator

import h11
import pytest

from tests.hostile.stage import CHUNKED, EVENT, EVENTS, OK, Stage, content, once
from tests.support.gateway import KEY, Gateway, configuration
from tests.support.looks import at_rest, resident
from tests.support.provider import Line, answer, echo
from tests.support.simulator import Simulator
from tests.support.talk import Answer, Gone, Talk, ask, asked, chat, in_contract, request


def chunk(data: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def endless(line: Line, head: bytes, piece: bytes) -> None:
    """Sends the head, and the piece until the gateway closes."""
    line.request()
    line.send(head)
    while True:
        line.send(piece)


@pytest.mark.parametrize("closes", [True, False])
def test_an_answer_before_the_request_is_read(stage: Stage, closes: bool) -> None:
    """An answer that comes before the request's body is read is the answer; the rest of the body goes nowhere."""
    refusal = answer(b'{"error": {"message": "too long for us", "type": "x", "param": null, "code": "y"}}',
                     status=b"400 Bad Request")

    def script(line: Line) -> None:
        head = line.head()
        if b"early" not in head:
            line.buffer = head + b"\r\n\r\n" + line.buffer
            return echo(line)
        line.send(refusal)
        if not closes:
            time.sleep(1.5)

    stage.play(script)
    early = request(asked(text="e" * 8_000_000), x_which="early")
    with Talk(stage.port) as talk:
        found = talk.send(early).answer()
        assert found.status == 400 and "too long for us" in found.json["error"]["message"]
        begun = time.monotonic()
        with Talk(stage.port) as other:
            assert content(other.send(chat(text="text-after")).answer()) == "text-after"
        assert time.monotonic() - begun < 0.9


def test_a_long_answer_to_a_client_that_reads_slowly(stage: Stage) -> None:
    """A plain answer without end is passed on as it comes, at the pace of its reader, in bounded memory."""
    stage.play(lambda line: endless(line, OK + CHUNKED, chunk(b" " * 60_000)))
    worker = stage.edge.children()[1]
    with Talk(stage.port) as talk:
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = resident(worker)
        talk.send(chat())
        time_is_up = time.monotonic() + 0.5
        stage.edge.wait(lambda: time.monotonic() > time_is_up)
        assert resident(worker) - before < 6_000_000
    at_rest(stage.edge)
    stage.play(echo)
    stage.serves()


def test_an_error_without_end(stage: Stage) -> None:
    """Of an error's body only the beginning is read: the client is told at once."""
    head = b"HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\n" + CHUNKED
    stage.play(lambda line: endless(line, head, chunk(b"e" * 10_000)))
    in_contract(ask(stage.port, chat()), "provider_error")
    stage.play(echo)
    stage.serves()


@pytest.mark.parametrize("piece", [b"x" * 10_000, b": ping\n", b": " + b"x" * 9_000, b"\n" * 1000])
def test_a_stream_that_never_becomes_one(stage: Stage, piece: bytes) -> None:
    """A stream without a whole event is given up at a bound, and was held in bounded memory."""
    worker = stage.edge.children()[1]
    before = resident(worker)
    begun = time.monotonic()
    stage.play(lambda line: endless(line, EVENTS + CHUNKED, chunk(piece * (10_000 // len(piece)))))
    found = ask(stage.port, chat(stream=True))
    assert found.status in (502, 504) and found.header("x-edge-blame") == "upstream"
    in_contract(found, found.header("x-edge-condition") or "")
    assert time.monotonic() - begun < 5
    assert resident(worker) - before < 40_000_000
    stage.play(echo)
    stage.serves()


@pytest.mark.parametrize("size", [200_000, 1_000_000, 3_000_000])
def test_events_as_long_as_pictures(stage: Stage, size: int) -> None:
    """An event may be as long as the pictures that OpenAI's Responses API sends as base64 in one."""
    long = EVENT.replace(b'"x"', b'"' + b"A" * size + b'"')
    whole = EVENT + long + EVENT + b"data: [DONE]\n\n"
    stage.play(once(EVENTS + CHUNKED + b"".join(chunk(whole[i:i + 50_000]) for i in range(0, len(whole), 50_000))
                    + b"0\r\n\r\n", end=False))
    found = ask(stage.port, chat(stream=True))
    assert found.status == 200 and found.body == whole, found.body[-300:]


@pytest.mark.parametrize("before", [EVENT, b""])
def test_an_event_without_end(stage: Stage, before: bytes) -> None:
    """An event without end, also a stream's first, is passed on up to a bound and cut there: no end is made up."""
    def script(line: Line) -> None:
        line.request()
        line.send(EVENTS + CHUNKED + (chunk(before) if before else b""))
        while True:
            line.send(chunk(b"data: " + b"x" * 900_000))

    stage.play(script)
    with pytest.raises(h11.RemoteProtocolError, match="closed connection"):
        ask(stage.port, chat(stream=True))
    stage.play(echo)
    stage.serves()


@pytest.mark.parametrize("behind", [EVENT + b"garbage", b'data: [DONE]\n\nevent: error\ndata: {"error": {}}\n\n'])
def test_events_behind_the_last_one(stage: Stage, behind: bytes) -> None:
    """What a provider sends behind a stream's last event reaches nobody, also when the stream does not end."""
    whole = EVENT + b"data: [DONE]\n\n"
    stage.play(once(EVENTS + CHUNKED + chunk(whole + behind) + chunk(behind), end=False))
    begun = time.monotonic()
    found = ask(stage.port, chat(stream=True))
    assert (found.status, found.body) == (200, whole)
    assert time.monotonic() - begun < 2
    stage.serves()


@pytest.mark.parametrize("cut", range(0, 20, 3))
def test_poison_in_a_stream(stage: Stage, cut: int) -> None:
    """Bad chunks, bad UTF-8 and line ends of every kind inside a stream end it or pass, but harm nobody else."""
    poison = [b"data: \xff\xfe\n\n", b'data: {"a": "\0"}\n\n', b"\r\r\r\r", b"data: {}\r\n\r\ndata: {}\r\rdata: {}\n\n",
              b"event: message_stop\n\n", b"data\n\n", b"data:\n\n", b"id: 1\nretry: 2\n\n",
              b"\xef\xbb\xbfdata: {}\n\n"]
    body = EVENT + b"".join(poison)
    pieces = b"".join(chunk(body[i:i + 1 + cut]) for i in range(0, len(body), 1 + cut))
    stage.play(once(EVENTS + CHUNKED + pieces + b"zz\r\n", end=False))
    found = ask(stage.port, chat(stream=True))
    assert found.status == 200 and found.body.startswith(EVENT) and b"[DONE]" not in found.body
    stage.serves()


PLAIN_FAULTS = {
    "malformed=head": "provider_response_invalid", "malformed=json": "provider_response_invalid",
    "malformed=length": "provider_response_invalid", "empty": "provider_response_invalid",
    "cut=0": "provider_disconnected", "cut=30": "provider_response_invalid", "cut=500": "provider_cut",
    "reset=0": "provider_disconnected", "reset=500": "provider_cut", "error-in-200": "provider_error",
    "hang": "provider_timeout", "status=500": "provider_error", "status=599": "provider_timeout",
    "status=401": "provider_auth", "status=429;retry-after=7": "provider_rate_limited",
    "body=": "provider_response_invalid", "body=}": "provider_response_invalid",
}


def answers(edge: Gateway, specs: Iterable[str], stream: bool) -> Iterator[tuple[str, Answer]]:
    """Each fault three times, all at once; the answers in that order."""
    with contextlib.ExitStack() as stack:
        talks = [(spec, stack.enter_context(Talk(edge.port)).send(chat("faulty", fault=spec, stream=stream)))
                 for _ in range(3) for spec in specs]
        for spec, talk in talks:
            yield spec, talk.answer()


@pytest.mark.parametrize("stream", [False, True])
def test_faults_beside_a_canary(edge: Gateway, stream: bool) -> None:
    """Every fault of a provider is answered in contract, or inside the stream, while another client shares the pool."""
    for spec, found in answers(edge, PLAIN_FAULTS, stream):
        if found.status == 200:
            assert stream and b"event: error" in found.body and b"[DONE]" not in found.body, (spec, found)
        else:
            assert found.header("x-edge-blame") == "upstream", (spec, found)
            condition = found.header("x-edge-condition") or ""
            in_contract(found, condition)
            assert stream or condition == PLAIN_FAULTS[spec], spec


@pytest.mark.parametrize("stream", [False, True])
def test_harmless_faults(edge: Gateway, stream: bool) -> None:
    """Latency, drips, surplus bytes and connections closed behind an answer do not show."""
    specs = ["latency=50;jitter=50", "drip=50,1", "extra-bytes=5000", "extra-bytes", "close-idle", "close-idle=1",
             "big=3000000", "big=400000;extra-bytes=300", "tokens=2000"]
    for spec, found in answers(edge, specs, stream):
        assert found.status == 200, (spec, found.status, found.body)
        assert found.body.endswith(b"data: [DONE]\n\n") if stream else found.json["object"] == "chat.completion", spec


def test_a_provider_that_is_away_for_a_moment(away: Gateway, behind: Simulator) -> None:
    """While a provider refuses connections requests fail at once and in contract; when it is back they are served."""
    def outcome() -> Answer:
        return ask(away.port, chat())

    assert outcome().status == 200
    behind.fault("refuse=400", times=1)
    found = outcome()
    begun = time.monotonic()
    while found.status != 200:
        in_contract(found, "provider_unreachable")
        message = found.json["error"]["message"].lower()
        assert any(word in message for word in ("refused", "reset", "closed")), message
        assert time.monotonic() - begun < 5
        found = outcome()
    assert at_rest(away)["workers"][0]["upstream_connections"] == 1


def test_clients_that_leave_at_every_moment(edge: Gateway, simulator: Simulator) -> None:
    """Clients that leave before, in and after the head of an answer leave nothing behind."""
    for spec, wait in itertools.product(("latency=20", "drip=20,2", "stall=1,100", "hang"), (0.0, 0.03)):
        for stream in (False, True):
            with Talk(edge.port) as talk:
                talk.send(chat("leaver", fault=spec, stream=stream))
                if wait:
                    select.select([talk.socket], [], [], wait)
    at_rest(edge, others=1)
    simulator.wait_for(lambda state: all(seen["outcome"] for seen in state["log"] if seen["model"] == "leaver"))


def test_no_answer_twice(edge: Gateway) -> None:
    """After a refusal for time the provider's late answer does not come behind it."""
    with Talk(edge.port) as talk:
        in_contract(talk.send(chat(fault="latency=1400")).answer(), "provider_timeout")
        time_is_up = time.monotonic() + 0.5
        edge.wait(lambda: time.monotonic() > time_is_up)
        assert talk.silent()
        assert content(talk.send(chat(text="late")).answer()).startswith("You said: late")


def test_head_requests_have_no_body(edge: Gateway) -> None:
    """HEAD gets the head alone, in success and error, so that the next answer is where it belongs."""
    with Talk(edge.port) as talk:
        for path in ("/v1/models", "/nowhere", "/health", "/v1/chat/completions"):
            talk.send(request(path=path, method="HEAD"))
            found = talk.answer("HEAD")
            assert found.body == b"" and int(found.header("content-length") or 0) > 0
        assert talk.send(chat()).answer().status == 200
        with pytest.raises(Gone):
            talk.answer(seconds=0.1)


FEW = "sk-few-0123456789abcdef"


@pytest.mark.unsanitized
def test_long_names_of_models_are_not_remembered(simulator: Simulator) -> None:
    """Names that a pattern takes, or that a key must not use, cost no memory behind their requests, on any path."""
    config = configuration(simulator.url, models={"*": "openai"})
    config["keys"].append({"name": "few", "key": "env:FEW", "models": ["m*"]})
    with Gateway(config, environ={"FEW": FEW}) as edge, contextlib.ExitStack() as kept:
        worker, = edge.children()[1:]
        before = 0
        for i in range(24):
            for path, key, mark, status in (("/v1/chat/completions", KEY, "a", 200), ("/v1/moderations", KEY, "b", 200),
                                            ("/v1/chat/completions", FEW, "m", 200), ("/v1/embeddings", FEW, "z", 403)):
                talk = kept.enter_context(Talk(edge.port))      # which stays open
                body = asked(f"{mark}{i}{'n' * 1_000_000}", input="x")
                assert talk.send(request(body, path=path, key=key)).answer().status == status, path
            before = resident(worker) if i == 7 else before
        assert resident(worker) - before < 20_000_000
