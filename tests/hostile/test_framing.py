"""Bytes that are no request, or two requests at once, on a bare socket: one answer in contract, then the end.

A parser's table is tested elsewhere; here it is the running gateway that must answer, close, and stay well.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.gateway import KEY, Gateway
from tests.support.looks import resident
from tests.support.simulator import Simulator
from tests.support.talk import Talk, ask, asked, chat, in_contract, request

BODY = b'{"model": "gpt-4o", "messages": [{}]}'
BEARER = f"authorization: Bearer {KEY}\r\n".encode()
JSON = b"content-type: application/json\r\n"
HOST = b"host: edge\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)
CHUNKED = b"transfer-encoding: chunked\r\n"

CLIENT_HELLO = bytes.fromhex(
    "16030100c8010000c40303" + "5a" * 32 + "20" + "a5" * 32 + "0008130213031301c02f0100") + b"\0" * 96


def post(fields: bytes, body: bytes = BODY, *, line: bytes = b"POST /v1/chat/completions HTTP/1.1",
         host: bytes = HOST) -> bytes:
    """A chat request with these fields beside the usual ones."""
    return line + b"\r\n" + host + BEARER + JSON + fields + b"\r\n" + body


def line(text: bytes) -> bytes:
    """A complete request with another first line."""
    return post(LENGTH, line=text)


NO_HTTP = [
    ("empty lines", b"\r\n\r\n\r\n"),
    ("text", b"hello there, who are you?\r\n\r\n"),
    ("zeros", b"\0" * 300),
    ("high bytes", bytes(range(128, 256)) * 4),
    ("a TLS ClientHello", CLIENT_HELLO),
    ("SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
    ("a PROXY protocol line", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + chat()),
    ("HTTP/0.9", b"GET /v1/models\r\n\r\n"),
    ("a response", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ("JSON alone", BODY + b"\r\n\r\n"),
]

MALFORMED = [
    ("bare LF", b"POST /v1/chat/completions HTTP/1.1\nhost: edge\n\n"),
    ("bare LF in the fields", post(LENGTH + b"a: b\nc: d\r\n")),
    ("bare CR", post(LENGTH + b"a: b\rc: d\r\n")),
    ("a folded line", post(LENGTH + b"x-long: one\r\n two\r\n")),
    ("a folded first field", post(LENGTH, host=b" " + HOST)),
    ("space before the colon", post(b"content-length : %d\r\n" % len(BODY))),
    ("a field without a colon", post(LENGTH + b"nonsense\r\n")),
    ("an empty name", post(LENGTH + b": value\r\n")),
    ("a NUL in a value", post(LENGTH + b"x: a\0b\r\n")),
    ("a NUL in a name", post(LENGTH + b"x\0y: a\r\n")),
    ("a NUL in the target", line(b"POST /v1/chat\0/completions HTTP/1.1")),
    ("a control byte in a value", post(LENGTH + b"x: a\x08b\r\n")),
    ("a space in the target", line(b"POST /v1/chat completions HTTP/1.1")),
    ("two spaces", line(b"POST  /v1/chat/completions HTTP/1.1")),
    ("a high byte in the target", line("POST /v1/chät HTTP/1.1".encode())),
    ("a fragment", line(b"POST /v1/chat/completions#x HTTP/1.1")),
    ("a backslash", line(b"POST /v1\\chat HTTP/1.1")),
    ("no method", line(b" /v1/chat/completions HTTP/1.1")),
    ("a method of 100 letters", line(b"P" * 100 + b" / HTTP/1.1")),
    ("absolute form of another scheme", line(b"POST ftp://edge/v1/chat/completions HTTP/1.1")),
    ("absolute form without a host", line(b"POST http:///v1/chat/completions HTTP/1.1")),
    ("absolute form with a user", line(b"POST http://user@edge/v1/chat/completions HTTP/1.1")),
    ("absolute form with two slashes less", line(b"POST http:/v1/chat/completions HTTP/1.1")),
    ("absolute form without Host", post(LENGTH, line=b"POST http://edge/v1/chat/completions HTTP/1.1", host=b"")),
    ("an asterisk with GET", line(b"GET * HTTP/1.1")),
    ("chunked twice", post(b"transfer-encoding: chunked, chunked\r\n")),
    ("gzip behind chunked", post(b"transfer-encoding: chunked, gzip\r\n")),
    ("gzip alone", post(b"transfer-encoding: gzip\r\n")),
    ("identity", post(b"transfer-encoding: identity\r\n")),
    ("xchunked", post(b"transfer-encoding: xchunked\r\n")),
    ("an unknown coding", post(b"transfer-encoding: br, chunked\r\n")),
    ("chunked with a parameter", post(b"transfer-encoding: chunked;a=b\r\n")),
    ("authority form", line(b"CONNECT provider.example:443 HTTP/1.1")),
    ("no Host", post(LENGTH, host=b"")),
    ("two Hosts", post(LENGTH, host=HOST * 2)),
    ("two Hosts that differ", post(LENGTH, host=HOST + b"host: other\r\n")),
    ("a Host with a path", post(LENGTH, host=b"host: edge/path\r\n")),
    ("a Host with a user", post(LENGTH, host=b"host: user@edge\r\n")),
    ("a Host with a space", post(LENGTH, host=b"host: ed ge\r\n")),
    ("two Hosts in one", post(LENGTH, host=b"host: edge, other\r\n")),
    ("two Authorizations", post(LENGTH + b"authorization: Bearer other\r\n")),
    ("equal Content-Lengths", post(LENGTH * 2)),
    ("Content-Lengths that differ", post(LENGTH + b"content-length: 1\r\n")),
    ("a list of Content-Lengths", post(b"content-length: 37, 37\r\n")),
    ("a negative Content-Length", post(b"content-length: -1\r\n")),
    ("a signed Content-Length", post(b"content-length: +37\r\n")),
    ("a hexadecimal Content-Length", post(b"content-length: 0x25\r\n")),
    ("an empty Content-Length", post(b"content-length:\r\n")),
    ("a Content-Length beyond 64 bits", post(b"content-length: 99999999999999999999\r\n")),
    ("a Content-Length that wraps", post(b"content-length: 18446744073709551653\r\n")),
    ("Content-Length and Transfer-Encoding", post(LENGTH + CHUNKED)),
    ("Transfer-Encoding and Content-Length", post(CHUNKED + LENGTH)),
    ("two Transfer-Encodings", post(CHUNKED * 2, b"0\r\n\r\n")),
    ("Transfer-Encoding in HTTP/1.0", post(CHUNKED, b"0\r\n\r\n", line=b"POST /v1/chat/completions HTTP/1.0")),
]

OTHER_HEADS = [
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0", "version_unsupported"),
    ("HTTP/3.0", line(b"GET / HTTP/3.0"), "version_unsupported"),
    ("HTTP/1.2", line(b"GET / HTTP/1.2"), "version_unsupported"),
    ("gzip, chunked", post(b"transfer-encoding: gzip, chunked\r\n"), "not_implemented"),
    ("deflate, chunked", post(b"Transfer-Encoding: Deflate , Chunked\r\n"), "not_implemented"),
    ("chunked with a vertical tab", post(b"transfer-encoding: \x0bchunked\r\n"), "request_malformed"),
    ("headers of 100 KB", post(LENGTH + b"cookie: %s\r\n" % (b"c" * 100_000)), "headers_too_large"),
    ("100 KB of fields", post(LENGTH + b"x-field: %s\r\n" % (b"v" * 1000) * 100), "headers_too_large"),
    ("200 fields", post(LENGTH + b"x: y\r\n" * 200), "headers_too_large"),
    ("a name of 10 KB", post(LENGTH + b"n" * 10_000 + b": v\r\n"), "headers_too_large"),
    ("headers without an end", b"GET / HTTP/1.1\r\n" + b"x-field: aaaaaaaaaaaaaaaa\r\n" * 20_000, "headers_too_large"),
    ("a target of 100 KB", line(b"POST /" + b"a" * 100_000 + b" HTTP/1.1"), "uri_too_long"),
    ("a query of 100 KB", line(b"POST /v1/chat/completions?" + b"a" * 100_000 + b" HTTP/1.1"), "uri_too_long"),
]

BAD_BODIES = [
    ("a size that is none", b"xyz\r\nhello\r\n0\r\n\r\n"),
    ("a negative size", b"-5\r\nhello\r\n0\r\n\r\n"),
    ("a size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("a size behind a space", b" 5\r\nhello\r\n0\r\n\r\n"),
    ("a size before a space", b"5 \r\nhello\r\n0\r\n\r\n"),
    ("an empty size", b"\r\nhello\r\n0\r\n\r\n"),
    ("a size of 2^64 + 5", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a size of 100 zeros", b"0" * 100 + b"5\r\nhello\r\n0\r\n\r\n"),
    ("a size too small", b"4\r\nhello\r\n0\r\n\r\n"),
    ("a size too large", b"6\r\nhello\r\n0\r\n\r\n"),
    ("LF behind the size", b"5\nhello\r\n0\r\n\r\n"),
    ("LF behind the chunk", b"5\r\nhello\n0\r\n\r\n"),
    ("CR behind the size", b"5\rhello\r\n0\r\n\r\n"),
    ("a nameless extension", b"5;\r\nhello\r\n0\r\n\r\n"),
    ("an extension with a NUL", b"5;a=\0\r\nhello\r\n0\r\n\r\n"),
    ("an extension with LF", b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    ("an open quotation", b'5;a="b\r\nhello\r\n0\r\n\r\n'),
    ("an extension of 10 KB", b"5;a=" + b"b" * 10_000 + b"\r\nhello\r\n0\r\n\r\n"),
    ("extensions of 10 KB in all", b"1;abcdefgh=ijklmno\r\nx\r\n" * 600 + b"0\r\n\r\n"),
    ("a trailer that is none", b"0\r\nnonsense\r\n\r\n"),
    ("a folded trailer", b"0\r\na: b\r\n c\r\n\r\n"),
    ("a trailer with a NUL", b"0\r\na: \0\r\n\r\n"),
    ("trailers of 100 KB", b"0\r\n" + b"x-trailer: aaaaaaaa\r\n" * 5000 + b"\r\n"),
    ("LF at the end", b"0\r\n\n"),
]


def named(rows: Sequence[tuple[Any, ...]]) -> Any:
    """Arguments of parametrize: the first column is the name."""
    return {"argvalues": [row[1:] if len(row) > 2 else row[1] for row in rows], "ids": [str(row[0]) for row in rows]}


def refused(edge: Gateway, data: bytes, condition: str, *, byte_by_byte: bool = False) -> None:
    """One answer, then the end, and not by a reset that could take the answer with it."""
    with Talk(edge.port) as talk:
        talk.send(*(data[i:i + 1] for i in range(len(data)))) if byte_by_byte else talk.send(data)
        answer = in_contract(talk.answer(), condition)
        assert answer.header("connection") == "close"
        assert talk.end() in ("fin", "reset" if byte_by_byte else "fin")


@pytest.mark.parametrize("data", **named(NO_HTTP))
def test_garbage(edge: Gateway, data: bytes) -> None:
    """What is no HTTP gets 400 in contract, and the connection is closed."""
    refused(edge, data, "request_malformed")


@pytest.mark.parametrize("data", **named(MALFORMED))
def test_malformed_heads(edge: Gateway, simulator: Simulator, data: bytes) -> None:
    """What RFC 9112 forbids, or what two parsers could read in two ways, gets 400 and never reaches a provider."""
    refused(edge, data, "request_malformed")
    refused(edge, data, "request_malformed", byte_by_byte=True)
    assert all(seen["model"] == "canary" for seen in simulator.requests())


@pytest.mark.parametrize("data, condition", **named(OTHER_HEADS))
def test_heads_with_a_status_of_their_own(edge: Gateway, data: bytes, condition: str) -> None:
    """Too large is 431, too long 414, another version 505, another coding 501, each in contract."""
    refused(edge, data, condition)


@pytest.mark.parametrize("body", **named(BAD_BODIES))
def test_broken_chunks(edge: Gateway, simulator: Simulator, body: bytes) -> None:
    """A body whose chunks are broken gets 400, however it is cut, and never reaches a provider."""
    data = post(CHUNKED, body)
    refused(edge, data, "body_unreadable")
    if len(data) < 2000:
        refused(edge, data, "body_unreadable", byte_by_byte=True)
    assert all(seen["model"] == "canary" for seen in simulator.requests())


def test_words_of_an_unknown_coding(edge: Gateway) -> None:
    """A transfer coding that is not spoken here is named as such, not taken for a matter of models."""
    answer = ask(edge.port, post(b"transfer-encoding: gzip, chunked\r\n"))
    message = answer.json["error"]["message"].lower()
    assert "transfer" in message and "model" not in message


def test_random_bytes(edge: Gateway) -> None:
    """Random bytes with line ends get an answer in contract, or are waited for as the beginning of a request."""
    chance = random.Random(os.environ.get("EDGE_SEED", "hostile"))
    for _ in range(60):
        data = bytes(chance.choice(b"\r\n :/GETPOSTHTTP1.0\0\xff") for _ in range(chance.randrange(1, 400)))
        with Talk(edge.port) as talk:
            in_contract(talk.send(data + b"\r\n\r\n\r\n\r\n").answer(), "request_malformed")
            assert talk.end() == "fin"


def test_what_follows_garbage_is_not_read(edge: Gateway, simulator: Simulator) -> None:
    """A request behind a malformed one is not served: nobody knows where it begins."""
    with Talk(edge.port) as talk:
        in_contract(talk.send(post(LENGTH * 2) + chat("smuggled") * 3).answer(), "request_malformed")
        assert talk.end() == "fin"
    assert "smuggled" not in {seen["model"] for seen in simulator.requests()}


def test_shorter_than_content_length_says(edge: Gateway) -> None:
    """A Content-Length below the body's size ends the request there; the rest is refused as the next one."""
    with Talk(edge.port) as talk:
        talk.send(post(b"content-length: %d\r\n" % (len(BODY) - 1)))
        in_contract(talk.answer(), "json_invalid")
        in_contract(talk.answer(), "request_malformed")
        assert talk.end() == "fin"
    with Talk(edge.port) as talk:
        talk.send(post(b"content-length: %d\r\n" % len(BODY), BODY + b'{"a": 1}\r\n'))
        assert talk.answer().status == 200
        in_contract(talk.answer(), "request_malformed")
        assert talk.end() == "fin"


