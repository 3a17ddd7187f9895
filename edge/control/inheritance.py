"""What control begins with."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from edge._fast import CONTROL, Cache, Slab
from edge.values.directory import Mark
from edge.values.registry import Registry
from edge.values.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What control gets through the fork."""

    slab: Slab
    registry: Registry
    snapshot: Snapshot
    channel: socket.socket
    listener: socket.socket
    stripe: int = CONTROL
    cache: Cache | OSError | None = None
    address: tuple[str, int] | None = None      # where workers listen; None: as the configuration says
    stored: Mark | None = None          # up to where the directory has the store's keys; None: nobody has read them
