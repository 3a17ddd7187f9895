"""Clients that are slow, that stop half-way, that leave, and that ask many things at once."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import Any

import pytest

from tests.hostile.stage import BODY_SECONDS, HEAD_SECONDS
from tests.support.gateway import KEY, Gateway
from tests.support.looks import at_rest, figures, resident
from tests.support.simulator import Simulator
from tests.support.talk import Gone, Talk, asked, chat, in_contract, request

TICK = 0.35         # how much later than its time a deadline may be noticed, on a busy machine
WHOLE = chat()
HEAD = WHOLE[:WHOLE.index(b"\r\n\r\n") + 4]

HALVES = [
    ("one byte", WHOLE[:1]), ("an empty line", b"\r\n"), ("half a request line", WHOLE[:20]),
    ("half a field", WHOLE[:60]), ("all but the last LF of the head", HEAD[:-1]), ("a head", HEAD),
    ("half a body", WHOLE[:-10]),
    ("half a chunk", request(key=None, transfer_encoding="chunked", content_type="application/json",
                             authorization="Bearer sk-test-0123456789abcdef") + b"10\r\n{"),
]
NAMED: Any = {"argvalues": [row[1] for row in HALVES], "ids": [row[0] for row in HALVES]}


@pytest.mark.unsanitized
def test_half_requests_then_silence(edge: Gateway) -> None:
    """Five hundred half requests, each then silent, get 408 in contract on time, and hardly any memory meanwhile."""
    worker = edge.children()[1]
    before, begun = resident(worker), time.monotonic()
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(edge.port)).send(HALVES[n % len(HALVES)][1]) for n in range(500)]
        assert resident(worker) - before < 500 * 16_000
        sent = time.monotonic()
        for talk in talks:
            in_contract(talk.answer(), "request_timeout")
            assert min(HEAD_SECONDS, BODY_SECONDS) <= time.monotonic() - begun
            assert talk.end() == "fin"
        assert time.monotonic() - sent < max(HEAD_SECONDS, BODY_SECONDS) + 2 * TICK


@pytest.mark.parametrize("data", **NAMED)
@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
def test_half_a_request_then_gone(edge: Gateway, simulator: Simulator, data: bytes, how: str) -> None:
    """A client that leaves in the middle of its request is forgotten at once, and no provider hears of it."""
    at_rest_before = figures(edge)["workers"][0]["accepted"]
    with Talk(edge.port) as talk:
        talk.send(data)
        edge.wait(lambda: figures(edge)["workers"][0]["accepted"] > at_rest_before)
        if how == "half-close":
            talk.socket.shutdown(socket.SHUT_WR)
            with pytest.raises(Gone):
                talk.answer()
        elif how == "reset":
            talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert all(seen["model"] == "canary" for seen in simulator.requests())


BEFORE = {"nothing": (b"", 0), "an answer": (chat(), 1), "a refusal": (request(b"{"), 1),
          "an unread body": (request(b"x" * 20_000, key="sk-nobody"), 1), "two": (chat() + request(b"{"), 2)}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("before", BEFORE)
def test_a_head_that_drips_has_one_deadline(edge: Gateway, before: str, together: bool) -> None:
    """The head's time is for all of it, the first's or a later one's: a byte now and then does not prolong it."""
    data, answers = BEFORE[before]
    with Talk(edge.port) as talk:
        if not together:
            talk.send(data)
            for _ in range(answers):
                talk.answer()
        begun = time.monotonic()
        talk.send(data * together + HEAD[:-2])
        if together:
            for _ in range(answers):
                talk.answer()
        while talk.silent(0.1):
            talk.send(b"x: y\r\n")
            assert time.monotonic() - begun < HEAD_SECONDS + 2 * TICK
        in_contract(talk.answer(), "request_timeout")


def test_a_connection_without_a_word(edge: Gateway) -> None:
    """A connection on which nothing is said is closed after the head's time; there is nothing to answer."""
    with Talk(edge.port) as talk:
        begun = time.monotonic()
        assert talk.end() == "fin"
        assert HEAD_SECONDS <= time.monotonic() - begun + 0.05 < HEAD_SECONDS + 2 * TICK


@pytest.mark.parametrize("stream", [False, True])
def test_byte_by_byte(edge: Gateway, stream: bool) -> None:
    """A request that comes byte by byte is a request like any other."""
    data = chat(stream=stream)
    with Talk(edge.port) as talk:
        talk.send(*(data[i:i + 1] for i in range(len(data))))
        answer = talk.answer()
        assert answer.status == 200
        assert b"[DONE]" in answer.body if stream else answer.json["object"] == "chat.completion"


def test_a_slow_body_that_keeps_coming(edge: Gateway) -> None:
    """A body may take longer than its time in all, as long as it comes at its lowest rate."""
    data = chat(text="x" * 1000)
    with Talk(edge.port) as talk:
        talk.send(data[:-800])
        for at in range(-800, 0, 200):
            assert talk.silent(BODY_SECONDS * 0.5)
            talk.send(data[at:at + 200 or None])
        assert talk.answer().status == 200


