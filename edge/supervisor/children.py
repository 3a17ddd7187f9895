"""A process that the supervisor has started: how it is forked, talked to, and taken leave of."""

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

from edge.process import log
from edge.process.channel import Message, Records, send
from edge.process.descriptors import close_all_but
from edge.process.titles import entitle


@dataclass(slots=True, eq=False)
class Child:
    """A process that must live; without `start`, one of the generation before, which need not any more.

    `keeps` gives the descriptors that it needs; standard input, output and error it has anyway.
    """

    name: str
    stripe: int                         # of the shared memory; -1: it has another memory
    start: Callable[[socket.socket], None] | None = None
    keeps: Callable[[], Iterable[int]] = tuple
    pid: int = 0
    channel: socket.socket | None = None
    reader: Records | None = None
    ready: bool = False                 # it has said that it serves,
    version: int = 0                    # and what;
    followed: int = 0                   # that it was told to
    drained: bool = False
    born: float = 0.0
    deaths: int = 0
    killed: str = ""                    # why, where the supervisor did it
    due: float = 0.0                    # when it may be started again; when a retiring one must have ended
    preparing: bool = False             # a version, which may be large: its loop does not turn meanwhile
    beat: tuple[int, int] = (0, 0)      # its heartbeat at the last look, and what it had worked,
    moved: float = 0.0                  # and when that was a new one

    @property
    def works(self) -> bool:
        """Whether it is a worker, and not control."""
        return self.name != "control"

    def spawn(self, selector: selectors.BaseSelector) -> None:
        """Forks. The child keeps its own end of a channel and what it `keeps`; nothing else."""
        assert self.start is not None
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.set_wakeup_fd(-1)
                close_all_but({0, 1, 2, theirs.fileno(), *self.keeps()})
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
        self.pid, self.channel, self.reader = pid, ours, Records(ours)
        self.born = self.moved = time.monotonic()
        self.ready, self.killed, self.followed, self.preparing = False, "", 0, False
        selector.register(ours, selectors.EVENT_READ, self)

    def reaped(self, selector: selectors.BaseSelector) -> int | None:
        """The status that it ended with (waitpid(2)), if it has; its end of the channel is closed then."""
        if not self.pid:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        assert self.channel is not None
        with contextlib.suppress(KeyError):
            selector.unregister(self.channel)
        self.channel.close()
        self.channel, self.reader = None, None
        return status

    def kill(self, why: str) -> None:
        """Ends it at once."""
        self.ready = False
        if self.pid:
            self.killed = self.killed or why
            os.kill(self.pid, signal.SIGKILL)

    def tell(self, message: Message, descriptor: int | None = None) -> None:
        """Sends; a child that is dying is not worth a word."""
        if self.channel is not None:
            with contextlib.suppress(OSError):
                send(self.channel, message, descriptor)