@pytest.mark.parametrize("size", [2 << 30, 1 << 40, 10**18 - 1], ids=["2 GB", "1 TB", "1 EB"])
def test_huge_content_length(edge: Gateway, size: int) -> None:
    """413 comes on the head alone, without reading or reserving the body."""
    before = resident(edge.children()[1])
    with Talk(edge.port) as talk:
        answer = in_contract(talk.send(post(b"content-length: %d\r\n" % size, b"")).answer(), "body_too_large")
        assert "33554432" in answer.json["error"]["message"]
        assert talk.end() == "fin"
    assert resident(edge.children()[1]) - before < 1_000_000


def test_huge_content_length_with_a_client_that_sends(edge: Gateway) -> None:
    """A client that sends on regardless can still read its 413."""
    with Talk(edge.port) as talk:
        talk.send(post(b"content-length: %d\r\n" % (2 << 30), b"x" * 1_000_000))
        in_contract(talk.answer(), "body_too_large")


def test_huge_chunked_body(edge: Gateway) -> None:
    """A chunked body over the limit gets 413 as soon as it is over, and is not kept."""
    piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with Talk(edge.port) as talk:
        talk.send(post(CHUNKED, b""), *([piece] * 34))
        in_contract(talk.answer(), "body_too_large")


def test_expect_continue(edge: Gateway) -> None:
    """A client that asks first gets 100 or the refusal, before it sends a body."""
    expect = b"expect: 100-continue\r\n"
    with Talk(edge.port) as talk:
        talk.send(post(LENGTH + expect, b""))
        assert talk.socket.recv(1000).startswith(b"HTTP/1.1 100 ")
        assert talk.send(BODY).answer().status == 200
        talk.send(post(b"content-length: 2147483648\r\n" + expect, b""))
        in_contract(talk.answer(), "body_too_large")


def test_good_requests_with_odd_clothes(edge: Gateway) -> None:
    """What RFC 9112 allows is served: an empty line before, odd case, chunks of every kind, trailers, HTTP/1.0."""
    chunks = b"1;a=b\r\n{\r\n" + b"%X\r\n%s\r\n" % (len(BODY) - 1, BODY[1:]) + b"000\r\nx-trailer: y\r\n\r\n"
    assert ask(edge.port, b"\r\n" + chat()).status == 200
    assert ask(edge.port, post(b"TRANSFER-encoding:\tChunked \r\n", chunks)).status == 200
    with Talk(edge.port) as talk:
        talk.send(post(LENGTH, line=b"POST /v1/chat/completions HTTP/1.0", host=b""))
        assert talk.answer().status == 200
        assert talk.end() == "fin"
    fields = {f"x-{number}": "v" * 100 for number in range(100)}
    assert ask(edge.port, request(asked(), **fields)).status == 200
