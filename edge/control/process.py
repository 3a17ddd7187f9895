"""Control's process: one event loop for a web server and the supervisor's channel, idle in between."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING

import uvloop

from edge._fast import Cache
from edge.control import circuits, maintenance, strain
from edge.control.app import Routes, date
from edge.control.health import Checks
from edge.control.inheritance import Inheritance
from edge.control.keys.keeper import Keeper
from edge.control.keys.watch import Watch
from edge.control.known import Known
from edge.control.points.clerk import Clerk
from edge.control.refusal import Refusal
from edge.control.reloads import Outcomes
from edge.control.requests import Requests
from edge.control.server import Server
from edge.control.state import State
from edge.process import claims, log
from edge.process.channel import Abort, Commit, Drain, Kind, Message, Prepare, Reader, Record, Reloaded, Retire, say
from edge.values import figures
from edge.values.snapshot import Overload

if TYPE_CHECKING:
    from edge.control.fleet.process import Fleet

RELOAD_SECONDS = 120.0      # the supervisor's time for an answer: a large file is read for long on a busy machine
LINGER_SECONDS = 1.0        # from the workers' last moment to ours: their last counts can be read
BEAT_SECONDS = 1.0          # between signs of life
LOOK_SECONDS = 0.05         # between looks for the workers' end, while draining


def main(state: State, inherited: Inheritance) -> None:
    """Serve until the end."""
    # The terminal's Ctrl-C reaches every process of the group; the supervisor decides what it means.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    logger = log.setup("control", debug=state.snapshot.debug)
    control = Control(state, inherited, logger)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(control.serve(inherited.listener))


class Control:
    """One life of the process."""

    def __init__(self, state: State, inherited: Inheritance, logger: logging.Logger) -> None:
        self.state = state
        self.stripe = inherited.stripe
        self.cache, self.address = inherited.cache, inherited.address
        if isinstance(self.cache, Cache):
            self.cache.claim(self.cache.areas - 1, os.getpid())
        self.channel = inherited.channel
        self.reader = Reader(self.channel)
        self.log = logger
        self.prepared: tuple[int, State] | None = None
        self.draining = False
        self.ending = asyncio.Event()
        self.ids = itertools.count(1)
        self.requests = Requests(state.slab)
        self.outcomes = Outcomes()
        self.clerk = Clerk(lambda: self.state)
        self.keeper = Keeper(lambda: self.state, self.share, self.clerk.grant, inherited.stored)
        self.watch = Watch(lambda: self.state.snapshot.store, self.follow)
        self.fleet: Fleet | None = None
        self.speaking: asyncio.Task[None] | None = None
        self.looking: asyncio.Task[None] | None = None
        self.reloads: dict[int, asyncio.Future[Reloaded]] = {}

    async def serve(self, listener: socket.socket) -> None:
        """Everything, until `ending`."""
        self.loop = asyncio.get_running_loop()
        self.loop.add_signal_handler(signal.SIGTERM, self.ending.set)
        self.loop.add_signal_handler(signal.SIGUSR1, self.requests.reopen)
        self.requests.load(self.state.snapshot.access_log, self.state.snapshot.tracing)
        self.loop.add_reader(self.channel, self.listen)
        self.beat()
        self.checks = Checks(self.loop, self.mark)
        routes = Routes(lambda: self.state, lambda: self.draining, self.reload, os.getppid(),
                        Known(lambda: self.fleet, self.checks.expiries, self.requests, self.outcomes, os.getppid(),
                              self.clerk, self.cache, self.address),
                        self.keeper)
        self.join()
        self.check()
        await self.keeper.load()
        await self.clerk.load()
        self.keeping = self.loop.create_task(self.clerk.run()), self.loop.create_task(self.watch.run())
        self.state.slab.hold(self.stripe, self.state.snapshot.version)
        self.ours = claims.mark(listener)       # it goes with us: without the supervisor nobody is in control
        say(self.channel, Record(Kind.SERVING, self.state.snapshot.version))
        await Server(routes.app(), self.refuse).serve(listener, self.ending)
        self.loop.remove_reader(self.channel)
        self.requests.end()
        await self.clerk.end()

    def refuse(self, refusal: Refusal) -> bytes:
        """What is refused before there is a request for the routes."""
        return self.state.refusals.render(refusal, extra=b"date: %s\r\n" % date(), close=True)

    def listen(self) -> None:
        """What comes from the supervisor; when it has died there is nothing left to be in control of."""
        messages = self.reader.read()
        if messages is None:
            self.ending.set()
            self.loop.remove_reader(self.channel)
            return
        for message in messages:
            self.obey(message)

    def obey(self, message: Message) -> None:
        """One message."""
        if isinstance(message, Prepare):
            say(self.channel, self.prepare(message))
        elif isinstance(message, Commit):
            self.commit(message.serial)
        elif isinstance(message, Abort):
            self.prepared = None
        elif isinstance(message, Reloaded):
            if message.id == 0:
                self.outcomes.add(message)
            waiting = self.reloads.pop(message.id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        elif isinstance(message, Retire):
            self.ending.set()
        elif isinstance(message, Drain):
            self.drain(self.loop.time() + message.timeout + LINGER_SECONDS)

    def beat(self) -> None:
        """Shows the supervisor that the event loop turns, and ends what is over."""
        self.state.slab.beat(self.stripe)
        maintenance.settle(self.state.slab)
        if self.state.snapshot.overload != Overload() and (self.looking is None or self.looking.done()):
            self.looking = self.loop.create_task(self.look())
        self.loop.call_later(BEAT_SECONDS, self.beat)

    async def look(self) -> None:
        """Looks whether the host is short of something. In a thread: a disk may be away."""
        snapshot = self.state.snapshot
        found = await asyncio.to_thread(strain.look, snapshot.overload, strain.places(snapshot))
        strain.tell(self.state.slab, *found)

    def prepare(self, message: Prepare) -> Record:
        """Compiles a version beside the one in force; or the reason why it cannot be."""
        self.prepared = None
        try:
            self.prepared = message.serial, State.of(self.state.slab, message.registry, message.snapshot)
        except Exception as error:
            self.log.exception("the configuration cannot be taken over")
            return Record(Kind.REFUSED, message.serial, repr(error))
        return Record(Kind.READY, message.serial)

    def commit(self, serial: int) -> None:
        """What was prepared comes into force. Where nothing was, this life is over: the next has the right version."""
        if self.prepared is None or self.prepared[0] != serial:
            self.log.error("a version is in force that was not prepared here")
            self.ending.set()
            return
        stored = self.state.snapshot.store
        (_, self.state), self.prepared = self.prepared, None
        self.log.setLevel(log.level(self.state.snapshot.debug))
        self.requests.load(self.state.snapshot.access_log, self.state.snapshot.tracing)
        self.join()
        self.check()
        self.state.slab.hold(self.stripe, self.state.snapshot.version)
        if stored is None and self.state.snapshot.store is None:
            say(self.channel, Record(Kind.SERVING, self.state.snapshot.version))
        else:
            self.loading = self.loop.create_task(self.load(self.state.snapshot.version))

    async def load(self, version: int) -> None:
        """The store may have been put back, or be another one; then the version is served."""
        await self.keeper.load()
        await self.clerk.load()
        self.watch.awake.set()
        say(self.channel, Record(Kind.SERVING, version))

    async def follow(self) -> None:
        """What other hosts have written into the store is so here, too."""
        await self.keeper.follow()
        await self.clerk.follow()

    def share(self) -> None:
        """A key has other limits: the fleet is to know."""
        if self.fleet is not None:
            self.fleet.share()

    def check(self) -> None:
        """Health checks as the version in force wants them."""
        circuits.settle(self.state)
        self.checks.load(self.state.snapshot.providers)

    def join(self) -> None:
        """The fleet that the version in force is part of, if it is."""
        redis = self.state.snapshot.redis
        if self.fleet is not None and self.fleet.redis == redis:
            return self.fleet.load(self.state)
        if self.speaking is not None:
            self.speaking.cancel()
        self.fleet = self.speaking = None
        if redis is not None:
            from edge.control.fleet.process import Fleet  # what nobody shares with needs no memory

            self.fleet = Fleet(redis, self.state)
            self.speaking = self.loop.create_task(self.fleet.run())

    def mark(self, provider: str, well: bool) -> None:
        """A verdict of the health checks."""
        circuits.mark(self.state, provider, well)

    async def reload(self) -> Reloaded:
        """Ask the supervisor. TimeoutError: it did not answer."""
        number = next(self.ids)
        self.reloads[number] = self.loop.create_future()
        say(self.channel, Record(Kind.RELOAD, number))
        try:
            return await asyncio.wait_for(self.reloads[number], RELOAD_SECONDS)
        finally:
            self.reloads.pop(number, None)

    def drain(self, until: float) -> None:
        """Not ready any more, and gone once the workers are (the dead have no connections), or at `until`."""
        self.draining = True
        idle = not any(worker["connections"] for worker in figures.workers(self.state.slab))
        if idle or self.loop.time() >= until:
            self.ending.set()
        else:
            self.loop.call_later(LOOK_SECONDS, self.drain, until)
