"""Providers that break the protocol: the client gets an error in contract, and the next client gets its own answer."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tests.hostile.stage import CHUNKED, EVENTS, OK, Stage, content, once
from tests.support.provider import GOOD, Line, answer, echo, said
from tests.support.talk import Talk, ask, chat, in_contract

POISON = said(b"poison")

INVALID = [
    ("garbage", b"garbage\r\n\r\n"), ("bare LF", b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}"),
    ("HTTP/2", b"HTTP/2 200\r\n\r\n"), ("ICY", b"ICY 200 OK\r\n\r\n"), ("no status", b"HTTP/1.1 OK\r\n\r\n"),
    ("status 99", b"HTTP/1.1 99 No\r\n\r\n"), ("status 1000", b"HTTP/1.1 1000 No\r\n\r\n"),
    ("a request", b"GET / HTTP/1.1\r\nhost: edge\r\n\r\n"), ("TLS", bytes.fromhex("15030300020228")),
    ("a folded field", OK + b"x: a\r\n b\r\ncontent-length: 2\r\n\r\n{}"),
    ("a NUL", OK + b"x: a\0b\r\ncontent-length: 2\r\n\r\n{}"),
    ("equal lengths", OK + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}"),
    ("two lengths", OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
    ("a negative length", OK + b"content-length: -2\r\n\r\n{}"),
    ("length and chunks", OK + b"content-length: 2\r\n" + CHUNKED + b"2\r\n{}\r\n0\r\n\r\n"),
    ("gzip, chunked", OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("switching", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
    ("a head of 1 MB", OK + b"x-field: 0123456789abcdef0123456789abcdef\r\n" * 25_000),
    ("200 fields", OK + b"x: y\r\n" * 200 + b"content-length: 2\r\n\r\n{}"),
    ("a flood of 100", b"HTTP/1.1 100 Continue\r\n\r\n" * 5000),
    ("a bad chunk", OK + CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"),
    ("a chunk without end", OK + CHUNKED + b"2\r\n{}0\r\n\r\n"),
    ("empty", answer(b"")), ("half of JSON", answer(b'{"id": "c", ')), ("text", answer(b"Service is great")),
    ("two values", answer(b"{}{}")), ("bad UTF-8", answer(GOOD % b"\xff")), ("HTML", answer(b"<html>502</html>")),
    ("empty by closing", OK + b"connection: close\r\n\r\n"),
]

CUT = [
    ("nothing", b""), ("half a head", OK), ("a head", OK + b"content-length: 100\r\n\r\n"),
    ("half a body", OK + b'content-length: 100\r\n\r\n{"id":'), ("half a chunk", OK + CHUNKED + b'50\r\n{"id":'),
    ("no last chunk", OK + CHUNKED + b"2\r\n{}\r\n"), ("an open trailer", OK + CHUNKED + b"2\r\n{}\r\n0\r\nx: y"),
    ("a head of a stream", EVENTS + CHUNKED),
]


@pytest.mark.parametrize("data", [row[1] for row in INVALID], ids=[row[0] for row in INVALID])
def test_answers_that_are_none(stage: Stage, data: bytes) -> None:
    """An answer that breaks HTTP or JSON is 502, TLS a wrong base_url, and its connection is not used again."""
    stage.play(once(data, end=b"connection: close" in data))
    with Talk(stage.port) as talk:
        found = in_contract(talk.send(chat(text="text-first")).answer(), "provider_misconfigured"
                            if data.startswith(b"\x15\x03") else "provider_response_invalid")
        assert found.header("x-should-retry") is not None
        assert content(talk.send(chat(text="text-second")).answer()) == "text-second"


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("data", [row[1] for row in CUT], ids=[row[0] for row in CUT])
def test_answers_that_are_cut(stage: Stage, data: bytes, how: str) -> None:
    """An answer that is cut is 502 or 504 in contract, blames the provider, and the next request is served."""
    def script(line: Line) -> None:
        if b"text-cut" not in line.request():
            line.send(said(b"text-after"))
            return echo(line)
        line.send(data)
        if how == "reset":
            line.reset()

    stage.play(script)
    with Talk(stage.port) as talk:
        found = talk.send(chat(text="text-cut")).answer()
        assert found.status == 502 and found.header("x-edge-blame") == "upstream", found
        in_contract(found, found.header("x-edge-condition") or "")
        assert content(talk.send(chat(text="text-after")).answer()) == "text-after"


@pytest.mark.parametrize(("kind", "body"), [
    (b"text/html", b"<html><title>404 Not Found</title></html>"), (b"text/plain", b"not found"), (b"text/plain", b""),
    (b"application/json", b'{"detail": "Not Found"}'), (b"application/json", b'{"error": "not found"}'),
    (b"application/json", b'{"error": {"message": "cut'),
    (b"application/json", b'{"error": {"message": "%s"}}' % (b"long" * 20_000))],
    ids=["HTML", "text", "nothing", "detail", "string", "cut", "long"])
def test_refusals_in_a_form_of_their_own(stage: Stage, kind: bytes, body: bytes) -> None:
    """A provider's 404 that is no error of the dialect is told in contract, mostly as a wrong base_url."""
    head = b"HTTP/1.1 404 Not Found\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (kind, len(body))
    stage.play(once(head + body, end=False))
    spoken = b'{"error": {' in body
    in_contract(ask(stage.port, chat()), "provider_rejected" if spoken else "provider_misconfigured",
                status=404 if spoken else 502)
    stage.serves()


