"""Those whom a dead supervisor has left on our ports: they are told to leave, and killed where they stand still.

The kernel gives each socket of a port its share of the clients, whether its process moves or not.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time

from edge.process import claims
from edge.supervisor.watch import FROZEN_SECONDS

Port = tuple[str, int]


class Orphans:
    """`ports` are ours from now on. `due` is when somebody has to look who is there still."""

    def __init__(self, ports: tuple[Port, ...] = ()) -> None:
        self.ports = [port for port in ports if claims.orphans(*port)]
        self.due = time.monotonic() + FROZEN_SECONDS if self.ports else float("inf")
        for port in self.ports:
            claims.dismiss(*port)

    def enforce(self, ours: set[int], logger: logging.Logger) -> None:
        """Kills who has not left in time."""
        if time.monotonic() < self.due:
            return
        self.due = float("inf")
        for pid in {pid for port in self.ports for pid in claims.lingering(*port)} - ours:
            logger.error("a process of the supervisor before, which has died, stands still on our port (pid %d): "
                         "it is killed", pid)
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
