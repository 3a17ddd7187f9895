"""The end of a gateway: SIGTERM lets running requests finish, SIGINT does not wait, and nobody is left guessing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import httpx2 as httpx
import pytest

from tests.support.gateway import PLAIN, Gateway, configuration
from tests.support.looks import faults, figures, processor_seconds, worker_of
from tests.support.provider import Line, Provider
from tests.support.simulator import Simulator
from tests.support.talk import Gone, Talk, asked, chat, in_contract, request

EVENT = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
READY = request(method="GET", path="/readyz", key=None)
SLOW = "tokens=12;delay=100"        # a stream of 1.2 s
LONG = "tokens=400;delay=100"       # one of 40 s


def begun(edge: Gateway, stack: contextlib.ExitStack, fault: str | None, **fields: str) -> Talk:
    """A stream that has begun."""
    talk = stack.enter_context(Talk(edge.port)).send(chat(stream=True, fault=fault, **fields))
    assert talk.socket.recv(1, 2)           # MSG_PEEK
    return talk


def companion(edge: Gateway, stack: contextlib.ExitStack, stream: Talk, same: bool = True) -> Talk:
    """A kept connection of the same worker as another connection, or of the other worker."""
    while True:
        talk = stack.enter_context(Talk(edge.port))
        assert talk.send(READY).answer("GET").status == 200
        if (worker_of(edge, talk) == worker_of(edge, stream)) is same:
            return talk


def drains(edge: Gateway) -> None:
    """Waits until control says that it drains."""
    edge.wait(lambda: httpx.get(f"{edge.admin}/readyz", **PLAIN).status_code == 503)


def told(edge: Gateway, probe: Talk) -> None:
    """Waits until the worker of this connection says so: it hears of it apart from control."""
    edge.wait(lambda: probe.send(READY).answer("GET").status == 503)


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """Closes connections when the test ends."""
    with contextlib.ExitStack() as opened:
        yield opened


class RunningOn(NamedTuple):
    """A gateway, and a stream of its that ends when the test says so: until then somebody is there to refuse others."""

    edge: Gateway
    stack: contextlib.ExitStack
    stream: Talk
    over: threading.Event


@pytest.fixture
def running_on(stack: contextlib.ExitStack) -> RunningOn:
    """The stream has begun."""
    over = threading.Event()

    def script(line: Line) -> None:
        line.request()
        line.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + EVENT)
        over.wait(30)
        line.send(b"data: [DONE]\n\n")

    provider = stack.enter_context(Provider(script))
    edge = stack.enter_context(Gateway(configuration(provider.url, workers=2, drain_timeout=30)))
    return RunningOn(edge, stack, begun(edge, stack, None), over)


def test_running_requests_finish(edge: Gateway, stack: contextlib.ExitStack) -> None:
    """SIGTERM lets a running stream and a running plain request end well; then the process ends with 0."""
    stream = begun(edge, stack, SLOW)
    plain = stack.enter_context(Talk(edge.port)).send(chat(fault="latency=800"))
    edge.wait(lambda: figures(edge)["in_flight"] == 2)
    begin = time.monotonic()
    edge.process.send_signal(signal.SIGTERM)
    answer = plain.answer()
    assert answer.status == 200 and answer.json["object"] == "chat.completion"
    answer = stream.answer()
    assert answer.status == 200 and answer.body.endswith(b"data: [DONE]\n\n") and b"event: error" not in answer.body
    assert edge.process.wait(5) == 0
    assert time.monotonic() - begin < 5         # as soon as all is done, not when the limit is over
    assert faults(edge) == []


def test_new_requests_are_refused_in_contract(running_on: RunningOn) -> None:
    """While a stream runs on, a request on a kept connection gets 503 with Retry-After, and /readyz is 503."""
    edge, stack, stream, over = running_on
    kept, probe = (companion(edge, stack, stream) for _ in range(2))
    edge.process.send_signal(signal.SIGTERM)
    told(edge, probe)
    drains(edge)
    answer = in_contract(kept.send(chat()).answer(), "draining")
    assert answer.header("retry-after") == "1" and answer.header("x-should-retry") == "true"
    kept = stack.enter_context(Talk(edge.port)) if answer.header("connection") == "close" else kept
    message = request(asked(max_tokens=5), path="/v1/messages")
    with contextlib.suppress(Gone):
        in_contract(kept.send(message).answer(), "draining", "anthropic")
    refused = httpx.get(f"{edge.admin}/readyz", **PLAIN)
    assert refused.status_code == 503 and refused.headers["retry-after"]
    assert httpx.get(f"{edge.admin}/livez", **PLAIN).status_code == 200
    assert edge.metric("edge_requests_total", condition="draining") >= 1
    over.set()
    assert stream.answer().body.endswith(b"data: [DONE]\n\n")
    assert edge.process.wait(5) == 0


def test_new_connections_while_draining(running_on: RunningOn) -> None:
    """While one worker drains a stream, new connections are told so at once, whichever worker they fall to."""
    edge, stack, stream, over = running_on
    probes = [companion(edge, stack, stream, same) for same in (True, False)]
    edge.process.send_signal(signal.SIGTERM)
    for probe in probes:
        told(edge, probe)
    for _ in range(12):
        with Talk(edge.port) as talk:
            assert talk.send(READY).answer("GET", seconds=2).status == 503
        with Talk(edge.port) as talk:
            in_contract(talk.send(chat()).answer(seconds=2), "draining")
    over.set()
    assert stream.answer().body.endswith(b"data: [DONE]\n\n")


def test_draining_is_quiet(edge: Gateway, stack: contextlib.ExitStack) -> None:
    """While it drains the supervisor sleeps: it does not turn in circles until the last stream has ended."""
    stream = begun(edge, stack, SLOW)
    edge.process.send_signal(signal.SIGTERM)
    drains(edge)
    before, begin = processor_seconds(edge.process.pid), time.monotonic()
    assert stream.answer().body.endswith(b"data: [DONE]\n\n")
    took = time.monotonic() - begin
    assert took > 0.5
    assert processor_seconds(edge.process.pid) - before < 0.2 * took


def test_the_last_answer_is_read_to_its_end(edge: Gateway, simulator: Simulator) -> None:
    """A gateway that is told to end waits for clients who still read what they were answered."""
    with Talk(edge.port, receive=4096) as talk:
        talk.send(chat(fault="big=900000") * 8)         # more than all sockets hold
        edge.wait(lambda: figures(edge)["in_flight"] == 0 and edge.metric("edge_memory_bytes") > 0)
        answered = len(simulator.requests())
        edge.process.send_signal(signal.SIGTERM)
        time_is_up = time.monotonic() + 0.5     # time for who thinks that nothing is left to do to be gone
        edge.wait(lambda: time.monotonic() > time_is_up)
        whole = [talk.answer() for _ in range(answered)]
        assert all(answer.status == 200 and answer.json["object"] == "chat.completion" for answer in whole)
    assert edge.process.wait(5) == 0


def test_drain_has_a_limit(simulator: Simulator, stack: contextlib.ExitStack) -> None:
    """What outlives drain_timeout is told so, a stream by its error event, a request by 503, and the process ends."""
    with Gateway(configuration(simulator.url, workers=2, drain_timeout=0.6)) as edge:
        stream = begun(edge, stack, LONG)
        plain = stack.enter_context(Talk(edge.port)).send(chat(fault="hang"))
        edge.wait(lambda: figures(edge)["in_flight"] == 2)
        begin = time.monotonic()
        edge.process.send_signal(signal.SIGTERM)
        body = stream.answer().body
        assert body.count(b"event: error") == 1 and b"[DONE]" not in body
        assert 0.5 < time.monotonic() - begin < 1.5
        in_contract(plain.answer(), "draining")
        assert edge.process.wait(5) == 0
        assert time.monotonic() - begin < 3.5
        assert faults(edge) == []
    simulator.wait_for(lambda state: all(seen["outcome"] == "cancelled" for seen in state["log"]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_quick_end(edge: Gateway, stack: contextlib.ExitStack, number: int) -> None:
    """SIGINT and SIGQUIT do not wait for streams."""
    begun(edge, stack, LONG)
    begin = time.monotonic()
    assert edge.stop(number) == 0
    assert time.monotonic() - begin < 1.5


def test_second_signal_is_quick(edge: Gateway, stack: contextlib.ExitStack) -> None:
    """A second SIGTERM, or Ctrl-C while draining, ends it now."""
    begun(edge, stack, LONG)
    edge.process.send_signal(signal.SIGTERM)
    drains(edge)
    begin = time.monotonic()
    assert edge.stop(signal.SIGTERM) == 0
    assert time.monotonic() - begin < 1.5


def test_idle_gateway_ends_at_once(edge: Gateway, stack: contextlib.ExitStack) -> None:
    """With nothing to finish a SIGTERM ends everything at once, idle connections included."""
    idle = [stack.enter_context(Talk(edge.port)) for _ in range(5)]
    assert idle[0].send(chat()).answer().status == 200
    begin = time.monotonic()
    assert edge.stop(signal.SIGTERM) == 0
    assert time.monotonic() - begin < 2.5
    assert idle[0].end() in ("fin", "reset")
    with pytest.raises(ConnectionRefusedError):
        Talk(edge.port)


def test_a_stuck_worker_is_killed(simulator: Simulator) -> None:
    """A worker that does not hear is killed when the time and a little grace are over; the exit code says nothing."""
    with Gateway(configuration(simulator.url, drain_timeout=0.2)) as edge:
        subprocess.run(["kill", "-STOP", str(edge.children()[1])], check=True)
        begin = time.monotonic()
        assert edge.stop(signal.SIGTERM) == 0
        assert time.monotonic() - begin < 5
        assert any("did not end in time" in line["message"] for line in edge.log_lines())


def test_a_signal_to_the_whole_group(edge: Gateway, stack: contextlib.ExitStack) -> None:
    """Ctrl-C reaches every process of a terminal's group; it is the supervisor who decides what it means."""
    begun(edge, stack, LONG)

    os.killpg(edge.process.pid, signal.SIGINT)
    assert edge.process.wait(3) == 0
    assert faults(edge) == []
