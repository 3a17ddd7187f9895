"""Host names and their addresses, asked for once in a while."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import time
from typing import Any

# getaddrinfo tells no time to live, and goes through nsswitch as every other program of the host does. Half a
# minute is what providers' load balancers announce; a name that has resolved once outlives a resolver's failure.
DNS_SECONDS = 30.0
STALE_SECONDS = 3600.0
PATIENCE_SECONDS = 0.2      # with a resolver that does not answer, where there are addresses of before

Address = tuple[socket.AddressFamily, Any]


class Names:
    """Host names -> addresses, remembered."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.known: dict[tuple[str, int], tuple[float, list[Address]]] = {}
        self.asking: dict[tuple[str, int], tuple[float, asyncio.Task[list[Address]]]] = {}

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Addresses in the order to try them. gaierror when there are none and never were."""
        with contextlib.suppress(ValueError):
            family = socket.AF_INET if ipaddress.ip_address(host).version == 4 else socket.AF_INET6
            return [(family, (host, port))]
        now = time.monotonic()
        resolved, addresses = self.known.get((host, port), (-STALE_SECONDS, []))
        if addresses and now - resolved < DNS_SECONDS:
            return addresses
        begun, task = self.ask(host, port, now)
        usable = bool(addresses) and now - resolved < STALE_SECONDS
        await asyncio.wait({task}, timeout=max(0.0, begun + PATIENCE_SECONDS - now) if usable else None)
        return addresses if usable and (not task.done() or task.exception() is not None) else task.result()

    def ask(self, host: str, port: int, now: float) -> tuple[float, asyncio.Task[list[Address]]]:
        """The one question after a name, and when it was asked: resolvers that hang take a thread for each."""
        if (host, port) not in self.asking:
            task = self.loop.create_task(self.answer(host, port))
            task.add_done_callback(lambda task: task.cancelled() or task.exception())      # who asked may be gone
            self.asking[host, port] = now, task
        return self.asking[host, port]

    async def answer(self, host: str, port: int) -> list[Address]:
        """The resolver's, remembered."""
        try:
            found = await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        finally:
            del self.asking[host, port]
        addresses = interleave([(family, address) for family, _, _, _, address in found])
        self.known[host, port] = (time.monotonic(), addresses)
        return addresses

    def doubt(self) -> None:
        """All names are asked for anew, and outlive a resolver's failure as before."""
        now = time.monotonic()
        self.known = {name: (min(resolved, now - DNS_SECONDS), addresses)
                      for name, (resolved, addresses) in self.known.items()}


def interleave(addresses: list[Address]) -> list[Address]:
    """Families in turn, the resolver's favourite first (RFC 8305 section 4)."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    second = [a for a in addresses if a[0] != addresses[0][0]]
    mixed = [a for pair in zip(first, second, strict=False) for a in pair]
    return mixed + first[len(second):] + second[len(first):]
