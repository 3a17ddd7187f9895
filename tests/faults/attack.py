"""Clients that take their time, thousands of them, in a process of their own: what `slowloris` sends at the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from types import TracebackType

import uvloop

from tests.faults.load import many_files, source
from tests.support.talk import chat, request

PAUSE = 1.0             # seconds between two bytes
AT_ONCE = 100           # connections that are being opened
SMALL = 4096            # bytes that the kernel receives for those who read slowly
CALM = 0.2              # seconds before a connection that was closed is opened again
HEALTH = request(path="/health", method="GET", key=None)
HEAD = chat("slow-head")
LONG_BODY = (b"POST /v1/chat/completions HTTP/1.1\r\nhost: edge\r\nauthorization: %s\r\n"
             b"content-type: application/json\r\ncontent-length: 100000\r\n\r\n"
             b'{"model": "slow-body", "messages": [')
ANSWER = chat("slow-answer", stream=True, fault="big=20000000")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many clients there are of each kind, and the seconds until they are up to their pace.

    What they ask for at first is a load by itself: an answer that is read slowly fills every buffer on its way before
    it is slow, some megabytes of the kernel's memory each.
    """

    idle: int
    heads: int
    bodies: int
    answers: int
    settle: float

    @property
    def all(self) -> int:
        """Connections that are wanted at once."""
        return self.idle + self.heads + self.bodies + self.answers


async def idle(sock: socket.socket) -> None:
    """Asks for next to nothing, then says no more; a kept connection may idle for longer than a new one."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, HEALTH)
    while await loop.sock_recv(sock, 1 << 16):
        pass


async def heads(sock: socket.socket) -> None:
    """A head that drips."""
    await _drip(sock, HEAD)


async def bodies(sock: socket.socket) -> None:
    """A whole head, and a body that drips."""
    authorization = HEAD.partition(b"authorization: ")[2].partition(b"\r\n")[0]
    await asyncio.get_running_loop().sock_sendall(sock, LONG_BODY % authorization)
    await _drip(sock, b" " * 90000)


async def answers(sock: socket.socket) -> None:
    """A good request, whose answer is read a few bytes at a time."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, ANSWER)
    while await loop.sock_recv(sock, 64):
        await asyncio.sleep(PAUSE)


async def _drip(sock: socket.socket, data: bytes) -> None:
    loop = asyncio.get_running_loop()
    for at in range(len(data)):
        await loop.sock_sendall(sock, data[at:at + 1])
        await asyncio.sleep(PAUSE)


Slow = Callable[[socket.socket], Awaitable[None]]


class Crowd:
    """All the clients; each that the gateway closes comes again."""

    def __init__(self, port: int, plan: Plan) -> None:
        self.port = port
        self.plan = plan
        self.connected = 0              # ever
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def client(self, number: int, slow: Slow) -> None:
        """One of them."""
        while True:
            with contextlib.suppress(OSError), socket.socket() as sock:
                async with self._gate:
                    await self._connect(sock, number, SMALL if slow is answers else None)
                self.connected += 1
                await slow(sock)
            await asyncio.sleep(CALM)

    async def _connect(self, sock: socket.socket, number: int, room: int | None) -> None:
        sock.setblocking(False)
        if room is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        sock.bind((source(number), 0))
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))

    async def run(self, pipe: Pipe) -> None:
        """Tells when all are connected and have begun what they do, then goes on until the process ends."""
        kinds = [slow for slow in (idle, heads, bodies, answers) for _ in range(getattr(self.plan, slow.__name__))]
        clients = [asyncio.create_task(self.client(number, slow)) for number, slow in enumerate(kinds)]
        while self.connected < self.plan.all:
            await asyncio.sleep(0.01)
        await asyncio.sleep(self.plan.settle)
        pipe.send(self.connected)
        await asyncio.gather(*clients)


def _main(port: int, plan: Plan, pipe: Pipe) -> None:
    many_files()

    async def attack() -> None:
        await Crowd(port, plan).run(pipe)
    uvloop.run(attack())


class Attack:
    """Runs while the `with` block does, which begins once every client has connected."""

    def __init__(self, port: int, plan: Plan, seconds: float = 60) -> None:
        self._seconds = seconds
        self._ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_main, args=(port, plan, theirs), daemon=True)

    def __enter__(self) -> Attack:
        self._process.start()
        if not self._ours.poll(self._seconds):
            self.__exit__(None, None, None)
            raise AssertionError(f"not all clients could connect in {self._seconds} s")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.join()
