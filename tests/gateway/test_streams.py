"""Streams: each event at once, usage in passing, and an honest end whatever happens on either side."""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateway.client import SURFACES, Answer, ask, asked, post, read, receive, request
from tests.gateway.events import DIALECTS, Dialect
from tests.gateway.script import Meeting, Script, answer, chunk, completion, stream_head
from tests.simulator.wire import Wire
from tests.support.gateway import Gateway
from tests.support.simulator import Simulator

PROVIDERS = {"openai": "scripted", "anthropic": "scripted-a"}
MEGABYTE = 1 << 20
STEP = 16 << 10


def asking(dialect: Dialect, *, stream: bool = True) -> bytes:
    """A request for the dialect's route, to the provider that the test plays."""
    return request({"model": "scripted-1", "stream": stream, **dialect.body}, path=dialect.path)


@contextlib.contextmanager
def met(gateway: Gateway, script: Script, data: bytes) -> Iterator[tuple[Wire, Meeting]]:
    """A client that has asked, and the provider's end of it."""
    with Wire(gateway.port) as wire:
        wire.send(data)
        meeting = script.meet()
        meeting.asked()
        yield wire, meeting


def streamed(gateway: Gateway, script: Script, dialect: Dialect, data: bytes, end: str = "keep") -> Answer:
    """What the client sees of a provider that sends these bytes and then ends, keeps open or resets."""
    with met(gateway, script, asking(dialect)) as (wire, meeting):
        meeting.send(data)
        if end != "keep":
            getattr(meeting, end)()
        return read(wire.answer())


@pytest.mark.parametrize("name", DIALECTS)
def test_each_event_at_once(gateway: Gateway, script: Script, name: str) -> None:
    """Each event is with the client before the provider sends the next, and all of them arrive unchanged."""
    dialect = DIALECTS[name]
    with met(gateway, script, asking(dialect)) as (wire, meeting):
        meeting.send(stream_head())
        seen = b""
        for event in dialect.events:
            meeting.send(chunk(event))
            seen = receive(wire, chunk(event), seen)
        meeting.send(chunk(b""))
        seen = receive(wire, b"0\r\n\r\n", seen)
    head, _, body = seen.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ncontent-type: text/event-stream; charset=utf-8\r\n" in head
    assert body == b"".join(map(chunk, (*dialect.events, b"")))


FRAMINGS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "a chunk for each byte": lambda data, _: stream_head() + b"".join(
        chunk(data[at:at + 1]) for at in range(len(data))) + chunk(b""),
    "one chunk": lambda data, _: stream_head() + chunk(data) + chunk(b""),
    "cuts anywhere": lambda data, luck: stream_head() + b"".join(map(chunk, cut(data, luck))) + chunk(b""),
    "with a length": lambda data, _: answer(data, fields="content-type: text/event-stream\r\n"),
    "until the end": lambda data, _: b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + data,
}


def cut(data: bytes, luck: random.Random) -> list[bytes]:
    """The data in pieces."""
    marks = sorted(luck.sample(range(1, len(data)), 20))
    return [data[low:high] for low, high in zip([0, *marks], [*marks, len(data)], strict=True)]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("name", DIALECTS)
def test_framings(gateway: Gateway, script: Script, name: str, framing: str, line_end: str) -> None:
    """A stream is the same whatever its framing, the cuts of its pieces and the ends of its lines."""
    data = DIALECTS[name].stream.replace(b"\n", line_end.encode())
    sent = FRAMINGS[framing](data, random.Random(framing + line_end))
    got = streamed(gateway, script, DIALECTS[name], sent, "close" if framing == "until the end" else "keep")
    assert (got.status, got.body) == (200, data)


def tokens(gateway: Gateway, dialect: Dialect) -> tuple[float, ...]:
    """Input, output and cached tokens counted so far."""
    labels = {"route": dialect.route, "provider": PROVIDERS[dialect.surface]}
    return tuple(gateway.metric("edge_tokens_total", **labels, type=kind) for kind in ("input", "output", "cached"))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", DIALECTS)
