"""Tells which children stand still."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from edge._fast import Slab
from edge.supervisor.children import Child

LOOK_SECONDS = 1.0                  # between two looks at heartbeats
FROZEN_SECONDS = 5.0                # without one; they come every tenth of a second, control's every second
START_SECONDS = 60.0                # from the fork to a child's first word


class Watch:
    """Tells who stands still although the supervisor does not.

    Where the supervisor is late itself, the machine slept, or the whole group was stopped: all begin anew. Who prepares
    a version has no heartbeat, and moves as long as it works: the reload has a time for that.
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
            beat = self.slab.heartbeat(child.stripe), worked(child.pid) if child.preparing else 0
            patience = FROZEN_SECONDS if child.ready else START_SECONDS
            if late or beat != child.beat:
                child.beat, child.moved = beat, now
            elif now - child.moved >= patience:
                child.moved = now
                found.append(child)
        return found


def worked(pid: int) -> int:
    """The processor's time that a process has had, in ticks (utime and stime of proc_pid_stat(5))."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[14 - 3]) + int(fields[15 - 3])
    return 0
