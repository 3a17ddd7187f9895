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
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from edge import control, log, notify, worker
from edge._fast import Slab
from edge.catalogue import Snapshot
from edge.channel import Drain, Drained, Failed, Load, Loaded, Reader, Reload, Reloaded, send
from edge.config import INVALID, ConfigError, Place, Problem
from edge.registry import Registry
from edge.worker.process import Inheritance

BACKLOG = 4096
RESTART_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0)     # after deaths in quick succession
QUICK_SECONDS = 5.0                             # a life shorter than this was a quick death
STARTS = 2                                      # more deaths than this before everything has ever served: a failure
GRACE_SECONDS = 2.0                             # from the end of a drain to SIGKILL


@dataclass(slots=True)
class Child:
    """A process that must live."""

    name: str
    start: Callable[[socket.socket], None]
    index: int | None = None            # a worker's
    pid: int = 0
    channel: socket.socket | None = None
    reader: Reader | None = None
    ready: bool = False
    drained: bool = False
    born: float = 0.0
    deaths: int = 0
    due: float = 0.0                    # when it may be started again


Question = tuple[Child, int]        # who asked for a reload, and the number it gave the question


@dataclass(slots=True)
class Pending:
    """A reload that waits for the children's word."""

    version: int
    asked_by: list[Question]
    missing: set[str] = field(default_factory=set)