def test_usage(gateway: Gateway, script: Script, name: str, stream: bool) -> None:
    """The tokens that the provider reports are counted, those read from a cache among the input."""
    dialect = DIALECTS[name]
    before = tokens(gateway, dialect)
    with met(gateway, script, asking(dialect, stream=stream)) as (wire, meeting):
        meeting.send(stream_head() + chunk(dialect.stream) + chunk(b"") if stream else answer(dialect.plain))
        assert read(wire.answer()).body == (dialect.stream if stream else dialect.plain)
    expected = tuple(map(sum, zip(before, dialect.tokens, strict=True)))
    gateway.wait(lambda: tokens(gateway, dialect) != before)
    assert tokens(gateway, dialect) == expected


def test_usage_of_embeddings(gateway: Gateway, script: Script) -> None:
    """Embeddings report input alone."""
    labels = {"route": "embeddings", "provider": "scripted", "type": "input"}
    before = gateway.metric("edge_tokens_total", **labels)
    body = json.dumps({"object": "list", "data": [], "usage": {"prompt_tokens": 41, "total_tokens": 41}}).encode()
    with met(gateway, script, request({"model": "scripted-1", "input": "a"}, path="/v1/embeddings")) as (wire, meeting):
        meeting.send(answer(body))
        assert read(wire.answer()).body == body
    gateway.wait(lambda: gateway.metric("edge_tokens_total", **labels) == before + 41)


@pytest.mark.parametrize("comments", [b"", b": ping\n\n"])
@pytest.mark.parametrize("name", DIALECTS)
def test_an_error_before_the_first_event(gateway: Gateway, script: Script, name: str, comments: bytes) -> None:
    """A stream that begins with an error, or ends before it begins, is still a proper status."""
    said = (529, "provider_overloaded") if name == "messages" else (502, "provider_error")
    for data, meant in ((DIALECTS[name].error, said), (b"", (502, "provider_cut"))):
        got = streamed(gateway, script, DIALECTS[name], stream_head() + chunk(comments + data) + chunk(b"")
                       if comments + data else stream_head() + chunk(b""))
        assert (got.status, got.fields["x-edge-condition"]) == meant


@pytest.mark.parametrize("name", DIALECTS)
def test_an_error_in_the_middle(gateway: Gateway, script: Script, name: str) -> None:
    """A provider's own error event gives way to the contract's, which is the last thing of the stream."""
    dialect = DIALECTS[name]
    got = streamed(gateway, script, dialect, stream_head() + b"".join(
        map(chunk, (dialect.events[0], dialect.error, *dialect.events[1:], b""))))
    error = got.body.removeprefix(dialect.events[0])
    failed = rb"event: response\.failed\ndata: \{.+\}\n\n" if name == "responses" else b""
    assert re.fullmatch(rb"event: error\ndata: \{.+\}\n\n" + failed, error)
    assert error.count(b"\n\n") == (2 if failed else 1)


@pytest.mark.parametrize("extra", [b"data: {}\n\n", b"event: error\ndata: {}\n\n", b"x" * 100])
@pytest.mark.parametrize("name", DIALECTS)
def test_nothing_after_the_last_event(gateway: Gateway, script: Script, name: str, extra: bytes) -> None:
    """What a provider sends after a stream's last event reaches nobody."""
    dialect = DIALECTS[name]
    for pieces in ((chunk(dialect.stream + extra),), (chunk(dialect.stream), chunk(extra))):
        got = streamed(gateway, script, dialect, stream_head() + b"".join((*pieces, chunk(b""))))
        assert (got.status, got.body) == (200, dialect.stream)


@pytest.mark.parametrize("end", ["keep", "close", "reset"])
def test_an_end_without_the_last_chunk(gateway: Gateway, script: Script, end: str) -> None:
    """A client that has the last event has a clean end, also when the provider never ends its framing."""
    dialect = DIALECTS["chat"]
    with met(gateway, script, asking(dialect)) as (wire, meeting):
        meeting.send(stream_head() + chunk(dialect.stream))
        seen = receive(wire, chunk(dialect.stream))
        if end != "keep":
            getattr(meeting, end)()
        assert receive(wire, b"0\r\n\r\n", seen).endswith(chunk(dialect.stream) + chunk(b""))