@pytest.mark.parametrize("framing", ["length", "chunks", "trailers"])
def test_a_body_that_drips(edge: Gateway, framing: str) -> None:
    """A body that comes by a byte now and then is refused when its time is up, however it is framed."""
    chunked = request(key=None, transfer_encoding="chunked", content_type="application/json",
                      authorization=f"Bearer {KEY}")
    begin, drip = {"length": (chat(text="x" * 3000)[:-2900], b"x"), "chunks": (chunked, b"1\r\n \r\n"),
                   "trailers": (chunked + b"2\r\n{}\r\n0\r\nx: ", b"y")}[framing]
    with Talk(edge.port) as talk:
        begun = time.monotonic()
        talk.send(begin)
        while talk.silent(0.1):
            talk.send(drip)
            assert time.monotonic() - begun < BODY_SECONDS + 2 * TICK
        assert time.monotonic() - begun > BODY_SECONDS - 0.05
        in_contract(talk.answer(), "request_timeout")


def test_a_fast_beginning_earns_no_long_end(edge: Gateway) -> None:
    """However much of a body has come at once, its rest may not drip."""
    with Talk(edge.port) as talk:
        talk.send(chat(text="x" * 2_000_000)[:-100])
        begun = time.monotonic()
        while talk.silent(0.1):
            talk.send(b"x")
            assert time.monotonic() - begun < BODY_SECONDS + 2 * TICK
        in_contract(talk.answer(), "request_timeout")


@pytest.mark.parametrize("size", [0, 40_000])
def test_pipelining(edge: Gateway, size: int) -> None:
    """A hundred requests sent at once are answered in their order, whatever one read has of the next."""
    with Talk(edge.port) as talk:
        talk.send(b"".join(chat(text=f"number {n} " + "x" * size, x_request_id=f"id-{n}") for n in range(100)))
        for n in range(100):
            answer = talk.answer()
            assert answer.status == 200 and answer.header("x-request-id") == f"id-{n}"
            assert f"number {n} " in answer.json["choices"][0]["message"]["content"]
        assert talk.silent()


def test_pipelining_good_and_bad(edge: Gateway) -> None:
    """Refusals keep their place among pipelined answers; after the first that ends the connection nothing is served."""
    bad = request({"model": "gpt-4o"})
    with Talk(edge.port) as talk:
        talk.send(chat() + bad + request(method="GET", path="/health", key=None) + bad + chat(stream=True)
                  + request(b"{", key="sk-nobody") + chat() + b"garbage\r\n\r\n" + chat("behind"))
        statuses = [talk.answer().status for _ in range(8)]
        assert statuses == [200, 400, 200, 400, 200, 401, 200, 400]
        assert talk.end() == "fin"


@pytest.mark.parametrize("size", [60_000, 400_000])
def test_a_request_with_much_behind_it(edge: Gateway, size: int) -> None:
    """While a request is answered, what is pipelined behind it waits, in memory or in the client's socket."""
    with Talk(edge.port) as talk:
        talk.send(chat(fault="latency=300"))
        talk.send(chat(text="x" * size), chat())
        assert [talk.answer().status for _ in range(3)] == [200, 200, 200]


def test_pipelined_flood_is_bounded(edge: Gateway) -> None:
    """A client that sends without end while it waits for an answer is not read without end."""
    worker = edge.children()[1]
    before = resident(worker)
    with Talk(edge.port) as talk:
        talk.send(chat(fault="latency=700"))
        talk.socket.settimeout(0.3)
        sent = 0
        try:
            while sent < 64_000_000:
                sent += talk.socket.send(WHOLE * 5000)
        except TimeoutError:
            pass
        assert sent < 32_000_000
        assert resident(worker) - before < 4_000_000
        assert talk.answer().status == 200


@pytest.mark.unsanitized
@pytest.mark.parametrize("data", [
    request(method="GET", path="/health", key=None), request(path="/nowhere", key=None), chat(fault="big=900000")],
    ids=["health", "refusals", "long answers"])
def test_pipelined_answers_that_nobody_reads(edge: Gateway, data: bytes) -> None:
    """A client that asks without end and reads nothing gets as many answers as fit, and its next requests wait."""
    worker = edge.children()[1]
    before = resident(worker)
    with Talk(edge.port, receive=65536) as talk:
        talk.socket.settimeout(0.2)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64_000_000:
                sent += talk.socket.send(data * 5000)
        assert sent < 32_000_000
        assert resident(worker) - before < 8_000_000
        for _ in range(8):
            assert talk.answer().status in (200, 404)
    at_rest(edge, others=1)


