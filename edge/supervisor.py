"""The process that carries no traffic: it owns the sockets and the shared memory, and keeps the others alive.

It also holds what is in force. (The design has control publish it; but a worker that restarts is forked from here, so
the snapshot must be here anyway, and one holder is simpler than two.)
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edge import __version__, contract, control, upgrade, worker
from edge._fast import CONTROL, GENERATION, Slab
from edge.children import Child, Ends, Watch
from edge.process import claims, descriptors, log, notify, sockets
from edge.process.channel import PROTOCOL, Drain, Garbage, Kind, Record, Records, Retire
from edge.reload import Force, Reloads, forget
from edge.values.registry import Registry, apply, prepare
from edge.values.snapshot import Snapshot
from edge.worker.process import Inheritance

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)
RESTART_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0)     # after deaths in quick succession
QUICK_SECONDS = 5.0                             # a life shorter than this was a quick death
STARTS = 2                                      # more deaths than this before everything has ever served: a failure
GRACE_SECONDS = 2.0                             # from the end of a drain to SIGKILL
SPARE = 128                                     # descriptors of a worker besides those of its connections


class Supervisor:
    """`run()` returns the exit code. `command` starts this program again; without one it cannot be upgraded."""

    def __init__(self, snapshot: Snapshot, reload: Callable[[int], Snapshot], *,
                 started: Callable[[Snapshot], None] | None = None, command: upgrade.Command | None = None,
                 handed: upgrade.Handover | None = None) -> None:
        self.started = started
        self.log = log.setup("supervisor", debug=snapshot.debug)
        self.selector = selectors.DefaultSelector()
        self.retiring: list[Child] = []         # of the generation before
        self.handed = handed is not None
        slab, registry = self.begin(snapshot) if handed is None else self.inherit(handed, snapshot)
        self.force = Force(slab, snapshot, registry)
        apply(slab, registry, snapshot, prepare(slab, registry, snapshot))
        if handed is not None:
            forget(self.force)
        self.children = [Child("control", self.generation + CONTROL, self.start_control, self.kept_by_control)]
        self.children += [Child(f"worker-{i}", self.generation + i, self.start_worker(i), self.kept_by_worker(i))
                          for i in range(snapshot.workers)]
        self.watch, self.ends = Watch(slab), Ends()
        self.upgrades = upgrade.Upgrades(command, self.log)
        self.reloads = Reloads(self.force, reload, self.everyone, self.log, self.upgrades.again)
        self.stopping: float | None = None
        self.announced = False
        self.exit_code = 0

    def begin(self, snapshot: Snapshot) -> tuple[Slab, Registry]:
        """Everything new. OSError where an address cannot be had."""
        self.listeners, claim = sockets.listen(snapshot.listen_addr, snapshot.port, snapshot.workers)
        (self.admin,), second = sockets.listen(snapshot.admin_addr, snapshot.admin_port, 1)
        self.claims = [claim, second]
        for host, port in ((snapshot.listen_addr, snapshot.port), (snapshot.admin_addr, snapshot.admin_port)):
            if port:
                claims.dismiss(host, port)
        self.addresses = addresses(snapshot)
        self.generation = 0         # the first of its stripes
        return Slab(snapshot.workers), Registry()

    def inherit(self, handed: upgrade.Handover, snapshot: Snapshot) -> tuple[Slab, Registry]:
        """Everything from the image before; what no longer fits is new, and the log says so."""
        self.listeners = [socket.socket(fileno=each) for each in handed.listeners]
        self.admin = socket.socket(fileno=handed.admin)
        self.claims = [socket.socket(fileno=each) for each in handed.claims]
        self.addresses = handed.addresses
        if addresses(snapshot) != self.addresses:
            self.log.warning("port, listen_addr and admin's take effect at the next start")
        with contextlib.suppress(OSError):      # a worker without a socket of its own shares another's
            while len(self.listeners) < snapshot.workers:
                self.listeners.append(sockets.join(self.listeners[0]))
        try:
            slab, registry = Slab(snapshot.workers, handed.slab), Registry(handed.indices)
            self.generation = GENERATION - handed.generation
        except ValueError as error:
            self.log.warning("counters and limits begin anew: %s", error)
            os.close(handed.slab)
            slab, registry, self.generation = Slab(snapshot.workers), Registry(), 0
        shared = self.generation != handed.generation
        for name, stripe, pid, channel in handed.children:
            sock = socket.socket(fileno=channel)
            child = Child(name, stripe if shared else -1, pid=pid, channel=sock, reader=Records(sock), ready=True)
            self.retiring.append(child)
            self.selector.register(sock, selectors.EVENT_READ, child)
        os.close(handed.snapshot)
        return slab, registry

    def run(self) -> int:
        """Starts everything, and watches it until it is told to stop."""
        self.wake, woken = socket.socketpair()
        for end in (self.wake, woken):
            end.setblocking(False)
        # First the descriptor, then the handlers; and back before it is closed, when a signal may still come.
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        try:
            return self.watch_over()
        finally:
            signal.set_wakeup_fd(-1)

    def watch_over(self) -> int:
        """The same, with signals at hand."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)     # the image before has left them blocked
        self.selector.register(self.wake, selectors.EVENT_READ, None)
        providers = sum(provider.max_connections for provider in self.force.snapshot.providers)
        wanted = self.force.snapshot.bounds.connections + providers + SPARE
        if (limit := descriptors.allow(wanted)) is not None:
            self.log.warning("a worker may open %d descriptors, but limits.connections wants %d: raise the limit "
                             "(LimitNOFILE= of systemd, ulimit -Hn), or set limits.connections lower", limit, wanted)
        # What is here now stays, and its pages stay the children's as well if no collector writes to them.
        contract.ready()
        gc.collect()
        gc.freeze()
        for child in self.children:
            child.spawn(self.selector)
        watchdog = notify.watchdog_seconds()
        while any(child.pid for child in self.everyone()) or self.stopping is None:
            for key, _ in self.selector.select(self.patience(watchdog)):
                if key.data is None:
                    for signalled in self.wake.recv(4096):
                        self.signalled(signalled)
                else:
                    self.heard(key.data)
            self.reap()
            self.announce()
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
        due = [self.watch.due, self.reloads.due, *(child.due for child in self.retiring if child.due)]
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
            f"worker-{index}", self.generation + index, self.force.slab, self.force.registry, self.force.snapshot,
            channel, self.share(index)))

    def start_control(self, channel: socket.socket) -> None:
        """What control does after the fork."""
        force = self.force
        control.run(force.slab, force.registry, force.snapshot, channel, self.admin, self.generation + CONTROL)

    def share(self, index: int) -> list[socket.socket]:
        """The listening sockets of worker `index`."""
        return sockets.share(self.listeners, index, len(self.children) - 1)

    def kept_by_worker(self, index: int) -> Callable[[], list[int]]:
        """The descriptors that worker `index` has: nobody else's sockets, which would outlive their owners in it."""
        return lambda: [self.force.slab.descriptor, *(sock.fileno() for sock in self.share(index))]

    def kept_by_control(self) -> list[int]:
        """Those that control has."""
        return [self.force.slab.descriptor, self.admin.fileno()]

    def reap(self) -> None:
        """Takes note of who has died."""
        for child in self.everyone():
            status = child.reaped(self.selector)
            if status is None:
                continue
            if child.start is None:
                child.pid = 0
                self.retired(child)
            else:
                self.buried(child, status)
            if self.stopping is not None:
                self.end_together()

    def retired(self, child: Child) -> None:
        """One of the generation before has ended; its stripe is for the generation after this one."""
        self.retiring.remove(child)
        if child.stripe >= 0:
            self.force.slab.retired(child.stripe)
        if not self.retiring:
            self.log.info("upgrade complete: the processes of the version before have ended")

    def buried(self, child: Child, status: int) -> None:
        """Frees what the child held, and says how it ended and when it may live again."""
        now = time.monotonic()
        child.deaths = child.deaths + 1 if now - child.born < QUICK_SECONDS else 0
        child.due = now + RESTART_SECONDS[min(child.deaths, len(RESTART_SECONDS) - 1)]
        how, facts = self.ends.told(child, status)
        child.pid = 0
        self.force.slab.worker_died(child.stripe)
        if self.stopping is None:
            self.log.error("%s died %s; it is started again", child.name, how,
                           extra={"facts": {"child": child.name, **facts}})
            self.force.slab.restarted(child.stripe)
            # A worker that cannot start is a failure, at the beginning; without control requests are served all the
            # same, and while the version before still serves, a new one that cannot start harms nobody.
            if not self.announced and child.deaths > STARTS and not self.retiring and child.works:
                self.log.error("%s cannot be started: giving up", child.name)
                self.exit_code = 1
                self.stop(0.0)
        self.reloads.died(child, how)

    def revive(self) -> None:
        """Starts again who has died and whose time has come."""
        for child in self.children:
            if not child.pid and self.stopping is None and time.monotonic() >= child.due:
                child.spawn(self.selector)

    # ---- what is said ----

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
            self.selector.unregister(child.channel)     # it is ending; reap() sees to the rest
            child.reader = None
            return
        for record in records:
            self.obey(child, record)

    def obey(self, child: Child, record: Record) -> None:
        """One record."""
        if record.kind == Kind.RELOAD:
            if not child.works and self.stopping is None:
                self.reloads.ask([(child, record.number)])
        elif record.kind == Kind.DRAINED:
            if self.stopping is not None:
                child.drained = True
                self.end_together()
        else:
            self.reloads.heard(child, record)

    def announce(self) -> None:
        """Once everything serves the world may know, and the version before may go. A broken control keeps nobody."""
        if self.announced or self.stopping is not None or not all(
                child.ready or (child.deaths > STARTS and not child.works) for child in self.children):
            return
        self.announced = True
        notify.send("READY=1\nSTATUS=serving")
        if self.handed:
            seconds = self.force.snapshot.drain_timeout
            self.log.info("edge %s serves in the place of the version before, whose connections have %g s to end",
                          __version__, seconds)
            for child in self.retiring:
                child.due = time.monotonic() + seconds + GRACE_SECONDS
                child.tell(Retire(seconds))
        elif self.started is not None:
            self.started(self.serving())

    def serving(self) -> Snapshot:
        """The snapshot with the ports that the kernel chose."""
        port, admin_port = (sock.getsockname()[1] for sock in (self.listeners[0], self.admin))
        return replace(self.force.snapshot, port=port, admin_port=admin_port)

    def signalled(self, number: int) -> None:
        """TERM drains, INT and QUIT are quick, HUP reloads, USR2 upgrades; TERM while draining makes it quick."""
        if number == signal.SIGTERM and self.stopping is None:
            self.stop(self.force.snapshot.drain_timeout)
        elif number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self.stop(0.0)
        elif number == signal.SIGHUP and self.stopping is None:
            self.reloads.ask([])
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
        self.reloads.enforce()
        for child in self.watch.frozen(self.everyone()):
            self.log.error("%s stands still: it is killed", child.name)
            child.kill("it stood still")
        overdue = [child for child in self.retiring if child.due and now >= child.due]
        if self.stopping is not None and now >= self.stopping:
            self.stopping = now + GRACE_SECONDS
            overdue = self.everyone()
        for child in overdue:
            child.due = now + GRACE_SECONDS
            if child.pid:
                self.log.error("%s did not end in time", child.name)
                child.kill("it did not end in time")

    # ---- upgrade ----

    def renew(self) -> None:
        """The steps of an upgrade: a trial, and where that ends well another image of this process."""
        if self.announced and self.reloads.pending is None and self.stopping is None and not self.retiring:
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
        force, listeners = self.force, [sock.fileno() for sock in self.listeners]
        return upgrade.Handover(
            force.snapshot.version, listeners, self.admin.fileno(), [sock.fileno() for sock in self.claims],
            self.addresses, force.slab.descriptor, self.generation, force.registry.given, alive, snapshot, PROTOCOL)


def addresses(snapshot: Snapshot) -> list[Any]:
    """What of the configuration leads to the sockets."""
    return [snapshot.listen_addr, snapshot.port, snapshot.admin_addr, snapshot.admin_port]
