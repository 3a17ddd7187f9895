"""The processes of one image of the program: what each begins with, and what of the image before is taken over.

The shared memory has stripes for two generations, as long as one serves beside the other.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from edge import control, worker
from edge._fast import CONTROL, GENERATION, Cache, Slab, Spoken, Switches
from edge.process import sockets
from edge.process.channel import Records
from edge.supervisor.children import Child
from edge.supervisor.force import Force
from edge.supervisor.handover import Handover
from edge.supervisor.listeners import Listeners
from edge.values.registry import Registry
from edge.values.snapshot import Snapshot
from edge.worker.process import Inheritance


@dataclass(slots=True)
class Generation:
    """Control and the workers. `first` is their first stripe; who is forked begins with what is in force then."""

    force: Force
    listeners: Listeners
    first: int
    workers: int

    def children(self) -> list[Child]:
        """All of them, none of them alive yet."""
        address: tuple[str, int] = self.listeners.workers[0].getsockname()[:2]      # which control does not keep
        return [Child("control", self.first + CONTROL, partial(self.start_control, address), self.kept_by_control),
                *(Child(f"worker-{index}", self.first + index, self.start_worker(index), self.kept_by_worker(index))
                  for index in range(self.workers))]

    def start_worker(self, index: int) -> Callable[[socket.socket], None]:
        """What worker `index` does after the fork."""
        return lambda channel: worker.run(Inheritance(
            f"worker-{index}", self.first + index, self.force.slab, self.force.registry, self.force.snapshot,
            channel, self.share(index),
            self.force.cache if isinstance(self.force.cache, Cache) else None))

    def start_control(self, address: tuple[str, int], channel: socket.socket) -> None:
        """What control does after the fork."""
        force = self.force
        control.run(control.Inheritance(force.slab, force.registry, force.snapshot, channel, self.listeners.admin,
                                        self.first + CONTROL, force.cache, address, force.stored))

    def share(self, index: int) -> list[socket.socket]:
        """The listening sockets of worker `index`."""
        return sockets.share(self.listeners.workers, index, self.workers)

    def kept_by_worker(self, index: int) -> Callable[[], list[int]]:
        """The descriptors that worker `index` has: nobody else's sockets, which would outlive their owners in it."""
        return lambda: [self.force.slab.descriptor, *(sock.fileno() for sock in self.share(index))]

    def kept_by_control(self) -> list[int]:
        """Those that control has."""
        return [self.force.slab.descriptor, self.listeners.admin.fileno()]


def take_over(handed: Handover, snapshot: Snapshot, logger: logging.Logger) -> tuple[Force, int, list[Child]]:
    """The memory of the image before and the names in it, our first stripe there, and its processes.

    A memory that this program does not understand is left to them, and ours is new; what operators said holds in it.
    """
    try:
        slab, registry = Slab(snapshot.workers, handed.slab), Registry(handed.indices)
        first, shared = GENERATION - handed.generation, True
    except ValueError as error:
        logger.warning("counters and limits begin anew: %s", error)
        os.close(handed.slab)
        slab, registry = Slab(snapshot.workers), Registry()
        if handed.spoken is not None:
            Switches(slab).speak(Spoken(**handed.spoken))
        first, shared = 0, False
    before = []
    for name, stripe, pid, channel in handed.children:
        sock = socket.socket(fileno=channel)
        before.append(Child(name, stripe if shared else -1, pid=pid, channel=sock, reader=Records(sock), ready=True))
    os.close(handed.snapshot)
    return Force(slab, replace(snapshot, keys=()), registry), first, before
