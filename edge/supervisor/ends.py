"""How a process ended, and what that means, in words."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from edge.supervisor.children import Child

FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)


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