@pytest.mark.parametrize("size", [10, 300_000, 900_000])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("extra", [b"x", b"\r\n", POISON, POISON * 3], ids=["byte", "line", "answer", "answers"])
def test_bytes_behind_an_answer(stage: Stage, size: int, chunked: bool, extra: bytes) -> None:
    """What a provider sends behind its answer reaches nobody, not the request that waits for the connection."""
    body = GOOD % (b"long-" + b"l" * size)
    whole = OK + CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else answer(body)
    asked_for = threading.Event()

    def script(line: Line) -> None:
        while told := line.request():
            if b"text-long" in told:
                asked_for.set()
                time.sleep(0.03)                # so that the second request waits already
                line.send(whole + extra)
            else:
                begin = told.rfind(b"text-")
                line.send(said(told[begin:told.index(b'"', begin)]))

    stage.play(script)
    with Talk(stage.port) as first, Talk(stage.port) as second:
        first.send(chat(text="text-long"))
        assert asked_for.wait(5)
        second.send(chat(text="text-second"))
        assert content(first.answer()).startswith("long-")
        assert content(second.answer()) == "text-second"
    stage.serves()


def test_an_answer_before_anything_was_asked(stage: Stage) -> None:
    """A provider that talks on an idle connection is hung up on; its words answer nobody."""
    spoke = threading.Event()

    def script(line: Line) -> None:
        if spoke.is_set():
            return echo(line)
        line.request()
        line.send(said(b"text-first"))
        time.sleep(0.05)
        line.send(POISON)
        spoke.set()
        assert line.head() == b""

    stage.play(script)
    assert content(ask(stage.port, chat(text="text-first"))) == "text-first"
    assert spoke.wait(5)
    stage.serves()


def test_interim_answers(stage: Stage) -> None:
    """A few interim answers are passed over, in one piece with the final one or before it."""
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    stage.play(once(b"HTTP/1.1 100 Continue\r\n\r\n" + hints * 3 + said(b"fine"), end=False))
    found = ask(stage.port, chat())
    assert content(found) == "fine" and found.interim == [] and found.header("link") is None


def test_a_drip_of_interim_answers(stage: Stage) -> None:
    """A few interim answers are borne however they are cut; the ninth head without a final one is too many."""
    def script(line: Line) -> None:
        line.request()
        for _ in range(60):
            line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.02)

    stage.play(script)
    begun = time.monotonic()
    in_contract(ask(stage.port, chat()), "provider_response_invalid")
    assert time.monotonic() - begun < 0.8
    stage.play(echo)
    stage.serves()


def test_a_head_that_drips(stage: Stage) -> None:
    """A provider's head that comes by a letter now and then does not put off the first byte's deadline."""
    def script(line: Line) -> None:
        line.request()
        line.send(OK)
        for _ in range(60):
            line.send(b"x: y\r\n")
            time.sleep(0.05)

    stage.play(script)
    begun = time.monotonic()
    in_contract(ask(stage.port, chat()), "provider_timeout")
    assert 0.9 < time.monotonic() - begun < 1.6
    stage.play(echo)
    stage.serves()


