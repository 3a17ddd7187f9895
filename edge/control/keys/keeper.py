"""The store in control: asked in a thread of its own, as a disk may be slow and a lock held by others.

A change is written, then put into force on all workers, and only then answered. Where it cannot come into force it is
taken back: what is in the store is what is in force.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from edge._fast import Condition, Slot
from edge.control.keys import show
from edge.control.keys.changes import conflict
from edge.control.problems import refused
from edge.control.refusal import Refusal
from edge.control.state import State
from edge.process.channel import Reloaded
from edge.store import Deed, Row, SQLite, Store, Taken, Unavailable

Answer = TypeVar("Answer")

log = logging.getLogger("edge")


class Keeper:
    """Of the store that the version in force names. `reload` puts into force what is in it."""

    def __init__(self, state: Callable[[], State], reload: Callable[[], Awaitable[Reloaded]]) -> None:
        self.state = state
        self.reload = reload
        self.thread = ThreadPoolExecutor(1, "store")
        self.store: SQLite | None = None        # the thread's alone
        self.turn = asyncio.Lock()
        self.settled = False                    # what is in the store is in force; a life before may have left it else

    async def ask(self, question: Callable[[Store], Answer]) -> Answer:
        """Has the store answer. Refusal: it cannot, or there is none."""
        path = self.state().snapshot.store
        if path is None:
            raise conflict("The configuration has no store for keys: set store: edge.db, for instance, and reload")
        try:
            return await asyncio.get_running_loop().run_in_executor(self.thread, self._answer, path, question)
        except Unavailable as error:
            log.warning("the store cannot be used", extra={"facts": {"store": path, "reason": str(error)}})
            raise Refusal(Condition.store_unavailable, {Slot.S_REASON: str(error)}) from None

    def _answer(self, path: str, question: Callable[[Store], Answer]) -> Answer:
        if self.store is None or self.store.path != path:
            if self.store is not None:
                self.store.close()
            self.store = SQLite(path)
        return question(self.store)

    async def change(self, deed: Deed, change: Callable[[Row | None], Row | None]) -> Row | None:
        """The key afterwards, when that is in force everywhere."""
        before: list[Row | None] = []

        def noted(row: Row | None) -> Row | None:
            before[:] = [row]
            return change(row)

        async with self.turn:
            if not self.settled:
                await self.force()
            try:
                after = await self.ask(lambda store: store.change(deed, noted, show.row))
            except Taken as taken:
                raise conflict(f"There is a key named {taken} already: choose another name") from None
            try:
                await self.force()              # also what was there already: another program may have written it
            except Refusal:
                if after != before[0]:
                    known = after or before[0]
                    undo = replace(deed, action=f"undo {deed.action}", key=known.id if known else deed.key)
                    await self.ask(lambda store: store.change(
                        undo, lambda row: before[0] if row == after else row, show.row))
                raise
            return after

    async def force(self) -> None:
        """What is in the store, on all workers. Refusal: it cannot come into force."""
        self.settled = False
        done = await self.reload()
        if done.version is None:
            raise refused(done.problems)
        self.settled = True
