"""Opens connections for the data plane's pools."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit

from edge._fast import Condition
from edge.net.failures import FAILURES, no_descriptor_left, reason
from edge.net.reach import Reach
from edge.values.snapshot import Provider

log = logging.getLogger("edge")


class Connector(Reach):
    """What the data plane calls for a further connection of a pool."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.tasks: set[asyncio.Task[None]] = set()

    def __call__(self, pool: Any) -> None:
        """Begins to connect; the pool hears of the outcome."""
        task = self.loop.create_task(self.connect(pool))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def connect(self, pool: Any) -> None:
        """Opens one connection, or tells the pool why not."""
        provider: Provider = pool.provider
        tls = pool.connection() if urlsplit(provider.base_url).scheme == "https" else None
        condition, words = Condition.provider_unreachable, "Connection timeout"
        try:
            async with asyncio.timeout(provider.connect_timeout or None):
                sock = await self.open(provider, tls)
        except TimeoutError:
            pass
        except FAILURES as error:
            words = reason(error)
            if no_descriptor_left():
                condition, words = Condition.gateway_overloaded, "file descriptors"
        except Exception:
            log.exception("connecting to %s", provider.name)
            condition, words = Condition.internal_error, "internal error"
        else:
            if tls is None:
                pool.opened(sock)
            return
        if tls is None or not tls.joined:       # a connection that was up for a moment has told the pool itself
            pool.failed(condition, words)
