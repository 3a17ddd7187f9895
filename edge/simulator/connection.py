"""One client's connection: requests in, one answer at a time out."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

from edge.simulator.faults import Fault
from edge.simulator.framing import End
from edge.simulator.playback import Playback
from edge.simulator.providers import Exchange, Providers
from edge.simulator.request import Request

MAX_BODY = 64 << 20
QUEUED = 64                             # pipelined requests that wait for their turn
LINGER_ZERO = struct.pack("ii", 1, 0)   # close() then sends a RST: socket(7)
BAD_REQUEST = (b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 11\r\n"
               b"connection: close\r\n\r\nbad request")
TOO_LARGE = (b"HTTP/1.1 413 Content Too Large\r\ncontent-type: text/plain\r\ncontent-length: 14\r\n"
             b"connection: close\r\n\r\nbody too large")


class Connection(asyncio.Protocol):
    """Parses what comes (httptools), hands whole requests to the providers, plays their answers in order.

    It is one of `connections` while it is open. A fault that takes all of them away is left to `outage`.
    """

    def __init__(self, providers: Providers, connections: set[Connection], outage: Callable[[Fault], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._providers = providers
        self._connections = connections
        self._outage = outage
        self._number = providers.next_connection()
        self.transport: asyncio.Transport
        self._exchange: Exchange | None = None      # the one that is being answered
        self._playback: Playback | None = None
        self._full = False                          # the client does not read
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Request] = deque()
        self._early = False                         # the request that is being read is answered already
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected. TCP_NODELAY is set: uvloop does so on every TCP connection."""
        self.transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Some bytes of requests."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(BAD_REQUEST)

    def pause_writing(self) -> None:
        """The client does not read."""
        self._full = True
        if self._playback is not None:
            self._playback.pause()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._full = False
        if self._playback is not None:
            self._playback.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or this side has closed. An answer that is not at its end is cancelled."""
        self._connections.discard(self)
        self._queue.clear()
        self._over("cancelled")

    # httptools

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._begin()

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The request's head is in."""
        parser = self._parser
        self._coming = Request(
            method=parser.get_method().decode(), target=self._target.decode("latin-1"),
            version=parser.get_http_version(), headers=self._headers, keep_alive=parser.should_keep_alive(),
            number=self._providers.next_request(), connection=self._number, at=time.time())
        if self._coming.header(b"expect") == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._early = self._providers.is_early(self._coming)
        if self._early:
            self._take(self._coming)

    def on_body(self, data: bytes) -> None:
        """A part of the body, without its framing."""
        self._size += len(data)
        if self._size > MAX_BODY:
            self._refuse(TOO_LARGE)
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """The request is in."""
        self._coming.body = b"".join(self._body)
        self._coming.size = self._size
        if not self._early:
            self._take(self._coming)

    # answers

    def _take(self, request: Request) -> None:
        if self.transport.is_closing():
            return
        if self._exchange is None:
            self._answer(request)
        elif len(self._queue) < QUEUED:
            self._queue.append(request)
        else:
            self._refuse(BAD_REQUEST)

    def _answer(self, request: Request) -> None:
        exchange = self._exchange = self._providers.respond(request)
        if exchange.fault.refuse is not None or exchange.fault.mute is not None:
            self._outage(exchange.fault)
        else:
            self._providers.begin(exchange, lambda: self._play(exchange))

    def _play(self, exchange: Exchange) -> None:
        if exchange is not self._exchange:
            return                      # the client has left while it was its turn
        self._playback = Playback(self._loop, self.transport, exchange.steps, self._done)
        if self._full:
            self._playback.pause()
        self._playback.advance()

    def _done(self, end: End | None) -> None:
        exchange = self._exchange
        self._over("sent" if end is None else "ended")
        if end is End.RESET:
            self.reset()
        elif end is End.CLOSE or exchange is None or not exchange.request.keep_alive:
            self.transport.close()
        else:
            if exchange.fault.close_idle is not None:
                self._loop.call_later(exchange.fault.close_idle, self._close_idle)
            if self._queue:
                self._answer(self._queue.popleft())

    def _close_idle(self) -> None:
        if self._exchange is None:          # else it is not idle: a request has come in time
            self.transport.close()

    def _over(self, outcome: str) -> None:
        """The answer, if there is one, is at its end."""
        exchange, playback = self._exchange, self._playback
        self._exchange = self._playback = None
        if playback is not None:
            playback.stop()
        if exchange is not None:
            self._providers.end(exchange, outcome, playback.sent if playback is not None else 0)

    def reset(self) -> None:
        """End with a RST, once what was written has left this process."""
        self._over("ended")
        if self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size():
            self._loop.call_later(0.001, self.reset)
            return
        sock: socket.socket = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        self.transport.abort()

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
