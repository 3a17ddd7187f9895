"""The bell: by it a worker calls control, which sleeps, to look into the shared memory.

An abstract Unix socket (unix(7)): its name vanishes with control, however that ends, and there is no descriptor to hand
on to whoever comes next. A call that nobody hears is lost: control looks by itself when it begins.
"""

from __future__ import annotations

import contextlib
import socket


def _name(host: int) -> str:
    return f"\0edge-bell/{host:016x}"


class Rope:
    """A worker's end. `host` is the number that the shared memory goes by."""

    def __init__(self, host: int) -> None:
        self.name = _name(host)
        self.sock: socket.socket | None = None

    def ring(self) -> None:
        """Never waits."""
        with contextlib.suppress(OSError):
            if self.sock is None:
                self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self.sock.sendto(b".", self.name)


def hang(host: int) -> socket.socket:
    """Control's end, readable when somebody has rung. OSError: another control of this host still has it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind(_name(host))
    except OSError:
        sock.close()
        raise
    return sock


def silence(sock: socket.socket) -> None:
    """Forgets all calls so far."""
    with contextlib.suppress(OSError):
        while sock.recv(1):
            pass
