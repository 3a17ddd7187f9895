"""Response heads: as strict as requests, and every way in which a body may end."""

from __future__ import annotations

import random
from typing import Any

import pytest

from edge._fast.http import head


def outcome(data: bytes, **options: Any) -> dict[str, Any] | str | None:
    """What response_head makes of the bytes: a dict, the name of a refusal, None for more."""
    try:
        return head.response_head(data, **options)
    except head.HeadError as error:
        return error.result


def ok(fields: bytes = b"", line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A head of a line and some field lines."""
    return line + b"\r\n" + fields + b"\r\n"


def on(line: bytes, fields: bytes = b"") -> bytes:
    """A head with another status line."""
    return ok(fields, line)


CLOSED = {"has_body": True, "content_length": None, "chunked": False, "keep_alive": False}
NONE_ALIVE = {"has_body": False, "keep_alive": True}
NONE_CLOSED = {"has_body": False, "keep_alive": False}
CL, TE = b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"

ACCEPTED: list[tuple[str, bytes, dict[str, Any]]] = [
    ("9112 4", on(b"HTTP/1.1 200 OK", CL), {"status": 200, "minor": 1, "content_length": 5}),
    ("9112 4", on(b"HTTP/1.0 404 Not Found", CL), {"status": 404, "minor": 0}),
    ("9112 4", on(b"HTTP/1.1 599 \t a\x80\xff b ", CL), {"status": 599}),
    ("9112 4", on(b"HTTP/1.1 500 ", CL), {"status": 500}),
    ("own", on(b"HTTP/1.1 500", CL), {"status": 500}),
    ("9112 6.3", ok(), CLOSED),
    ("9112 6.3", ok(b"Connection: keep-alive\r\n"), CLOSED),
    ("9112 6.3", on(b"HTTP/1.0 200 OK"), CLOSED),
    ("9112 6.3", ok(TE), {"has_body": True, "chunked": True, "keep_alive": True, "content_length": None}),
    ("9112 6.3", ok(b"transfer-encoding:CHUNKED\r\n"), {"chunked": True}),
    ("9112 6.3", ok(CL), {"has_body": True, "content_length": 5, "keep_alive": True}),
    ("9112 6.3", ok(b"Content-Length: 0\r\n"), {"has_body": True, "content_length": 0, "keep_alive": True}),
    ("9110 15.2", on(b"HTTP/1.1 100 Continue"), {"status": 100, **NONE_ALIVE}),
    ("9110 15.2", on(b"HTTP/1.1 103 Early Hints", b"Link: a\r\n"), NONE_ALIVE),
    ("9110 15.3.5", on(b"HTTP/1.1 204 No Content"), NONE_ALIVE),
    ("9110 15.3.5", on(b"HTTP/1.1 204 No Content", b"Content-Length: 0\r\n"), NONE_ALIVE),
    ("9110 8.6", on(b"HTTP/1.1 204 No Content", CL), NONE_CLOSED),
    ("9112 6.1", on(b"HTTP/1.1 204 No Content", TE), NONE_CLOSED),
    ("9110 15.4.5", on(b"HTTP/1.1 304 Not Modified", CL), NONE_ALIVE),
    ("9110 15.4.5", on(b"HTTP/1.1 304 Not Modified"), NONE_ALIVE),
    ("9112 9.3", ok(CL + b"Connection: close\r\n"), {"keep_alive": False}),
    ("9112 9.3", ok(CL + b"Connection: Keep-Alive, Close\r\n"), {"keep_alive": False}),
    ("9112 9.3", on(b"HTTP/1.0 200 OK", CL), {"keep_alive": False}),
    ("9112 9.3", on(b"HTTP/1.0 200 OK", CL + b"Connection: keep-alive\r\n"), {"keep_alive": True}),
    ("9110 5.3", ok(CL + b"Content-Type: a/b\r\nContent-Type: a/c\r\nDate: a\r\nDate: b\r\n"), {"n": 5}),
    ("9110 10.2.3", ok(CL + b"Retry-After: 7\r\n"), {"known": {b"content-length": 0}, "n": 2}),
    ("9110 7.2", ok(CL + b"Host: a b\r\nHost: c\r\nExpect: x\r\n"), {"n": 4}),
    ("9110 5.5", ok(CL + b"a: \xe9\r\n"), {"n": 2}),
]

REFUSED: list[tuple[str, bytes, str]] = [
    ("9112 4", b"\r\n" + ok(), "bad"),
    ("9112 4", b" " + ok(), "bad"),
    ("9112 4", on(b""), "bad"),
    ("9112 4", on(b"HTTP/1.1"), "bad"),
    ("9112 4", on(b"HTTP/1.1 "), "bad"),
    ("9112 4", on(b"HTTP/1.1  200 OK"), "bad"),
    ("9112 4", on(b"HTTP/1.1\t200 OK"), "bad"),
    ("9112 4", on(b"HTTP/1.1 20 OK"), "bad"),
    ("9112 4", on(b"HTTP/1.1 2000 OK"), "bad"),
    ("9112 4", on(b"HTTP/1.1 2x0 OK"), "bad"),
    ("9112 4", on(b"HTTP/1.1 +20 OK"), "bad"),
    ("9112 4", on(b"HTTP/1.1 200OK"), "bad"),
    ("9112 4", on(b"HTTP/1.1 200\tOK"), "bad"),
    ("9110 15", on(b"HTTP/1.1 000 OK"), "bad"),
    ("9110 15", on(b"HTTP/1.1 099 OK"), "bad"),
    ("9110 15", on(b"HTTP/1.1 600 OK"), "bad"),
    ("9110 15", on(b"HTTP/1.1 999 OK"), "bad"),
    ("9110 15.2.2", on(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket\r\n"), "bad"),
    ("9112 4", on(b"HTTP/1.1 200 O\x00K"), "bad"),
    ("9112 4", on(b"HTTP/1.1 200 O\x7fK"), "bad"),
    ("9112 4", on(b"HTTP/1.1 200 O\x1bK"), "bad"),
    ("9112 2.2", b"HTTP/1.1 200 OK\n\n", "bad"),
    ("9112 2.2", b"HTTP/1.1 200 OK\r\r\n", "bad"),
    ("9112 2.2", b"HTTP/1.1 200 OK\ra: b\r\n\r\n", "bad"),
    ("9112 2.3", on(b"HTTP/2.0 200 OK"), "version"),
    ("9112 2.3", on(b"HTTP/1.2 200 OK"), "version"),
    ("9112 2.3", on(b"HTTP/0.9 200 OK"), "version"),
    ("9112 2.3", on(b"HTTP/2 200"), "bad"),
    ("9112 2.3", on(b"http/1.1 200 OK"), "bad"),
    ("9112 2.3", on(b"ICY 200 OK"), "bad"),
    ("own", b"<html>", "bad"),
    ("own", b"\x15\x03\x01\x00\x02\x02\x16", "bad"),
    ("9112 5.1", ok(b"a : b\r\n"), "bad"),
    ("9112 5.2", ok(b"a: b\r\n c\r\n"), "bad"),
    ("9112 5.1", ok(b": b\r\n"), "bad"),
    ("9112 5.1", ok(b"a\r\n"), "bad"),
    ("9110 5.5", ok(b"a: \x00\r\n"), "bad"),
    ("9110 5.5", ok(b"a: b\x0bc\r\n"), "bad"),
    ("9112 2.2", ok(b"a: b\nc: d\r\n"), "bad"),
    ("9112 2.2", ok(b"a: b\rc: d\r\n"), "bad"),
    ("9112 6.3", ok(CL + TE), "bad"),
    ("9112 6.3", ok(TE + CL), "bad"),
    ("9110 8.6", ok(CL + CL), "bad"),
    ("9112 6.3", ok(CL + b"Content-Length: 6\r\n"), "bad"),
    ("9112 6.3", ok(b"Content-Length: 5, 5\r\n"), "bad"),
    ("9110 8.6", ok(b"Content-Length: \r\n"), "bad"),
    ("9110 8.6", ok(b"Content-Length: -1\r\n"), "bad"),
    ("9110 8.6", ok(b"Content-Length: 5 a\r\n"), "bad"),
    ("9110 8.6", ok(b"Content-Length: 99999999999999999999\r\n"), "bad"),
    ("9112 6.1", ok(TE + TE), "bad"),
    ("9112 6.1", ok(b"Transfer-Encoding:\r\n"), "bad"),
    ("9112 6.1", on(b"HTTP/1.0 200 OK", TE), "bad"),
    ("9112 6.1", ok(b"Transfer-Encoding: gzip, chunked\r\n"), "coding"),
    ("9112 6.1", ok(b"Transfer-Encoding: identity\r\n"), "bad"),
    ("9112 6.1", on(b"HTTP/1.1 100 Continue", TE), "bad"),
    ("9110 8.6", on(b"HTTP/1.1 103 Early Hints", CL), "bad"),
    ("9110 7.6.1", ok(b"Connection: a b\r\n"), "bad"),
    ("own", ok(b"a: b\r\n" * 129), "large"),
    ("own", ok(b"a" * 257 + b": b\r\n"), "large"),
    ("own", ok(b"a: " + b"b" * 65536), "large"),
]


@pytest.mark.parametrize(("section", "data", "wanted"), ACCEPTED)
def test_accepts(section: str, data: bytes, wanted: dict[str, Any]) -> None:
    """A head that the RFCs allow is read as they say."""
    found = outcome(data)
    assert isinstance(found, dict), (section, found)
    found["n"] = len(found["fields"])
    assert {name: found[name] for name in wanted} == wanted, section
    assert found["size"] == len(data)


@pytest.mark.parametrize(("section", "data", "wanted"), REFUSED)
def test_refuses(section: str, data: bytes, wanted: str) -> None:
    """A head that the RFCs forbid, or leave open to two readings, is refused for the right reason."""
    assert outcome(data) == wanted, section


@pytest.mark.parametrize("data", [row[1] for row in ACCEPTED] + [row[1] for row in REFUSED])
def test_cuts_do_not_matter(data: bytes) -> None:
    """Whole, byte by byte, or with a body behind it, a head has one result."""
    whole = outcome(data)
    cuts = range(len(data) + 1) if len(data) < 2000 else random.Random(0).sample(range(len(data)), 50)
    results = [outcome(data[:cut]) for cut in sorted(cuts)]
    decided = next((i for i, result in enumerate(results) if result is not None), len(results))
    assert all(result == whole for result in results[decided:])
    for tail in (b"\r\n", b"HTTP/1.1 200 OK\r\n", bytes(range(256)), b"\r\n\r\n" * 20_000):
        assert outcome(data + tail) == whole


@pytest.mark.parametrize("fields", [b"", CL, TE])
def test_answers_to_head_have_no_body(fields: bytes) -> None:
    """An answer to HEAD has no body whatever its fields say, and the connection stays (RFC 9112 6.3)."""
    found = outcome(ok(fields), to_head=True)
    assert isinstance(found, dict)
    assert (found["has_body"], found["keep_alive"]) == (False, True)
