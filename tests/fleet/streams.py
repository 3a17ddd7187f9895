"""Hosts that share a limit of concurrent requests, before a simulator that counts them, and clients that want more."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from tests.fleet.server import Server
from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import chat

PATIENCE = 0.1              # of a machine that does other things too
PAUSE = 0.01                # seconds for which a client that was refused leaves the processor to others


class Crowd:
    """Runs while the `with` block does. `hosts` are gateways; `streams` are what clients ask for."""

    def __init__(self, server: Server, limit: dict[str, Any], *, hosts: int = 2, workers: int = 2,
                 **changes: Any) -> None:
        self.server, self.count, self.workers, self.limit, self.changes = server, hosts, workers, limit, changes
        self.name, self.used = "test", 0
        self.stack = ExitStack()
        self.stream = chat(stream=True, fault="tokens=3;delay=60")

    def __enter__(self) -> Crowd:
        rested(self.server)
        self.simulator = self.stack.enter_context(Simulator())
        self.hosts = [self.stack.enter_context(Gateway(self.configuration())) for _ in range(self.count)]
        for host in self.hosts:
            host.wait(lambda host=host: host.metric("edge_fleet_hosts") == self.count)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stack.__exit__(kind, error, trace)

    def configuration(self, **limit: Any) -> dict[str, Any]:
        """Each host's; with another limit."""
        redis = {"url": self.server.url, "patience": PATIENCE, **self.changes.get("redis", {})}
        config = configuration(self.simulator.url, workers=self.workers, **{**self.changes, "redis": redis})
        if "keys" not in self.changes:
            config["keys"] = [{"name": self.name, "key": "env:TEST_KEY", "rate_limit": limit or self.limit}]
        return config

    def use(self, limit: dict[str, Any], **changes: Any) -> None:
        """All hosts have another limit, of a key that was not used yet."""
        self.used += 1
        self.name, self.limit, self.changes = f"test-{self.used}", limit, changes
        self.simulator.reset()
        for host in self.hosts:
            assert host.reload(self.configuration()).status_code == 200
            host.wait(lambda host=host: host.metric("edge_fleet_hosts") == self.count
                      and host.metric("edge_redis_state", state="answers") == 1)
        self.server.age(60)

    def peak(self) -> int:
        """The most that the simulator had at once since it was reset."""
        return int(self.simulator.state(0)["peak"])

    async def rush(self, seconds: float, clients: int | Sequence[int] = 8) -> Rush:
        """So many clients of each host ask for so long, one stream after the other."""
        found = Rush(self)
        until = time.monotonic() + seconds
        counts = [clients] * len(self.hosts) if isinstance(clients, int) else clients
        watching = asyncio.create_task(found.watch())
        await asyncio.gather(*(found.ask(number, until) for number, count in enumerate(counts) for _ in range(count)))
        watching.cancel()
        return found


class Rush:
    """What came of it: answers by host and status, and how many requests there were from time to time."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.answers: Counter[tuple[int, str]] = Counter()
        self.open: list[tuple[float, int]] = []

    async def watch(self) -> None:
        """Looks at the simulator."""
        while True:
            state = await asyncio.to_thread(self.crowd.simulator.state, 0)
            self.open.append((time.monotonic(), int(state["open"])))
            await asyncio.sleep(0.01)

    def mean(self, begin: float, end: float) -> float:
        """How many there were, on average, between two times from the first look."""
        first = self.open[0][0]
        found = [count for at, count in self.open if begin <= at - first < end]
        return sum(found) / len(found)

    async def ask(self, number: int, until: float) -> None:
        """One client of a host."""
        port, stream = self.crowd.hosts[number].port, self.crowd.stream
        writer: asyncio.StreamWriter | None = None
        while time.monotonic() < until:
            with contextlib.suppress(OSError, EOFError):
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(stream)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length: ")[2].partition(b"\r")[0]
                await (reader.readexactly(int(length)) if length else reader.readuntil(b"0\r\n\r\n"))
                status = head[9:12].decode()
                self.answers[number, status] += 1
                if status != "200":
                    await asyncio.sleep(PAUSE)
                continue
            writer = None
        if writer is not None:
            writer.transport.abort()


def rested(server: Server, age: int = 60) -> None:
    """Gives the server's epoch an age (seconds) at which hosts may have more than they bring with them."""
    with server.client() as asked:
        run = asked.info("server")["run_id"]
        asked.set("{edge:0}:epoch", f"{(int(time.time()) - age) * 1_000_000} {run}")
        asked.hset("{edge:0}:lives", "nobody", "1 1")       # without which it would be another one
