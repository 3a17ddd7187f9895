"""A new version of the configuration for all processes, or for none.

Prepared: the file is read, names get their indices in a copy of the registry, and every child that serves compiles
the version beside the one in force and says READY, or why not. Nothing that anybody sees has changed so far: workers,
control, registry, buckets, healths and the log's level are as they were. Committed, when all are ready: the supervisor
takes the version for its own (who is born from now on has it), sets the shared memory, and tells all to swap. A child
that refuses, dies, or is silent for too long makes it come to nothing.

A child says which version it serves. One that was being born meanwhile is told to follow.
"""

from __future__ import annotations

import copy
import errno
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from edge._fast import Directory
from edge.config import FAULT, FULL, INVALID, MEMORY, ConfigError, Place, Problem
from edge.process import log, notify
from edge.process.apart import Ended, apart
from edge.process.channel import Abort, Commit, Kind, Prepare, Record, Reloaded, publish
from edge.store import lost
from edge.supervisor.children import Child
from edge.supervisor.force import Force, forgive
from edge.values.directory import STORE
from edge.values.registry import Fresh, Registry, prepare
from edge.values.snapshot import Snapshot

PREPARE_SECONDS = 15.0      # control gives the supervisor 120 for its answer, and reading takes a part of them
QUESTIONS = 100             # that wait for an answer; who asks more gets none

Question = tuple[Child, int]        # who asked for a reload, and the number it gave the question


@dataclass(slots=True)
class Pending:
    """A version on its way, which waits for the children's word."""

    serial: int
    snapshot: Snapshot
    registry: Registry
    fresh: Fresh
    asked_by: list[Question]
    before: Snapshot
    due: float
    memory: int                                             # a descriptor: see `publish`
    asked: frozenset[Child]                                 # to prepare it
    missing: set[Child]                                     # who has not answered yet
    committed: bool = False


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def unprepared(error: Exception) -> Problem:
    """Why a version came to nothing that is no fault of its file's."""
    number = error.errno if isinstance(error, OSError) else None
    again = "and reload again; the version before stays in force"
    if isinstance(error, ValueError):       # no room for so many keys beside those before, say
        return Problem(INVALID, Place("limits"), "", str(error), "fewer keys or models, or another limit")
    if number in _FULL:
        return Problem(FULL, Place("edge"), "", os.strerror(number or 0), f"make room {again}")
    if number == errno.ENOMEM or isinstance(error, MemoryError):
        return Problem(MEMORY, Place("edge"), "", os.strerror(errno.ENOMEM), f"give the gateway more memory {again}")
    said = os.strerror(number) if number else str(error) if isinstance(error, Ended) else "see the log"
    return Problem(FAULT, Place("edge"), "", said, f"see to what is said {again}")