@pytest.mark.parametrize("late", [False, True])
def test_an_answer_before_bytes_that_nobody_wants(edge: Gateway, late: bool) -> None:
    """The last answer of a connection reaches its end, whatever the client sends behind its request, and when."""
    answered = edge.metric("edge_requests_total", condition="ok")
    with Talk(edge.port, receive=65536) as talk:
        talk.send(chat(fault="big=900000", connection="close"))
        if late:
            edge.wait(lambda: edge.metric("edge_requests_total", condition="ok") > answered)
        talk.send(chat(text="x" * 300_000))
        answer = talk.answer()
        assert answer.status == 200 and len(answer.body) > 900_000
        assert talk.end() == "fin"


def test_a_client_that_reads_nothing(edge: Gateway) -> None:
    """Answers to a client that does not read wait within bounds, and its leaving ends them."""
    worker = edge.children()[1]
    with Talk(edge.port) as talk:
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = resident(worker)
        talk.send(chat("big-stream", stream=True, fault="tokens=200000"))
        time_is_up = time.monotonic() + 0.7
        edge.wait(lambda: time.monotonic() > time_is_up)
        assert resident(worker) - before < 4_000_000
    at_rest(edge, others=1)


@pytest.mark.parametrize("fault", ["tokens=200000", "big=20000000"])
def test_a_client_that_takes_nothing_is_given_up(edge: Gateway, simulator: Simulator, fault: str) -> None:
    """Who takes nothing of an answer for body_timeout has left: the provider's connection is free again."""
    before = edge.metric("edge_requests_total", condition="client_closed")
    with Talk(edge.port) as talk:
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        begun = time.monotonic()
        talk.send(chat("deaf", stream=fault.startswith("tokens"), fault=fault))
        edge.wait(lambda: edge.metric("edge_requests_total", condition="client_closed") > before)
        assert BODY_SECONDS < time.monotonic() - begun < 3 * BODY_SECONDS + TICK
    simulator.wait_for(lambda state: not state["streams"])


def test_a_slow_reader_is_served(slow_paced: Gateway) -> None:
    """A client that takes a long answer slowly, but faster than the lowest rate, gets all of it, byte for byte."""
    size = 6_000_000
    with Talk(slow_paced.port) as talk:
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        talk.send(chat("slow", fault=f"big={size}"))
        begun = time.monotonic()
        while time.monotonic() - begun < 3.5 * BODY_SECONDS:
            talk.unread += talk.socket.recv(4096)
            time.sleep(0.01)
        assert len(talk.unread) < size / 2
        answer = talk.answer()
        assert answer.status == 200 and len(answer.body) == int(answer.header("content-length") or 0) >= size


def test_a_reader_slower_than_keep_alive(slow_paced: Gateway) -> None:
    """An answer that its reader takes longer over than a connection may idle is not cut short."""
    with Talk(slow_paced.port) as talk:
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        for _ in range(8):
            talk.send(chat(fault="big=900000"))
        begun = time.monotonic()
        while time.monotonic() - begun < 3:
            talk.unread += talk.socket.recv(4096)
            time.sleep(0.01)
        assert [talk.answer().status for _ in range(8)] == [200] * 8


def test_a_provider_that_pauses_is_not_the_client(edge: Gateway) -> None:
    """A stream that rests for longer than a client may is served on: nothing waits for the client."""
    with Talk(edge.port) as talk:
        answer = talk.send(chat(stream=True, fault=f"tokens=12;stall=2,{int(BODY_SECONDS * 2500)}")).answer()
        assert answer.status == 200 and b"[DONE]" in answer.body


def test_leaving_while_the_answer_is_awaited(edge: Gateway, simulator: Simulator) -> None:
    """A client that leaves cancels what it asked of the provider within 100 ms, and it is counted as its leaving."""
    before = edge.metric("edge_requests_total", condition="client_closed")
    with Talk(edge.port) as talk:
        talk.send(chat("left", fault="hang"))
        simulator.wait_for(lambda state: any(seen["model"] == "left" for seen in state["log"]))
    left = time.monotonic()
    simulator.wait_for(lambda state: any(s["model"] == "left" and s["outcome"] == "cancelled" for s in state["log"]))
    assert time.monotonic() - left < 0.1 + TICK
    edge.wait(lambda: edge.metric("edge_requests_total", condition="client_closed") > before)


@pytest.mark.unsanitized
def test_large_bodies_are_given_back(edge: Gateway) -> None:
    """Memory does not grow from one round of large, slow and broken bodies to the next."""
    worker = edge.children()[1]
    large = request(asked(text="y" * 4_000_000))

    def rounds(count: int) -> int:
        for _ in range(count):
            with Talk(edge.port) as talk:
                assert talk.send(large).answer().status == 200
            with Talk(edge.port) as talk:
                talk.send(large[:3_000_000])
            with Talk(edge.port) as talk:
                assert talk.send(large[:-1] + b"x").answer().status == 400
        at_rest(edge, others=1)
        return resident(worker)

    rounds(3)
    first = rounds(3)
    assert rounds(9) - first < 9_000_000        # two bodies' worth: the allocator keeps some, wherever they lay
