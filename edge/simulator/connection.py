"""One client's connection: requests in, one answer at a time out."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from edge.simulator.answer import Request
from edge.simulator.framing import End
from edge.simulator.playback import Playback

if TYPE_CHECKING:
    from edge.simulator.server import Exchange, Simulator

MAX_BODY = 64 << 20
QUEUED = 64                             # pipelined requests that wait for their turn
LINGER_ZERO = struct.pack("ii", 1, 0)   # close() then sends a RST: socket(7)
BAD_REQUEST = (b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 11\r\n"
               b"connection: close\r\n\r\nbad request")
TOO_LARGE = (b"HTTP/1.1 413 Content Too Large\r\ncontent-type: text/plain\r\ncontent-length: 14\r\n"
             b"connection: close\r\n\r\nbody too large")


class Connection(asyncio.Protocol):
    """Parses what comes (httptools), hands whole requests to the simulator, plays its answers in order."""

    def __init__(self, simulator: Simulator, number: int) -> None:
        self.number = number
        self.transport: asyncio.Transport
        self.exchange: Exchange | None = None       # the one that is being answered
        self._playback: Playback | None = None
        self._full = False                          # the client does not read
        self._simulator = simulator
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
        self._simulator.connections.add(self)

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
        self._simulator.connections.discard(self)
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
            number=self._simulator.next_number(), connection=self.number, at=time.time())
        if self._coming.header(b"expect") == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._early = self._simulator.is_early(self._coming)
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
        if self.exchange is None:
            self._answer(request)
        elif len(self._queue) < QUEUED:
            self._queue.append(request)
        else:
            self._refuse(BAD_REQUEST)

    def _answer(self, request: Request) -> None:
        self.exchange = self._simulator.respond(request)
        if self.exchange.fault.refuse is not None:
            self._simulator.refuse(self.exchange.fault.refuse)
            return
        if self.exchange.fault.mute is not None:
            self._simulator.mute(self.exchange.fault.mute)
            return
        exchange = self.exchange
        if exchange.seated and exchange.record is not None:
            self._simulator.seats.enter(exchange, exchange.record.model or "", lambda: self._play(exchange))
        else:
            self._play(exchange)

    def _play(self, exchange: Exchange) -> None:
        if exchange is not self.exchange:
            return                      # the client has left while it was its turn
        self._playback = Playback(self._simulator.loop, self.transport, exchange.steps, self._done)
        if self._full:
            self._playback.pause()
        self._playback.advance()

    def _done(self, end: End | None) -> None:
        exchange = self.exchange
        self._over("sent" if end is None else "ended")
        if end is End.RESET:
            self.reset()
        elif end is End.CLOSE or exchange is None or not exchange.request.keep_alive:
            self.transport.close()
        else:
            if exchange.fault.close_idle is not None:
                self._simulator.loop.call_later(exchange.fault.close_idle, self._close_idle)
            if self._queue:
                self._answer(self._queue.popleft())

    def _close_idle(self) -> None:
        if self.exchange is None:           # else it is not idle: a request has come in time
            self.transport.close()

    def _over(self, outcome: str) -> None:
        """The answer, if there is one, is at its end."""
        exchange, playback = self.exchange, self._playback
        self.exchange = self._playback = None
        if playback is not None:
            playback.stop()
        if exchange is not None:
            self._simulator.seats.leave(exchange)
        if exchange is not None and exchange.record is not None:
            sent = playback.sent if playback is not None else 0
            exchange.journal.end(exchange.record, outcome, sent, time.time())

    def reset(self) -> None:
        """End with a RST, once what was written has left this process."""
        self._over("ended")
        if self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size():
            self._simulator.loop.call_later(0.001, self.reset)
            return
        sock: socket.socket = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        self.transport.abort()

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
