"""The processes that the supervisor has started: how one is forked, how it ended, how one that stands still is told."""

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
from pathlib import Path

from edge._fast import Slab
from edge.process import log
from edge.process.channel import Message, Records, send
from edge.process.descriptors import close_all_but
from edge.process.titles import entitle

LOOK_SECONDS = 1.0                  # between two looks at heartbeats
FROZEN_SECONDS = 5.0                # without one; they come every tenth of a second, control's every second
START_SECONDS = 60.0                # from the fork to a child's first word
FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)


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
    beat: int = 0                       # its heartbeat at the last look,
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
        self.ready, self.killed, self.followed = False, "", 0
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


class Ends:
    """Tells in words how a process ended and what that means."""

    def __init__(self) -> None:
        self.oom_kills = oom_kills()

    def told(self, child: Child, status: int) -> tuple[str, dict[str, int | str]]:
        """A sentence's end, and the same as facts: pid, and signal or status."""
        if not os.WIFSIGNALED(status):
            code = os.WEXITSTATUS(status)
            meaning = "its own error, told above" if code == 1 else "without an error" if code == 0 else ""
            return (f"(pid {child.pid}) with exit status {code}{', ' * bool(meaning)}{meaning}",
                    {"pid": child.pid, "status": code})
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:                      # a real-time signal
            name = f"signal {number}"
        return (f"(pid {child.pid}) of {name}: {self.meaning(child, number)}",
                {"pid": child.pid, "signal": name})

    def meaning(self, child: Child, number: int) -> str:
        """What the death by a signal means."""
        if child.killed:
            return f"the supervisor ended it, since {child.killed}"
        if number in FAULTS:
            return "a fault of the gateway's own program; please report it"
        if number != signal.SIGKILL:
            return "somebody sent it"
        before, self.oom_kills = self.oom_kills, oom_kills()
        if self.oom_kills > before:
            return ("the kernel has killed for want of memory (OOM) just now; give the gateway more, or lower "
                    "limits.memory_bytes")
        return "somebody sent it; the kernel's own kill for want of memory (OOM) would be in `dmesg`"


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since it began (/proc/vmstat)."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


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
