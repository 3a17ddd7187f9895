"""Which server has a key: the only one, the master that sentinels name, or one of a cluster's masters.

All that may know are asked at once: one that does not answer would cost a step's whole time.
"""

from __future__ import annotations

import asyncio
from binascii import crc_hqx
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from edge.control.fleet.link import Command, Node, Ways, login
from edge.control.fleet.reasons import Unavailable, reason

SLOTS = 16384


class Masters:
    """As far as is known."""

    def __init__(self, ways: Ways) -> None:
        self.ways = ways
        self.redis = ways.redis
        self.master: Node | None = None             # as a sentinel said
        self.slots: dict[int, Node] = {}            # of a cluster,
        self.doubted = False                        # and whether they may be others by now
        self.met: set[Node] = set(self.redis.nodes)

    async def of(self, key: str) -> Node:
        """The server that has a key. Unavailable: nobody knows."""
        if self.redis.kind == "redis":
            return self.redis.nodes[0]
        if self.redis.kind == "sentinel":
            self.master = self.master or await self._first(self.redis.nodes, self._named)
            return self.master
        if not self.slots or self.doubted:
            self.slots, self.doubted = await self._first(self.met, self._mapped), False
            self.met.update(self.slots.values())
        if slot(key) not in self.slots:
            raise Unavailable("no server of its cluster has a slot of ours")
        return self.slots[slot(key)]

    def moved(self, text: str) -> None:
        """A server of a cluster has said `MOVED slot host:port`."""
        _, number, place = text.split(" ")[:3]
        host, _, port = place.rpartition(":")
        if host:
            self.slots[int(number)] = host, int(port)
        else:
            self.slots = {}

    def all(self) -> set[Node]:
        """Of a cluster, those that have slots."""
        return set(self.slots.values())

    def doubt(self) -> None:
        """One of a cluster does not answer: another one may have its slots by now."""
        self.doubted = True

    def forget(self) -> None:
        """After a failure they may be others."""
        self.master, self.slots = None, {}

    async def _first(self, nodes: Iterable[Node], ask: Callable[[Node], Awaitable[Any]]) -> Any:
        """What the first one says who knows; Unavailable with what is wrong with each."""
        waiting = {asyncio.ensure_future(ask(node)): node for node in nodes}
        wrong = []
        try:
            while waiting:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    (host, port), error = waiting.pop(task), task.exception()
                    if error is None:
                        return task.result()
                    wrong.append(f"{host}:{port}: {reason(error, self.redis)}")
        finally:
            for task in waiting:
                task.cancel()
        raise Unavailable("; ".join(wrong))

    async def _named(self, node: Node) -> Node:
        """The master, by a sentinel."""
        answer = await self._ask(node, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.redis.master))
        if answer is None:
            raise Unavailable(f"this sentinel knows no master {self.redis.master}: check redis.url")
        host, port = answer
        return str(host), int(port)

    async def _mapped(self, node: Node) -> dict[int, Node]:
        """The masters of a cluster, by one of its servers. A server without a name is the one that was asked."""
        found: dict[int, Node] = {}
        for begin, end, (host, port, *_), *_ in await self._ask(node, *login(self.redis), ("CLUSTER", "SLOTS")):
            found |= dict.fromkeys(range(int(begin), int(end) + 1), (host or node[0], int(port)))
        if not found:
            raise Unavailable("it has no slots")
        return found

    async def _ask(self, node: Node, *commands: Command) -> Any:
        """The last one's answer."""
        link = await self.ways.open(node)
        try:
            answers = await link.ask(commands)
        finally:
            link.close()
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers[-1]


def slot(key: str) -> int:
    """Of a cluster: of the part in braces, if there is one (the key-hash-slot of the cluster's specification)."""
    begin = key.find("{") + 1
    end = key.find("}", begin)
    return crc_hqx((key[begin:end] if begin and end > begin else key).encode(errors="replace"), 0) % SLOTS
