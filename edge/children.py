"""The processes that the supervisor has started: how one is forked, and how one that stands still is told."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge import log
from edge._fast import Slab
from edge.channel import Message, Reader, send
from edge.titles import entitle

LOOK_SECONDS = 1.0                  # between two looks at heartbeats
FROZEN_SECONDS = 5.0                # without one; they come every tenth of a second, control's every second
START_SECONDS = 60.0                # from the fork to a child's first word


@dataclass(slots=True, eq=False)
class Child:
    """A process that must live; without `start`, one of the generation before, which need not any more."""

    name: str
    stripe: int                         # of the shared memory; -1: it has another memory
    start: Callable[[socket.socket], None] | None = None
    pid: int = 0
    channel: socket.socket | None = None
    reader: Reader | None = None
    ready: bool = False
    drained: bool = False
    born: float = 0.0
    deaths: int = 0
    due: float = 0.0                    # when it may be started again; when a retiring one must have ended
    beat: int = 0                       # its heartbeat at the last look,
    moved: float = 0.0                  # and when that was a new one

    @property
    def works(self) -> bool:
        """Whether it is a worker, and not control."""
        return self.name != "control"

    def spawn(self, selector: selectors.BaseSelector, others: Iterable[Child]) -> None:
        """Forks. The child keeps its own end of a channel, the sockets and the shared memory; nothing else."""
        assert self.start is not None
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.set_wakeup_fd(-1)
                ours.close()
                selector.close()
                for other in others:
                    if other.channel is not None:
                        other.channel.close()
                entitle(f"edge: {self.name.replace('-', ' ')}")
                self.start(theirs)
                status = 0
            except BaseException:
                log.setup(self.name).exception("%s ended", self.name)
            finally:
                with contextlib.suppress(OSError):      # nobody may read it, or the disk be full
                    sys.stdout.flush()
                os._exit(status)
        theirs.close()
        self.pid, self.channel, self.reader = pid, ours, Reader(ours)
        self.born = self.moved = time.monotonic()
        self.ready = False
        selector.register(ours, selectors.EVENT_READ, self)

    def reaped(self, selector: selectors.BaseSelector) -> bool:
        """Whether it has died; its end of the channel is closed then."""
        if not self.pid or not os.waitpid(self.pid, os.WNOHANG)[0]:
            return False
        assert self.channel is not None
        with contextlib.suppress(KeyError):
            selector.unregister(self.channel)
        self.channel.close()
        self.pid, self.channel, self.reader = 0, None, None
        return True

    def tell(self, message: Message) -> None:
        """Sends; a child that is dying is not worth a word."""
        if self.channel is not None:
            with contextlib.suppress(OSError):
                send(self.channel, message)


class Watch:
    """Tells which children stand still although the supervisor does not.

    Where the supervisor is late itself, the machine slept, or the whole group was stopped: all begin anew.
    """

    def __init__(self, slab: Slab) -> None:
        self.slab = slab
        self.due = time.monotonic() + LOOK_SECONDS

    def frozen(self, children: Iterable[Child]) -> list[Child]:
        """Those that have not moved for too long, each once in that time. Looks when it is time to."""
        now = time.monotonic()
        if now < self.due:
            return []
        late = now - self.due > LOOK_SECONDS
        self.due = now + LOOK_SECONDS
        found = []
        for child in children:
            if not child.pid or child.stripe < 0:
                continue
            beat = self.slab.heartbeat(child.stripe)
            patience = FROZEN_SECONDS if child.ready else START_SECONDS
            if late or beat != child.beat:
                child.beat, child.moved = beat, now
            elif now - child.moved >= patience:
                child.moved = now
                found.append(child)
        return found
