"""The admin port's HTTP: connections, framing, and clients that are not as they should be."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

import pytest

from edge.control import server
from edge.process.channel import Kind
from tests.control.running import WAIT_SECONDS, Running

Start = Callable[..., Running]
LIVEZ = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
LAST = LIVEZ.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
OTHER = LIVEZ.replace(b"\r\n\r\n", b"\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
ORDER = b"POST /admin/circuits HTTP/1.1\r\nhost: localhost\r\n"


def statuses(answers: bytes) -> list[int]:
    """The statuses of answers, one behind the other."""
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


def test_requests_behind_each_other_are_answered_in_order(start: Start) -> None:
    """A connection lives on after an answer, and requests that come at once are answered in their order."""
    missing = LIVEZ.replace(b"livez", b"nowhere")
    assert statuses(start().raw(LIVEZ + missing + LIVEZ + LAST)) == [200, 404, 200, 200]


def test_pieces_make_a_request(start: Start) -> None:
    """A request that comes byte by byte is one request."""
    with socket.create_connection(("127.0.0.1", start().port), timeout=WAIT_SECONDS) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in LAST:
            client.sendall(bytes([byte]))
        assert statuses(b"".join(iter(lambda: client.recv(65536), b""))) == [200]


@pytest.mark.parametrize("request_", [LAST, LIVEZ.replace(b"1.1", b"1.0"), OTHER])
def test_last_answers_say_so(start: Start, request_: bytes) -> None:
    """Who closes, speaks HTTP/1.0, or would change the protocol gets its answer, and the end of the connection."""
    answer = start().raw(request_)
    assert statuses(answer) == [200]
    assert b"\r\nconnection: close\r\n" in answer


def test_head_has_no_body(start: Start) -> None:
    """HEAD is answered with the fields of GET and without its body."""
    running = start()
    head, _, body = running.raw(LAST.replace(b"GET", b"HEAD")).partition(b"\r\n\r\n")
    assert b"\r\ncontent-length: 15" in head and body == b""


def test_bodies_are_awaited(start: Start) -> None:
    """Who asks before it sends a body is told to go on, and a chunked body is read as another."""
    running = start()
    with socket.create_connection(("127.0.0.1", running.port), timeout=WAIT_SECONDS) as client:
        client.sendall(ORDER + b"transfer-encoding: chunked\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n")
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b'1\r\n[\r\n1\r\n]\r\n0\r\n\r\n')
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert statuses(answer) == [400] and b"expected a JSON object" in answer


@pytest.mark.parametrize(("data", "status"), [
    (LIVEZ.replace(b"\r\n\r\n", b"\r\nx: ") + b"x" * 1_000_000, 431),
    (LIVEZ.replace(b"\r\n\r\n", b"\r\n") + b"x: y\r\n" * 100_000, 431),
    (ORDER + b"content-length: 3000000\r\n\r\n" + b"x" * 3_000_000, 413),
    (ORDER + b"content-length: 65537\r\n\r\n", 413),
    (LIVEZ + ORDER + b"expect: 100-continue\r\ncontent-length: 18446744073709551615\r\n\r\n", 413),
    (LIVEZ + b"no http\r\n\r\n", 400)])
def test_what_cannot_be_is_refused_behind_what_can(start: Start, data: bytes, status: int) -> None:
    """What is too large or no HTTP is refused in contract, after the answers to what came before, and can be read."""
    running = start()
    answers = running.raw(data)
    assert statuses(answers) == [200] * data.count(LIVEZ) + [status]
    assert b"\r\nconnection: close\r\n" in answers and b'"error"' in answers
    assert running.ask("/livez").status == 200


@pytest.mark.parametrize("data", [b"", b"GET /livez HTT", LIVEZ])
def test_patience_has_an_end(start: Start, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """A connection on which no whole request comes in time is closed, be it new or kept."""
    monkeypatch.setattr(server, "WAIT_SECONDS", 0.1)
    assert statuses(start().raw(data)) == [200] * data.count(LIVEZ)


def test_the_end_waits_for_no_answer_for_long(start: Start) -> None:
    """A process that is told to end closes connections that wait, and one that is being answered soon after."""
    running = start()
    with socket.create_connection(("127.0.0.1", running.port), timeout=WAIT_SECONDS) as client:
        client.sendall(ORDER.replace(b"circuits", b"reload") + b"\r\n")
        assert running.hear().kind == Kind.RELOAD
        os.kill(running.pid, signal.SIGTERM)
        assert running.ended()