class Supervisor:
    """`run()` returns the exit code."""

    def __init__(self, snapshot: Snapshot, reload: Callable[[int], Snapshot], *,
                 started: Callable[[Snapshot], None] | None = None) -> None:
        self.reload_file = reload
        self.started = started
        self.log = log.setup("supervisor", debug=snapshot.debug)
        self.listeners = listen(snapshot.listen_addr, snapshot.port, snapshot.workers)
        self.admin = listen(snapshot.admin_addr, snapshot.admin_port, 1)[0]
        self.slab = Slab(snapshot.workers)
        self.registry = Registry()
        self.snapshot = snapshot
        self.prepare(snapshot)
        self.selector = selectors.DefaultSelector()
        self.children = [Child("control", self.start_control)]
        self.children += [Child(f"worker-{i}", self.start_worker(i), i) for i in range(snapshot.workers)]
        self.pending: Pending | None = None
        self.wanted: list[Question] | None = None
        self.stopping: float | None = None
        self.announced = False
        self.exit_code = 0

    def prepare(self, snapshot: Snapshot) -> None:
        """Series and buckets of one version."""
        self.registry.plan(snapshot)
        limits = [("gateway", snapshot.limit), *((f"key:{key.name}", key.limit) for key in snapshot.keys)]
        for name, limit in limits:
            self.slab.set_bucket(self.registry.bucket(name), limit.rate if limit else 0.0, limit.burst if limit else 0)

    def run(self) -> int:
        """Starts everything, and watches it until it is told to stop."""
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self.selector.register(wake, selectors.EVENT_READ, None)
        for child in self.children:
            self.spawn(child)
        watchdog = notify.watchdog_seconds()
        while any(child.pid for child in self.children) or self.stopping is None:
            for key, _ in self.selector.select(self.patience(watchdog)):
                if key.data is None:
                    for signalled in wake.recv(4096):
                        self.signalled(signalled)
                else:
                    self.heard(key.data)
            self.reap()
            self.revive()
            self.enforce()
            if watchdog is not None:
                notify.send("WATCHDOG=1")
        return self.exit_code

    def patience(self, watchdog: float | None) -> float | None:
        """Seconds until something is due by the clock alone."""
        now = time.monotonic()
        if self.stopping is not None:
            due = [self.stopping - now]
        else:
            due = [child.due - now for child in self.children if not child.pid]
        if watchdog is not None:
            due.append(watchdog / 2)
        return max(0.0, min(due)) if due else None

    # ---- children ----

    def start_worker(self, index: int) -> Callable[[socket.socket], None]:
        """What worker `index` does after the fork."""
        return lambda channel: worker.run(Inheritance(
            index, self.slab, self.registry, self.snapshot, channel, self.listeners[index]))

    def start_control(self, channel: socket.socket) -> None:
        """What control does after the fork."""
        control.run(self.slab, self.registry, self.snapshot, channel, self.admin)

    def spawn(self, child: Child) -> None:
        """Forks. The child keeps its own end of a channel, the sockets and the shared memory; nothing else."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.set_wakeup_fd(-1)
                ours.close()
                self.selector.close()
                for other in self.children:
                    if other.channel is not None:
                        other.channel.close()
                child.start(theirs)
                status = 0
            except BaseException:
                log.setup(child.name).exception("%s ended", child.name)
            finally:
                sys.stdout.flush()
                os._exit(status)
        theirs.close()
        child.pid, child.channel, child.reader = pid, ours, Reader(ours)
        child.born, child.ready = time.monotonic(), False
        self.selector.register(ours, selectors.EVENT_READ, child)

    def reap(self) -> None:
        """Takes note of who has died."""
        for child in self.children:
            if child.pid and os.waitpid(child.pid, os.WNOHANG)[0]:
                self.buried(child)

    def buried(self, child: Child) -> None:
        """Frees what the child held, and says when it may live again."""
        assert child.channel is not None
        with contextlib.suppress(KeyError):
            self.selector.unregister(child.channel)
        child.channel.close()
        child.pid, child.channel, child.reader = 0, None, None
        now = time.monotonic()
        child.deaths = child.deaths + 1 if now - child.born < QUICK_SECONDS else 0
        child.due = now + RESTART_SECONDS[min(child.deaths, len(RESTART_SECONDS) - 1)]
        if child.index is not None:
            self.slab.worker_died(child.index)
        if self.stopping is None:
            self.log.error("%s died; it is started again", child.name)
            if child.index is not None:
                self.slab.restarted(child.index)
        if self.stopping is not None:
            self.end_together()
        if not self.announced and child.deaths > STARTS and self.stopping is None:
            self.log.error("%s cannot be started: giving up", child.name)
            self.exit_code = 1
            self.stop(0.0)
        self.settled(child, None)

    def revive(self) -> None:
        """Starts again who has died and whose time has come."""
        for child in self.children:
            if not child.pid and self.stopping is None and time.monotonic() >= child.due:
                self.spawn(child)

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
        if not self.announced and all(c.ready for c in self.children):
            self.announced = True
            notify.send("READY=1\nSTATUS=serving")
            if self.started is not None:
                self.started(self.serving())

    def serving(self) -> Snapshot:
        """The snapshot with the ports that the kernel chose."""
        return replace(self.snapshot, port=self.listeners[0].getsockname()[1], admin_port=self.admin.getsockname()[1])

    def signalled(self, number: int) -> None:
        """TERM drains, INT and QUIT are quick, HUP reloads; the same again while draining makes it quick."""
        if number == signal.SIGTERM and self.stopping is None:
            self.stop(self.snapshot.drain_timeout)
        elif number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self.stop(0.0)
        elif number == signal.SIGHUP and self.stopping is None:
            self.reload([])

    def stop(self, seconds: float) -> None:
        """Every child is told; those still there after the time and a little grace are killed."""
        self.log.info("stopping: running requests have %g s", seconds)
        notify.send("STOPPING=1")
        self.stopping = time.monotonic() + seconds + GRACE_SECONDS
        for child in self.children:
            self.tell(child, Drain(seconds))

    def end_together(self) -> None:
        """When no worker has a request any more, all end; not before, so that new connections meet someone."""
        if all(child.drained or not child.pid for child in self.children if child.index is not None):
            for child in self.children:
                self.tell(child, Drain(0.0))

    def enforce(self) -> None:
        """Kills what outlives the drain; control goes last, so that metrics can be read to the end."""
        if self.stopping is not None and time.monotonic() >= self.stopping:
            self.stopping += GRACE_SECONDS
            for child in self.children:
                if child.pid:
                    self.log.error("%s did not end in time", child.name)
                    os.kill(child.pid, signal.SIGKILL)

    def tell(self, child: Child, message: Any) -> None:
        """Sends; a child that is dying is not worth a word."""
        if child.channel is not None:
            with contextlib.suppress(OSError):
                send(child.channel, message)

    # ---- reload ----

    def reload(self, asked_by: list[Question]) -> None:
        """A new version for all, or a message that says what is wrong with the file and no change.

        While one is under way the next waits: whoever asked gets the answer to a file that was read after it asked.
        """
        if self.pending is not None:
            self.wanted = [*(self.wanted or []), *asked_by]
            return
        version = self.snapshot.version + 1
        notify.send("RELOADING=1")
        try:
            snapshot = self.reload_file(version)
            self.prepare(snapshot)
        except ConfigError as error:
            self.log.error("the configuration stays as it was: %s", error)
            self.answer(asked_by, None, error.problems)
        except ValueError as error:         # more keys than buckets, or a limit beyond the clock's range
            self.log.error("the configuration stays as it was: %s", error)
            self.answer(asked_by, None, (Problem(INVALID, Place("limits"), "", str(error), "fewer keys or models"),))
        else:
            self.name_fixed(snapshot)
            self.snapshot = snapshot
            self.pending = Pending(version, asked_by, {child.name for child in self.children if child.pid})
            for child in self.children:
                self.tell(child, Load(snapshot, self.registry))
            return
        notify.send("READY=1")

    def name_fixed(self, snapshot: Snapshot) -> None:
        """What a running gateway cannot change is named, not silently ignored."""
        for name in ("listen_addr", "port", "workers", "admin_addr", "admin_port"):
            if getattr(snapshot, name) != getattr(self.snapshot, name):
                self.log.warning("%s takes effect at the next start", name)

    def settled(self, child: Child, reason: str | None) -> None:
        """One child has taken the new version over (or died, and will start with it)."""
        if self.pending is None:
            return
        if reason is not None:
            self.log.error("%s did not take the configuration over: %s", child.name, reason)
        self.pending.missing.discard(child.name)
        if not self.pending.missing:
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
            self.tell(child, Reloaded(number, version, tuple(problems)))


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` sockets on one address, among which the kernel spreads connections (SO_REUSEPORT).

    OSError where the address cannot be had. Port 0: the kernel chooses, one port for all.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                                             flags=socket.AI_PASSIVE)[0]
    # SO_REUSEPORT would join a gateway that already listens here, and share its clients unasked.
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
    sockets = []
    for _ in range(count):
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setblocking(False)
        sock.bind(address)
        address = sock.getsockname()
        sockets.append(sock)
    # Listening begins when all are bound: a connection must not meet a group that still grows.
    for sock in sockets:
        sock.listen(BACKLOG)
    return sockets
