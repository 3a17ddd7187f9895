"""The control process: metrics, health and the admin API, on a port of its own. No client ever waits for it.

Its libraries are imported when it runs, not before: supervisor and workers do without them and their memory.
"""

from __future__ import annotations

import socket

from edge._fast import Slab
from edge.catalogue import Snapshot
from edge.registry import Registry


def run(slab: Slab, registry: Registry, snapshot: Snapshot, channel: socket.socket,
        listener: socket.socket) -> None:
    """Serve on `listener` until SIGTERM, the end of a drain, or the supervisor's own end."""
    from edge.control.process import main

    main(slab, registry, snapshot, channel, listener)


__all__ = ["run"]
