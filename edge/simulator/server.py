"""The simulator itself: its socket, and the connections on it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Callable

import uvloop

from edge.simulator.answer import Options
from edge.simulator.connection import Connection
from edge.simulator.faults import Fault
from edge.simulator.providers import Providers

BACKLOG = 4096
Ready = Callable[[int], None]


class Simulator:
    """Both providers on one socket."""

    def __init__(self, sock: socket.socket, options: Options) -> None:
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._providers = Providers(options, self._connections)
        self._sock = sock
        self._address = sock.getsockname()
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        self._tls: ssl.SSLContext | None = None
        if options.tls_cert is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(options.tls_cert, options.tls_key)

    async def open(self) -> None:
        """Listen. The listener is a copy, so that closing it leaves this simulator its socket."""
        self._sock.listen(BACKLOG)
        self._server = await self._loop.create_server(
            self._connection, sock=self._sock.dup(), ssl=self._tls, backlog=BACKLOG)

    def close(self) -> None:
        """Stop listening and end every connection."""
        if self._opening is not None:
            self._opening.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.transport.abort()

    def _outage(self, fault: Fault) -> None:
        """Reset every connection; for a time refuse new ones, or (`mute`) leave them to the kernel to complete."""
        seconds = fault.mute if fault.refuse is None else fault.refuse
        if self._server is None or seconds is None:
            return
        self._server.close()
        self._server = None
        if fault.refuse is not None:
            # Closing does not stop a listener that another process has a copy of; a shutdown does.
            self._sock.shutdown(socket.SHUT_RDWR)
            # With that, Linux takes back a port that it chose itself. One that was asked for stays bound: EINVAL.
            with contextlib.suppress(OSError):
                self._sock.bind(self._address)
        for connection in list(self._connections):
            connection.reset()
        self._opening = self._loop.create_task(self._reopen(seconds))

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.open()

    def _connection(self) -> Connection:
        return Connection(self._providers, self._connections, self._outage)


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to host:port (0: a port that the kernel chooses). Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def serve(host: str, port: int, *, ready: Ready | None = None, options: Options | None = None) -> None:
    """Simulate on host:port until cancelled. `ready` gets the port once it is listened on."""
    with bind(host, port) as sock:
        await _serve(sock, ready, options)


async def _serve(sock: socket.socket, ready: Ready | None, options: Options | None) -> None:
    simulator = Simulator(sock, options or Options())
    await simulator.open()
    try:
        if ready is not None:
            ready(sock.getsockname()[1])
        await asyncio.Event().wait()
    finally:
        simulator.close()


def run(sock: socket.socket, options: Options | None = None, *, ready: Ready | None = None) -> None:
    """Simulate on a bound socket, in a process of its own, until SIGTERM or SIGINT."""
    async def main() -> None:
        loop, work = asyncio.get_running_loop(), asyncio.create_task(_serve(sock, ready, options))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await work
    uvloop.run(main())