def short(name: str, stream: bool) -> tuple[bytes, bytes, bytes]:
    """A short answer as the provider sends it, its payload, and the payload's last event (all of a plain one)."""
    dialect = DIALECTS[name]
    events = (dialect.events[0], *dialect.events[-2:])
    if not stream:
        return answer(dialect.plain), dialect.plain, dialect.plain
    return stream_head() + b"".join(map(chunk, (*events, b""))), b"".join(events), events[-1]


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["chat", "messages"])
def test_cut_at_every_byte(gateway: Gateway, script: Script, name: str, stream: bool, end: str) -> None:
    """Wherever the provider breaks off, the client gets the whole answer or an error, never a part as the whole."""
    whole, payload, last = short(name, stream)
    complete = whole.index(last) + len(last)
    data = asking(DIALECTS[name], stream=stream)
    for at in range(0, len(whole), 1 if end == "close" else 7):
        with met(gateway, script, data) as (wire, meeting):
            meeting.send(whole[:at])
            getattr(meeting, end)()
            got = read(wire.answer())
        if got.status == 200 and got.body == payload:
            assert at >= complete, at
            continue
        assert at < complete or end == "reset", at          # a reset may overtake what was sent before it
        if got.status == 200:
            good, mark, error = got.body.partition(b"event: error\n")
            assert stream and good and payload.startswith(good) and good.endswith(b"\n\n"), at
            assert mark and error.endswith(b"\n\n") and json.loads(error.removeprefix(b"data: "))["error"], at
        else:
            assert (got.status, got.fields["x-edge-blame"]) == (502, "upstream"), at


LEAVING = {"before the head": (False, "hang"), "in a plain answer": (False, "stall=1"),
           "before the first event": (True, "hang"), "in a stream": (True, "tokens=100000;delay=10"),
           "in a silent stream": (True, "stall=4")}


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("name", LEAVING)
def test_a_client_that_leaves(gateway: Gateway, simulator: Simulator, name: str, surface: str) -> None:
    """The provider's request is cancelled within 100 ms of its client's leaving, and nothing stays in flight."""
    stream, spec = LEAVING[name]
    left = []
    for number in range(3):
        with Wire(gateway.port) as wire:
            wire.send(post(surface, spec=spec, stream=stream))
            simulator.wait_for(lambda state, number=number: state["requests"] == number + 1)
            if "in a" in name and stream:
                receive(wire, b"data: ")
        left.append(time.time())
    state = simulator.wait_for(lambda state: len(state["cancelled"]) == len(left))
    took = [each["at"] - at for each, at in zip(state["cancelled"], left, strict=True)]
    assert statistics.median(took) < 0.1, took
    gateway.wait(lambda: gateway.metric("edge_requests_in_flight", provider={
        "openai": "sim", "anthropic": "sim-a"}[surface]) == 0)


def test_a_client_that_leaves_the_queue(gateway: Gateway, simulator: Simulator) -> None:
    """A request whose client leaves while it waits for a connection never reaches the provider."""
    with Wire(gateway.port) as taker, Wire(gateway.port) as waiter:
        receive(taker.send(post("openai", model="narrow-1", stream=True, spec="stall=4")), b"data: ")
        waiter.send(post("openai", model="narrow-2"))
        gateway.wait(lambda: gateway.metric("edge_requests_in_flight", provider="narrow") == 2)
        waiter.socket.close()
        gateway.wait(lambda: gateway.metric("edge_requests_in_flight", provider="narrow") == 1)
    gateway.wait(lambda: gateway.metric("edge_requests_in_flight", provider="narrow") == 0)
    assert ask(gateway.port, post("openai", model="narrow-3")).status == 200
    assert [each["model"] for each in simulator.requests()] == ["narrow-1", "narrow-3"]


