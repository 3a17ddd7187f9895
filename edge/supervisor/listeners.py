"""What a gateway listens on: the workers' sockets and control's, and our claims to both ports."""

from __future__ import annotations

import contextlib
import logging
import socket
from dataclasses import dataclass, field, replace
from typing import Any

from edge.process import sockets
from edge.supervisor.handover import Handover
from edge.supervisor.orphans import Orphans
from edge.values.snapshot import Snapshot


@dataclass(slots=True)
class Listeners:
    """All of it is the supervisor's; `addresses` is what of the configuration led to the sockets."""

    workers: list[socket.socket]
    admin: socket.socket
    claims: list[socket.socket]
    addresses: list[Any]
    orphans: Orphans = field(default_factory=Orphans)

    @classmethod
    def opened(cls, snapshot: Snapshot) -> Listeners:
        """New ones; workers that a dead supervisor has left give way. OSError where an address cannot be had."""
        workers, claim = sockets.listen(snapshot.listen_addr, snapshot.port, snapshot.workers)
        (admin,), second = sockets.listen(snapshot.admin_addr, snapshot.admin_port, 1)
        ports = ((snapshot.listen_addr, snapshot.port), (snapshot.admin_addr, snapshot.admin_port))
        orphans = Orphans(tuple((host, port) for host, port in ports if port))
        return cls(workers, admin, [claim, second], addresses(snapshot), orphans)

    @classmethod
    def inherited(cls, handed: Handover, snapshot: Snapshot, logger: logging.Logger) -> Listeners:
        """Those of the image before, and more of them where there are more workers."""
        workers = [socket.socket(fileno=each) for each in handed.listeners]
        if addresses(snapshot) != handed.addresses:
            logger.warning("port, listen_addr and admin's take effect at the next start")
        with contextlib.suppress(OSError):      # a worker without a socket of its own shares another's
            while len(workers) < snapshot.workers:
                workers.append(sockets.join(workers[0]))
        return cls(workers, socket.socket(fileno=handed.admin), [socket.socket(fileno=each) for each in handed.claims],
                   handed.addresses)

    def bound(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the ports that the kernel chose."""
        port, admin_port = (sock.getsockname()[1] for sock in (self.workers[0], self.admin))
        return replace(snapshot, port=port, admin_port=admin_port)


def addresses(snapshot: Snapshot) -> list[Any]:
    """What of the configuration leads to the sockets."""
    return [snapshot.listen_addr, snapshot.port, snapshot.admin_addr, snapshot.admin_port]