def test_fields_of_a_provider(stage: Stage) -> None:
    """A provider's fields cannot speak for the gateway: what the gateway says is there once, and is the gateway's."""
    theirs = (b"x-request-id: theirs", b"request-id: theirs", b"x-ratelimit-limit: 7", b"x-ratelimit-remaining: 7",
              b"x-ratelimit-reset: 7", b"x-edge-condition: ok", b"x-edge-blame: client", b"connection: x-hop",
              b"x-hop: 1", b"keep-alive: timeout=1", b"proxy-authenticate: Basic", b"upgrade: h2c", b"x-kept: yes")
    stage.play(once(answer(GOOD % b"fine", *theirs), end=False))
    found = ask(stage.port, chat())
    assert content(found) == "fine" and found.header("x-kept") == "yes"
    for name in ("x-request-id", "request-id", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"):
        assert found.header(name) not in ("theirs", "7", None), name
    for name in ("x-hop", "keep-alive", "proxy-authenticate", "upgrade", "connection", "x-edge-condition",
                 "x-edge-blame"):
        assert found.header(name) is None, name
    assert found.header("content-length") == str(len(found.body))


def test_no_retry_of_what_may_have_been_processed(stage: Stage) -> None:
    """A new connection that breaks after the request was sent is an error: the request may have been worked on."""
    seen: list[int] = []

    def script(line: Line) -> None:
        if line.request():
            seen.append(line.number)

    stage.play(script)
    in_contract(ask(stage.port, chat()), "provider_disconnected")
    assert len(seen) == 1


@pytest.mark.parametrize("how", ["close", "reset"])
def test_kept_connection_that_the_provider_has_just_closed(stage: Stage, how: str) -> None:
    """Two fast requests on one connection, which the provider closes behind the first answer, are both answered."""
    def script(line: Line) -> None:
        told = line.request()
        begin = told.rfind(b"text-")
        line.send(said(told[begin:told.index(b'"', begin)]))
        if how == "reset":
            line.reset()

    stage.play(script)
    with Talk(stage.port) as talk:
        for n in range(15):
            talk.send(chat(text=f"text-{n}a") + chat(text=f"text-{n}b"))
            assert content(talk.answer()) == f"text-{n}a"
            assert content(talk.answer()) == f"text-{n}b"


def test_surplus_that_is_found_together_with_the_next_request(stage: Stage) -> None:
    """A second answer that nobody asked for is not given to the client whose request the worker finds beside it."""
    asked, poisoned = threading.Event(), threading.Event()
    begun = stage.provider.connections

    def script(line: Line) -> None:
        if line.number > begun:
            return echo(line)
        line.request()
        line.send(said(b"text-first"))
        asked.wait(5)
        line.send(POISON)
        poisoned.set()
        line.request()

    stage.play(script)
    worker = stage.edge.children()[1]
    with Talk(stage.port) as talk:
        assert content(talk.send(chat(text="text-first")).answer()) == "text-first"
        os.kill(worker, signal.SIGSTOP)
        try:
            talk.send(chat(text="text-second"))
            asked.set()
            assert poisoned.wait(5)
        finally:
            os.kill(worker, signal.SIGCONT)
        assert content(talk.answer()) == "text-second"


def test_idle_connections_that_all_close_with_the_next_request(stage: Stage) -> None:
    """A request that crosses the closing of its connection is not sent on one that was idle for longer."""
    together = threading.Barrier(4)
    begun = stage.provider.connections

    def script(line: Line) -> None:
        if line.number >= begun + 4:
            return echo(line)
        line.request()
        together.wait(5)
        line.send(said(b"text-many"))
        line.request()

    stage.play(script)
    talks = [Talk(stage.port).send(chat("many-1", text="text-many")) for _ in range(4)]
    assert [content(talk.answer()) for talk in talks] == ["text-many"] * 4
    assert content(talks[0].send(chat("many-1", text="text-last")).answer()) == "text-last"
    for talk in talks:
        talk.socket.close()


def test_all_idle_connections_closed_at_once(stage: Stage) -> None:
    """When a provider has closed all of its idle connections, a request does not fail on one stale after the other."""
    together = threading.Barrier(6)

    def script(line: Line) -> None:
        line.request()
        together.wait(5)
        line.send(said(b"text-many"))
        echo(line)

    stage.play(script)
    worker = stage.edge.children()[1]
    talks = [Talk(stage.port).send(chat("many-1", text="text-many")) for _ in range(6)]
    assert [content(talk.answer()) for talk in talks] == ["text-many"] * 6
    os.kill(worker, signal.SIGSTOP)
    try:
        talks[0].send(chat("many-1", text="text-last"))
        stage.play(echo)
    finally:
        os.kill(worker, signal.SIGCONT)
    assert content(talks[0].answer()) == "text-last"
    for talk in talks:
        talk.socket.close()
