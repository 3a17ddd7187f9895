"""Whether other hosts have written into the store: PostgreSQL sends a word, and is asked where that came to nothing.

A word says only that there is something; what it is who follows reads from where it has read before. So no word that
was lost is missed for longer than INTERVAL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from edge.store import Store, Unavailable, opened
from edge.values.snapshot import StorePlace

INTERVAL = 0.5              # seconds between two questions, where no word comes
PAUSE = 0.02                # and where they come without an end

log = logging.getLogger("edge")


class Watch:
    """Of the store that the version in force names, if hosts share it. `follow` reads what has changed."""

    def __init__(self, place: Callable[[], StorePlace | None], follow: Callable[[], Awaitable[None]]) -> None:
        self.place = place
        self.follow = follow
        self.thread = ThreadPoolExecutor(1, "watch")
        self.store: Store | None = None             # the thread's alone
        self.awake = asyncio.Event()                # there may be a store

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            place = self.place()
            if place is None or place.url is None:
                self.awake.clear()
                await self.awake.wait()
                continue
            listening = await self._listen(place)
            try:
                await self.follow()
            except Exception:
                log.exception("what other hosts have written is not followed")
            await asyncio.sleep(PAUSE)
            await word(listening)

    async def _listen(self, place: StorePlace) -> int | None:
        """The descriptor on which a word comes; those that have come are taken. None: the store cannot be used."""
        def listen() -> int:
            if self.store is None or self.store.place != place:
                if self.store is not None:
                    self.store.close()
                self.store = opened(place, lambda: True)        # whose tables others make
            return self.store.listen()
        try:
            return await asyncio.get_running_loop().run_in_executor(self.thread, listen)
        except Unavailable:
            return None                             # who follows says it


async def word(descriptor: int | None) -> None:
    """Waits until one has come, INTERVAL at most."""
    if descriptor is None:
        await asyncio.sleep(INTERVAL)
        return
    loop = asyncio.get_running_loop()
    come = asyncio.Event()
    loop.add_reader(descriptor, come.set)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(come.wait(), INTERVAL)
    finally:
        loop.remove_reader(descriptor)
