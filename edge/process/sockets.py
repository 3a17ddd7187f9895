"""The listening sockets: several on one address, among which the kernel spreads connections."""

from __future__ import annotations

import errno
import socket

from edge.net.addresses import authority
from edge.process import claims

BACKLOG = 4096


def listen(host: str, port: int, count: int) -> tuple[list[socket.socket], socket.socket]:
    """`count` sockets on one address, among which the kernel spreads connections (SO_REUSEPORT), and our claim to it.

    OSError where the address cannot be had, which is its `filename`. Port 0: the kernel chooses, one port for all.
    """
    try:
        return _listen(host, port, count)
    except OSError as error:
        raise OSError(error.errno, error.strerror, authority(host, port)) from None


def _listen(host: str, port: int, count: int) -> tuple[list[socket.socket], socket.socket]:
    claim = claims.claim(host, port) if port else None
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                                             flags=socket.AI_PASSIVE)[0]
    # SO_REUSEPORT would join whoever listens here with it, and share its clients unasked. Workers whose supervisor has
    # died expect that.
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not claims.orphans(host, port):
                raise
    sockets = [bound(family, address)]
    sockets += [bound(family, sockets[0].getsockname()) for _ in range(count - 1)]
    # Listening begins when all are bound: a connection must not meet a group that still grows.
    for sock in sockets:
        sock.listen(BACKLOG)
    return sockets, claim or claims.claim(host, sockets[0].getsockname()[1])


def bound(family: int, address: object) -> socket.socket:
    """A socket that shares its address."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.setblocking(False)
    sock.bind(address)      # type: ignore[arg-type]
    return sock


def join(first: socket.socket) -> socket.socket:
    """One more socket on the address of another that listens."""
    sock = bound(first.family, first.getsockname())
    sock.listen(BACKLOG)
    return sock


def share(sockets: list[socket.socket], worker: int, workers: int) -> list[socket.socket]:
    """Those of a worker. None may be closed, which would reset what is queued on it: fewer workers take several."""
    count = len(sockets)
    return [sockets[at % count] for at in range(worker, max(workers, count), workers)]
