"""From the journals into the store, and from the store into the balances that workers take from.

The clerk has a connection and a thread of its own: while the store is locked or full the journals fill, and nobody
waits; when they are full, who must be billed is refused. Killed at any point it leaves nothing that its successor does
not find: what is posted twice counts once, and what is granted is said anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from edge import _fast
from edge._fast import Balances, Journal
from edge.control.state import State
from edge.store import Session, Store, Unavailable, ledger, opened
from edge.values import directory
from edge.values.points import balance
from edge.values.snapshot import Key, StorePlace

TURN = 0.2                  # seconds between two looks
AGAIN = 1.0                 # from the end of a period to a second look: what was on its way counts for it, too
END_SECONDS = 1.0
MOST = 4096                 # entries of one journal at a time
PRUNED = 1000               # entries at a time that are kept no longer, and seconds until there may be more of them
HOURLY = 3600.0
STRANGE = 10                # looks at a file that is no journal, until it is told of

Found = TypeVar("Found")

log = logging.getLogger("edge")


class Clerk:
    """Of the store that the version in force names. `posted` and `torn` count entries."""

    def __init__(self, state: Callable[[], State]) -> None:
        self.state = state
        self.thread = ThreadPoolExecutor(1, "ledger")
        self.turn_of = asyncio.Lock()
        self.awake = asyncio.Event()                # there is a store
        self.store: Store | None = None             # the thread's alone, as the journals are
        self.journals: dict[int, Journal] = {}      # by the number of their file
        self.strange: dict[str, int] = {}           # files that are none, and how often they were looked at
        self.posted = self.torn = self.waiting = 0
        self.since = 0                              # when the oldest entry was written that the store has not; 0: none
        self.fault = ""
        self.pruned = 0.0                           # when there may be entries that are kept no longer
        self.due = 0.0                              # when what keys may spend is to be said anew, also while it is the
        self.said: tuple[tuple[int, int], ...] = () # same month, day and hour: those of which it was said last
        self.opening = self.heard = 0               # the store's opening and turn up to which news are known,
        self.spent: dict[str, int] = {}             # and what others had spent then of what owners have

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            more = False
            if self.state().snapshot.store is None:
                self.awake.clear()
                await self.awake.wait()
            try:
                more = await self.turn()
                if self.is_due():
                    await self.grant()
                if not more and time.monotonic() >= self.pruned:
                    await self.prune()
            except Exception:
                log.exception("costs of requests stay in the journals")
            await asyncio.sleep(0.0 if more else TURN if self.journals else AGAIN)

    async def turn(self) -> bool:
        """Posts what there is. Whether there may be more at once."""
        place = self.state().snapshot.store
        if place is None:
            return False
        async with self.turn_of:
            try:
                found = await self._run(lambda: self._post(place))
                if found is not None:
                    self._tell(place, "")
            except (Unavailable, OSError) as error:
                self._tell(place, str(error))
                return False
        more, strange = found or (False, False)
        if strange:
            await self.grant()
        return more

    async def grant(self, keys: Sequence[Key] | None = None, accounts: Sequence[int] = ()) -> None:
        """Workers know what there is to spend, as the store has it now: for these, or, without keys, for all."""
        state = self.state()
        place = state.snapshot.store
        if place is None or (keys is not None and not accounts and not any(any(key.points) for key in keys)):
            return                                  # nobody waits for the ledger's thread for nothing
        async with self.turn_of:
            try:
                if await self._run(lambda: self._grant(place, state, keys, accounts)):
                    self._tell(place, "")
            except (Unavailable, OSError, OverflowError) as error:
                self._tell(place, str(error))
                self.due = time.monotonic() + AGAIN

    async def prune(self) -> None:
        """Forgets some entries that are kept no longer; the next ones come at the next turn, behind what is posted."""
        snapshot = self.state().snapshot
        place, before = snapshot.store, int(time.time()) - snapshot.ledger_days * 24 * ledger.HOUR
        self.pruned = time.monotonic() + HOURLY
        if place is None or not self.journals:
            return
        async with self.turn_of:
            with contextlib.suppress(Unavailable, OSError):     # of which the posts tell
                if await self._run(lambda: ledger.prune(self._open(place), before, PRUNED)):
                    self.pruned = 0.0

    async def follow(self) -> None:
        """Workers know what others have posted and credited."""
        state = self.state()
        place = state.snapshot.store
        if place is None:
            return
        async with self.turn_of:
            try:
                await self._run(lambda: self._follow(place, state))
                self._tell(place, "")
            except (Unavailable, OSError, OverflowError) as error:
                self._tell(place, str(error))

    async def load(self) -> None:
        """All that other memories' workers have left is posted, and workers know what there is to spend."""
        self.awake.set()
        while await self.turn():
            pass
        await self.grant()

    async def end(self) -> None:
        """The last entries: workers have ended. What the store does not take in time stays in the journals."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self.turn()

    def is_due(self) -> bool:
        """Whether what keys may spend is to be said anew. (The clock may have been set, forth or back.)"""
        return time.monotonic() >= self.due or (bool(self.said) and periods() != self.said)

    @property
    def lag(self) -> float:
        """Seconds since the oldest entry was written that the store does not have."""
        return max(0.0, time.time() - self.since) if self.since else 0.0

    async def _run(self, call: Callable[[], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self.thread, call)

    def _tell(self, place: StorePlace, fault: str) -> None:
        """Once, when the store takes nothing any more, and once when it does again."""
        facts = {"facts": {"store": str(place), "reason": fault or self.fault}}
        if fault and not self.fault:
            log.warning("costs of requests stay in the journals, as the store does not take them", extra=facts)
        elif self.fault and not fault:
            log.info("the store takes costs of requests again", extra=facts)
        self.fault = fault

    # The thread's

    def _open(self, place: StorePlace) -> Store:
        """Unavailable: the file is gone, and a new one would have nothing of what was in it."""
        if self.store is None or self.store.place != place:
            if self.store is not None:
                self.store.close()
            self.store, self.journals, self.strange = opened(place, self._known), {}, {}
            self.opening = 0
        return self.store

    def _known(self) -> bool:
        return len(_fast.Directory(self.state().slab, directory.STORE)) > 0

    def _post(self, place: StorePlace) -> tuple[bool, bool] | None:
        """Whether a journal has more, and whether other memories' entries were among them. None: nothing was asked of
        the store."""
        if not Path(place.journals).exists():
            return None
        store, boot = self._open(place), self.state().slab.host
        self._look(Path(place.journals))
        found = []
        for number, journal in list(self.journals.items()):
            living = journal.boot == boot and not journal.lost
            if journal.boot == boot or journal.abandoned():
                first, entries = journal.read(MOST)
                if entries:
                    found.append((journal, ledger.Posting(journal.boot, journal.stripe, first, entries)))
                elif not living and journal.abandoned():
                    self._remove(store, number, journal)
        self.waiting = sum(journal.waiting for journal in self.journals.values())
        self.since = min(filter(None, (journal.since for journal in self.journals.values())), default=0)
        if not found:
            return None
        self.posted += ledger.post(store, [posting for _, posting in found])
        for journal, posting in found:
            self.torn += posting.entries.count(None)
            journal.passed(posting.first + len(posting.entries))
        more = any(len(posting.entries) == MOST for _, posting in found)
        return more, any(posting.boot != boot for _, posting in found)

    def _look(self, place: Path) -> None:
        """Opens the journals that are new."""
        known = {journal.path for journal in self.journals.values() if not journal.lost}
        with contextlib.suppress(FileNotFoundError):
            for path in place.iterdir():
                if str(path) not in known and ".spoilt-" not in path.name:
                    self._take(path)

    def _take(self, path: Path) -> None:
        """Opens one. What stays strange is told of, once: it is just being made, or nobody will ever post it."""
        try:
            journal = Journal(str(path))
            self.journals[journal.inode] = journal
        except (ValueError, OSError) as error:
            self.strange[path.name] = self.strange.get(path.name, 0) + 1
            if self.strange[path.name] == STRANGE:
                log.warning("a file among the journals of costs cannot be read", extra={"facts": {
                    "file": str(path), "reason": str(error),
                    "way_out": "run the edge that wrote it on this store once more, or take it away"}})

    def _remove(self, store: Store, number: int, journal: Journal) -> None:
        """It is posted, whole, and nobody writes it any more. What the store knows of it goes when its name is gone
        for good: else a power cut could bring it back, to be posted again."""
        del self.journals[number]
        if not journal.lost:
            Path(journal.path).unlink(missing_ok=True)
            synced(Path(journal.path).parent)
        if journal.boot != self.state().slab.host and all(
                other.boot != journal.boot for other in self.journals.values()):
            ledger.forget(store, journal.boot)

    def _grant(self, place: StorePlace, state: State, keys: Sequence[Key] | None, accounts: Sequence[int]) -> bool:
        """Whether the store was asked for it."""
        bounded = list(quotas(state)) if keys is None else [(key.name, key.points) for key in keys if any(key.points)]
        if not bounded and not accounts and (keys is not None or not opened(place).exists()):
            self.due = time.monotonic() + AGAIN     # nobody has made it yet
            return False
        store, balances = self._open(place), Balances(state.slab)
        now = periods()
        with store.reading() as session:
            self._give(session, state, None if keys is None else accounts, bounded)
            heard = ledger.last(session)
        balances.end([end * ledger.HOUR for _, end in now])
        if keys is not None:
            return True
        self.opening, self.heard, self.spent = store.opened, heard, {}
        self.due = float("inf") if self.said == now else time.monotonic() + AGAIN
        self.said = now
        return True

    def _give(self, session: Session, state: State, accounts: Sequence[int] | None,
              bounded: Iterable[tuple[str, Sequence[int]]]) -> None:
        """Says what accounts (None: all) and keys may spend."""
        balances, boot, now = Balances(state.slab), state.slab.host, periods()
        place = state.snapshot.store
        for account, there in ledger.granted(session, boot, accounts).items():
            balances.grant(balances.claim(balance(place, ledger.owner(account))), (there, None, None, None))
        for name, points in bounded:
            parts = ledger.key_granted(session, boot, name, points, now)
            balances.grant(balances.claim(balance(place, name)), parts)

    def _follow(self, place: StorePlace, state: State) -> None:
        store = self._open(place)
        with store.reading() as session:
            known = store.opened == self.opening and ledger.last(session) >= self.heard     # no backup was put back
            if known:
                news = ledger.news(session, state.slab.host, self.heard)
                owners = {owner for owner, points in news.spent.items() if self.spent.get(owner) != points}
                accounts = {ledger.account(owner) for owner in owners} | {*news.credited}
                self._give(session, state, sorted(accounts - {0}), bounds(state, owners))
                self.spent |= news.spent
                self.heard = news.turn
        if not known:
            self._grant(place, state, None, ())


def synced(folder: Path) -> None:
    """What a folder has is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def bounds(state: State, names: Iterable[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Those of keys of these names that `quotas` has."""
    for name in names:
        row = directory.named(state.slab, name)
        points = () if row is None else directory.policy(row.policy).points
        if any(points):
            yield name, points


def quotas(state: State) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The keys that may not spend all that their account has, and how much they may in all, a month, a day, an hour."""
    known: dict[bytes, tuple[int, ...]] = {}

    def bounded(text: bytes) -> bool:
        known[text] = directory.policy(text).points
        return any(known[text])
    for source in (directory.FILE, directory.STORE):
        for name, text in _fast.Directory(state.slab, source).having(bounded):
            yield name, known[text]


def periods() -> tuple[tuple[int, int], ...]:
    """This month, day and hour of UTC, by the hour (since 1970) with which each began, and the one that follows it."""
    hour = datetime.fromtimestamp(time.time(), UTC).replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    month = day.replace(day=1)
    following = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    first, last, today, now = (int(when.timestamp()) // ledger.HOUR for when in (month, following, day, hour))
    return (first, last), (today, today + 24), (now, now + 1)