class Reloads:
    """One at a time. `read` gives a version of that number; `begun` hears of each that begins."""

    def __init__(self, force: Force, read: Callable[[int], Snapshot], everyone: Callable[[], list[Child]],
                 logger: logging.Logger, begun: Callable[[], None]) -> None:
        self.force = force
        self.read = read
        self.everyone = everyone
        self.log = logger
        self.begun = begun
        self.serial = 0
        self.pending: Pending | None = None
        self.wanted: list[Question] | None = None

    @property
    def due(self) -> float:
        """When the children's time is over."""
        return self.pending.due if self.pending is not None and not self.pending.committed else float("inf")

    def ask(self, asked_by: list[Question]) -> None:
        """Somebody wants what the file says now.

        While one is under way the next waits: whoever asked gets the answer to a file that was read after it asked.
        """
        if self.pending is not None:
            self.wanted = [*(self.wanted or []), *asked_by][:QUESTIONS]
            return
        self.begun()
        notify.send("RELOADING=1")
        try:
            self.prepare(asked_by)
        except ConfigError as error:
            self.refuse(asked_by, str(error), error.problems)
        except Exception as error:                  # whatever it is: what runs goes on
            found = unprepared(error)
            if found.code == FAULT and not isinstance(error, Ended | OSError):
                self.log.exception("a reload has failed by a fault of the gateway's own")
            self.refuse(asked_by, found.message, (found,))

    def prepare(self, asked_by: list[Question]) -> None:
        """The first phase. Whatever it raises: it has not begun."""
        force = self.force
        snapshot = self.read(force.snapshot.version + 1)
        self.hold_store(snapshot)
        registry = copy.deepcopy(force.registry)
        fresh = prepare(force.slab, registry, snapshot, self.settled())
        memory = publish(replace(snapshot, keys=()), registry)
        self.name_fixed(snapshot)
        self.serial += 1
        asked = frozenset(child for child in self.everyone()
                          if child.start is not None and child.pid and child.ready)
        self.pending = Pending(self.serial, snapshot, registry, fresh, asked_by, force.snapshot,
                               time.monotonic() + PREPARE_SECONDS, memory, asked, set(asked))
        self.log.info("configuration version %d is prepared", snapshot.version)
        for child in asked:
            child.preparing = True
            child.tell(Prepare(self.serial), memory)
        if not asked:
            self.commit(self.pending)

    def hold_store(self, snapshot: Snapshot) -> None:
        """ConfigError: the store's file was lost under the keys in force, which would all be unknown."""
        place, known = snapshot.store, self.force.snapshot.store
        if place is None or known is None or place.name != known.name or not len(Directory(self.force.slab, STORE)):
            return
        if apart(lambda: lost(place)):
            raise ConfigError([Problem(
                INVALID, Place(snapshot.source), "store", f"{place} was there, and is gone",
                "put a backup in its place by `edge store restore`; or name another one, to begin anew")])

    def settled(self) -> int:
        """No request is on its way that began before this version."""
        force = self.force
        return min((force.slab.oldest(child.stripe) for child in self.everyone() if child.pid and child.stripe >= 0),
                   default=force.snapshot.version)

    def name_fixed(self, snapshot: Snapshot) -> None:
        """What a running gateway cannot change is named, not silently ignored."""
        for name in ("listen_addr", "port", "workers", "admin_addr", "admin_port"):
            if getattr(snapshot, name) != getattr(self.force.snapshot, name):
                self.log.warning("%s takes effect at the next %s", name, "upgrade" if name == "workers" else "start")

    def heard(self, child: Child, record: Record) -> None:
        """READY or REFUSED of a phase, or SERVING."""
        pending = self.pending
        child.preparing = False
        if record.kind == Kind.SERVING:
            self.serves(child, record.number)
        elif pending is None or pending.committed or record.number != pending.serial or child not in pending.missing:
            return                              # of one that came to nothing
        elif record.kind == Kind.REFUSED:
            self.abort(child, f"refuses it: {record.text}")
        else:
            pending.missing.discard(child)
            if not pending.missing:
                self.commit(pending)

    def serves(self, child: Child, version: int) -> None:
        """A child says what is in force there."""
        child.ready, child.version = True, version
        if child.start is None:
            return                              # of the generation before, which ends with what it has
        if version == self.force.snapshot.version:
            if self.pending is not None and self.pending.committed:
                self.settle(self.pending, child)
        else:
            self.follow(child)

    def follow(self, child: Child) -> None:
        """A child that was born into the version before. It is told once."""
        if child.followed == self.force.snapshot.version:
            child.kill("it does not take the version in force")
            return
        child.followed = self.force.snapshot.version
        self.serial += 1
        try:
            memory = publish(self.force.snapshot, self.force.registry)
        except OSError as error:
            child.kill(f"the version in force cannot be given to it: {error.strerror}")
            return
        child.preparing = True
        child.tell(Prepare(self.serial), memory)
        child.tell(Commit(self.serial))
        os.close(memory)

    def commit(self, pending: Pending) -> None:
        """The second phase: from here on there is no way back."""
        force = self.force
        os.close(pending.memory)
        pending.committed = True
        force.take(pending.snapshot, pending.registry, pending.fresh)
        if pending.snapshot.key_secret == pending.before.key_secret:
            force.revoke()
        self.log.setLevel(log.level(force.snapshot.debug))
        pending.missing = {child for child in self.everyone() if child.start is not None and child.pid}
        for child in pending.missing:
            if child in pending.asked:
                child.tell(Commit(pending.serial))
            elif child.ready:                   # born meanwhile; who is not ready says with which version it was born
                self.follow(child)
        self.settle(pending, None)

    def settle(self, pending: Pending, child: Child | None) -> None:
        """One more serves the new version, or has died and will begin with it; after the last it is done."""
        if child is not None:
            pending.missing.discard(child)
        if pending.missing:
            return
        self.force.revoke()
        forgive(self.force, pending.before)
        self.log.info("configuration version %d in force", pending.snapshot.version)
        self.answer(pending.asked_by, pending.snapshot.version, ())
        self.over()

    def died(self, child: Child, how: str) -> None:
        """A child has ended."""
        if self.pending is None:
            return
        if self.pending.committed:
            self.settle(self.pending, child)
        elif child in self.pending.missing or child.ready:
            self.abort(child, f"died {how}")

    def enforce(self) -> None:
        """Nobody is waited for for ever: who says nothing is ended, and the next reload finds another."""
        if self.pending is None or time.monotonic() < self.due:
            return
        late = list(self.pending.missing)
        for child in late:
            child.kill("it did not prepare a version in time")
        self.abort(late[0], f"was not ready within {PREPARE_SECONDS:g} s")

    def abort(self, child: Child, why: str) -> None:
        """The first phase has failed: nothing has changed."""
        pending = self.pending
        assert pending is not None and not pending.committed
        os.close(pending.memory)
        for each in self.everyone():
            if each.start is not None and each.ready:
                each.tell(Abort(pending.serial))
        said = f"{child.name} {why}"
        self.refuse(pending.asked_by, said, (Problem(
            INVALID, Place(child.name), "", said, "the log says more; the version before stays in force"),))
        self.over()

    def refuse(self, asked_by: list[Question], why: str, problems: tuple[Problem, ...]) -> None:
        """It comes to nothing, and everybody hears why."""
        self.log.error("the configuration stays as it was: %s", why)
        self.answer(asked_by, None, problems)
        notify.send("READY=1")

    def answer(self, asked_by: list[Question], version: int | None, problems: Any) -> None:
        """Tells control what came of it, and those who asked; a signal wants no answer."""
        for child in self.everyone():
            if child.start is not None and child.pid and not child.works:
                child.tell(Reloaded(0, version))
        for child, number in asked_by:
            child.tell(Reloaded(number, version, tuple(problems)))

    def over(self) -> None:
        """The next one's turn."""
        notify.send("READY=1")
        self.pending = None
        if self.wanted is not None:
            wanted, self.wanted = self.wanted, None
            self.ask(wanted)
