"""The store in control: asked in a thread of its own, as a disk may be slow and a lock held by others.

A change is written, then put into the directory of keys, from where all workers have it at once, and then answered.
A control that dies in between is followed by another one, which begins with what is in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edge._fast import Condition, Slot
from edge._fast import Directory as Rows
from edge.control.keys import show
from edge.control.keys.changes import a, conflict
from edge.control.refusal import Refusal
from edge.control.state import State
from edge.store import (
    Changes,
    Deed,
    Mark,
    Party,
    Row,
    Store,
    Stored,
    Table,
    Taken,
    Unavailable,
    clients,
    made,
    made_party,
    opened,
)
from edge.store.tables import R
from edge.values.directory import PARTIES, STORE, Directory, DirectoryFull, secrets
from edge.values.parties import behind
from edge.values.snapshot import Key, StorePlace

Answer = TypeVar("Answer")

log = logging.getLogger("edge")


class Keeper:
    """Of the store that the version in force names. `changed` hears of each change, `granting` before it is there."""

    def __init__(self, state: Callable[[], State], changed: Callable[[], None],
                 granting: Callable[[Sequence[Key], Sequence[int]], Awaitable[None]]) -> None:
        self.state = state
        self.changed = changed
        self.granting = granting
        self.thread = ThreadPoolExecutor(1, "store")
        self.store: Store | None = None         # the thread's alone
        self.turn = asyncio.Lock()
        self.loaded: str | None = None          # where the directory's keys are from; None: a control before had them
        self.fault = ""
        self.mark = Mark()                      # the audit's entry up to which all is in force

    async def load(self) -> None:
        """The directory has what the store has. A store that cannot be read, or is lost, leaves it as it is."""
        async with self.turn:
            await self._load()

    async def follow(self) -> None:
        """What others have changed in the store is in force here; where nobody knows what that is all is read anew."""
        async with self.turn:
            place = self.state().snapshot.store
            if place is None or self.loaded != place.name:
                return await self._load()
            with contextlib.suppress(Refusal):          # it has been said
                found = await self.ask(lambda store: store.since(self.mark))
                if found is None:
                    await self._load()
                    self.changed()
                elif found.mark != self.mark:
                    await self._take(found)
        return None

    async def _take(self, found: Changes) -> None:
        keys, parties = Directory(self.state().slab, STORE), Directory(self.state().slab, PARTIES)
        await self.granting(found.keys, found.accounts)
        for directory, rows in ((parties, found.parties), (keys, found.keys)):
            for digest in found.ended - digests(*rows):
                directory.remove(digest)
            for row in rows:
                try:
                    directory.put(row)
                except DirectoryFull as full:
                    log.warning("a change in the store does not fit in", extra={"facts": {
                        "name": row.name, "reason": str(full)}})
        self.mark = found.mark
        self.changed()

    async def _load(self) -> None:
        place, slab = self.state().snapshot.store, self.state().slab
        keys, parties = Directory(slab, STORE), Directory(slab, PARTIES)
        try:
            found = Stored() if place is None else await self._run(lambda: clients(place, self._known(place)))
            for directory, rows in ((parties, found.parties), (keys, found.keys)):
                for row in rows:
                    directory.put(row)
            for directory, rows in ((keys, found.keys), (parties, found.parties)):
                directory.keep(digests(*rows))
            self.loaded = "" if place is None else place.name
            self.mark = found.mark
        except (Unavailable, DirectoryFull) as error:
            said = {"store": str(place), "reason": str(error)}
            log.warning("keys of the store stay as they are", extra={"facts": said})

    async def ask(self, question: Callable[[Store], Answer]) -> Answer:
        """Has the store answer. Refusal: it cannot, or there is none."""
        place = self.state().snapshot.store
        if place is None:
            raise conflict("The configuration has no store for keys: set store: edge.db, for instance, and reload")
        try:
            found = await self._run(lambda: question(self._opened(place)))
            self._tell(place, "")
            return found
        except Unavailable as error:
            self._tell(place, str(error))
            raise Refusal(Condition.store_unavailable, {Slot.S_REASON: str(error)}) from None

    async def _run(self, call: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self.thread, call)

    def _tell(self, place: StorePlace, fault: str) -> None:
        """Once, when the store cannot be used any more, and once when it can again."""
        facts = {"facts": {"store": str(place), "reason": fault or self.fault}}
        if fault and not self.fault:
            log.warning("the store cannot be used", extra=facts)
        elif self.fault and not fault:
            log.info("the store can be used again", extra=facts)
        self.fault = fault

    # The thread's

    def _known(self, place: StorePlace) -> bool:
        """Whether keys of this store are in force."""
        return len(Rows(self.state().slab, STORE)) > 0 and self.loaded in (None, place.name)

    def _opened(self, place: StorePlace) -> Store:
        if self.store is None or self.store.place != place:
            if self.store is not None:
                self.store.close()
            self.store = opened(place, lambda: self._known(place))
        return self.store


    async def change(self, table: Table[R], deed: Deed, change: Callable[[R | None, Store], R | None]) -> R | None:
        """The row afterwards, when that is in force everywhere."""
        before, after = list[R | None](), list[R | None]()
        directory = Directory(self.state().slab, STORE if table.what == "key" else PARTIES)

        def changed(store: Store) -> tuple[list[Key], list[Key]]:
            def noted(row: R | None) -> R | None:
                before[:] = [row]
                new = change(row, store)
                directory.check(as_keys(store, new))    # before it is written: what is there can come into force
                return new

            after[:] = [store.change(table, deed, noted, show.row)]
            return as_keys(store, before[0]), as_keys(store, after[0])

        async with self.turn:
            try:
                former, keys = await self.ask(changed)
            except Refusal as refusal:
                if refusal.condition != Condition.store_unavailable:
                    await self._load()              # what it says of the key may be another program's doing
                raise
            except Taken as taken:
                raise conflict(f"There is {a(table.what)} named {taken} already: choose another name") from None
            except DirectoryFull as full:
                raise conflict(f"The {table.what} would not fit in: {full}") from None
            if keys:
                await self.granting(keys, accounts(after[0]))
            for key in keys:
                directory.put(key)
            for digest in digests(*former) - digests(*keys):
                directory.remove(digest)
            if after == before:
                await self._load()                  # the same: it was so already, and not by us
            self.changed()
            return after[0]


def accounts(row: Row | Party | None) -> list[int]:
    """Its number, where it is an account."""
    return [row.number] if isinstance(row, Party) and row.kind == "account" else []


def as_keys(store: Store, row: Row | Party | None) -> list[Key]:
    """A row as the directory has it; none where there is none."""
    if row is None:
        return []
    return [made_party(row) if isinstance(row, Party) else made(row, behind(row.policy, store.numbers(row.policy)))]


def digests(*keys: Key) -> frozenset[bytes]:
    """Of all their secrets."""
    return frozenset(digest for key in keys for digest, _, _ in secrets(key))
