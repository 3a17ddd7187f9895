"""The worker process: from the supervisor's fork to its last request."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvloop

from edge import _fast
from edge.process import bell, claims, log
from edge.process.channel import Abort, Commit, Drain, Kind, Message, Prepare, Reader, Record, Retire, say
from edge.values import directory
from edge.values.figures import of_key
from edge.values.registry import Registry
from edge.values.snapshot import Snapshot
from edge.worker.books import Books
from edge.worker.connect import Connector
from edge.worker.notes import Notes
from edge.worker.own import OwnAnswers
from edge.worker.tables import Compiler, policy

TICK_SECONDS = 0.1          # how exact timeouts are
ORPHAN_SECONDS = 3.0        # that a worker whose supervisor has died serves on, if no successor comes


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a worker gets through the fork."""

    name: str
    stripe: int
    slab: Any
    registry: Registry
    snapshot: Snapshot
    channel: socket.socket
    listeners: list[socket.socket]
    cache: Any = None


def run(inheritance: Inheritance) -> None:
    """Serves until told to stop. Returns when the last request has ended, or the drain's time is over."""
    # The terminal's Ctrl-C reaches every process of the group; the supervisor decides what it means.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1,
                   signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Worker(inheritance).serve())


class Worker:
    """One worker's life."""

    def __init__(self, inheritance: Inheritance) -> None:
        self.inherited = inheritance
        self.registry = inheritance.registry
        self.snapshot = inheritance.snapshot
        self.log = log.setup(inheritance.name, debug=inheritance.snapshot.debug,
                             lost=partial(inheritance.slab.lost_line, inheritance.stripe))
        self.stopped = asyncio.Event()
        self.until = float("inf")
        self.drained = self.alone = self.forsaken = self.retiring = False
        self.prepared: tuple[Prepare, Any] | None = None
        self.ended: Exception | None = None     # what it cannot go on after
        self.notes = Notes(self.log, time.monotonic, debug=inheritance.snapshot.debug)

    async def serve(self) -> None:
        """Listens, ticks, obeys the supervisor."""
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(self.unhandled)
        self.connector = Connector(self.loop)
        slab = self.inherited.slab
        self.gateway = _fast.Gateway(slab, self.inherited.stripe, self.connector, self.fault)
        self.books = Books(slab, self.inherited.stripe, self.log)
        self.compiler = Compiler(self.gateway, slab, bell.Rope(slab.host).ring, self.books,
                                 self.inherited.cache)
        self.own = OwnAnswers(self.gateway, lambda key: of_key(slab, self.snapshot, key))
        self.prepare(Prepare(0, self.snapshot, self.registry))
        self.commit(0)
        # What is here now stays: the collector need not walk it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20000, 20, 50)
        for listener in self.inherited.listeners:
            self.gateway.listen(listener)
        self.loop.add_reader(self.gateway.epoll, self.gateway.turn)
        self.tick()
        channel = self.inherited.channel
        channel.setblocking(False)
        self.reader = Reader(channel)
        self.loop.add_reader(channel, self.listen)
        self.mark = claims.mark(self.inherited.listeners[0])
        if self.mark is not None:
            self.loop.add_reader(self.mark, self.called)
        self.say(Kind.SERVING, self.snapshot.version)
        await self.stopped.wait()
        if self.ended is not None:
            raise self.ended
        self.loop.remove_reader(self.gateway.epoll)
        self.gateway.close()

    def prepare(self, message: Prepare) -> None:
        """Compiles a version beside the one in force, which does not change; an exception where it cannot be."""
        snapshot, registry = message.snapshot, message.registry
        tables = self.compiler.compile(snapshot, registry, self.own.answers(snapshot), self.notes)
        self.gateway.check(tables)
        self.prepared = message, tables

    def commit(self, serial: int) -> None:
        """What was prepared comes into force. RuntimeError: it was not, and who begins anew has the right version."""
        if self.prepared is None or self.prepared[0].serial != serial:
            raise RuntimeError("a version is in force that was not prepared here")
        (message, tables), self.prepared = self.prepared, None
        self.books.use(message.snapshot.store)
        self.gateway.load(tables)
        self.connector.forget()
        self.snapshot, self.registry = message.snapshot, message.registry
        self.notes.debug = self.snapshot.debug
        self.log.setLevel(log.level(self.snapshot.debug))

    def say(self, kind: Kind, number: int = 0, text: str = "") -> None:
        """To the supervisor, who may have died."""
        with contextlib.suppress(OSError):
            say(self.inherited.channel, Record(kind, number, text))

    def listen(self) -> None:
        """What comes from the supervisor, and that it has died."""
        if self.alone:
            return
        messages = self.reader.read()
        try:
            for message in messages or ():
                self.obey(message)
        except Exception as error:
            self.ended = error
            self.stopped.set()
        if messages is None:
            self.alone = True
            self.loop.remove_reader(self.inherited.channel)
            self.loop.call_later(min(ORPHAN_SECONDS, self.snapshot.drain_timeout), self.leave, False)

    def called(self) -> None:
        """Somebody else listens on our port: a successor, if our supervisor has died."""
        assert self.mark is not None
        with contextlib.suppress(OSError):
            self.mark.recv(1)
        self.listen()
        if self.alone:
            self.leave(True)

    def leave(self, succeeded: bool) -> None:
        """An orphan serves on until a successor listens, and not for long; then it gives the port up, queue and all.

        With a successor kept connections go with their next answer; else there is nothing to wait for but requests.
        """
        if not self.retiring:
            self.gateway.turn()
            self.retire(self.snapshot.drain_timeout)
            self.forsaken = not succeeded

    def obey(self, message: Message) -> None:
        """One message."""
        if isinstance(message, Prepare):
            self.prepared = None
            try:
                self.prepare(message)
            except Exception as error:
                self.log.exception("the configuration cannot be taken over")
                self.say(Kind.REFUSED, message.serial, repr(error))
            else:
                self.say(Kind.READY, message.serial)
        elif isinstance(message, Commit):
            self.commit(message.serial)
            self.say(Kind.SERVING, self.snapshot.version)
        elif isinstance(message, Abort):
            self.prepared = None
        elif isinstance(message, Retire):
            self.retire(message.timeout)
        elif isinstance(message, Drain):
            self.drain(message.timeout)

    def drain(self, seconds: float) -> None:
        """New requests are refused from now on; running ones have `seconds` to end.

        A worker that has none left stays, and refuses, until the supervisor says that no other has: the kernel gives
        it its share of new connections as long as its socket is open, and that is as long as the supervisor lives.
        """
        self.gateway.drain()
        self.until = min(self.until, self.loop.time() + seconds)

    def retire(self, seconds: float) -> None:
        """A successor listens on the same sockets: those who are here are served to their end, and nobody else."""
        self.gateway.retire()
        self.retiring = True
        self.until = min(self.until, self.loop.time() + seconds)

    def tick(self) -> None:
        """Ends what is overdue, and the worker itself once it is drained."""
        self.loop.call_later(TICK_SECONDS, self.tick)
        self.gateway.tick()
        if self.gateway.deaf:
            self.ended = RuntimeError("the listening socket is lost: nobody would take this worker's clients")
            self.stopped.set()
        self.notes.settle()
        if not self.gateway.draining and not self.retiring:
            return
        idle = not self.gateway.busy
        alone = self.forsaken or (self.alone and self.gateway.draining)
        if self.loop.time() >= self.until or (idle and alone) or (self.retiring and not self.gateway.clients):
            self.stopped.set()
        elif self.gateway.draining and idle and not self.drained:
            self.drained = True
            self.say(Kind.DRAINED)

    def fault(self, error: BaseException, request_id: str | None) -> None:
        """A fault of ours, with its traceback."""
        self.log.error("internal error", exc_info=error, extra={"facts": {"request_id": request_id}})

    def unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a callback of the event loop raised."""
        self.log.error(context.get("message", "unhandled"), exc_info=context.get("exception"))


def rehearse(slab: Any, registry: Registry, snapshot: Snapshot) -> None:
    """All that a start can fail at, without clients and providers: raises what it would raise."""
    gateway = _fast.Gateway(slab, 0, lambda pool: None, lambda error, request_id: None)
    own = OwnAnswers(gateway, lambda key: {})
    notes = Notes(logging.getLogger("edge"), time.monotonic, debug=False)
    gateway.load(Compiler(gateway, slab).compile(snapshot, registry, own.answers(snapshot), notes))
    texts = {directory.text(key) for key in snapshot.keys}
    if snapshot.store is not None:
        from edge.store import stored  # of all that workers do, this alone reads it

        with stored(snapshot.store) as found:
            texts |= {directory.text(party) for party in found.parties} | {row.policy for row, _ in found.rows}
    for text in texts:
        policy(snapshot, text)
