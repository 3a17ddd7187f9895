"""Whose a port is: a living supervisor's claim, its children's marks, and the word on which orphans leave it.

SO_REUSEPORT lets any process of the user join who listens already, and the kernel does not say who that is. Abstract
Unix sockets do (unix(7)): their names vanish with who holds them, however that ends; they are one network namespace's,
as ports are; and /proc/net/unix lists them. A port that is claimed belongs to a gateway that lives. One that is only
marked is served by workers whose supervisor has died: they leave when a successor tells them that it listens.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

ANYWHERE = ("0.0.0.0", "::")        # addresses that overlap with every other
CLAIM = "claim"
LISTENS = "0A"              # TCP_LISTEN


def claim(host: str, port: int) -> socket.socket:
    """To be held for as long as the port is used. OSError (EADDRINUSE): another gateway lives there."""
    held = _named(host, port, CLAIM, socket.SOCK_STREAM)
    if any(other != host for other, who in _names(host, port) if who == CLAIM):
        held.close()
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    return held


def mark(listener: socket.socket) -> socket.socket | None:
    """A child's own. When it can be read, somebody has called `dismiss`. None: there cannot be one."""
    host, port = listener.getsockname()[:2]
    with contextlib.suppress(OSError):
        sock = _named(host, port, str(os.getpid()), socket.SOCK_DGRAM)
        sock.setblocking(False)
        return sock
    return None


def orphans(host: str, port: int) -> list[str]:
    """The names of those who listen on a port that we have claimed."""
    return [_name(other, port, who) for other, who in _names(host, port) if who != CLAIM]


def dismiss(host: str, port: int) -> None:
    """Tells them that a successor listens. (A child whose own supervisor lives does not mind.)"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        for name in orphans(host, port):
            with contextlib.suppress(OSError):
                sock.sendto(b".", socket.MSG_DONTWAIT, name)


def lingering(host: str, port: int) -> list[int]:
    """The processes that are marked and listen there, by what the kernel says of both."""
    pids = [int(who) for who in {who for _, who in _names(host, port)} if who.isdigit()]
    sockets = _listening(port) if pids else set()
    return [pid for pid in pids if _holds(pid, sockets)]


def _listening(port: int) -> set[str]:
    """Sockets that listen on a port of any address, as /proc/PID/fd calls them (proc_pid_net(5))."""
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if state == LISTENS and int(local.rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{inode}]")
    return found


def _holds(pid: int, sockets: set[str]) -> bool:
    """Whether one of them is a process'. Another user's process does not say."""
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(entry.readlink()) in sockets:
                    return True
    return False


def _name(host: str, port: int, who: str) -> str:
    return f"\0edge/{host}/{port}/{who}"


def _named(host: str, port: int, who: str, kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        sock.bind(_name(host, port, who))
    except OSError:
        sock.close()
        raise
    return sock


def _names(host: str, port: int) -> list[tuple[str, str]]:
    """Address and holder of every name on a port whose address overlaps with this one."""
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/unix").read_text(errors="replace").splitlines():
            parts = line.rpartition("@edge/")[2].split("/") if "@edge/" in line else []
            if len(parts) == 3 and parts[1] == str(port) and (
                    host == parts[0] or host in ANYWHERE or parts[0] in ANYWHERE):
                found.append((parts[0], parts[2].rstrip("@")))
    return found
