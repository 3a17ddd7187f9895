"""A proxy for tests: HTTP CONNECT (RFC 9110 9.3.6) and SOCKS5 (RFC 1928, 1929) on one port, every name on 127.0.0.1.

That it resolves names itself shows that the gateway leaves names to its proxy.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading


class Proxy:
    """Runs in a thread while the `with` block does. `asked` lists what it was asked to connect to: (kind, host, port).

    `login` (user:password) is wanted of everybody when it is set; `refuses` makes it turn everybody away.
    """

    def __init__(self, *, login: str = "", refuses: bool = False) -> None:
        self.login = login
        self.refuses = refuses
        self.asked: list[tuple[str, str, int]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def url(self, scheme: str) -> str:
        """Its URL, with the login."""
        return f"{scheme}://{self.login + '@' if self.login else ''}127.0.0.1:{self.port}"

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            first = await reader.readexactly(1)
            found = await (self._socks(reader, writer) if first == b"\x05" else self._connect(first, reader, writer))
            if found is not None:
                await self._relay(found, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _connect(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int | None:
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        assert method == "CONNECT", head
        host, _, port = target.rpartition(":")
        self.asked.append(("http", host, int(port)))
        wanted = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        if self.refuses or (self.login and wanted not in head):
            writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n" if self.refuses else
                         b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            writer.close()
            return None
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return int(port)

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int | None:
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        if self.login:
            assert 2 in methods
            writer.write(b"\x05\x02")
            await reader.readexactly(1)
            user, password = [(await reader.readexactly((await reader.readexactly(1))[0])).decode() for _ in "12"]
            good = f"{user}:{password}" == self.login
            writer.write(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return None
        else:
            writer.write(b"\x05\x00")
        kind = (await reader.readexactly(4))[3]
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode() if kind == 3 else \
            ".".join(str(byte) for byte in await reader.readexactly(4))
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append(("socks5", host, port))
        writer.write(b"\x05" + (b"\x02" if self.refuses else b"\x00") + b"\x00\x01\x7f\x00\x00\x01\x00\x00")
        await writer.drain()
        return None if self.refuses else port

    async def _relay(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            back.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.write_eof() if writer.can_write_eof() else writer.close()
