"""The store in control: asked in a thread of its own, as a disk may be slow and a lock held by others.

A change is written, then put into the directory of keys, from where all workers have it at once, and then answered.
A control that dies in between is followed by another one, which begins with what is in the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edge._fast import Condition, Slot
from edge.control.keys import show
from edge.control.keys.changes import conflict
from edge.control.refusal import Refusal
from edge.control.state import State
from edge.store import Deed, Row, SQLite, Store, Taken, Unavailable, clients, made
from edge.values.directory import STORE, Directory, DirectoryFull, secrets
from edge.values.snapshot import Key

Answer = TypeVar("Answer")

log = logging.getLogger("edge")


class Keeper:
    """Of the store that the version in force names. `changed` hears of each change."""

    def __init__(self, state: Callable[[], State], changed: Callable[[], None]) -> None:
        self.state = state
        self.changed = changed
        self.thread = ThreadPoolExecutor(1, "store")
        self.store: SQLite | None = None        # the thread's alone
        self.turn = asyncio.Lock()
        self.loaded: str | None = None          # where the directory's keys are from; None: a control before had them

    async def load(self) -> None:
        """The directory has what the store has. A store that cannot be read, or is lost, leaves it as it is."""
        async with self.turn:
            await self._load()

    async def _load(self) -> None:
        path, directory = self.state().snapshot.store, Directory(self.state().slab, STORE)
        known = len(directory.rows) > 0 and self.loaded in (None, path)
        try:
            keys = () if path is None else await self._run(lambda: clients(path, known))
            for key in keys:
                directory.put(key)
            directory.keep(digests(*keys))
            self.loaded = path
        except (Unavailable, DirectoryFull) as error:
            said = {"store": path, "reason": str(error)}
            log.warning("keys of the store stay as they are", extra={"facts": said})

    async def ask(self, question: Callable[[Store], Answer]) -> Answer:
        """Has the store answer. Refusal: it cannot, or there is none."""
        path = self.state().snapshot.store
        if path is None:
            raise conflict("The configuration has no store for keys: set store: edge.db, for instance, and reload")
        try:
            return await self._run(lambda: self._answer(path, question))
        except Unavailable as error:
            log.warning("the store cannot be used", extra={"facts": {"store": path, "reason": str(error)}})
            raise Refusal(Condition.store_unavailable, {Slot.S_REASON: str(error)}) from None

    async def _run(self, call: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self.thread, call)

    def _answer(self, path: str, question: Callable[[Store], Answer]) -> Answer:
        if self.store is None or self.store.path != path:
            if self.store is not None:
                self.store.close()
            self.store = SQLite(path)
        return question(self.store)

    async def change(self, deed: Deed, change: Callable[[Row | None], Row | None]) -> Row | None:
        """The key afterwards, when that is in force everywhere."""
        before: list[Row | None] = []
        directory = Directory(self.state().slab, STORE)

        def noted(row: Row | None) -> Row | None:
            before[:] = [row]
            after = change(row)
            if after is not None:
                directory.check([made(after)])      # before it is written: what is in the store can come into force
            return after

        async with self.turn:
            try:
                after = await self.ask(lambda store: store.change(deed, noted, show.row))
            except Refusal as refusal:
                if refusal.condition != Condition.store_unavailable:
                    await self._load()              # what it says of the key may be another program's doing
                raise
            except Taken as taken:
                raise conflict(f"There is a key named {taken} already: choose another name") from None
            except DirectoryFull as full:
                raise conflict(f"The key would not fit in: {full}") from None
            former, keys = ([] if row is None else [made(row)] for row in (before[0], after))
            for key in keys:
                directory.put(key)
            for digest in digests(*former) - digests(*keys):
                directory.remove(digest)
            if after == before[0]:
                await self._load()                  # the same: it was so already, and not by us
            self.changed()
            return after


def digests(*keys: Key) -> frozenset[bytes]:
    """Of all their secrets."""
    return frozenset(digest for key in keys for digest, _, _ in secrets(key))
