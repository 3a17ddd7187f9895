"""One connection to one Redis: every step has its time, and what was cut short is not used again.

hiredis reads and writes the protocol. Nothing is retried, and nothing is sent that we did not ask for: where an answer
takes 200 ms the greeting of a client library takes longer than units are lent for.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import hiredis

from edge.control.fleet.reasons import TIMEOUT
from edge.net.dial import race
from edge.net.names import Names
from edge.net.tls import Contexts
from edge.values.snapshot import Redis

LARGEST = 16 * 2**20        # bytes of the answers to a call
PIECE = 65536

Node = tuple[str, int]
Command = Sequence[object]


class Link:
    """Open until `close`. After an error it is not to be used again, as something may still come on it."""

    def __init__(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stream = stream
        self.writer = writer
        self.reader = hiredis.Reader(encoding="utf-8", errors="replace")

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """All answers, ReplyErrors among them. TimeoutError, OSError, HiredisError: none came."""
        self.writer.write(b"".join(_pack(command) for command in commands))
        answers: list[Any] = []
        seen = 0
        async with asyncio.timeout(TIMEOUT):
            while len(answers) < len(commands):
                if (answer := self.reader.gets()) is not False:
                    answers.append(answer)
                    continue
                piece = await self.stream.read(PIECE)
                seen += len(piece)
                if not piece:
                    raise ConnectionResetError("it ended the connection")
                if seen > LARGEST:
                    raise OSError("its answer does not end")
                self.reader.feed(piece)
        return answers

    def close(self) -> None:
        """At once."""
        self.writer.transport.abort()


class Ways:
    """How this host comes to the servers of one `redis:`."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.loop = asyncio.get_running_loop()
        self.names = Names(self.loop)
        self.contexts = Contexts()

    async def open(self, node: Node) -> Link:
        """A connection. TimeoutError, OSError: there is none."""
        async with asyncio.timeout(TIMEOUT):
            sock = await race(self.loop, await self.names.resolve(*node))
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                context = self.contexts.context(self.redis.ca_bundle) if self.redis.tls else None
                return Link(*await asyncio.open_connection(
                    sock=sock, ssl=context, server_hostname=node[0] if context else None))
            except BaseException:
                sock.close()
                raise

    def forget(self) -> None:
        """After a failure: the file of roots is read anew, and a name may mean another machine by now."""
        self.contexts.forget()
        self.names.doubt()


def login(redis: Redis) -> list[Command]:
    """What is said before anything else, if anything is."""
    if redis.username is None and redis.password is None:
        return []
    user = [] if redis.username is None else [redis.username]
    return [("AUTH", *user, redis.password.reveal() if redis.password else "")]


def _pack(command: Command) -> bytes:
    """What JSON lets a name hold, and UTF-8 does not, becomes a question mark."""
    words: Any = tuple(       # its stub knows one word only
        word if isinstance(word, bytes) else str(word).encode(errors="replace") for word in command)
    packed: bytes = hiredis.pack_command(words)
    return packed
