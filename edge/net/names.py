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

Address = tuple[socket.AddressFamily, Any]


class Names:
    """Host names -> addresses, remembered."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.known: dict[tuple[str, int], tuple[float, list[Address]]] = {}

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Addresses in the order to try them. gaierror when there are none and never were."""
        with contextlib.suppress(ValueError):
            family = socket.AF_INET if ipaddress.ip_address(host).version == 4 else socket.AF_INET6
            return [(family, (host, port))]
        resolved, addresses = self.known.get((host, port), (-STALE_SECONDS, []))
        age = time.monotonic() - resolved
        if addresses and age < DNS_SECONDS:
            return addresses
        try:
            found = await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror:
            if addresses and age < STALE_SECONDS:
                return addresses
            raise
        addresses = interleave([(family, address) for family, _, _, _, address in found])
        self.known[host, port] = (time.monotonic(), addresses)
        return addresses


def interleave(addresses: list[Address]) -> list[Address]:
    """Families in turn, the resolver's favourite first (RFC 8305 section 4)."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    second = [a for a in addresses if a[0] != addresses[0][0]]
    mixed = [a for pair in zip(first, second, strict=False) for a in pair]
    return mixed + first[len(second):] + second[len(first):]
