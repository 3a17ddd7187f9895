"""h11 and httptools, two other readers of HTTP/1.1: what they make of heads and of chunked bodies."""

from __future__ import annotations

import re
from typing import Any

import h11
import httptools
from h11._connection import _body_framing

BODY = b"0123456789abcdefghijklmnopqrstuvwxyz"
CHUNKED = b"24\r\n" + BODY + b"\r\n0\r\n\r\n"
CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND"]


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


def origin_form(target: bytes) -> bytes:
    """A target without its scheme and authority, where it has them (RFC 9112 3.2.2)."""
    rest = re.sub(rb"(?i)\Ahttps?://[^/?]*", b"", target)
    return rest if rest == target or rest.startswith(b"/") else b"/" + rest


def wire_body(found: dict[str, Any]) -> tuple[bytes, bytes] | None:
    """A body as our reading of the head frames it, and its payload; None where it would be long."""
    if not found["has_body"]:
        return b"", b""
    if found["chunked"]:
        return CHUNKED, BODY
    length = found["content_length"]
    if length is None:
        return BODY, BODY
    return (b"x" * length, b"x" * length) if length < 1000 else None


def must_close(found: dict[str, Any]) -> bool:
    """Where httptools would go on and we may not: a 204 with a body's framing, which is forbidden (RFC 9110 8.6), and
    HTTP/1.0 with both options, of which "close" counts first (RFC 9112 9.3)."""
    options = b",".join(value for name, value, _ in found["fields"] if name.lower() == b"connection").lower()
    return ((found["status"] == 204 and (found["chunked"] or bool(found["content_length"])))
            or (found["minor"] == 0 and b"close" in options))


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
        assert origin_form(seen.url) == found["path"] + found["query"]
    if b"upgrade" in data.lower():
        return
    wire = wire_body(found)
    assert seen.ended == (not found["has_body"] or found["content_length"] == 0)
    if wire is not None:
        seen.feed(wire[0])
        assert seen.ended == (found["chunked"] or found["content_length"] is not None or wire[0] == b"")
        assert seen.body == wire[1]
    assert seen.keep_alive == found["keep_alive"] or (must_close(found) and not found["keep_alive"])


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
        assert (message.method, origin_form(message.target)) == (found["method"], found["path"] + found["query"])
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


def agree_on_head(data: bytes, found: dict[str, Any], response: bool) -> None:
    """Both accept the head that we found in the bytes, and read it so."""
    data = data[: found["size"]]
    if not response and data.startswith(b"\r\n"):
        data = data[2:]
    agree_with_h11(data, found, response)
    if response or found["method"] in METHODS:
        agree_with_httptools(data, found, response)


def h11_body(data: bytes) -> tuple[bytes, bytes, bool] | None:
    """What h11 makes of a chunked body: payload, rest, complete; None when it refuses."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(CHUNKED_HEAD + data)
    payload = b""
    try:
        while True:
            found = connection.next_event()
            if isinstance(found, h11.Data):
                payload += found.data
            elif isinstance(found, h11.EndOfMessage):
                return payload, bytes(connection.trailing_data[0]), True
            elif found is h11.NEED_DATA:
                return payload, b"", False
    except h11.RemoteProtocolError:
        return None


class Collector:
    """What httptools reports of a body."""

    def __init__(self) -> None:
        self.payload, self.ended = b"", 0

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        if not self.ended:
            self.payload += data

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.ended += 1


def httptools_body(data: bytes) -> tuple[bytes, bool] | None:
    """Payload and completeness from httptools, which does not say where it ended."""
    collector = Collector()
    try:
        httptools.HttpRequestParser(collector).feed_data(CHUNKED_HEAD + data)
    except httptools.HttpParserError:
        return (collector.payload, True) if collector.ended else None
    return collector.payload, bool(collector.ended)


def agree_on_body(data: bytes, found: tuple[bytes, bytes, bool]) -> None:
    """Both decode the body that we decoded, to the same payload and the same end."""
    theirs = h11_body(data)
    assert theirs is not None
    assert theirs[0] == found[0]
    assert httptools_body(data) == (found[0], found[2])
    if found[2]:
        assert theirs[1:] == found[1:]
