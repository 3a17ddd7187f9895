"""h11 and httptools as oracles: heads are accepted only where both accept, and read as both read them.

What we accept beyond them is named here: an empty line before a request (RFC 9112 2.2; h11 does not skip it)
and methods that nobody registered (RFC 9110 9.1; httptools has a list).
"""

from __future__ import annotations

import random
from typing import Any

import h11
import httptools
import pytest
from h11._connection import _body_framing
from hypothesis import event, given, settings
from hypothesis import strategies as st

from edge._fast import head

BODY = b"0123456789abcdefghijklmnopqrstuvwxyz"
CHUNKED = b"24\r\n" + BODY + b"\r\n0\r\n\r\n"

TOKENS = st.text("abcXYZ019-_.!#$%&'*+^`|~", min_size=1, max_size=20).map(str.encode)
VALUES = st.one_of(
    st.sampled_from([b"", b"a", b"a b", b"a\tb", b"a, b;q=1", b"\xe9\xff", b'"q"', b"x" * 40]),
    st.binary(max_size=24).map(lambda raw: bytes(c for c in raw if c == 9 or 32 <= c != 127).strip(b" \t")),
)
SPACE = st.sampled_from([b" ", b"", b"  ", b"\t", b" \t "])
METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND"]
TARGETS = [b"/", b"/v1/completions", b"/a?b=c&d", b"//", b"/%41%0a/..", b"/a;b=c,d?e=[f]"]
LENGTHS = [b"Content-Length: 36", b"content-length:036", b"Content-Length: 0"]
CODINGS = [b"Transfer-Encoding: chunked", b"TRANSFER-encoding:\tChunked "]
CONNECTIONS = [
    *(b"", b"", b"Connection: close", b"Connection: keep-alive", b"connection: Keep-Alive, x-a"),
    b"Connection: upgrade, close",
]
RUDE = [
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b",", b"\0", b"\x0b", b"\x7f", b"\xa0"),
    *(b"\r\n ", b" :", b"%", b"#", b"1", b"+", b"-", b"0x", b"a", b"chunked", b"HTTP/1.0"),
    *(b"HTTP/2.0", b"HTTP/1.1 "),
    *(b"\r\nHost: b", b"\r\nContent-Length: 36", b"\r\nContent-Length: 5", b"\r\nTransfer-Encoding: chunked"),
    *(b"\r\nTransfer-Encoding: gzip, chunked", b"\r\nTransfer-Encoding: identity", b"\r\nUpgrade: h2c"),
    *(b"\r\nExpect: 100-continue", b"\r\nConnection: upgrade", b"\r\na: b", b"\r\nContent-Length:"),
]


@st.composite
def fields(draw: st.DrawFn, minor: int) -> bytes:
    """Field lines in some order, framing and Connection among them."""
    others = draw(st.lists(st.tuples(TOKENS.map(lambda name: b"z" + name), SPACE, VALUES, SPACE), max_size=6))
    lines = [name + b":" + before + value + after for name, before, value, after in others]
    framings = [b"", *LENGTHS, *CODINGS] if minor else [b"", *LENGTHS]
    lines += [draw(st.sampled_from(framings)), draw(st.sampled_from(CONNECTIONS))]
    return b"".join(line + b"\r\n" for line in draw(st.permutations(lines)) if line)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A head that is in order."""
    method, target = draw(st.sampled_from(METHODS)), draw(st.sampled_from(TARGETS))
    minor = draw(st.integers(0, 1))
    lines = draw(fields(minor))
    return b"%b %b HTTP/1.%d\r\nHost: example.com:80\r\n%b\r\n" % (method, target, minor, lines)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A head that is in order."""
    status = draw(st.sampled_from([b"200 OK", b"404 Not Found", b"500 ", b"201", b"302 \xe9", b"429 Too"]))
    minor = draw(st.integers(0, 1))
    return b"HTTP/1.%d %b\r\n%b\r\n" % (minor, status, draw(fields(minor)))


@st.composite
def spoiled(draw: st.DrawFn, heads: st.SearchStrategy[bytes]) -> bytes:
    """A head into which something was put, or from which something was cut."""
    data = draw(heads)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.sampled_from(RUDE)) + data[at + draw(st.integers(0, 2)) :]
    return data


def outcome(data: bytes, response: bool) -> dict[str, Any] | str | None:
    """A dict, the name of a refusal, or None for more."""
    try:
        return head.response_head(data) if response else head.request_head(data)
    except head.HeadError as error:
        return error.result


def any_cut(data: bytes, response: bool, seed: int) -> dict[str, Any] | str | None:
    """The outcome, which is the same byte by byte and at random cuts."""
    whole = outcome(data, response)
    source = random.Random(seed)
    for cuts in (range(len(data)), sorted(source.randrange(len(data) + 1) for _ in range(4))):
        results = [outcome(data[:cut], response) for cut in cuts] + [whole]
        decided = next((i for i, result in enumerate(results) if result is not None), len(results))
        assert all(result == whole for result in results[decided:])
    return whole


class Seen:
    """What httptools reports of one message."""

    def __init__(self, data: bytes, response: bool) -> None:
        self.url, self.reason, self.body = b"", b"", b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.headed = self.ended = False
        self.parser = httptools.HttpResponseParser(self) if response else httptools.HttpRequestParser(self)
        self.feed(data)

    def feed(self, data: bytes) -> None:
        """Feed bytes; a switch of protocols is a matter for others."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.ended = True

    def on_url(self, url: bytes) -> None:
        """Called by the parser, perhaps in parts."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self.fields.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.headed = True
        self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self.body += body

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.ended = True


