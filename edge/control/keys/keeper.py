"""The store in control: asked in a thread of its own, as a disk may be slow and a lock held by others.

A change is written, then put into the directory of keys, from where all workers have it at once, and then answered.
Changes that come while others are written are written together, in one transaction: a disk is waited for once for all.
A control that dies in between is followed by another one, which begins with what is in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from edge._fast import Condition, Slot
from edge._fast import Directory as Rows
from edge.control.keys import show
from edge.control.keys.changes import a, conflict
from edge.control.refusal import Refusal
from edge.control.state import State
from edge.store import (
    KEYS,
    Changes,
    Deed,
    Party,
    Row,
    Store,
    Table,
    Taken,
    Unavailable,
    fill,
    made,
    made_party,
    opened,
)
from edge.store.tables import R
from edge.values.directory import PARTIES, STORE, Directory, DirectoryFull, Mark, digests, numbers
from edge.values.parties import behind
from edge.values.snapshot import Key, StorePlace

Answer = TypeVar("Answer")
Place = tuple[Table[Any], str]      # a table, and the name of a row of it
MOST = 256                  # changes that are written together

log = logging.getLogger("edge")


@dataclass(eq=False, slots=True)
class Asked(Generic[R]):
    """A change that an admin waits for."""

    table: Table[R]
    deed: Deed
    change: Callable[[R | None, Store], R | None]
    done: asyncio.Future[R | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(slots=True)
class Written:
    """What a transaction has come to: the answers, what has changed, and how each row is that was looked at."""

    answers: Sequence[Any]
    changes: Changes | None         # None: that cannot be told
    rows: dict[Place, list[Key]]


class Keeper:
    """Of the store that the version in force names. `changed` hears of each change, `granting` before it is there."""

    def __init__(self, state: Callable[[], State], changed: Callable[[], None],
                 granting: Callable[[Sequence[Key], Sequence[int]], Awaitable[None]],
                 stored: Mark | None = None) -> None:
        self.state = state
        self.changed = changed
        self.granting = granting
        self.thread = ThreadPoolExecutor(1, "store")
        self.store: Store | None = None         # the thread's alone
        self.turn = asyncio.Lock()
        self.asked: list[Asked[Any]] = []
        self.loaded: str | None = None          # where the directory's keys are from; None: a control before had them
        self.fault = ""
        self.mark = stored                      # up to where the directory has the store; None: that cannot be told

    async def load(self) -> None:
        """The directory has what the store has. A store that cannot be read, or is lost, leaves it as it is."""
        async with self.turn:
            place = self.state().snapshot.store
            if place is None or not self._goes_on(place):
                return await self._load()
            with contextlib.suppress(Unavailable):
                found = await self._run(lambda: self._changes(self._opened(place)))
                if found is not None:
                    self.loaded = place.name
                    return await self._take(found)
            return await self._load()

    def _goes_on(self, place: StorePlace) -> bool:
        """Whether the directory has all of this store up to a deed. (A file is not made for being asked.)"""
        return self.mark is not None and self.loaded in (None, place.name) and self.mark.number > 0

    async def follow(self) -> None:
        """What others have changed in the store is in force here; where nobody knows what that is all is read anew."""
        async with self.turn:
            place = self.state().snapshot.store
            if place is None or self.loaded != place.name:
                return await self._load()
            with contextlib.suppress(Refusal):          # it has been said
                found = await self.ask(self._changes)
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
        try:
            if place is None:
                for source in (STORE, PARTIES):
                    Directory(slab, source).keep(frozenset())
                self.loaded, self.mark = "", None
            else:
                self.mark = await self._run(lambda: self._fill(place))
                self.loaded = place.name
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

    def _fill(self, place: StorePlace) -> Mark:
        return fill(place, self.state().slab, self._known(place))

    def _changes(self, store: Store) -> Changes | None:
        return store.since(self.mark) if self.mark is not None else None

    async def note(self, deed: Deed, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """The audit has what was done beside the store, if there is one that can be written."""
        def noted(store: Store) -> None:
            with store.writing():
                store.note(deed, deed.key, before, after)
        if self.state().snapshot.store is not None and before != after:
            with contextlib.suppress(Refusal):          # it has been said, and what was done holds
                await self.ask(noted)

    async def change(self, table: Table[R], deed: Deed, change: Callable[[R | None, Store], R | None]) -> R | None:
        """The row afterwards, when that is in force everywhere."""
        asked = Asked(table, deed, change)
        self.asked.append(asked)
        async with self.turn:
            while not asked.done.done():            # else another one's turn was its as well
                batch, self.asked = self.asked[:MOST], self.asked[MOST:]
                await self._change(batch)
        return await asked.done

    async def _change(self, batch: Sequence[Asked[Any]]) -> None:
        answers: Sequence[Any]
        try:
            written = await self.ask(partial(self._write, batch))
            await self._publish(written)
            answers = written.answers
        except Exception as error:
            answers = [error] * len(batch)
        for asked, answer in zip(batch, answers, strict=True):
            if asked.done.done():                   # nobody waits for it
                continue
            if isinstance(answer, Exception):
                asked.done.set_exception(answer)
            else:
                asked.done.set_result(answer)
        self.changed()

    def _write(self, batch: Sequence[Asked[Any]], store: Store) -> Written:
        """In the thread."""
        places, room = list[Place](), Room(self.state())

        def write(asked: Asked[Any]) -> Row | Party | None:
            def noted(row: Row | Party | None) -> Row | Party | None:
                new = asked.change(row, store)
                room.take(asked.table, as_keys(store, new))     # what is written can come into force
                known = row or new
                places.append((asked.table, asked.deed.key if known is None else known.name))
                return new
            places.append((asked.table, asked.deed.key))
            try:
                return store.change(asked.table, asked.deed, noted, show.row)
            except Taken as taken:
                raise conflict(
                    f"There is {a(asked.table.what)} named {taken} already: choose another name") from None
            except DirectoryFull as full:
                raise conflict(f"The {asked.table.what} would not fit in: {full}") from None

        answers = store.each([partial(write, asked) for asked in batch])
        with store.reading():
            places += [(table, name) for table, id_ in places if (name := store.name_of(id_)) is not None]
            rows = {(table, name): as_keys(store, store.named(table, name)) for table, name in dict.fromkeys(places)}
            return Written(answers, self._changes(store), rows)

    async def _publish(self, written: Written) -> None:
        """In force on all workers: what has changed; and of what was looked at whatever others have made of it, who do
        not write into the audit."""
        if written.changes is not None:
            await self._take(written.changes)
        await self.granting([key for keys in written.rows.values() for key in keys], [])
        slab = self.state().slab
        parties = [(f"{table.what}:{name}", keys) for (table, name), keys in written.rows.items() if table is not KEYS]
        try:
            for name, keys in parties:
                if keys:                        # before the keys behind which they stand,
                    Directory(slab, PARTIES).settle(name, keys)
            for (table, name), keys in written.rows.items():
                if table is KEYS:
                    Directory(slab, STORE).settle(name, keys)
            for name, keys in parties:          # and gone after them
                Directory(slab, PARTIES).settle(name, keys)
        except DirectoryFull as full:
            log.warning("a change in the store does not fit in", extra={"facts": {"reason": str(full)}})


class Room:
    """For what a transaction is to put into the directory."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.taken = {STORE: (0, 0), PARTIES: (0, 0)}       # rows and limits

    def take(self, table: Table[Any], keys: Sequence[Key]) -> None:
        """DirectoryFull: there is none."""
        source = STORE if table is KEYS else PARTIES
        rows, limits = self.taken[source]
        Directory(self.state.slab, source).check(keys, rows, limits)
        self.taken[source] = rows + 2 * len(keys), limits + sum(len(numbers(key)) for key in keys)


def as_keys(store: Store, row: Row | Party | None) -> list[Key]:
    """A row as the directory has it; none where there is none."""
    if row is None:
        return []
    return [made_party(row) if isinstance(row, Party) else made(row, behind(row.policy, store.numbers(row.policy)))]
