"""The way to a provider: its address, perhaps a proxy, TCP, perhaps TLS."""

from __future__ import annotations

import asyncio
import socket
from typing import Any
from urllib.parse import SplitResult, urlsplit

from edge.net.dial import race
from edge.net.names import Names
from edge.net.proxy import through
from edge.net.tls import Contexts
from edge.values.snapshot import Provider


class Reach:
    """What a process knows of the ways to providers: addresses of names, and contexts for TLS."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.names = Names(loop)
        self.contexts = Contexts()

    async def open(self, provider: Provider, tls: Any) -> socket.socket:
        """The steps: address, perhaps a proxy, TCP, perhaps TLS with `tls` as its protocol. Raises one of FAILURES."""
        url = urlsplit(provider.base_url)
        host, port = url.hostname or "", port_of(url)
        if provider.proxy is not None:
            sock = await through(provider.proxy.reveal(), host, port)
        else:
            sock = await race(self.loop, await self.names.resolve(host, port))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                await self.loop.create_connection(lambda: tls, sock=sock, ssl=self.contexts.context(provider.ca_bundle),
                                                  server_hostname=host)
        except BaseException:
            sock.close()
            raise
        return sock

    def forget(self) -> None:
        """A reload: certificates and addresses are read anew."""
        self.contexts.forget()
        self.names.known.clear()


def port_of(url: SplitResult) -> int:
    """The URL's port, or its scheme's."""
    return url.port or (443 if url.scheme == "https" else 80)
