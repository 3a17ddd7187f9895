"""The process that carries no traffic: it owns the sockets and the shared memory, and keeps the others alive.

It also holds the snapshot. (The design has control publish it; but a worker that restarts is forked from here, so
the snapshot must be here anyway, and one holder is simpler than two.)
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from edge import __version__, control, descriptors, log, notify, upgrade, worker
from edge._fast import CONTROL, GENERATION, Healths, Slab
from edge.catalogue import Snapshot
from edge.channel import Drain, Drained, Failed, Load, Loaded, Reader, Reload, Reloaded, Retire
from edge.children import Child, Watch
from edge.config import INVALID, ConfigError, Place, Problem
from edge.registry import Registry, prepare
from edge.worker.process import Inheritance

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)
RESTART_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0)     # after deaths in quick succession
QUICK_SECONDS = 5.0                             # a life shorter than this was a quick death
STARTS = 2                                      # more deaths than this before everything has ever served: a failure
GRACE_SECONDS = 2.0                             # from the end of a drain to SIGKILL
SPARE = 128                                     # descriptors of a worker besides those of its connections

Question = tuple[Child, int]        # who asked for a reload, and the number it gave the question


@dataclass(slots=True)
class Pending:
    """A reload that waits for the children's word."""

    version: int
    asked_by: list[Question]
    before: Snapshot
    missing: set[str] = field(default_factory=set)


