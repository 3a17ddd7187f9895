"""The process that carries no traffic: it owns the sockets and the shared memory, and keeps the others alive.

It also holds what is in force. (The design has control publish it; but a worker that restarts is forked from here, so
the snapshot must be here anyway, and one holder is simpler than two.)
"""

from __future__ import annotations

import gc
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import replace

from edge import __version__, contract
from edge._fast import Slab, Switches
from edge.config import ConfigError
from edge.process import descriptors, log, notify
from edge.process.apart import Ended, apart
from edge.process.channel import PROTOCOL, Garbage, Kind, Record
from edge.supervisor import cache
from edge.supervisor.children import Child
from edge.supervisor.family import Family
from edge.supervisor.force import Force, forget
from edge.supervisor.generation import Generation, take_over
from edge.supervisor.handover import Handover
from edge.supervisor.listeners import Listeners
from edge.supervisor.reload import Reloads
from edge.supervisor.signals import Signals
from edge.supervisor.upgrade import Command, Upgrades
from edge.values.registry import Registry, prepare
from edge.values.snapshot import Snapshot

STARTS = 2                  # more deaths than this before everything has ever served: a failure
SPARE = 128                 # descriptors of a worker besides those of its connections


class Supervisor:
    """`run()` returns the exit code. `command` starts this program again; without one it cannot be upgraded."""

    def __init__(self, snapshot: Snapshot, reload: Callable[[int], Snapshot], *,
                 started: Callable[[Snapshot], None] | None = None, command: Command | None = None,
                 handed: Handover | None = None) -> None:
        self.started = started
        self.log = log.setup("supervisor", debug=snapshot.debug)
        self.signals = Signals()
        self.handed = handed is not None
        if handed is None:
            self.listeners = Listeners.opened(snapshot)
            force = Force(Slab(snapshot.workers), replace(snapshot, keys=()), Registry())
            first, before = 0, list[Child]()
        else:
            self.listeners = Listeners.inherited(handed, snapshot, self.log)
            force, first, before = take_over(handed, snapshot, self.log)
        force.cache, force.answers = cache.opened(snapshot.cache, snapshot.workers, self.log,
                                                  cache.NONE if handed is None else handed.cache)
        self.force = force
        force.take(snapshot, force.registry, prepare(force.slab, force.registry, snapshot))
        self.fill()
        if handed is not None:
            forget(force)
        self.generation = Generation(force, self.listeners, first, snapshot.workers)
        self.family = Family(self.generation.children(), before, force.slab, self.log)
        self.upgrades = Upgrades(command, self.log)
        self.reloads = Reloads(force, reload, self.family.everyone, self.log, self.upgrades.again)
        self.announced = False
        self.exit_code = 0

    def fill(self) -> None:
        """The store's keys. An image that takes another's place must serve, whatever it costs. ConfigError."""
        try:
            self.force.fill()
        except (ConfigError, Ended, OSError) as error:
            if not self.handed:
                raise
            self.log.warning("keys of the store are not in force yet", extra={"facts": {"reason": str(error)}})

    def run(self) -> int:
        """Starts everything, and watches it until it is told to stop."""
        with self.signals:
            self.family.selector.register(self.signals.wake, selectors.EVENT_READ, None)
            self.ready()
            self.family.revive()
            self.watch_over()
        return self.exit_code

    def ready(self) -> None:
        """All that children have through the fork is made, and stays as it is."""
        providers = sum(provider.max_connections for provider in self.force.snapshot.providers)
        wanted = self.force.snapshot.bounds.connections + providers + SPARE
        if (limit := descriptors.allow(wanted)) is not None:
            self.log.warning("a worker may open %d descriptors, but limits.connections wants %d: raise the limit "
                             "(LimitNOFILE= of systemd, ulimit -Hn), or set limits.connections lower", limit, wanted)
        # What is here now stays, and its pages stay the children's as well if no collector writes to them.
        try:
            contract.hold(apart(contract.tables))
        except (Ended, OSError):            # an image that takes another's place must serve, whatever it costs
            contract.hold(contract.tables())
        gc.collect()
        gc.freeze()

    def watch_over(self) -> None:
        """Until nobody is left."""
        watchdog = notify.watchdog_seconds()
        while not self.family.over:
            for key, _ in self.family.selector.select(self.patience(watchdog)):
                if key.data is None:
                    for signalled in self.signals.come():
                        self.signalled(signalled)
                else:
                    self.heard(key.data)
            self.reap()
            self.announce()
            self.family.revive()
            self.reloads.enforce()
            self.family.enforce()
            self.listeners.orphans.enforce({child.pid for child in self.family.everyone()}, self.log)
            self.renew()
            if watchdog is not None:
                notify.send("WATCHDOG=1")

    def patience(self, watchdog: float | None) -> float:
        """Seconds until something is due by the clock alone."""
        due = [self.family.due, self.reloads.due, self.listeners.orphans.due]
        if self.upgrades.trial is not None:
            due.append(self.upgrades.trial.due)
        if watchdog is not None:
            due.append(time.monotonic() + watchdog / 2)
        return max(0.0, min(due) - time.monotonic())

    @property
    def stopping(self) -> bool:
        """Whether nothing new begins any more."""
        return self.family.stopping is not None

    def reap(self) -> None:
        """What deaths mean for the others."""
        for child, how in self.family.reap():
            # A worker that cannot start is a failure, at the beginning; without control requests are served all the
            # same, and while the version before still serves, a new one that cannot start harms nobody.
            if not self.stopping and not self.announced and not self.family.retiring \
                    and child.works and child.deaths > STARTS:
                self.log.error("%s cannot be started: giving up", child.name)
                self.exit_code = 1
                self.stop(0.0)
            self.reloads.died(child, how)

    def heard(self, child: Child) -> None:
        """Messages of one child."""
        if child.reader is None:
            return
        try:
            records = child.reader.read()
        except Garbage as error:
            self.log.error("%s says what no process of ours says (%s): it is killed", child.name, error)
            child.kill("it said what no process of ours says")
            records = None
        if records is None:
            assert child.channel is not None
            self.family.selector.unregister(child.channel)     # it is ending; reap() sees to the rest
            child.reader = None
            return
        for record in records:
            self.obey(child, record)

    def obey(self, child: Child, record: Record) -> None:
        """One record."""
        if record.kind == Kind.RELOAD:
            if not child.works and not self.stopping:
                self.reloads.ask([(child, record.number)])
        elif record.kind == Kind.DRAINED:
            if self.stopping:
                child.drained = True
                self.family.end_together()
        else:
            self.reloads.heard(child, record)

    def announce(self) -> None:
        """Once everything serves the world may know, and the version before may go. A broken control keeps nobody."""
        if self.announced or self.stopping or not all(
                child.ready or (child.deaths > STARTS and not child.works) for child in self.family.children):
            return
        self.announced = True
        notify.send("READY=1\nSTATUS=serving")
        if self.handed:
            seconds = self.force.snapshot.drain_timeout
            self.log.info("edge %s serves in the place of the version before, whose connections have %g s to end",
                          __version__, seconds)
            self.family.retire(seconds)
            self.force.revoke()
        elif self.started is not None:
            self.started(self.serving())

    def serving(self) -> Snapshot:
        """The snapshot with the ports that the kernel chose."""
        return self.listeners.bound(self.force.snapshot)

    def signalled(self, number: int) -> None:
        """TERM drains (again: quickly), INT and QUIT are quick, HUP reloads, USR1 has logs reopened, USR2 upgrades."""
        if number == signal.SIGTERM and not self.stopping:
            self.stop(self.force.snapshot.drain_timeout)
        elif number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self.stop(0.0)
        elif number == signal.SIGHUP and not self.stopping:
            self.reloads.ask([])
        elif number == signal.SIGUSR1:
            self.family.reopen()
        elif number == signal.SIGUSR2 and not self.stopping:
            self.upgrades.ask(bool(self.family.retiring))

    def stop(self, seconds: float) -> None:
        """Running requests have this time to end."""
        self.log.info("stopping: running requests have %g s", seconds)
        notify.send("STOPPING=1")
        self.upgrades.forget()
        self.family.stop(seconds)

    def renew(self) -> None:
        """The steps of an upgrade: a trial, and where that ends well another image of this process."""
        if self.announced and self.reloads.pending is None and not self.stopping and not self.family.retiring:
            self.upgrades.begin(self.handover)
        if self.upgrades.ready():
            self.signals.block()
            if not self.unheard():
                notify.send("RELOADING=1")
                self.upgrades.become(self.handover)
                notify.send("READY=1")
            self.signals.unblock()

    def unheard(self) -> bool:
        """Whether something was said that the next image would never hear: a signal, half of a message."""
        return self.signals.waiting() or any(
            child.reader is not None and child.reader.partial for child in self.family.everyone())

    def handover(self, snapshot: int) -> Handover:
        """What the next image needs to know; `snapshot` is a memfd."""
        alive = [(child.name, child.stripe, child.pid, child.channel.fileno())
                 for child in self.family.children if child.channel is not None]
        force, listeners = self.force, self.listeners
        return Handover(
            force.snapshot.version, [sock.fileno() for sock in listeners.workers], listeners.admin.fileno(),
            [sock.fileno() for sock in listeners.claims], listeners.addresses, force.slab.descriptor,
            self.generation.first, force.registry.given, alive, snapshot, PROTOCOL,
            cache=force.answers, spoken=Switches(force.slab).spoken._asdict())
