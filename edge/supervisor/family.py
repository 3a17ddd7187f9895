"""The supervisor's processes: this generation's, which must live, and those of the one before, until they end."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time

from edge._fast import Balances, Slab
from edge.process.channel import Drain, Message, Retire
from edge.supervisor.children import Child
from edge.supervisor.ends import Ends
from edge.supervisor.watch import Watch

RESTART_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0)     # after deaths in quick succession
QUICK_SECONDS = 5.0                             # a life shorter than this was a quick death
GRACE_SECONDS = 2.0                             # from the end of a drain to SIGKILL


class Family:
    """Children are born, watched, buried and born again; once it is `stopping` nobody is born any more.

    `stopping` is when those who are left then are killed.
    """

    def __init__(self, children: list[Child], retiring: list[Child], slab: Slab, logger: logging.Logger) -> None:
        self.children = children
        self.retiring = retiring
        self.slab = slab
        self.log = logger
        self.watch, self.ends = Watch(slab), Ends()
        self.selector: selectors.BaseSelector = selectors.DefaultSelector()
        for child in retiring:
            assert child.channel is not None
            self.selector.register(child.channel, selectors.EVENT_READ, child)
        self.stopping: float | None = None

    def everyone(self) -> list[Child]:
        """Both generations."""
        return self.children + self.retiring

    def reopen(self) -> None:
        """Control is to write its logs into files of their own anew."""
        for child in self.everyone():
            if not child.works and child.pid:
                os.kill(child.pid, signal.SIGUSR1)

    @property
    def over(self) -> bool:
        """Whether it was stopped, and nobody is left."""
        return self.stopping is not None and not any(child.pid for child in self.everyone())

    @property
    def due(self) -> float:
        """When something is to be done by the clock alone."""
        due = [self.watch.due, *(child.due for child in self.retiring if child.due)]
        if self.stopping is not None:
            due.append(self.stopping)
        else:
            due += [child.due for child in self.children if not child.pid]
        return min(due)

    def revive(self) -> None:
        """Starts who does not live, and whose time has come."""
        for child in self.children:
            if not child.pid and self.stopping is None and time.monotonic() >= child.due:
                child.spawn(self.selector)

    def reap(self) -> list[tuple[Child, str]]:
        """Takes note of who has died. Those of this generation, each with a sentence's end that says how."""
        died = []
        for child in self.everyone():
            status = child.reaped(self.selector)
            if status is None:
                continue
            if child.start is None:
                self.retired(child)
            else:
                died.append((child, self.buried(child, status)))
            if self.stopping is not None:
                self.end_together()
        return died

    def retired(self, child: Child) -> None:
        """One of the generation before has ended; its stripe is for the generation after this one."""
        child.pid = 0
        self.retiring.remove(child)
        if child.stripe >= 0:
            Balances(self.slab).forget(child.stripe)
            self.slab.retired(child.stripe)
        if not self.retiring:
            self.log.info("upgrade complete: the processes of the version before have ended")

    def buried(self, child: Child, status: int) -> str:
        """Frees what the child held, decides when it may live again, and says how it ended."""
        now = time.monotonic()
        child.deaths = child.deaths + 1 if now - child.born < QUICK_SECONDS else 0
        child.due = now + RESTART_SECONDS[min(child.deaths, len(RESTART_SECONDS) - 1)]
        how, facts = self.ends.told(child, status)
        child.pid = 0
        Balances(self.slab).forget(child.stripe)
        self.slab.worker_died(child.stripe)
        if self.stopping is None:
            self.log.error("%s died %s; it is started again", child.name, how,
                           extra={"facts": {"child": child.name, **facts}})
            self.slab.restarted(child.stripe)
        return how

    def tell(self, message: Message) -> None:
        """All hear it."""
        for child in self.everyone():
            child.tell(message)

    def retire(self, seconds: float) -> None:
        """The generation before has this time to end."""
        for child in self.retiring:
            child.due = time.monotonic() + seconds + GRACE_SECONDS
            child.tell(Retire(seconds))

    def stop(self, seconds: float) -> None:
        """Every child is told; those still there after the time and a little grace are killed."""
        self.stopping = time.monotonic() + seconds + GRACE_SECONDS
        self.tell(Drain(seconds))

    def end_together(self) -> None:
        """When no worker has a request any more, all end; not before, so that new connections meet someone."""
        if all(child.drained or not child.pid for child in self.everyone() if child.works):
            self.tell(Drain(0.0))

    def enforce(self) -> None:
        """Kills who stands still, and who outlives a drain."""
        now = time.monotonic()
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
