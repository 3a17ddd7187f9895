"""Load for the proofs of this folder: many requests at once, what became of each, and the figures of it all."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import httptools

from bench.harness.report import table as table
from tests.support.patience import PATIENCE

SOURCES = 200           # addresses of 127.0.0.0/8 that clients come from


@dataclass(frozen=True, slots=True)
class Ended:
    """A request: when it was due (monotonic), how long it took from then on, and its status; 0: no whole answer."""

    due: float
    seconds: float
    status: int


class Line(asyncio.Protocol):
    """A kept connection, on which one thing at a time is asked."""

    def __init__(self) -> None:
        self.open = True
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self.transport = cast(asyncio.Transport, transport)

    async def ask(self, data: bytes) -> int:
        """The status of the whole answer; 0 where the connection ended before."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        try:
            return await self._answer
        finally:
            self._answer = None

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        status = self._parser.get_status_code()
        self.open = self.open and self._parser.should_keep_alive()
        self._tell(status)
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has ended it, or we have."""
        self.open = False
        self._tell(0)

    def _tell(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)


class Pool:
    """As many lines to one port as there are requests at once, the idle ones used again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Line] = []
        self.lines = 0                  # ever opened

    async def ask(self, data: bytes, due: float | None = None) -> Ended:
        """One request, on an idle line or on a new one."""
        due = time.monotonic() if due is None else due
        status, line = 0, None
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                line = await self._line()
                status = await line.ask(data)
        if line is not None:
            if status and line.open:
                self._idle.append(line)
            else:
                line.transport.abort()
        return Ended(due, time.monotonic() - due, status)

    async def _line(self) -> Line:
        while self._idle:
            line = self._idle.pop()
            if line.open:
                return line
        self.lines += 1
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(Line, "127.0.0.1", self._port, local_addr=(source(self.lines), 0))
        return line

    def close(self) -> None:
        """End all idle lines."""
        for line in self._idle:
            line.transport.abort()
        self._idle.clear()


async def closed(port: int, data: bytes, at_once: int, seconds: float) -> list[Ended]:
    """Closed loop: each of `at_once` clients asks again as soon as it is answered."""
    pool, ended = Pool(port), []
    end = time.monotonic() + seconds

    async def client() -> None:
        while time.monotonic() < end:
            ended.append(await pool.ask(data))
    await asyncio.gather(*(client() for _ in range(at_once)))
    pool.close()
    return ended


async def opened(port: int, data: bytes, gaps: Iterator[float], seconds: float) -> list[Ended]:
    """Open loop: requests come at their times, whatever became of those before. `gaps` in seconds."""
    pool, asking = Pool(port), []
    due = begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while due < begun + seconds:
            await asyncio.sleep(due - time.monotonic())
            asking.append(group.create_task(pool.ask(data, due)))
            due += next(gaps)
    pool.close()
    return [task.result() for task in asking]


def poisson(rate: float, seed: int) -> Iterator[float]:
    """Gaps between arrivals that know nothing of each other, `rate` a second on average."""
    chance = random.Random(seed)
    while True:
        yield chance.expovariate(rate)


def paced(rate: float) -> Iterator[float]:
    """Even gaps, `rate` a second."""
    return itertools.repeat(1 / rate)


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that `part` of all do not exceed; nan of none."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)] if values else math.nan


def source(number: int) -> str:
    """The address that the client of this number comes from: one address has too few ports for thousands."""
    return f"127.0.0.{2 + number % SOURCES}"


def many_files() -> None:
    """As many open files as the system lets us have, for us and for what we start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def progress(text: str) -> None:
    """A line for who waits; the figures alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


def verdict(promises: Sequence[tuple[str, bool]]) -> int:
    """Prints each promise and whether it was kept; the exit code."""
    print()
    for text, kept in promises:
        print(f"{'kept  ' if kept else 'BROKEN'}  {text}", flush=True)
    return 0 if all(kept for _, kept in promises) else 1