def resident(pid: int) -> int:
    """A process' own memory in bytes."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) << 10


LAST = b"data: [DONE]\n\n"
SLOW = {
    "stream": (DIALECTS["chat"], b"data: {\"choices\":[{\"delta\":{\"content\":\"" + b"x" * STEP + b"\"}}]}\n\n",
               "content-type: text/event-stream\r\n"),
    "large answer": (DIALECTS["chat"], b"x" * STEP, "content-type: application/json\r\n"),
    "file": (None, b"x" * STEP, "content-type: application/octet-stream\r\n"),
}


@pytest.mark.unsanitized
@pytest.mark.parametrize("name", SLOW)
def test_a_client_that_does_not_read(start: Callable[..., Gateway], script: Script, name: str) -> None:
    """A client that does not read stops the provider, costs the gateway little memory, and gets all once it reads."""
    dialect, piece, fields = SLOW[name]
    # More than the kernel holds for the three sockets on the way, the client's own kept small.
    count = (kernel_room() + 24 * MEGABYTE) // len(piece)
    data = asking(dialect, stream=name == "stream") if dialect else request(path="/v1/scripted/file", method="GET")
    size = len(piece) * count
    if name == "stream":
        size += len(LAST)
        whole = stream_head() + chunk(piece) * count + chunk(LAST) + chunk(b"")
    else:
        whole = f"HTTP/1.1 200 OK\r\n{fields}content-length: {size}\r\n\r\n".encode() + piece * count
        if dialect:
            whole = whole.replace(b"\r\n\r\nxxx", b'\r\n\r\n{"x', 1)[:-2] + b'"}'
    with start() as gateway, met(gateway, script, data) as (wire, meeting):
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        worker = gateway.children()[1]
        before = resident(worker)
        sent = meeting.send_some(whole, 0.5)
        assert sent < len(whole)
        assert resident(worker) - before < 3 * MEGABYTE
        sender = threading.Thread(target=meeting.send, args=(memoryview(whole)[sent:],))
        sender.start()
        assert length_of(wire) == size
        sender.join()
        assert resident(worker) - before < 3 * MEGABYTE


def kernel_room() -> int:
    """The most that Linux keeps of one connection on its way in and out: what its buffers grow to by themselves."""
    limits = [Path(f"/proc/sys/net/ipv4/tcp_{name}").read_text() for name in ("rmem", "wmem")]
    return 2 * sum(int(text.split()[2]) for text in limits)


def length_of(wire: Wire) -> int:
    """Reads an answer to its end without keeping it; returns how long its body is, framing taken off."""
    seen = receive(wire, b"\r\n\r\n")
    head, _, rest = seen.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head)
    if found:
        total = len(rest)
        while total < int(found[1]):
            total += len(wire.socket.recv(MEGABYTE))
        return total
    total = 0
    while True:
        while b"\r\n" not in rest:
            rest += wire.socket.recv(MEGABYTE)
        line, _, rest = rest.partition(b"\r\n")
        size = int(line, 16)
        while len(rest) < size + 2:
            rest += wire.socket.recv(MEGABYTE)
        rest = rest[size + 2:]
        total += size
        if size == 0:
            return total


def test_answers_do_not_mix(gateway: Gateway, script: Script) -> None:
    """Streams that run at once, event by event in turn, each reach their own client."""
    dialect = DIALECTS["chat"]
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(met(gateway, script, asking(dialect))) for _ in range(8)]
        for _, meeting in pairs:
            meeting.send(stream_head())
        seen = [b""] * len(pairs)
        for turn in range(3):
            for number, (_, meeting) in enumerate(pairs):
                meeting.send(chunk(b'data: {"n":"%d.%d"}\n\n' % (number, turn)))
        for number, (wire, meeting) in enumerate(pairs):
            meeting.send(chunk(b"data: [DONE]\n\n") + chunk(b""))
            seen[number] = read(wire.answer()).body
    assert [re.findall(rb"\d\.\d", body) for body in seen] == [
        [b"%d.%d" % (number, turn) for turn in range(3)] for number in range(len(pairs))]


def test_plain_answers_to_streams(gateway: Gateway, script: Script) -> None:
    """Plain JSON where a stream was asked for is the provider's fault: SDKs show it as a stream without events."""
    with met(gateway, script, request(asked("openai", model="scripted-1", stream=True), path="/v1/chat/completions")
             ) as (wire, meeting):
        meeting.send(answer(completion()))
        got = read(wire.answer())
    assert (got.status, got.fields["x-edge-condition"]) == (502, "provider_response_invalid")
