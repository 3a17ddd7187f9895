"""What lies between a host and Redis: a proxy that a test lets delay, hold back, fall silent, cut and reset.

With `tls` it is where Redis's TLS ends, as Redis does not come with it everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType

PIECE = 65536


class Wire:
    """Runs while the `with` block does. `delay` is seconds for each answer; it may be changed at any time."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.to, self.tls = port, tls
        self.delay = 0.0
        self.silences = False
        self.accepted = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self.deaf: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Wire:
        started = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self.thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(10)
        assert not self.thread.is_alive()

    def hold(self) -> None:
        """Nothing comes through, either way; `release` delivers it."""
        self._do(self.open.clear)

    def release(self) -> None:
        """What was held back goes on."""
        self._do(self.open.set)

    def silence(self) -> None:
        """Half-open: all connections, and those that are made until `heal`, swallow what comes and say nothing more."""
        self.silences = True
        self._do(lambda: self.deaf.update(self.writers))

    def heal(self) -> None:
        """Those that are made from now on are good."""
        self.silences = False

    def cut(self) -> None:
        """All connections end in good order."""
        self._do(lambda: [writer.close() for writer in self.writers])

    def reset(self) -> None:
        """All connections end with RST."""
        self._do(lambda: [_reset(writer) for writer in self.writers])

    def _do(self, what: Callable[[], object]) -> None:
        async def do() -> None:
            what()
        asyncio.run_coroutine_threadsafe(do(), self.loop).result(10)

    async def _serve(self, started: threading.Event) -> None:
        self.loop, self.ended, self.open = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self.open.set()
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, ssl=self.tls)
        self.port: int = server.sockets[0].getsockname()[1]
        self.url = f"redis{'s' if self.tls else ''}://127.0.0.1:{self.port}"
        started.set()
        await self.ended.wait()
        server.close()
        self.open.set()
        while self.tasks:               # one of them may be on its way to the server still
            for writer in self.writers:
                writer.transport.abort()
            await asyncio.wait(self.tasks, timeout=0.05)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        self.writers.add(writer)
        self.tasks.add(task)
        if self.silences:
            self.deaf.add(writer)
        back = None
        try:
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_connection("127.0.0.1", self.to)
                self.writers.add(back)
                if writer in self.deaf:
                    self.deaf.add(back)
                await asyncio.gather(self._pump(reader, back, 0), self._pump(there, writer, 1))
        finally:
            self.tasks.discard(task)
            for each in filter(None, (writer, back)):
                self.writers.discard(each)
                self.deaf.discard(each)
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: int) -> None:
        while piece := await reader.read(PIECE):
            if answers and self.delay:
                await asyncio.sleep(self.delay)
            await self.open.wait()
            if writer not in self.deaf:
                writer.write(piece)
                await writer.drain()
        if writer not in self.deaf:
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