class Supervisor:
    """`run()` returns the exit code. `command` starts this program again; without one it cannot be upgraded."""

    def __init__(self, snapshot: Snapshot, reload: Callable[[int], Snapshot], *,
                 started: Callable[[Snapshot], None] | None = None, command: upgrade.Command | None = None,
                 handed: upgrade.Handover | None = None) -> None:
        self.reload_file = reload
        self.started = started
        self.snapshot = snapshot
        self.log = log.setup("supervisor", debug=snapshot.debug)
        self.selector = selectors.DefaultSelector()
        self.retiring: list[Child] = []         # of the generation before
        self.handed = handed is not None
        if handed is None:
            self.begin()
        else:
            self.inherit(handed)
        prepare(self.slab, self.registry, snapshot)
        if handed is not None:
            self.forgive(replace(snapshot, providers=()))
        self.children = [Child("control", self.generation + CONTROL, self.start_control)]
        self.children += [Child(f"worker-{i}", self.generation + i, self.start_worker(i))
                          for i in range(snapshot.workers)]
        self.watch = Watch(self.slab)
        self.pending: Pending | None = None
        self.wanted: list[Question] | None = None
        self.upgrades = upgrade.Upgrades(command, self.log)
        self.stopping: float | None = None
        self.announced = False
        self.exit_code = 0

    def begin(self) -> None:
        """Everything new. OSError where an address cannot be had."""
        snapshot = self.snapshot
        self.listeners = descriptors.listen(snapshot.listen_addr, snapshot.port, snapshot.workers)
        self.admin = descriptors.listen(snapshot.admin_addr, snapshot.admin_port, 1)[0]
        self.addresses = addresses(snapshot)
        self.slab, self.registry = Slab(snapshot.workers), Registry()
        self.generation = 0         # the first of its stripes

    def inherit(self, handed: upgrade.Handover) -> None:
        """Everything from the image before; what no longer fits is new, and the log says so."""
        snapshot = self.snapshot
        self.listeners = [socket.socket(fileno=each) for each in handed.listeners]
        self.admin = socket.socket(fileno=handed.admin)
        self.addresses = handed.addresses
        if addresses(snapshot) != self.addresses:
            self.log.warning("port, listen_addr and admin's take effect at the next start")
        with contextlib.suppress(OSError):      # a worker without a socket of its own shares another's
            while len(self.listeners) < snapshot.workers:
                self.listeners.append(descriptors.join(self.listeners[0]))
        try:
            self.slab, self.registry = Slab(snapshot.workers, handed.slab), Registry(handed.indices)
            self.generation = GENERATION - handed.generation
        except ValueError as error:
            self.log.warning("counters and limits begin anew: %s", error)
            os.close(handed.slab)
            self.slab, self.registry, self.generation = Slab(snapshot.workers), Registry(), 0
        shared = self.generation != handed.generation
        for name, stripe, pid, channel in handed.children:
            sock = socket.socket(fileno=channel)
            child = Child(name, stripe if shared else -1, pid=pid, channel=sock, reader=Reader(sock), ready=True)
            self.retiring.append(child)
            self.selector.register(sock, selectors.EVENT_READ, child)
        os.close(handed.snapshot)

    def forgive(self, before: Snapshot) -> None:
        """What was learnt of keys that a provider has no more, or under rules that are off now, is forgotten.

        When all workers have the new version: until then they may still learn it.
        """
        snapshot, healths = self.snapshot, Healths(self.slab)
        keys = {provider.name: provider.keys for provider in before.providers}
        others = {provider.name for provider in snapshot.providers if provider.keys != keys.get(provider.name)}
        for (provider, _), index in self.registry.targets.items():
            if provider in others:
                healths.forgive(index)
            if not snapshot.breaker.enabled:
                healths.heal(index)

    def run(self) -> int:
        """Starts everything, and watches it until it is told to stop."""
        self.wake, woken = socket.socketpair()
        for end in (self.wake, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)     # the image before has left them blocked
        self.selector.register(self.wake, selectors.EVENT_READ, None)
        providers = sum(provider.max_connections for provider in self.snapshot.providers)
        wanted = self.snapshot.bounds.connections + providers + SPARE
        if (limit := descriptors.allow(wanted)) is not None:
            self.log.warning("a worker may open %d descriptors, but limits.connections wants %d: raise the limit "
                             "(LimitNOFILE= of systemd, ulimit -Hn), or set limits.connections lower", limit, wanted)
        for child in self.children:
            child.spawn(self.selector, self.everyone())
        watchdog = notify.watchdog_seconds()
        while any(child.pid for child in self.everyone()) or self.stopping is None:
            for key, _ in self.selector.select(self.patience(watchdog)):
                if key.data is None:
                    for signalled in self.wake.recv(4096):
                        self.signalled(signalled)
                else:
                    self.heard(key.data)
            self.reap()
            self.revive()
            self.enforce()
            self.renew()
            if watchdog is not None:
                notify.send("WATCHDOG=1")
        return self.exit_code

    def everyone(self) -> list[Child]:
        """All processes but a trial's."""
        return self.children + self.retiring

    def patience(self, watchdog: float | None) -> float:
        """Seconds until something is due by the clock alone."""
        due = [self.watch.due, *(child.due for child in self.retiring if child.due)]
        if self.stopping is not None:
            due.append(self.stopping)
        else:
            due += [child.due for child in self.children if not child.pid]
        if self.upgrades.trial is not None:
            due.append(self.upgrades.trial.due)
        if watchdog is not None:
            due.append(time.monotonic() + watchdog / 2)
        return max(0.0, min(due) - time.monotonic())

    # ---- children ----

    def start_worker(self, index: int) -> Callable[[socket.socket], None]:
        """What worker `index` does after the fork."""
        return lambda channel: worker.run(Inheritance(
            f"worker-{index}", self.generation + index, self.slab, self.registry, self.snapshot, channel,
            descriptors.share(self.listeners, index, len(self.children) - 1)))

    def start_control(self, channel: socket.socket) -> None:
        """What control does after the fork."""
        control.run(self.slab, self.registry, self.snapshot, channel, self.admin, self.generation + CONTROL)

    def reap(self) -> None:
        """Takes note of who has died."""
        for child in self.everyone():
            if child.reaped(self.selector):
                if child.start is None:
                    self.retired(child)
                else:
                    self.buried(child)
                if self.stopping is not None:
                    self.end_together()

    def retired(self, child: Child) -> None:
        """One of the generation before has ended; its stripe is for the generation after this one."""
        self.retiring.remove(child)
        if child.stripe >= 0:
            self.slab.retired(child.stripe)
        if not self.retiring:
            self.log.info("upgrade complete: the processes of the version before have ended")

    def buried(self, child: Child) -> None:
        """Frees what the child held, and says when it may live again."""
        now = time.monotonic()
        child.deaths = child.deaths + 1 if now - child.born < QUICK_SECONDS else 0
        child.due = now + RESTART_SECONDS[min(child.deaths, len(RESTART_SECONDS) - 1)]
        self.slab.worker_died(child.stripe)
        if self.stopping is None:
            self.log.error("%s died; it is started again", child.name)
            self.slab.restarted(child.stripe)
            # While the version before still serves, a new one that cannot start harms nobody.
            if not self.announced and child.deaths > STARTS and not self.retiring:
                self.log.error("%s cannot be started: giving up", child.name)
                self.exit_code = 1
                self.stop(0.0)
        self.settled(child, None)

    def revive(self) -> None:
        """Starts again who has died and whose time has come."""
        for child in self.children:
            if not child.pid and self.stopping is None and time.monotonic() >= child.due:
                child.spawn(self.selector, self.everyone())

    # ---- what is said ----

    def heard(self, child: Child) -> None:
        """Messages of one child."""
        if child.reader is None:
            return
        messages = child.reader.read()
        if messages is None:
            assert child.channel is not None
            self.selector.unregister(child.channel)     # it is ending; reap() sees to the rest
            return
        for message in messages:
            if isinstance(message, Loaded):
                child.ready = True
                self.settled(child, None)
            elif isinstance(message, Failed):
                self.settled(child, message.reason)
            elif isinstance(message, Reload):
                self.reload([(child, message.id)])
            elif isinstance(message, Drained):
                child.drained = True
                self.end_together()
        if not self.announced and self.stopping is None and all(each.ready for each in self.children):
            self.announced = True
            self.announce()

    def announce(self) -> None:
        """Everything serves: the world may know, and the version before may go."""
        notify.send("READY=1\nSTATUS=serving")
        if self.handed:
            seconds = self.snapshot.drain_timeout
            self.log.info("edge %s serves in the place of the version before, whose connections have %g s to end",
                          __version__, seconds)
            for child in self.retiring:
                child.due = time.monotonic() + seconds + GRACE_SECONDS
                child.tell(Retire(seconds))
        elif self.started is not None:
            self.started(self.serving())

    def serving(self) -> Snapshot:
        """The snapshot with the ports that the kernel chose."""
        return replace(self.snapshot, port=self.listeners[0].getsockname()[1], admin_port=self.admin.getsockname()[1])

    def signalled(self, number: int) -> None:
        """TERM drains, INT and QUIT are quick, HUP reloads, USR2 upgrades; TERM while draining makes it quick."""
        if number == signal.SIGTERM and self.stopping is None:
            self.stop(self.snapshot.drain_timeout)
        elif number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self.stop(0.0)
        elif number == signal.SIGHUP and self.stopping is None:
            self.reload([])
        elif number == signal.SIGUSR2 and self.stopping is None:
            self.upgrades.ask(bool(self.retiring))

    def stop(self, seconds: float) -> None:
        """Every child is told; those still there after the time and a little grace are killed."""
        self.log.info("stopping: running requests have %g s", seconds)
        notify.send("STOPPING=1")
        self.stopping = time.monotonic() + seconds + GRACE_SECONDS
        self.upgrades.forget()
        for child in self.everyone():
            child.tell(Drain(seconds))

    def end_together(self) -> None:
        """When no worker has a request any more, all end; not before, so that new connections meet someone."""
        if all(child.drained or not child.pid for child in self.everyone() if child.works):
            for child in self.everyone():
                child.tell(Drain(0.0))

    def enforce(self) -> None:
        """Kills who stands still, and who outlives a drain."""
        now = time.monotonic()
        for child in self.watch.frozen(self.everyone()):
            self.log.error("%s stands still: it is killed", child.name)
            os.kill(child.pid, signal.SIGKILL)
        overdue = [child for child in self.retiring if child.due and now >= child.due]
        if self.stopping is not None and now >= self.stopping:
            self.stopping = now + GRACE_SECONDS
            overdue = self.everyone()
        for child in overdue:
            child.due = now + GRACE_SECONDS
            if child.pid:
                self.log.error("%s did not end in time", child.name)
                os.kill(child.pid, signal.SIGKILL)

    # ---- reload ----

    def reload(self, asked_by: list[Question]) -> None:
        """A new version for all, or a message that says what is wrong with the file and no change.

        While one is under way the next waits: whoever asked gets the answer to a file that was read after it asked.
        """
        if self.pending is not None:
            self.wanted = [*(self.wanted or []), *asked_by]
            return
        self.upgrades.again()
        version = self.snapshot.version + 1
        notify.send("RELOADING=1")
        try:
            snapshot = self.reload_file(version)
            prepare(self.slab, self.registry, snapshot)
        except ConfigError as error:
            self.log.error("the configuration stays as it was: %s", error)
            self.answer(asked_by, None, error.problems)
        except ValueError as error:         # more keys than buckets, or a limit beyond the clock's range
            self.log.error("the configuration stays as it was: %s", error)
            self.answer(asked_by, None, (Problem(INVALID, Place("limits"), "", str(error), "fewer keys or models"),))
        else:
            self.name_fixed(snapshot)
            running = {child.name for child in self.children if child.pid}
            self.pending = Pending(version, asked_by, self.snapshot, running)
            self.snapshot = snapshot
            for child in self.children:
                child.tell(Load(snapshot, self.registry))
            return
        notify.send("READY=1")

    def name_fixed(self, snapshot: Snapshot) -> None:
        """What a running gateway cannot change is named, not silently ignored."""
        for name in ("listen_addr", "port", "workers", "admin_addr", "admin_port"):
            if getattr(snapshot, name) != getattr(self.snapshot, name):
                self.log.warning("%s takes effect at the next %s", name, "upgrade" if name == "workers" else "start")

    def settled(self, child: Child, reason: str | None) -> None:
        """One child has taken the new version over (or died, and will start with it)."""
        if self.pending is None or child.start is None:
            return
        if reason is not None:
            self.log.error("%s did not take the configuration over: %s", child.name, reason)
        self.pending.missing.discard(child.name)
        if not self.pending.missing:
            self.forgive(self.pending.before)
            self.log.info("configuration version %d in force", self.pending.version)
            notify.send("READY=1")
            self.answer(self.pending.asked_by, self.pending.version, ())
            self.pending = None
            if self.wanted is not None:
                wanted, self.wanted = self.wanted, None
                self.reload(wanted)

    def answer(self, asked_by: list[Question], version: int | None, problems: Any) -> None:
        """Tells those who asked; a signal wants no answer."""
        for child, number in asked_by:
            child.tell(Reloaded(number, version, tuple(problems)))

    # ---- upgrade ----

    def renew(self) -> None:
        """The steps of an upgrade: a trial, and where that ends well another image of this process."""
        if self.announced and self.pending is None and self.stopping is None and not self.retiring:
            self.upgrades.begin(self.handover)
        if self.upgrades.ready():
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            if not self.unheard():
                notify.send("RELOADING=1")
                self.upgrades.become(self.handover)
                notify.send("READY=1")
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def unheard(self) -> bool:
        """Whether something was said that the next image would never hear: a signal, half of a message."""
        if any(child.reader is not None and child.reader.partial for child in self.everyone()):
            return True
        try:
            return bool(self.wake.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    def handover(self, snapshot: int) -> upgrade.Handover:
        """What the next image needs to know; `snapshot` is a memfd."""
        alive = [(child.name, child.stripe, child.pid, child.channel.fileno())
                 for child in self.children if child.channel is not None]
        return upgrade.Handover(
            self.snapshot.version, [sock.fileno() for sock in self.listeners], self.admin.fileno(), self.addresses,
            self.slab.descriptor, self.generation, self.registry.indices, alive, snapshot)


def addresses(snapshot: Snapshot) -> list[Any]:
    """What of the configuration leads to the sockets."""
    return [snapshot.listen_addr, snapshot.port, snapshot.admin_addr, snapshot.admin_port]
