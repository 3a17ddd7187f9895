"""The admin port's server: HTTP/1.1 as httptools reads it, for one ASGI application (asgi.readthedocs.io).

Requests are small and few: one is answered when it is whole, and one after the other. Nothing here runs by a clock but
the patience with a client, so that an idle process sleeps.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import httptools
from starlette.types import ASGIApp, Message

from edge._fast import PHRASES, Condition, Slot
from edge.control.refusal import Refusal

MAX_HEAD = 65536            # bytes
MAX_BODY = 65536
BACKLOG = 2048
WAIT_SECONDS = 10.0         # for a request to be whole, from the connection's begin or from the last answer
END_SECONDS = 1.0           # that answers under way have when the process ends

log = logging.getLogger("edge")


@dataclass(slots=True)
class Request:
    """One request, as it comes."""

    target: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    length: int = 0             # of the body, as far as the head tells
    scope: dict[str, Any] = field(default_factory=dict)
    kept: bool = False          # whether the connection may live on after its answer


class Server:
    """Serves `app`; `refuse` renders what is refused before there is a request, as a whole answer."""

    def __init__(self, app: ASGIApp, refuse: Callable[[Refusal], bytes]) -> None:
        self.app = app
        self.refuse = refuse
        self.connections: set[Connection] = set()

    async def serve(self, listener: socket.socket, ending: asyncio.Event) -> None:
        """Until `ending`, and until what is being answered then has been, or its time is over."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), sock=listener, backlog=BACKLOG)
        await ending.wait()
        server.close()
        busy = [connection.task for connection in self.connections if connection.task is not None]
        if busy:
            await asyncio.wait(busy, timeout=END_SECONDS)
        for connection in list(self.connections):
            connection.transport.close()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.parser = httptools.HttpRequestParser(self)
        self.coming: Request | None = None          # the request that is being read
        self.head = 0                               # bytes that came for it before its head was whole
        self.requests: deque[Request] = deque()     # those that are whole
        self.task: asyncio.Task[None] | None = None
        self.refusal: Refusal | None = None         # after it nothing that comes is read any more
        self.reads = asyncio.Event()                # the client does
        self.reads.set()
        self.patience: asyncio.TimerHandle | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self.transport = cast(asyncio.Transport, transport)
        self.server.connections.add(self)
        self.be_patient()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self.server.connections.discard(self)
        self.requests.clear()
        self.reads.set()
        self.lose_patience()

    def pause_writing(self) -> None:
        """The client does not read."""
        self.reads.clear()

    def resume_writing(self) -> None:
        """It reads again."""
        self.reads.set()

    def data_received(self, data: bytes) -> None:
        """Some bytes of requests."""
        if self.refusal is not None:
            return
        self.head += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:         # to what we do not speak: HTTP goes on, RFC 9110 section 7.8
            if self.requests:
                self.requests[-1].kept = False
        except httptools.HttpParserError:
            self.refusal = Refusal(Condition.request_malformed)
        self.refusal = self.refusal or self.excess()
        if self.requests or self.refusal is not None:
            self.lose_patience()
            self.transport.pause_reading()
            self.task = asyncio.get_running_loop().create_task(self.answer_all())

    def excess(self) -> Refusal | None:
        """Why the request that is being read is too large, if it is."""
        if self.coming is not None and not self.coming.scope and self.head > MAX_HEAD:
            return Refusal(Condition.headers_too_large)
        if self.coming is not None and max(self.coming.length, len(self.coming.body)) > MAX_BODY:
            return Refusal(Condition.body_too_large, {Slot.S_LIMIT: MAX_BODY})
        return None

    # httptools

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.coming = Request()

    def on_url(self, target: bytes) -> None:
        """A part of its target."""
        assert self.coming is not None
        self.coming.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field."""
        assert self.coming is not None
        self.coming.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        assert self.coming is not None
        self.coming.scope = self.scope(self.coming)
        self.coming.kept = self.coming.scope["http_version"] == "1.1" and self.parser.should_keep_alive()
        self.coming.length = next((int(value) for name, value in self.coming.fields if name == b"content-length"), 0)
        if (b"expect", b"100-continue") in self.coming.fields and self.coming.length <= MAX_BODY:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """A part of the body, without its framing."""
        assert self.coming is not None
        if len(self.coming.body) <= MAX_BODY:
            self.coming.body += data

    def on_message_complete(self) -> None:
        """The request is whole."""
        assert self.coming is not None
        if len(self.coming.body) <= MAX_BODY:
            self.requests.append(self.coming)
            self.coming = None
        self.head = 0

    def scope(self, request: Request) -> dict[str, Any]:
        """What the application is told of a request (ASGI, HTTP connection scope)."""
        url = httptools.parse_url(request.target)
        client, server = (self.transport.get_extra_info(name) for name in ("peername", "sockname"))
        return {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "scheme": "http", "root_path": "",
            "http_version": self.parser.get_http_version(), "method": self.parser.get_method().decode("ascii"),
            "path": unquote(url.path.decode("ascii")), "raw_path": url.path, "query_string": url.query or b"",
            "headers": request.fields, "client": client and client[:2], "server": server and server[:2]}

    # answers

    async def answer_all(self) -> None:
        """What has come, in its order."""
        while self.requests:
            request = self.requests.popleft()
            await self.answer(request)
            if not request.kept:
                self.transport.close()
            await self.reads.wait()
        self.task = None
        if self.transport.is_closing():
            return
        if self.refusal is not None:
            self.transport.write(self.server.refuse(self.refusal))
            self.transport.write_eof()              # what still comes is taken in: else nobody would read this
        self.transport.resume_reading()
        self.be_patient()

    async def answer(self, request: Request) -> None:
        """One answer by the application. What it raises is a fault of ours, and it has answered so."""
        begun: Message = {}
        body = b""
        read = False

        async def receive() -> Message:
            nonlocal read
            first, read = not read, True
            return {"type": "http.request", "body": request.body} if first else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal begun, body
            if message["type"] == "http.response.start":
                begun = message
            else:
                body += message.get("body", b"")

        try:
            await self.server.app(request.scope, receive, send)
        except Exception:
            log.exception("internal error")
        if not begun:
            self.refusal = Refusal(Condition.internal_error)
            return
        status = begun["status"]
        fields = begun["headers"] if request.kept else [*begun["headers"], (b"connection", b"close")]
        head = f"HTTP/1.1 {status} {PHRASES.get(status) or HTTPStatus(status).phrase}\r\n".encode("ascii")
        head += b"".join(b"%s: %s\r\n" % field for field in fields)
        self.transport.write(head + b"\r\n" + (b"" if request.scope["method"] == "HEAD" else body))

    def be_patient(self) -> None:
        """From now on there is a time for the next request."""
        self.patience = asyncio.get_running_loop().call_later(WAIT_SECONDS, self.transport.close)

    def lose_patience(self) -> None:
        """It has come, or nobody is there."""
        if self.patience is not None:
            self.patience.cancel()