def wire_body(found: dict[str, Any]) -> tuple[bytes, bytes]:
    """A body as our reading of the head frames it, and its payload."""
    if not found["has_body"]:
        return b"", b""
    if found["chunked"]:
        return CHUNKED, BODY
    length = found["content_length"]
    return (BODY, BODY) if length is None else (b"x" * length, b"x" * length)


def agree_with_httptools(data: bytes, found: dict[str, Any], response: bool) -> None:
    """Method, target, version, fields, persistence and the body's extent are httptools' too."""
    seen = Seen(data, response)
    assert seen.headed
    assert seen.fields == [(name, value) for name, value, _ in found["fields"]]
    assert seen.parser.get_http_version() == f"1.{found['minor']}"
    if response:
        assert seen.parser.get_status_code() == found["status"]
    else:
        assert seen.parser.get_method() == found["method"]
        assert seen.url == found["path"] + found["query"]
    if b"upgrade" in data.lower():
        return
    wire, payload = wire_body(found)
    assert seen.ended == (not found["has_body"] or found["content_length"] == 0)
    if len(wire) < 1000:
        seen.feed(wire)
        assert seen.ended == (found["chunked"] or found["content_length"] is not None or wire == b"")
        assert seen.body == payload
    assert seen.keep_alive == found["keep_alive"]


def agree_with_h11(data: bytes, found: dict[str, Any], response: bool) -> None:
    """Method, target, version, fields and framing are h11's too."""
    connection = h11.Connection(h11.CLIENT if response else h11.SERVER)
    if response:
        connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.receive_data(data)
    message: Any = connection.next_event()
    assert isinstance(message, h11.Response | h11.InformationalResponse if response else h11.Request)
    assert message.http_version == b"1.%d" % found["minor"]
    fields = [(name, value) for name, value, _ in found["fields"]]
    if found["chunked"]:        # h11 writes the one coding it knows in lower case
        at = found["known"][b"transfer-encoding"]
        fields[at] = (fields[at][0], b"chunked")
    assert message.headers.raw_items() == fields
    if response:
        assert message.status_code == found["status"]
    else:
        assert (message.method, message.target) == (found["method"], found["path"] + found["query"])
    if isinstance(message, h11.InformationalResponse):
        return
    kind, size = _body_framing(b"GET", message)
    if not found["has_body"]:
        assert (kind, size) == ("content-length", (0,))
    elif found["chunked"]:
        assert kind == "chunked"
    elif found["content_length"] is not None:
        assert (kind, size) == ("content-length", (found["content_length"],))
    else:
        assert kind == "http/1.0"


def agree(data: bytes, found: dict[str, Any], response: bool) -> None:
    """Both oracles accept the head that we found in the bytes, and read it so."""
    data = data[: found["size"]]
    if not response and data.startswith(b"\r\n"):
        data = data[2:]
    agree_with_h11(data, found, response)
    if response or found["method"] in METHODS:
        agree_with_httptools(data, found, response)


def check(data: bytes, response: bool, seed: int) -> bool:
    """Whether we accept; where we do, both oracles accept and agree."""
    found = any_cut(data, response, seed)
    event("accepted" if isinstance(found, dict) else f"refused: {found}")
    if isinstance(found, dict):
        agree(data, found, response)
    return isinstance(found, dict)


@settings(max_examples=250, deadline=None)
@given(requests(), st.integers(0, 2**32))
def test_requests_in_order(data: bytes, seed: int) -> None:
    """A request in order is accepted, and read as both oracles read it."""
    assert check(data, False, seed)


@settings(max_examples=250, deadline=None)
@given(responses(), st.integers(0, 2**32))
def test_responses_in_order(data: bytes, seed: int) -> None:
    """A response in order is accepted, and read as both oracles read it."""
    assert check(data, True, seed)


@settings(max_examples=600, deadline=None)
@given(spoiled(requests()), st.integers(0, 2**32))
def test_spoiled_requests(data: bytes, seed: int) -> None:
    """A spoiled request is accepted only where both oracles accept, and then read as they read it."""
    check(data, False, seed)


@settings(max_examples=600, deadline=None)
@given(spoiled(responses()), st.integers(0, 2**32))
def test_spoiled_responses(data: bytes, seed: int) -> None:
    """A spoiled response is accepted only where both oracles accept, and then read as they read it."""
    check(data, True, seed)


@pytest.mark.parametrize("response", [False, True])
def test_bytes_in_every_place(response: bool) -> None:
    """Any byte put in any place is accepted only where both oracles accept, and then read as they read it."""
    start = b"HTTP/1.1 200 OK\r\n" if response else b"GET /a?b HTTP/1.1\r\n"
    data = start + b"Host: a\r\nConnection: close\r\nContent-Length: 36\r\n\r\n"
    accepted = 0
    for at in range(len(data)):
        for byte in range(256):
            for rest in (data[at:], data[at + 1 :]):
                changed = data[:at] + bytes([byte]) + rest
                found = outcome(changed, response)
                if isinstance(found, dict):
                    accepted += 1
                    if at % 5 == byte % 5 or not 32 < byte < 127:
                        agree(changed, found, response)
    assert accepted > 1000
