"""Clients that never stop asking, and know of each request what has become of it and which worker had it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.patience import PATIENCE
from tests.support.talk import chat

STREAM = "tokens=40;delay=15"
PLAIN, FRESH, STREAMS = 12, 8, 12       # clients on kept connections, on a new one for each request, with streams


@dataclass
class Figures:
    """What has become of all requests."""

    requests: int = 0
    streams: int = 0
    lost_with_worker: int = 0           # they were in a worker when it was killed
    resets: int = 0                     # nobody had taken the connection, or nobody had died
    cut: int = 0                        # streams that ended early although their worker did not
    refused: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Whatever was no success."""
        return self.lost_with_worker + self.resets + self.cut + len(self.refused)


class Client:
    """One connection after the other, one request after the other."""

    def __init__(self, traffic: Traffic, data: bytes, *, fresh: bool = False, stream: bool = False) -> None:
        self.traffic = traffic
        self.data = data
        self.fresh = fresh
        self.stream = stream
        self.port = 0
        self.since = 0.0
        self.busy = self.begun = False      # a request is on its way, or about to be; its answer has begun
        self.writer: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        """Until the traffic is told to stop."""
        while not self.traffic.stopped.is_set():
            self.busy = True
            try:
                await asyncio.wait_for(self.ask(), PATIENCE)
            except (OSError, EOFError, TimeoutError):
                self.lose()
            if self.fresh:
                self.busy = False
                self.close()
                await asyncio.sleep(0.05)
        self.close()

    async def ask(self) -> None:
        """One request and its whole answer. OSError or EOFError: it did not come."""
        self.begun = False
        if self.writer is None or self.reader.at_eof():
            self.close()
            self.since = time.monotonic()
            await self.connect()
        assert self.writer is not None
        self.writer.write(self.data)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        self.begun = True
        length = head.partition(b"content-length: ")[2].partition(b"\r")[0]
        body = await self.reader.readexactly(int(length)) if length else await self.chunks()
        good = head.startswith(b"http/1.1 200") and (body.endswith(b"data: [DONE]\n\n") or not self.stream)
        figures = self.traffic.figures
        figures.requests += 1
        figures.streams += self.stream
        if not good and self.stream and head.startswith(b"http/1.1 200"):
            figures.cut += 1
        elif not good:
            figures.refused.append((head.partition(b"\r")[0] + b" " + body[:200]).decode(errors="replace"))
        if b"connection: close" in head:
            self.close()

    async def connect(self) -> None:
        """A new connection. Its port is known before it is made: a worker may die that has just taken it."""
        with contextlib.ExitStack() as until:
            sock = until.enter_context(socket.socket())
            sock.setblocking(False)
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.traffic.port))
            self.reader, self.writer = await asyncio.open_connection(sock=sock)
            until.pop_all()

    async def chunks(self) -> bytes:
        """A chunked body."""
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)
        return body

    def lose(self) -> None:
        """The connection has ended, or keeps silent, before the answer was whole."""
        figures = self.traffic.figures
        figures.requests += 1
        if self.traffic.killed.get(self.port, 0.0) > self.since:        # the kernel gives numbers out again
            figures.lost_with_worker += 1
        elif self.begun and self.stream:
            figures.cut += 1
        else:
            figures.resets += 1
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None


class Traffic:
    """All clients, in one event loop. `killed` are the ports of connections that a killed worker had, and when."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.figures = Figures()
        self.killed: dict[int, float] = {}
        self.in_killed = 0                  # requests that were in a worker when it was killed
        self.stopped = asyncio.Event()
        plain, stream = chat(), chat(stream=True, fault=STREAM)
        self.clients = [Client(self, plain) for _ in range(PLAIN)]
        self.clients += [Client(self, plain, fresh=True) for _ in range(FRESH)]
        self.clients += [Client(self, stream, stream=True) for _ in range(STREAMS)]

    async def __aenter__(self) -> Traffic:
        self.tasks = [asyncio.create_task(client.run()) for client in self.clients]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.stopped.set()
        await asyncio.gather(*self.tasks)

    def kill(self, pid: int) -> None:
        """kill -9, with a note of what the process had. It is stopped before, so that the note is exact."""
        os.kill(pid, signal.SIGSTOP)
        until = time.monotonic() + 1
        while state(pid) != "T" and time.monotonic() < until:
            time.sleep(0.0005)
        had = set(accepted(pid, self.port))
        self.killed.update(dict.fromkeys(had, time.monotonic()))
        # Nothing is awaited from here on, so that no client begins a request meanwhile.
        self.in_killed += sum(client.busy and client.port in had for client in self.clients)
        os.kill(pid, signal.SIGKILL)


def state(pid: int) -> str:
    """A process's state as proc(5) has it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def accepted(pid: int, port: int) -> Iterator[int]:
    """The remote ports of the connections to `port` that a process has."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(link.readlink()))
    local = f":{port:04X}"
    # Read in pieces, the table can miss a row when another one before it goes; not in three readings.
    lines = [line for _ in range(3) for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    for line in lines:
        row = line.split()
        if row[1].endswith(local) and f"socket:[{row[9]}]" in inodes and not row[2].endswith(":0000"):
            yield int(row[2].rpartition(":")[2], 16)
